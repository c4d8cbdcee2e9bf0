/**
 * The training loop: draw a batch, make a step, validate and save at intervals. All that
 * differs between the two models comes with `model`.
 *
 * A run leaves two things: its best weights by validation, to be used, and its whole state at the
 * last checkpoint, to be resumed. A resumed run gives the same numbers as one that never stopped.
 * `trainer.ts` keeps them in files; a web page keeps them elsewhere.
 */
import type { Engine, Program, Session } from "@tiny-diffusion/engines";
import { runSteps } from "@tiny-diffusion/engines/engine";
import { UserError } from "@tiny-diffusion/engines/errors";
import type { HostTensors } from "@tiny-diffusion/engines/tensors";
import { type SavedModel, splitState, type TrainingState } from "../checkpoint_format.ts";
import type { Config } from "../config.ts";
import { type Corpus, encodeCorpus, takeOpening } from "../data/corpus.ts";
import { makeTokenizer } from "../data/tokenizer.ts";
import { yieldToEventLoop } from "../event_loop.ts";
import type { LanguageModel } from "../language_model.ts";
import { initialWeights, parameterShapes } from "../model.ts";
import type { NgramTable } from "../ngrams/kneser_ney.ts";
import { type Random, restoreRandom, seededRandom } from "../random.ts";
import { loadNetwork } from "../sampling/network.ts";
import { write } from "../sampling/write.ts";
import { validator } from "../scoring/estimators.ts";
import { cutIntoBlocks } from "../scoring/rows.ts";
import { makeScorer, type Scorer } from "../scoring/scorer.ts";
import { averageName } from "./average.ts";
import { scheduleShare } from "./optimizer.ts";
import {
  addMoments,
  drawStepInputs,
  drawWindows,
  stateNames,
  type StepInputs,
  trainStep,
  validationNats,
} from "./step.ts";
import { transferWeights } from "./warm_start.ts";

/** A run: what to train on which text, and on what engine. */
export interface TrainingTask {
  /** The GPT or the diffusion model. */
  model: LanguageModel;
  /** All settings; `kind` and `vocab` are those of the model and the text. */
  config: Config;
  /** The text; each part at least `context + 1` characters long. */
  corpus: Pick<Corpus, "text" | "train" | "validation" | "sha256">;
  /** The command that started the training; stored with the weights. */
  command?: string;
  /** The engine that computes the steps. */
  engine: Engine;
  /** The state to resume from, instead of fresh weights. */
  resume?: TrainingState;
  /** Trained weights to start from, instead of fresh ones. */
  start?: Pick<SavedModel, "config" | "vocabulary" | "weights">;
  /** Stop after this many validations without a better one. */
  patience?: number;
  /**
   * The time by which the run has to have ended and saved, in milliseconds of `performance.now()`,
   * which counts from the start of the process.
   */
  until?: number;
  /** Most seconds between two checkpoints. Default 300. */
  checkpointSeconds?: number;
  /** Steps between two samples for `onSample`. Default: none are written. */
  sampleEvery?: number;
  /** Makes the table of n-grams with which samples are written. Default: they need none. */
  makeSampleNgrams?: () => NgramTable;
  /** Makes the steps. Default: this process alone. */
  stepper?: Stepper;
  /** Most seconds of steps in one call of the engine: the delay of a signal. Default 1. */
  groupSeconds?: number;
}

/** Keeps what a run leaves. */
export interface TrainingStore {
  /** Keeps the best weights so far, in place of those before. */
  saveWeights(model: SavedModel): Promise<unknown>;
  /** Keeps the state to resume from, in place of the one before. */
  saveTraining(state: TrainingState): Promise<unknown>;
}

/** Called while a run is under way. Losses are in nats. */
export interface TrainingObserver {
  /** Called after each step. */
  onStep?(report: StepReport): void;
  /** Called after each validation. */
  onValidation?(report: ValidationReport): void;
  /** Called after each sample. */
  onSample?(report: SampleReport): void;
  /** Called after the state was saved. */
  onCheckpoint?(step: number): void;
}

