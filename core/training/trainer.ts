/**
 * The training loop: draw a batch, run a step, now and then validate and save. It knows neither GPT
 * nor diffusion.
 *
 * A run leaves two files: its best weights by validation, to be used, and its whole state at the
 * last checkpoint, to go on from. Going on gives the same numbers as never having stopped.
 */
import { exportedNames, initialAverage } from "./average.ts";
import { saveTraining, saveWeights, trainingPath, type TrainingState } from "../checkpoint.ts";
import type { Config } from "../config.ts";
import { type Dataset, drawWindows } from "../data/dataset.ts";
import type { Engine, Session } from "@tiny-diffusion/engines";
import { validator } from "../scoring/estimators.ts";
import { yieldToEventLoop } from "../event_loop.ts";
import type { LanguageModel } from "../language_model.ts";
import { parameterShapes } from "../model.ts";
import { initialMoments, scheduleShare } from "./optimizer.ts";
import { initialState, trainInputs } from "../programs.ts";
import { type Random, restoreRandom, seededRandom } from "../random.ts";
import { alone, type Runner, type StepOutcome, type Stepper } from "./stepper.ts";
import type { HostTensors } from "@tiny-diffusion/engines/tensors";
import { cutIntoBlocks } from "../scoring/rows.ts";

/** What to train, on what, by what means, and where to put it. */
export interface TrainingRun {
  /** The GPT or the diffusion model. */
  model: LanguageModel;
  /** All settings; `kind` is the model's, and `vocab` the size of `vocabulary`. */
  config: Config;
  /** The characters in token order, as the model's `vocabulary` gives them. */
  vocabulary: string[];
  /** Each part at least `context + 1` tokens long. */
  dataset: Dataset;
  /** SHA-256 of the text in hexadecimal, stored with the weights. */
  corpusSha256: string;
  /**
   * The first characters of the text, from which generation starts unless told otherwise: stored
   * with the weights.
   */
  prompt: string;
  /** What was typed to train: stored with the weights. */
  command?: string;
  /** Computes the steps. */
  engine: Engine;
  /** Where the best weights go; the state goes beside them. */
  path: string;
  /** Go on from here instead of from fresh weights. */
  resume?: TrainingState;
  /** Stop after this many validations without a better one. */
  patience?: number;
  /** Most seconds between two checkpoints. Default 300. */
  checkpointSeconds?: number;
  /** Does the steps. Default: this process alone. */
  stepper?: Stepper;
  /**
   * Most seconds that steps done in one go may take, where the engine can: so long a signal waits.
   * The numbers stay the same. Default 1; 0 is one step at a time.
   */
  groupSeconds?: number;
}

/** What a run tells while it goes on. Losses are in nats. */
export interface TrainingObserver {
  /** After each step. */
  onStep?(report: StepReport): void;
  /** After each validation. */
  onValidation?(report: ValidationReport): void;
  /** After the state was written. */
  onCheckpoint?(step: number): void;
}

/** A step of training. */
export interface StepReport {
  /** Its number, from 1. */
  step: number;
  /** Characters seen so far in the run. */
  chars: number;
  /** Seconds of training so far, those before a resumption included. */
  seconds: number;
  /** The loss of the batch, before the step. */
  lossNats: number;
  /** Of all gradients together, before they were clipped. */
  gradientNorm: number;
  /** AdamW's, by the schedule. */
  learningRate: number;
}

/** A validation on 64 blocks, or all if there are fewer. */
export interface ValidationReport {
  /** The step after which it was made. */
  step: number;
  /** Characters seen so far in the run. */
  chars: number;
  /** Seconds of training so far, those before a resumption included. */
  seconds: number;
  /** Bits per character: exact for a GPT, an upper bound for diffusion. */
  bpc: number;
  /** Whether it is the best so far, and its weights were written. */
  best: boolean;
}

/** What a run came to: all of it, not only what was done since a resumption. */
export interface TrainingResult {
  /** Steps done. */
  step: number;
  /** Seconds of training. */
  seconds: number;
  /** Characters seen. */
  chars: number;
  /**
   * Mean training loss of the steps since the last validation; where none follow it, of those
   * between it and the one before.
   */
  lossNats: number;
  /** Bits per character of the best validation: exact for a GPT, an upper bound for diffusion. */
  bpc: number;
  /** The step after which that was. */
  bestStep: number;
  /** Share of the time in which the engine had nothing to do. */
  idleShare: number;
  /** Why it ended. */
  stopped: "done" | "patience" | "signal";
}

