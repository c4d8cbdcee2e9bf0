/**
 * Runs the steps of the training loop: in this process alone, or in several that share the batch
 * (`distributed/`).
 */
import { exportedNames } from "./average.ts";
import type { Config } from "../config.ts";
import { type Program, runSteps, type Session } from "@tiny-diffusion/engines";
import type { LanguageModel } from "../language_model.ts";
import { targetNats, trainStep } from "../programs.ts";
import { makeScorer, type Scorer } from "../scoring/rows.ts";

/** Runs the programs of a session. */
export type Runner = Pick<Session, "run" | "runSteps">;

/** One way to get a step done, and a validation. */
export interface Stepper {
  /** The programs that the engine loads. */
  programs: Record<string, Program>;
  /** A step on the inputs that `trainInputs` gives for the whole batch. */
  step(runner: Runner, inputs: Record<string, Float32Array | Int32Array>): Promise<StepOutcome>;
  /**
   * Several steps in one go, for engines that then leave the state where it is; without this, one
   * at a time.
   */
  steps?(
    runner: Runner,
    inputs: Record<string, Float32Array | Int32Array>[],
  ): Promise<StepOutcome[]>;
  /** Scores the blocks of a validation. */
  scorer(runner: Runner): Scorer;
  /** Whether this process writes the files of the run. */
  saves: boolean;
}

/** The result of a step of training. */
export interface StepOutcome {
  /** The loss of the batch, before the step. */
  lossNats: number;
  /** The norm of all gradients together, before clipping. */
  gradientNorm: number;
}

/** Steps of this process alone. */
export function alone(model: LanguageModel, config: Config): Stepper {
  const outcome = ({ loss, gradientNorm }: Awaited<ReturnType<Session["run"]>>): StepOutcome => ({
    lossNats: loss[0],
    gradientNorm: gradientNorm[0],
  });
  return {
    programs: {
      trainStep: trainStep(model, config),
      nats: validationNats(model, config, config.batch),
    },
    step: async (runner, inputs) => outcome(await runner.run("trainStep", inputs)),
    steps: async (runner, inputs) => (await runSteps(runner, "trainStep", inputs)).map(outcome),
    scorer: (runner) => makeScorer(config, config.batch, (inputs) => runner.run("nats", inputs)),
    saves: true,
  };
}

/** `targetNats` of the weights that validation uses. */
export function validationNats(model: LanguageModel, config: Config, rows: number): Program {
  return targetNats(model, config, rows, { names: exportedNames(config) });
}