/** A point of a run. */
export interface RunPoint {
  /** Steps made. */
  step: number;
  /** Characters seen. */
  chars: number;
  /** Seconds of training, including those before the run was resumed. */
  seconds: number;
}

/** Reports a step. */
export interface StepReport extends RunPoint, StepOutcome {
  /** The learning rate of AdamW at this step. */
  learningRate: number;
}

/** Reports a validation on 64 blocks, or all if there are fewer. */
export interface ValidationReport extends RunPoint {
  /** Bits per character: exact for a GPT, an upper bound for diffusion. */
  bpc: number;
  /** Whether it is the best so far, so that its weights were saved. */
  best: boolean;
}

/** Reports what the model wrote with the weights of this moment. */
export interface SampleReport extends RunPoint {
  /** Characters that follow no prompt, with the default options and the seed of the run. */
  text: string;
}

/** Characters of a sample during training. */
const SAMPLE_LENGTH = 160;

/** The result of a whole run, including what was done before it was resumed. */
export interface TrainingResult extends RunPoint {
  /** Mean training loss of the steps since the last validation, or else of those before it. */
  lossNats: number;
  /**
   * Bits per character of the best validation: exact for a GPT, an upper bound for diffusion.
   * Infinity if the time was up before any.
   */
  bpc: number;
  /** The step of the best validation. */
  bestStep: number;
  /** Share of the time in which the engine was idle. */
  idleShare: number;
  /** Why the run ended. */
  stopped: "done" | "patience" | "time" | "signal";
}

/** A way to make steps: in this process, or in several that share the batch (`data_parallel.ts`). */
export interface Stepper<P extends Record<string, Program> = Record<string, Program>> {
  /** The programs that the engine has to load. */
  programs: P;
  /** Makes a step on each of `inputs`, which `drawStepInputs` gave for the whole batch. */
  makeSteps(session: Session<P>, inputs: StepInputs[]): Promise<StepOutcome[]>;
  /** Whether several steps at once may be faster than one by one. */
  groups: boolean;
  /** Makes what scores the blocks of a validation. */
  scorer(session: Session<P>): Scorer;
  /** Whether this process saves the files of the run. */
  saves: boolean;
}

/** The figures of a step. */
export interface StepOutcome {
  /** The loss of the batch, before the step. */
  lossNats: number;
  /** Norm of all gradients together, before they were clipped. */
  gradientNorm: number;
}

/** Makes the stepper of one process that trains alone. */
export function makeLocalStepper(
  model: LanguageModel,
  config: Config,
): Stepper<Record<"trainStep" | "nats", Program>> {
  return {
    programs: {
      trainStep: trainStep(model, config),
      nats: validationNats(model, config, config.batch),
    },
    async makeSteps(session, inputs) {
      const outcomes = await runSteps(session, "trainStep", inputs);
      return outcomes.map(({ loss: [lossNats], gradientNorm: [gradientNorm] }) => ({
        lossNats,
        gradientNorm,
      }));
    },
    groups: true,
    scorer: (session) => makeScorer(config, config.batch, session),
    saves: true,
  };
}

/**
 * Trains as `train` does, and saves to `store`.
 *
 * @throws {UserError} As `train`, except for its files.
 * @throws What `store` throws.
 */