/**
 * Trains until `config.steps`, until patience runs out, or until `signal` aborts; saves in each
 * case.
 *
 * @throws {RangeError} If the loss is not a number; the last checkpoint stays as it is. Also if the
 * validation text is shorter than one block.
 * @throws {Error} If a file can't be written.
 *
 * ```ts
 * import { assertLess } from "@std/assert";
 * import { diffusion, loadWeights, makeConfig, startEngine, makeTokenizer, train } from "@tiny-diffusion/core";
 *
 * const text = "the cat sat on the mat, and the rat sat on the cat; ".repeat(20);
 * const vocabulary = diffusion.vocabulary(text);
 * const tokens = makeTokenizer("diffusion", vocabulary).encode(text);
 * const folder = await Deno.makeTempDir();
 * const { bpc } = await train({
 *   model: diffusion,
 *   config: makeConfig("diffusion", "smoke", vocabulary.length, { steps: 15 }),
 *   vocabulary,
 *   dataset: { train: tokens.subarray(0, 900), validation: tokens.subarray(900) },
 *   corpusSha256: "",
 *   prompt: "the cat ",
 *   engine: (await startEngine("onnx")).engine,
 *   path: `${folder}/cats.safetensors`,
 * });
 * assertLess(bpc, Math.log2(vocabulary.length)); // better than knowing nothing
 * const { weights } = await loadWeights(`${folder}/cats.safetensors`); // the best ones
 * await Deno.remove(folder, { recursive: true });
 * ```
 */
export async function train(
  run: TrainingRun,
  observer: TrainingObserver = {},
  signal?: AbortSignal,
): Promise<TrainingResult> {
  const stepper = run.stepper ?? alone(run.model, run.config);
  const progress = run.resume ? restored(run.resume) : fresh(run.config);
  const session = await run.engine.load(progress.state, stepper.programs);
  try {
    const training = new Training(run, observer, stepper, session, progress);
    const stopped = await untilStopped(training, run, signal);
    return { ...training.result(), stopped };
  } finally {
    session.dispose();
  }
}

/** Steps, validations and checkpoints in turn, until there is a reason to stop. */
async function untilStopped(
  training: Training,
  { config, patience = Infinity, checkpointSeconds = 300 }: TrainingRun,
  signal?: AbortSignal,
): Promise<TrainingResult["stopped"]> {
  const { counters } = training.progress;
  try {
    for (;;) {
      // Before the step, not after it: a run stopped while it validates does so first when it goes
      // on.
      if (training.validationDue()) {
        await training.validate(signal);
        await training.checkpoint();
      }
      if (counters.step >= config.steps) return "done";
      if (counters.sinceBest >= patience) return "patience";
      await training.steps();
      await yieldToEventLoop();
      if (signal?.aborted) throw signal.reason;
      if (training.secondsSinceCheckpoint() >= checkpointSeconds) await training.checkpoint();
    }
  } catch (error) {
    if (!signal?.aborted || error !== signal.reason) throw error;
    await training.checkpoint();
    return "signal";
  }
}

/** A run under way on an engine, and what can be done next with it. */
class Training {
  bestBpc: number;
  busySeconds = 0;
  lastCheckpoint: number;
  /** Seconds of training so far, those before a resumption included. */
  readonly seconds: () => number;
  readonly group: ReturnType<typeof stepGroups>;
  readonly scoreOf: ReturnType<typeof validator>;

  constructor(
    readonly run: TrainingRun,
    readonly observer: TrainingObserver,
    readonly stepper: Stepper,
    readonly session: Session,
    readonly progress: Progress,
  ) {
    const { model, config, dataset, resume, groupSeconds = 1 } = run;
    this.scoreOf = validator(model.kind, cutIntoBlocks(dataset.validation, config.context));
    this.group = stepGroups(stepper.steps && session.runSteps ? groupSeconds : 0);
    this.bestBpc = resume?.bestScore ?? Infinity;
    this.seconds = stopwatch(progress.counters.seconds);
    this.lastCheckpoint = this.seconds();
  }

