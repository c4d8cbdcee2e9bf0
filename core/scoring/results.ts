/**
 * What tasks leave behind for the report: one JSON file per result under `reports/results/`, and
 * one JSON-lines log per training run under `reports/runs/`. Every result says what made it.
 */
import type { Config, ModelKind } from "../config.ts";

/**
 * Where a result comes from: enough to repeat it, and to notice that it belongs to other weights or
 * another text.
 */
export interface Provenance {
  /** ISO 8601. */
  date: string;
  /** The command line to type, such as `deno task eval --model gpt`. */
  command: string;
  engine: string;
  precision: string;
  threads: number;
  seed: number;
  /** The weights' file and its SHA-256 in hexadecimal. */
  weights: string;
  weightsSha256: string;
  /** The corpus file and its SHA-256. */
  corpus: string;
  corpusSha256: string;
  /** Of the machine: processor, number of cores, operating system. */
  machine: string;
  /** Deno's version and those of the engine's libraries. */
  versions: Record<string, string>;
  /** Git commit of the project, if known. */
  commit?: string;
  config: Config;
}

/**
 * One character that a step of generation fixed (or, with `character` empty, masked again).
 * `position` counts code points from the start of the text, prompt included; `confidence` is the
 * probability on which the choice was made.
 */
export type Change = [position: number, character: string, confidence: number];

/** Characters that are there because a pass put them there; what was given is not among them. */
export function charactersWritten(steps: GenerationStep[]): number {
  return new Set(steps.flatMap(({ changes }) => changes.map(([position]) => position))).size;
}

/** One forward pass of generation and what it fixed; `seconds` since the start of the sample. */
export interface GenerationStep {
  seconds: number;
  changes: Change[];
}

export interface Sample {
  /** The whole text, prompt included. */
  text: string;
  seed: number;
  forwards: number;
  seconds: number;
  steps: GenerationStep[];
  /**
   * Share of the words after the prompt that the training text has, see `words.ts`; null without a
   * training text, or without a whole word.
   */
  realWords: number | null;
}

export interface SampleResult {
  kind: "sample";
  model: ModelKind;
  prompt: string;
  /** `greedy` or `autoregressive` for a GPT; the sampler's name for diffusion. */
  sampler: string;
  /** Temperature, top-k, threshold and the like, as used. */
  settings: Record<string, number | string>;
  samples: Sample[];
  /** The same share for held-out text: what a perfect model would reach. */
  realWordsHeldOut: number | null;
  provenance: Provenance;
}

/** The name of an estimator; `estimatorNotes` of `evaluate.ts` says what each is and is not. */
export type Estimator = "exact" | "nelbo" | "left-to-right" | "masked-mean";

/** The estimators that fit each model, in the order in which tables show them. */
export const estimators: Record<ModelKind, Estimator[]> = {
  gpt: ["exact"],
  diffusion: ["nelbo", "left-to-right", "masked-mean"],
};

/** Models without a network, see `baselines.ts`. */
export type BaselineName = "uniform" | "unigram" | `kneser-ney-${number}`;

/**
 * One line of the table of evaluations, of a trained model or of a baseline (`BaselineRow`).
 * Figures of different `context` are not comparable.
 */
export interface EvaluationRow<Model extends string = ModelKind> {
  /** Which model, or which baseline. */
  model: Model;
  /** The file; empty for a baseline. */
  weights: string;
  /** What kind of figure it is. */
  estimator: Estimator;
  /** Bits per character; null for `masked-mean`, which is not a likelihood. */
  bpc: number | null;
  /** The same in nats per scored character. */
  nats: number;
  /**
   * Standard error over passes (mask noise), in bits per character (in nats for `masked-mean`);
   * null if the figure is exact on its blocks.
   */
  se_passes: number | null;
  /** Standard error by bootstrap over blocks, in bits per character (in nats for `masked-mean`). */
  se_blocks: number;
  /** Characters of a block. */
  context: number;
  /** Number of blocks. */
  blocks: number;
  /** Scored characters in one pass. */
  chars: number;
  /** Passes over the blocks; batches for `masked-mean`. */
  passes: number;
  /** Mean cross-entropy in bits by share of masked characters, for `nelbo` only. */
  by_mask_share: { from: number; to: number; bits: number; blocks: number }[];
}

export type BaselineRow = EvaluationRow<BaselineName>;

/** One side of a comparison. */
export interface Compared {
  /** Which model, or which baseline. */
  model: ModelKind | BaselineName;
  /** The file; empty for a baseline. */
  weights: string;
  /** What kind of figure it is. */
  estimator: Estimator;
}

/**
 * How far apart two models are on the blocks that both were scored on, by the paired bootstrap over
 * blocks. Where one side is a `nelbo` and the other exact, it is a bound that is compared: the
 * diffusion model itself may be better than that.
 */