export async function runTraining(
  run: TrainingTask,
  store: TrainingStore,
  observer: TrainingObserver = {},
  signal?: AbortSignal,
): Promise<TrainingResult> {
  const { model, config, corpus } = run;
  const { patience = Infinity, checkpointSeconds = 300, sampleEvery = Infinity } = run;
  const facts = describeRun(run);
  const tokenizer = makeTokenizer(model.kind, facts.vocabulary);
  const tokens = encodeCorpus(corpus, tokenizer);
  const blocks = cutIntoBlocks(tokens.validation, config.context);
  const computeBpc = validator(model.kind, blocks);

  const stepper = run.stepper ?? makeLocalStepper(model, config);
  const progress = run.resume ? restoreRun(run.resume) : startRun(run, facts.vocabulary);
  const { counters, random } = progress;
  const session = await run.engine.load(progress.state, stepper.programs);
  let busySeconds = 0;
  const group = makeStepGroups(stepper.groups && session.runSteps ? run.groupSeconds ?? 1 : 0);
  const startSeconds = counters.seconds;
  const start = performance.now();
  const readSeconds = () => startSeconds + (performance.now() - start) / 1000;
  let savedSeconds = startSeconds;
  let isSaved = run.resume !== undefined;
  const clock = makeDeadline(run.until);
  const { step: firstStep } = counters;

  /** Draws batches and makes a step on each: several in one call of the engine if they are short. */
  async function takeSteps(): Promise<void> {
    const { step } = counters;
    const before = readSeconds();
    const untilDue = Math.min(
      config.evalEvery - step % config.evalEvery,
      sampleEvery - step % sampleEvery,
      config.steps - step,
    );
    const inputs = Array.from({ length: Math.min(group.size, untilDue) }, (_, i) => {
      const windows = drawWindows(tokens.train, config.batch, config.context, random);
      return drawStepInputs(model, config, windows, step + 1 + i, random);
    });
    const drawn = readSeconds();
    const outcomes = await stepper.makeSteps(session, inputs);
    const after = readSeconds();
    busySeconds += after - drawn;
    const secondsEach = (after - before) / outcomes.length;
    group.noteDuration(secondsEach);
    clock.stepSeconds = after - before;
    for (const [i, outcome] of outcomes.entries()) {
      countStep(counters, outcome, config, isSaved);
      observer.onStep?.({
        step: counters.step,
        chars: counters.chars,
        seconds: before + (i + 1) * secondsEach,
        ...outcome,
        learningRate: scheduleShare(counters.step, config) * config.learningRate,
      });
    }
  }

  /** Computes the bits per character of the validation blocks. */
  async function score(signal?: AbortSignal): Promise<number> {
    const before = readSeconds();
    const bpc = await computeBpc(stepper.scorer(session), { signal });
    clock.scoreSeconds = readSeconds() - before;
    busySeconds += clock.scoreSeconds;
    return bpc;
  }

  /** Scores the weights, and saves them if they are the best so far. */
  async function validate(stop = signal): Promise<void> {
    const { step, chars } = counters;
    const bpc = await score(stop);
    const best = bpc < progress.bestBpc;
    if (best) {
      const weights = stepper.saves ? await readExported(session, config) : {};
      requireFloat16(weights, step, isSaved);
      // The state that another run left must not remain next to this run's weights, should the next
      // write be the last.
      if (progress.bestBpc === Infinity) await checkpoint();
      progress.bestBpc = bpc;
      counters.bestStep = step;
      const prompt = takeOpening(corpus.text);
      const scores = { val_bpc: bpc };
      if (stepper.saves) await store.saveWeights({ ...facts, prompt, weights, step, scores });
    }
    counters.sinceBest = best ? 0 : counters.sinceBest + 1;
    counters.validatedStep = step;
    observer.onValidation?.({ step, chars, seconds: readSeconds(), bpc, best });
  }

  /** Writes a text with a network of its own, whose draws are not the run's. */
  async function writeSample(): Promise<void> {
    const { step, chars } = counters;
    const before = readSeconds();
    const weights = await readExported(session, config);
    using network = await loadNetwork(run.engine, model, config, weights);
    const request = { prompt: "", length: SAMPLE_LENGTH };
    const ngrams = run.makeSampleNgrams?.();
    const writing = await write(network, tokenizer, request, { seed: config.seed, signal, ngrams });
    const text = await writing.finish();
    clock.sampleSeconds = readSeconds() - before;
    busySeconds += clock.sampleSeconds;
    observer.onSample?.({ step, chars, seconds: readSeconds(), text });
  }

  /** Saves all that a resumed run needs to give the same numbers as one that never stopped. */
  async function checkpoint(): Promise<void> {
    if (!stepper.saves) return;
    counters.seconds = readSeconds();
    await store.saveTraining({
      ...facts,
      ...splitState(await session.readState(), config),
      random: { batches: random.state() },
      counters,
      bestScore: Number.isFinite(progress.bestBpc) ? progress.bestBpc : null,
    });
    savedSeconds = readSeconds();
    clock.saveSeconds = savedSeconds - counters.seconds;
    isSaved = true;
    observer.onCheckpoint?.(counters.step);
  }

  /** Does `work`, or gives it up when only the time to save is left, and returns false. */
  async function finishInTime(work: (signal: AbortSignal) => Promise<unknown>): Promise<boolean> {
    const late = clock.lateForScoring();
    try {
      await work(AbortSignal.any(signal ? [signal, late] : [late]));
      return true;
    } catch (error) {
      if (error !== late.reason) throw error;
      return false;
    }
  }

  /** Validates once more, unless that would take too long, and saves. */
  async function endInTime(): Promise<TrainingResult> {
    if (counters.step === firstStep) throw clock.refuse();
    if (counters.step > counters.validatedStep) await finishInTime(validate);
    await checkpoint();
    return result("time");
  }

  function result(stopped: TrainingResult["stopped"]): TrainingResult {
    const { step, chars, bestStep, lossSum, lossCount } = counters;
    const seconds = readSeconds();
    const idleShare = 1 - busySeconds / (seconds - startSeconds);
    const lossNats = lossSum / lossCount;
    return { step, seconds, chars, lossNats, bpc: progress.bestBpc, bestStep, idleShare, stopped };
  }

  try {
    if (run.until !== undefined && counters.step < config.steps) {
      if (!await finishInTime(score)) throw clock.refuse(); // it is timed here
      await checkpoint();
    }
    for (;;) {
      // Before the step, not after it: a run that was stopped during a validation resumes with it.
      if (isValidationDue(counters, config)) {
        await validate();
        await checkpoint();
      }
      if (counters.step >= config.steps) return result("done");
      if (counters.sinceBest >= patience) return result("patience");
      if (clock.isTimeUp()) return await endInTime();
      await takeSteps();
      await yieldToEventLoop();
      signal?.throwIfAborted();
      if (counters.step % sampleEvery === 0 && stepper.saves) await writeSample();
      if (readSeconds() - savedSeconds >= checkpointSeconds) await checkpoint();
    }
  } catch (error) {
    if (!signal?.aborted || error !== signal.reason) throw error;
    await checkpoint();
    return result("signal");
  } finally {
    session.dispose();
  }
}