  /** Draws batches and does a step on each: several in one go where they are short. */
  async steps(): Promise<void> {
    const { model, config, dataset } = this.run, { random, counters } = this.progress;
    const { step } = counters, start = this.seconds();
    const untilDue = Math.min(config.evalEvery - step % config.evalEvery, config.steps - step);
    const inputs = Array.from({ length: Math.min(this.group.size, untilDue) }, (_, i) => {
      const windows = drawWindows(dataset.train, config.batch, config.context, random);
      return trainInputs(model, config, windows, step + 1 + i, random);
    });
    const outcomes = inputs.length === 1
      ? [await this.stepper.step(this.runner, inputs[0])]
      : await this.stepper.steps!(this.runner, inputs);
    const seconds = (this.seconds() - start) / inputs.length;
    this.group.took(seconds);
    outcomes.forEach((outcome, i) => this.count(outcome, start + (i + 1) * seconds));
  }

  /** Takes note of a step that was done. */
  count({ lossNats, gradientNorm }: StepOutcome, seconds: number): void {
    const { config } = this.run, { counters } = this.progress;
    // A gradient that is not a number has already spoilt the weights, though the loss tells only at
    // the next step.
    if (!Number.isFinite(lossNats + gradientNorm)) {
      throw diverged(counters.step + 1, lossNats, gradientNorm);
    }
    if (counters.step === counters.validatedStep) counters.lossSum = counters.lossCount = 0;
    counters.step++;
    counters.chars += config.batch * config.context;
    counters.lossSum += lossNats;
    counters.lossCount++;
    const { step, chars } = counters;
    const learningRate = scheduleShare(step, config) * config.learningRate;
    this.observer.onStep?.({ step, chars, seconds, lossNats, gradientNorm, learningRate });
  }

  /** Whether the weights have reached a step at which they are to be scored, and were not yet. */
  validationDue(): boolean {
    const { step, validatedStep } = this.progress.counters, { evalEvery, steps } = this.run.config;
    return step > validatedStep && (step % evalEvery === 0 || step >= steps);
  }

  /** Scores the weights, and keeps them if none before were better. */
  async validate(signal?: AbortSignal): Promise<void> {
    const { counters } = this.progress;
    const bpc = await this.scoreOf(this.stepper.scorer(this.runner), { signal });
    const best = bpc < this.bestBpc;
    if (best) {
      // Where another run has left its state, it must not be there beside this one's weights,
      // should the next write be the last.
      if (this.bestBpc === Infinity) await this.checkpoint();
      this.bestBpc = bpc;
      counters.bestStep = counters.step;
      if (this.stepper.saves) await saveBest(this.run, this.session, counters.step, bpc);
    }
    counters.sinceBest = best ? 0 : counters.sinceBest + 1;
    counters.validatedStep = counters.step;
    const { step, chars } = counters;
    this.observer.onValidation?.({ step, chars, seconds: this.seconds(), bpc, best });
  }

  /** Writes the state to go on from. */
  async checkpoint(): Promise<void> {
    if (!this.stepper.saves) return;
    const { run, session, progress: { random, counters } } = this;
    counters.seconds = this.seconds();
    const state = await trainingState(run, session, random, counters, this.bestBpc);
    await saveTraining(trainingPath(run.path), state);
    this.lastCheckpoint = this.seconds();
    this.observer.onCheckpoint?.(counters.step);
  }

  secondsSinceCheckpoint(): number {
    return this.seconds() - this.lastCheckpoint;
  }

  result(): Omit<TrainingResult, "stopped"> {
    const { step, chars, bestStep, lossSum, lossCount } = this.progress.counters;
    const seconds = this.seconds();
    return {
      step,
      seconds,
      chars,
      lossNats: lossSum / lossCount,
      bpc: this.bestBpc,
      bestStep,
      idleShare: 1 - this.busySeconds / (seconds - (this.run.resume?.counters.seconds ?? 0)),
    };
  }

  /** The session, with its time counted. */
  get runner(): Runner {
    const { session } = this;
    return {
      run: (program, inputs) => this.timed(() => session.run(program, inputs)),
      runSteps: session.runSteps &&
        ((program, inputs) => this.timed(() => session.runSteps!(program, inputs))),
    };
  }