export interface ModelComparison {
  /** One side. */
  a: Compared;
  /** The other. */
  b: Compared;
  /** Bits per character of `a` minus those of `b`: below 0 where `a` is the better one. */
  difference: number;
  /** Standard error of the difference, by the paired bootstrap over blocks. */
  se_blocks: number;
  /** Holds 95 % of the resampled differences. */
  interval: [number, number];
  /** Whether 0 lies outside the interval. */
  excludes_zero: boolean;
  /** Characters of a block. */
  context: number;
  /** Blocks that both were scored on. */
  blocks: number;
}

export interface EvaluationResult {
  kind: "evaluation";
  /** Of the weights that `provenance` names. */
  rows: EvaluationRow[];
  /** On the same blocks. Missing in results of an older version. */
  baselines?: BaselineRow[];
  /**
   * Of these weights (`a`) with baselines, and with what was scored in the same run. Missing
   * likewise.
   */
  comparisons?: ModelComparison[];
  provenance: Provenance;
}

/**
 * The figures of sample quality. Each is explained, with its source, where it is computed
 * (`core/quality/`).
 */
export const qualityFigures = [
  /** Bits per character that the text costs under a GPT. */
  "judge_gpt",
  /** The same under Kneser-Ney of order 6. */
  "judge_ngram",
  /** Of single characters, in bits. */
  "entropy",
  /** Share of n-grams that are different ones, 0 to 1. */
  "distinct_2",
  "distinct_3",
  "distinct_4",
  /**
   * Jensen-Shannon divergence of n-grams from those of the first half of the validation text, in
   * bits, 0 to 1.
   */
  "jsd_1",
  "jsd_2",
  "jsd_3",
  "jsd_4",
  "jsd_5",
  /** Share of words that the training text has, 0 to 1. */
  "real_words",
  /** Characters of the longest passage that is in the training text, letter for letter. */
  "longest_match",
  /** Share of 30-grams and 50-grams that are in the training text, 0 to 1. */
  "found_30",
  "found_50",
] as const;
export type QualityFigure = typeof qualityFigures[number];

/** Mean over texts, and their standard deviation (n - 1 below the line; null for a single text). */
export interface Spread {
  mean: number;
  sd: number | null;
}

/** Where text comes from: a model, or what its figures are held against. */
export type TextSource = ModelKind | "held-out" | "shuffled-words" | "shuffled-characters";

/** One line of the table of sample quality: texts of one length, made in one way. */
export interface QualityRow {
  source: TextSource;
  /**
   * `autoregressive` or `greedy` for a GPT, the sampler's name for diffusion; null for text that no
   * model wrote.
   */
  sampler: string | null;
  temperature: number | null;
  /** Top-k, threshold and the like, as used; empty for text that no model wrote. */
  settings: Record<string, number | string>;
  /** How many texts, with seeds one apart. */
  texts: number;
  /** Characters of each, prompt not counted. Figures of different lengths are not comparable. */
  length: number;
  /** null where there is nothing to measure: no GPT to judge, no whole word in the text. */
  figures: Record<QualityFigure, Spread | null>;
  /** Of one text; null for text that no model wrote. */
  cost: { forwards: Spread; seconds: Spread } | null;
}

/**
 * What the samples of one model are worth over a range of temperatures, beside the reference texts.
 */
export interface QualityResult {
  kind: "quality";
  model: ModelKind;
  prompt: string;
  /** The three reference texts first, then the model's own rows. */
  rows: QualityRow[];
  judges: {
    gpt: { weights: string; weightsSha256: string; context: number } | null;
    ngram: { name: BaselineName; context: number };
  };
  /**
   * Jensen-Shannon divergence of 1- to 5-grams between the two halves of the validation text, in
   * bits: the noise floor of texts of that length. That of the samples' length is `jsd_N` of the
   * row `held-out`.
   */
  halves: number[];
  provenance: Provenance;
}

/** The first line of a training log. */
export interface RunHeader {
  kind: "run";
  name: string;
  model: ModelKind;
  config: Config;
  engine: string;
  precision: string;
  threads: number;
  corpus: string;
  corpusSha256: string;
  charsPerStep: number;
  date: string;
  command: string;
}

/**
 * The other lines: training losses (`lossNats` the mean over the steps since the last line), and
 * validations.
 */
export type RunLine =
  | {
    kind: "train";
    step: number;
    chars: number;
    seconds: number;
    lossNats: number;
    gradientNorm?: number;
    learningRate: number;
  }
  | {
    kind: "validation";
    step: number;
    chars: number;
    seconds: number;
    bpc: number;
    best: boolean;
  };
