/** A model that learns: a training run whose state is kept in the browser and whose curve is told. */
import type { SavedModel, TrainingState } from "../../../core/checkpoint_format.ts";
import { type Config, makeConfig, type ModelKind } from "../../../core/config.ts";
import type { Corpus } from "../../../core/data/corpus.ts";
import { listCharacters } from "../../../core/data/tokenizer.ts";
import { models } from "../../../core/models.ts";
import { parameterShapes } from "../../../core/model.ts";
import type { NgramTable } from "../../../core/ngrams/kneser_ney.ts";
import { seededRandom } from "../../../core/random.ts";
import { defaultOptions } from "../../../core/sampling/defaults.ts";
import { writeFromTable } from "../../quality/ngram_text.ts";
import { collectWords, measureRealWords } from "../../shared/words.ts";
import { makeLocalStepper, runTraining, type Stepper } from "../../../core/training/loop.ts";
import type { Engine, Session } from "../../../engines/engine.ts";
import type { HostTensors } from "../../../engines/tensors.ts";
import type { CurvePoint, FromWorker, Learned, Shape } from "../messages.ts";
import type { Keeper } from "./keep.ts";
import type { Gate } from "./turns.ts";

/** Seconds of steps in one call of the engine: the longest that others wait for their turn. */
const GROUP_SECONDS = 0.25;
/** Seconds between two checkpoints: what a reload may lose. */
const CHECKPOINT_SECONDS = 10;
/** Points of a training curve; more are thinned out. */
const MOST_POINTS = 400;

/** What the browser keeps of a learner. */
interface Kept {
  learned: Learned;
  state?: TrainingState;
  best?: SavedModel;
}

/** What learners share. */
export interface Surroundings {
  engine: Engine;
  corpus: Corpus;
  /** Counts the 6-grams of the training text, once. */
  countNgrams(): NgramTable;
  /** Waits until the GPT that is trained here is done; undefined if it was stopped before. */
  waitForGpt(): Promise<SavedModel | undefined>;
  gate: Gate;
  keeper: Keeper;
  tell(message: FromWorker): void;
}

/** A model that learns, or has learned. */
export interface Learner {
  readonly kind: ModelKind;
  readonly config: Config;
  /** Trains until it is done or `stop` is called. */
  run(): Promise<void>;
  /** Ends the run after the step that is being made. */
  stop(): Promise<void>;
  /** The weights as they are now; undefined before the first step. */
  current(): Promise<SavedModel | undefined>;
  /** The best weights by validation. */
  best(): SavedModel | undefined;
  /** Whether all steps were made. */
  isDone(): boolean;
}

/** Makes the settings of a run that begins. */
export function configOf(kind: ModelKind, corpus: Corpus, shape: Shape, seed: number): Config {
  const { preset, steps, ...changes } = shape;
  const vocab = models[kind].vocabulary(corpus.text).length;
  return makeConfig(kind, preset, vocab, {
    ...changes,
    steps: steps[kind],
    heads: headsOf(shape),
    seed,
  });
}

/** Heads of 32 numbers each, as the presets for small networks have them. */
export const headsOf = ({ width }: Pick<Shape, "width">) => Math.max(1, width / 32);

/**
 * Makes a learner that begins with these settings.
 *
 * @param fromGpt Whether it starts with the weights of the GPT that is trained here, once that is
 * done.
 */
export function beginLearner(config: Config, around: Surroundings, fromGpt = false): Learner {
  const learned: Learned = {
    config,
    ...fromGpt && { fromGpt },
    train: [],
    validation: [],
    samples: [],
    step: 0,
    seconds: 0,
    isDone: false,
  };
  return makeLearner({ learned }, around);
}

/** Makes a learner of what was kept; undefined if nothing was. */
export async function restoreLearner(
  kind: ModelKind,
  around: Surroundings,
): Promise<Learner | undefined> {
  const kept = await around.keeper.read<Kept>(kind);
  return kept && makeLearner(kept, around);
}