/**
 * Makes the clock of a run that has to end by `until`, in milliseconds of `performance.now()`. It
 * tells when to stop by how long the parts of a run took last.
 */
function makeDeadline(until = Infinity) {
  const secondsLeft = () => (until - performance.now()) / 1000;
  const clock = {
    /** Seconds of the last steps, the last scoring, the last sample, the last checkpoint. */
    stepSeconds: 0,
    scoreSeconds: 0,
    sampleSeconds: 0,
    saveSeconds: 0,
    /** Whether there is no time for other steps, since a validation and two files follow them. */
    isTimeUp() {
      const { stepSeconds, scoreSeconds, sampleSeconds, saveSeconds } = clock;
      const seconds = stepSeconds + scoreSeconds + sampleSeconds + 2 * saveSeconds;
      // Half as much again, as machines are not steady; a second for `deno task` and for the end.
      return secondsLeft() < 1.5 * seconds + 1;
    },
    /** Aborts while there is still time to save. */
    lateForScoring() {
      const seconds = secondsLeft() - 3 * clock.saveSeconds - 1;
      return AbortSignal.timeout(Math.max(0, 1000 * seconds));
    },
    refuse() {
      const spent = (performance.now() / 1000).toFixed(1);
      return new UserError({
        action: `train until ${(until / 1000).toFixed(1)} s after the start`,
        found:
          `preparing and timing a validation took ${spent} s, and there is no time for a step, ` +
          "a validation and saving",
        advice: "allow more time",
      });
    },
  };
  return clock;
}

/** The counters of a run before its first step; they are stored with its state. */
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
type Counters = typeof zeroCounters;

/** The part of a run that changes; the weights are in the engine. */
interface RunState {
  /** The state to load: weights, moments, averages. */
  state: HostTensors;
  /** Draws the windows, the masks and the dropout. */
  random: Random;
  counters: Counters;
  /** Bits per character of the best validation so far. */
  bestBpc: number;
}