  async timed<T>(work: () => Promise<T>): Promise<T> {
    const start = this.seconds();
    const result = await work();
    this.busySeconds += this.seconds() - start;
    return result;
  }
}

interface Progress {
  /** Weights and moments. */
  state: HostTensors;
  /** Draws the windows and the masks. */
  random: Random;
  counters: typeof zeroCounters;
}

/** Counters at the start of a run. The losses are those that `TrainingResult.lossNats` averages. */
const zeroCounters = {
  step: 0,
  chars: 0,
  seconds: 0,
  bestStep: 0,
  sinceBest: 0,
  validatedStep: 0,
  lossSum: 0,
  lossCount: 0,
};

function fresh(config: Config): Progress {
  const random = seededRandom(config.seed);
  return { state: initialState(config, random), random, counters: { ...zeroCounters } };
}

function restored({ config, weights, moments, random, counters }: TrainingState): Progress {
  const empty = { shape: [0], data: new Float32Array() };
  const named = Object.fromEntries(Object.keys(weights).map((name) => [name, empty]));
  const needed = { ...initialMoments(named, config.optimizer), ...initialAverage(named, config) };
  const missing = Object.keys(needed).find((name) => !Object.hasOwn(moments, name));
  if (missing !== undefined || random.batches === undefined) {
    const lacks = missing === undefined ? "the random state of the batches" : `"${missing}"`;
    throw new TypeError(
      `Cannot resume: the saved state lacks ${lacks}; the file is damaged, start a new run`,
    );
  }
  return {
    state: { ...weights, ...moments },
    random: restoreRandom(random.batches),
    counters: { ...zeroCounters, ...counters },
  };
}

async function trainingState(
  { config, vocabulary, corpusSha256, command, engine }: TrainingRun,
  session: Session,
  random: Random,
  counters: Progress["counters"],
  bestBpc: number,
): Promise<TrainingState> {
  const state = Object.entries(await session.readState()), parameters = parameterShapes(config);
  const pick = (weights: boolean) =>
    Object.fromEntries(state.filter(([name]) => (name in parameters) === weights));
  return {
    config,
    vocabulary,
    weights: pick(true),
    moments: pick(false),
    random: { batches: random.state() },
    counters,
    bestScore: Number.isFinite(bestBpc) ? bestBpc : null,
    corpusSha256,
    command,
    engine: engine.name,
    precision: engine.precision,
  };
}

async function saveBest(run: TrainingRun, session: Session, step: number, bpc: number) {
  const { config, vocabulary, prompt, command, corpusSha256, engine, path } = run;
  await saveWeights(path, {
    config,
    vocabulary,
    prompt,
    weights: await exportedWeights(session, config),
    step,
    scores: { val_bpc: bpc },
    corpusSha256,
    command,
    engine: engine.name,
    precision: engine.precision,
  }, { dtype: "float16" });
}

/** The weights that are worth keeping: the average where there is one. */
async function exportedWeights(session: Session, config: Config): Promise<HostTensors> {
  const names = exportedNames(config);
  const state = await session.readState(Object.values(names));
  return Object.fromEntries(Object.entries(names).map(([name, held]) => [name, state[held]]));
}

/**
 * How many steps to do in one go, so that they take about `seconds`: by the time of the last ones,
 * from one on, and never more than twice as many as before, since the first steps of an engine are
 * slow and a machine may be busy for a moment.
 */
export function stepGroups(seconds: number) {
  const group = {
    size: 1,
    /** Takes note of how long each of the last steps took. */
    took(secondsEach: number) {
      group.size = Math.max(1, Math.min(2 * group.size, Math.floor(seconds / secondsEach)));
    },
  };
  return group;
}

function diverged(step: number, loss: number, gradientNorm: number): RangeError {
  return new RangeError(
    `Cannot go on training: the loss of step ${step} is ${loss} (gradient norm ${gradientNorm}); ` +
      "the last checkpoint is as it was, try a lower --lr (with Muon also --set muonLearningRate=X)",
  );
}

/** Seconds, going on from `before`. */
function stopwatch(before: number): () => number {
  const start = performance.now();
  return () => before + (performance.now() - start) / 1000;
}
