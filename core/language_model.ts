/**
 * The interface of `gpt.ts` and `diffusion.ts`: what differs between the two models. The GPT's
 * cache, the estimators of each model and templates are branches elsewhere.
 */
import type { ModelKind, TrainingConfig } from "./config.ts";
import type { Attend } from "./model.ts";
import type { NgramTable } from "./ngrams/kneser_ney.ts";
import type { Random } from "./random.ts";

/** The examples of a training step: each array of a window is [time], of a batch [batch, time]. */
export interface Batch {
  /** The tokens that the network reads. */
  tokens: Int32Array;
  /** The token that it has to predict at each position. */
  targets: Int32Array;
  /** The weight of each position in the loss: 0 leaves it out. */
  lossWeights: Float32Array;
}

/** Makes a batch of the rows that `makeRow` makes of each window. */
export function makeBatch(
  windows: Int32Array[],
  makeRow: (window: Int32Array, row: number) => Batch,
): Batch {
  const rows = windows.map(makeRow);
  const size = rows[0].tokens.length;
  const tokens = new Int32Array(rows.length * size);
  const targets = new Int32Array(rows.length * size);
  const lossWeights = new Float32Array(rows.length * size);
  rows.forEach((row, i) => {
    tokens.set(row.tokens, i * size);
    targets.set(row.targets, i * size);
    lossWeights.set(row.lossWeights, i * size);
  });
  return { tokens, targets, lossWeights };
}

/** The trained network as generation sees it. */
export interface Network {
  /** Most tokens that it reads at once. */
  context: number;
  /** Number of tokens, the mask included. */
  vocab: number;
  /** How many drafted characters a GPT checks in a forward pass; none without it. */
  drafts?: number;
  /**
   * Logits of the positions that the model draws from, [vocab] each: all those of a diffusion model;
   * of a GPT the last `count` (default 1, at most `drafts + 1`).
   */
  logits(tokens: ArrayLike<number>, count?: number): Promise<Float32Array[]>;
}

/** A network, the model that it belongs to, and how much it was used. */
export interface TrainedNetwork extends Network {
  /** The model whose weights these are. */
  readonly model: LanguageModel;
  /** Forward passes so far. */
  readonly forwards: number;
}

/** Options that restrict a network's probabilities before a character is drawn. */
export interface Truncation {
  /** Divides the logits; 0 = all probability on the likeliest character. */
  temperature: number;
  /** Keep only the k likeliest; all without it. */
  topK?: number;
  /**
   * Keep the fewest likeliest whose probabilities sum to at least this (Holtzman et al.,
   * arXiv:1904.09751); all without it.
   */
  topP?: number;
}

/** Options of generation. A GPT uses the truncation only. */
export interface GenerationOptions extends Truncation {
  /** Characters of the preceding text that a block sees. */
  overlap: number;
  /** Chooses what to fix in each pass, with its own settings. */
  sampler: Sampler;
  /** Probabilities of the training text's n-grams, of characters without the mask. */
  ngrams?: NgramTable;
}

/** A character fixed by a forward pass, or masked again where `token` is the mask. */
export interface Fixed {
  /**
   * Counted from the start of the text, prompt included; within a sampler, from that of the window.
   */
  position: number;
  /** The token that is there now. */
  token: number;
  /**
   * The probability, from 0 to 1, on which the choice was based: for a GPT and for `threshold` that
   * of all characters that could have been drawn, for the other samplers that of the character
   * drawn, or of being masked again.
   */
  confidence: number;
}

/** A window of the text and its masked positions, as a sampler sees them. */
export interface MaskedWindow {
  /** The positions to fill, in the window, in ascending order; all of them masked at first. */
  masked: number[];
  /** The window as it is now, the mask where a character is hidden; the caller writes into it. */
  tokens: Int32Array;
  /** All tokens of the text that are left of the window. */
  before: Int32Array;
  /** A table of n-grams, where there is one: its character c is the token c + 1. */
  ngrams?: NgramTable;
  /** A forward pass: the logits of every position of the window as it is now, [vocab] each. */
  forward(): Promise<Float32Array[]>;
}

/** A way to choose which masked characters to fix in which pass, and with what. */
export interface Sampler {
  /** The name that `--sampler` takes. */
  readonly name: string;
  /** The values of its options. */
  readonly settings: Readonly<Record<string, number | string>>;
  /** Whether it needs a table of n-grams. @default {false} */
  readonly usesNgrams?: boolean;
  /**
   * Returns an upper bound on the forward passes needed to fill `count` masked positions of a window:
   * at most `count` times that for one position.
   */
  maxPasses(count: number): number;
  /**
   * Fills the masked positions. Yields what each step changes; the caller writes that into the
   * window before the next `forward`.
   */
  fill(window: MaskedWindow, truncation: Truncation, random: Random): AsyncGenerator<Fixed[]>;
}

/** A model; `gpt.ts` and `diffusion.ts` each export one. */
export interface LanguageModel {
  /** The name of the model. */
  kind: ModelKind;
  /** The token that stands for a hidden character, where there is one. */
  maskToken?: number;
  /** The attention: computes what each position reads from which others. */
  attend: Attend;
  /** Lists the tokens of a text in order: its characters, and the mask where there is one. */
  vocabulary(text: string): string[];
  /** Makes the examples of windows of `context + 1` tokens. */
  batch(windows: Int32Array[], config: TrainingConfig, random: Random): Batch;
  /**
   * Writes `length` tokens after `prompt`; yields what each step fixed, by position in the whole
   * text. Diffusion also fills what is masked in `prompt`.
   */
  generate(
    network: Network,
    prompt: Int32Array,
    length: number,
    options: GenerationOptions,
    random: Random,
  ): AsyncGenerator<Fixed[]>;
}