function startRun({ config, start }: TrainingTask, vocabulary: string[]): RunState {
  const random = seededRandom(config.seed);
  const fresh = initialWeights(config, random);
  const weights = start ? transferWeights(fresh, config, vocabulary, start) : fresh;
  const state = addMoments(weights, config);
  return { state, random, counters: { ...zeroCounters }, bestBpc: Infinity };
}

function restoreRun(
  { config, weights, moments, random, counters, bestScore }: TrainingState,
): RunState {
  const state = { ...weights, ...moments };
  const missing = stateNames(config).find((name) => !Object.hasOwn(state, name));
  if (missing !== undefined || random.batches === undefined) {
    const lacks = missing === undefined ? "the random state of the batches" : `"${missing}"`;
    throw new UserError({
      action: "resume",
      found: `the saved state lacks ${lacks}`,
      advice: "the file is damaged, start a new run",
    });
  }
  return {
    state,
    random: restoreRandom(random.batches),
    counters: { ...zeroCounters, ...counters },
    bestBpc: bestScore ?? Infinity,
  };
}

function isValidationDue({ step, validatedStep }: Counters, { evalEvery, steps }: Config): boolean {
  return step > validatedStep && (step % evalEvery === 0 || step >= steps);
}

function countStep(
  counters: Counters,
  { lossNats, gradientNorm }: StepOutcome,
  { batch, context }: Config,
  isSaved: boolean,
): void {
  // A gradient that is not a number has already spoilt the weights, though the loss only shows it at
  // the next step.
  if (!Number.isFinite(lossNats + gradientNorm)) {
    const step = counters.step + 1;
    throw new UserError({
      action: "continue training",
      found: `the loss of step ${step} is ${lossNats} (gradient norm ${gradientNorm})`,
      advice: adviseLowerRate(isSaved),
    });
  }
  if (counters.step === counters.validatedStep) counters.lossSum = counters.lossCount = 0;
  counters.step++;
  counters.chars += batch * context;
  counters.lossSum += lossNats;
  counters.lossCount++;
}

const adviseLowerRate = (isSaved: boolean) =>
  (isSaved ? "the last checkpoint is as it was, " : "nothing was saved yet, ") +
  "try a lower --lr (with Muon also --set muonLearningRate=X)";

/** Reads the weights that are validated and exported: the average where there is one. */
async function readExported(
  session: Pick<Session, "readState">,
  config: Config,
): Promise<HostTensors> {
  const names = Object.keys(parameterShapes(config));
  const state = await session.readState(names.map((name) => averageName(name, config)));
  return Object.fromEntries(names.map((name) => [name, state[averageName(name, config)]]));
}

/** @throws {UserError} If weights have grown beyond float16, in which they are saved. */
function requireFloat16(weights: HostTensors, step: number, isSaved: boolean): void {
  for (const [name, { data }] of Object.entries(weights)) {
    const grown = data.find((value) => Math.abs(Math.f16round(value)) === Infinity);
    if (grown === undefined) continue;
    throw new UserError({
      action: "continue training",
      found: `at step ${step} a weight of "${name}" has grown to ${grown.toPrecision(3)}, ` +
        "expected at most 65504 in size, the largest number in float16",
      advice: adviseLowerRate(isSaved),
    });
  }
}

/** Describes a run as both of its files store it. */
function describeRun({ model, config, corpus, command, engine }: TrainingTask) {
  return {
    config,
    vocabulary: model.vocabulary(corpus.text),
    corpusSha256: corpus.sha256,
    command,
    engine: engine.name,
    precision: engine.precision,
  };
}

/**
 * Chooses how many steps to make in one call, so that they take about `seconds`: by how long the
 * last ones took, starting with one, and never more than twice as many as before, since an engine's
 * first steps are slow and a machine may be busy for a moment.
 */
export function makeStepGroups(seconds: number) {
  return {
    size: 1,
    /** Notes how long each of the last steps took. */
    noteDuration(secondsEach: number) {
      this.size = Math.max(1, Math.min(2 * this.size, Math.floor(seconds / secondsEach)));
    },
  };
}
