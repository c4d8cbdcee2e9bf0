/**
 * What tasks leave behind for the report: one JSON file per result under `reports/results/`, and one JSON-lines log per
 * training run under `reports/runs/`. Every result says what made it.
 */
import type { Config, ModelKind } from "./config.ts";

/** Where a result comes from: enough to repeat it, and to notice that it belongs to other weights or another text. */
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
 * One character that a step of generation fixed (or, with `character` empty, masked again). `position` counts code points from
 * the start of the text, prompt included; `confidence` is the probability on which the choice was made.
 */
export type Change = [position: number, character: string, confidence: number];

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
   * Share of the words after the prompt that the training text has, see `words.ts`; null without a training text, or without a
   * whole word.
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

export type Estimator = "exact" | "nelbo" | "left-to-right" | "masked-mean";

/** One line of the table of evaluations. Figures of different `context` are not comparable. */
export interface EvaluationRow {
  model: ModelKind;
  weights: string;
  estimator: Estimator;
  /** Bits per character; null for `masked-mean`, which is not a likelihood. */
  bpc: number | null;
  nats: number;
  /** Standard error over passes (mask noise), in bits per character; null if the figure is exact on its blocks. */
  se_passes: number | null;
  /** Standard error by bootstrap over blocks, in bits per character (in nats for `masked-mean`). */
  se_blocks: number;
  context: number;
  blocks: number;
  /** Scored characters in one pass. */
  chars: number;
  passes: number;
  /** Mean cross-entropy in bits by share of masked characters, for `nelbo` only. */
  by_mask_share: { from: number; to: number; bits: number; blocks: number }[];
}

export interface EvaluationResult {
  kind: "evaluation";
  rows: EvaluationRow[];
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

/** The other lines: training losses (means over the steps since the last line), and validations. */
export type RunLine =
  | {
    kind: "train";
    step: number;
    chars: number;
    seconds: number;
    lossNats: number;
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
