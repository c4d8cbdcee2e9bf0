/**
 * What `gpt.ts` and `diffusion.ts` both are, so that training, evaluation and sampling need not
 * know which one they serve.
 */
import type { ModelKind, TrainingConfig } from "./config.ts";
import type { Attend } from "./model.ts";
import type { Random } from "./random.ts";
import type { GenerationOptions } from "./sampling/options.ts";
import type { Fixed } from "./sampling/samplers/sampler.ts";

/**
 * What a step learns from. Of a window, each array is [time]; of a batch, [batch, time] in rows.
 */
export interface Batch {
  /** What the network reads. */
  tokens: Int32Array;
  /** What it is to predict at each position. */
  targets: Int32Array;
  /** How much each position counts in the loss: 0 leaves it out. */
  lossWeights: Float32Array;
}

/** The batch in which each window is a row: what `rowOf` makes of it. */
export function makeBatch(
  windows: Int32Array[],
  rowOf: (window: Int32Array, row: number) => Batch,
): Batch {
  const rows = windows.map(rowOf), size = rows[0].tokens.length;
  const tokens = new Int32Array(rows.length * size), targets = new Int32Array(rows.length * size);
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
  /** Logits of the positions from `from` to the end of `tokens`, [vocab] each. */
  logits(tokens: ArrayLike<number>, from: number): Promise<Float32Array[]>;
}

/** All in which the two models differ: `gpt.ts` and `diffusion.ts` each export one. */
export interface LanguageModel {
  /** Which of the two it is. */
  kind: ModelKind;
  /** The token that stands for a hidden character, where there is one. */
  maskToken?: number;
  /** Chooses which positions each position reads from. */
  attend: Attend;
  /** The tokens of a text in order: its characters, and the mask where there is one. */
  vocabulary(text: string): string[];
  /** Examples from windows of `context + 1` tokens. */
  batch(windows: Int32Array[], config: TrainingConfig, random: Random): Batch;
  /**
   * Goes on from `prompt` for `length` tokens; yields what each step fixed, by position in the
   * whole text. Diffusion also fills what is masked in `prompt`.
   */
  generate(
    network: Network,
    prompt: Int32Array,
    length: number,
    options: GenerationOptions,
    random: Random,
  ): AsyncGenerator<Fixed[]>;
}