function makeLearner(kept: Kept, around: Surroundings): Learner {
  const { engine, corpus, countNgrams, waitForGpt, gate, keeper, tell } = around;
  const { learned } = kept;
  const { config } = learned;
  const { kind } = config;
  const model = models[kind];
  const words = collectWords(corpus.train);
  let tableWords: number | undefined;
  const stopping = new AbortController();
  let session: Pick<Session, "readState"> | undefined;
  let running: Promise<unknown> = Promise.resolve();
  tell({ type: "learner", kind, learned });

  const local = makeLocalStepper(model, config);
  const stepper: Stepper<typeof local.programs> = {
    ...local,
    async makeSteps(loaded, inputs) {
      session = loaded;
      await gate.pass();
      stopping.signal.throwIfAborted();
      const start = performance.now();
      const outcomes = await local.makeSteps(loaded, inputs);
      learned.seconds += (performance.now() - start) / 1000;
      return outcomes;
    },
  };

  let sums = { steps: 0, nats: 0, seconds: learned.seconds, chars: 0 };
  const every = Math.max(1, Math.round(config.steps / MOST_POINTS));
  const pointAt = (step: number, chars: number, bits: number): CurvePoint => ({
    step,
    chars,
    seconds: learned.seconds,
    bits,
  });

  const train = (start?: SavedModel) =>
    runTraining(
      {
        model,
        config,
        corpus,
        engine,
        stepper,
        resume: kept.state,
        start,
        sampleEvery: 2 * config.evalEvery,
        makeSampleNgrams: kind === "diffusion" ? countNgrams : undefined,
        checkpointSeconds: CHECKPOINT_SECONDS,
        groupSeconds: GROUP_SECONDS,
      },
      {
        saveWeights(best) {
          kept.best = best;
          return Promise.resolve();
        },
        async saveTraining(state) {
          kept.state = state;
          learned.isDone = state.counters.validatedStep === config.steps;
          await keeper.write(kind, kept);
        },
      },
      {
        onStep({ step, chars, lossNats }) {
          learned.step = step;
          sums = { ...sums, steps: sums.steps + 1, nats: sums.nats + lossNats };
          if (step % every !== 0) return;
          const point = pointAt(step, chars, sums.nats / sums.steps / Math.LN2);
          learned.train.push(point);
          const charsPerSecond = (chars - sums.chars) /
            Math.max(0.001, point.seconds - sums.seconds);
          sums = { steps: 0, nats: 0, seconds: point.seconds, chars };
          tell({ type: "train", kind, point, charsPerSecond });
        },
        onValidation({ step, chars, bpc }) {
          const point = pointAt(step, chars, bpc);
          learned.validation.push(point);
          tell({ type: "validation", kind, point });
        },
        onSample({ step, chars, text }) {
          const share = measureRealWords(text, words);
          const bits = learned.validation.at(-1)?.bits ?? learned.train.at(-1)?.bits ?? 0;
          if (kind === "diffusion") {
            tableWords ??= measureTable(countNgrams(), config, corpus, words);
          }
          const sample = {
            ...pointAt(step, chars, bits),
            text,
            realWords: Number.isNaN(share) ? null : share,
            // Of a text full of rules and tables, it may write no word at all.
            ...!Number.isNaN(tableWords) && { tableRealWords: tableWords },
          };
          learned.samples.push(sample);
          tell({ type: "sample", kind, sample });
        },
      },
      stopping.signal,
    );

  return {
    kind,
    config,
    async run() {
      dropAfter(learned, kept.state?.counters.step ?? 0);
      sums = { ...sums, chars: learned.step * config.batch * config.context };
      const isFromGpt = learned.fromGpt && kept.state === undefined;
      if (isFromGpt) await keeper.write(kind, kept); // a reload waits again
      const start = isFromGpt ? await waitForGpt() : undefined;
      if (stopping.signal.aborted || (isFromGpt && start === undefined)) return;
      running = train(start);
      const { stopped } = await running as Awaited<ReturnType<typeof train>>;
      session = undefined;
      if (stopped !== "done") return;
      learned.isDone = true;
      await keeper.write(kind, kept);
      tell({ type: "learned", kind });
    },
    async stop() {
      stopping.abort(new Error("stopped"));
      await running.catch(() => {});
    },
    async current() {
      const names = Object.keys(parameterShapes(config));
      const weights: HostTensors | undefined = session ? await session.readState(names) : undefined;
      const { best, state } = kept;
      if (weights === undefined && best) return best;
      const latest = weights ?? state?.weights;
      const vocabulary = model.vocabulary(corpus.text);
      return latest && { config, vocabulary, scores: {}, weights: latest };
    },
    best: () => kept.best,
    isDone: () => learned.isDone,
  };
}

/** Characters that the table writes to be measured: enough for some 250 words. */
const TABLE_LENGTH = 1500;

/**
 * Measures the real words of a text that the table writes alone, at the temperature of the samples
 * that are written with it.
 */
function measureTable(
  table: NgramTable,
  { context, seed }: Config,
  corpus: Corpus,
  words: ReadonlySet<string>,
): number {
  const characters = listCharacters(corpus.text);
  const { temperature } = defaultOptions("diffusion", context, { ngrams: table });
  const random = seededRandom(seed);
  const drawn = writeFromTable(table, new Int32Array(), TABLE_LENGTH, { temperature, random });
  return measureRealWords(Array.from(drawn, (index) => characters[index]).join(""), words);
}

/** Drops what a run told after its last checkpoint, as it will do those steps again. */
function dropAfter(learned: Learned, step: number): void {
  const isKept = (point: CurvePoint) => point.step <= step;
  learned.train = learned.train.filter(isKept);
  learned.validation = learned.validation.filter(isKept);
  learned.samples = learned.samples.filter(isKept);
  learned.step = step;
}
