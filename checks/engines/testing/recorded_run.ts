/** The first steps of a run, step by step, to compare engines in losses and in speed. */
import { makeConfig, type ModelKind, type PresetName } from "../../../core/config.ts";
import { makeTokenizer } from "../../../core/data/tokenizer.ts";
import { models } from "../../../core/models.ts";
import { seededRandom } from "../../../core/random.ts";
import {
  drawStepInputs,
  drawWindows,
  initialState,
  type StepInputs,
  trainStep,
} from "../../../core/training/step.ts";
import { type Engine, runSteps } from "../../../engines/engine.ts";

/** A run to record. */
export interface RunRequest {
  kind: ModelKind;
  preset: PresetName;
  text: string;
  steps: number;
  /** Steps in one call of the engine. */
  group: number;
}

/** The figures of a run. */
export interface RecordedRun {
  /** The loss of each step, in nats. */
  losses: number[];
  /** Milliseconds of a step in each call of the engine. */
  ms: number[];
  /** Characters of a step. */
  chars: number;
}

/** Trains for some steps from fresh weights; the same seed for every engine. */
export async function recordRun(
  engine: Engine,
  { kind, preset, text, steps, group }: RunRequest,
): Promise<RecordedRun> {
  const model = models[kind];
  const vocabulary = model.vocabulary(text);
  const config = makeConfig(kind, preset, vocabulary.length);
  const tokens = makeTokenizer(kind, vocabulary).encode(text);
  const random = seededRandom(config.seed);
  const session = await engine.load(initialState(config, random), {
    step: trainStep(model, config),
  });
  const losses: number[] = [], ms: number[] = [];
  while (losses.length < steps) {
    const inputs: StepInputs[] = [];
    while (inputs.length < Math.min(group, steps - losses.length)) {
      const windows = drawWindows(tokens, config.batch, config.context, random);
      const step = losses.length + inputs.length + 1;
      inputs.push(drawStepInputs(model, config, windows, step, random));
    }
    const start = performance.now();
    const outcomes = await runSteps(session, "step", inputs);
    ms.push((performance.now() - start) / inputs.length);
    losses.push(...outcomes.map(({ loss }) => loss[0]));
  }
  session.dispose();
  return { losses, ms, chars: config.batch * config.context };
}
