/** What `gpt.ts` and `diffusion.ts` both are, so that training, evaluation and sampling need not know which one they serve. */
import type * as tf from "@tensorflow/tfjs";
import type { ModelKind, TrainingConfig } from "./config.ts";
import type { Random } from "./random.ts";
import type { Truncation } from "./sampling.ts";

/** One step's worth of examples, each array [batch, time] in rows. */
export interface Batch {
  /** What the network reads. */
  tokens: Int32Array;
  /** What it must predict at each position. */
  targets: Int32Array;
  /** 1 where the prediction counts, else 0. */
  lossWeights: Float32Array;
}

export function emptyBatch(rows: number, context: number): Batch {
  const size = rows * context;
  return {
    tokens: new Int32Array(size),
    targets: new Int32Array(size),
    lossWeights: new Float32Array(size),
  };
}

/** The trained network as generation sees it. */
export interface Network {
  context: number;
  vocab: number;
  /** Logits of the positions from `from` to the end of `tokens`, [vocab] each. */
  logits(tokens: ArrayLike<number>, from: number): Promise<Float32Array[]>;
}

/** A character fixed by a forward pass. `confidence` is the probability that the choice was based on. */
export interface Fixed {
  position: number;
  token: number;
  confidence: number;
}

export interface GenerationOptions extends Truncation {
  /** Diffusion: fix every character whose confidence reaches this. */
  threshold: number;
  /** Diffusion: how many characters a block sees of the text before it. */
  overlap: number;
  /** Diffusion: chooses what to fix in each pass. */
  sampler: Sampler;
}

/**
 * Where the window of the next block starts in the text, so that it sees `overlap` characters of what stands before it. The
 * first block sees more of a long prompt: up to half a window.
 */
export function blockStart(
  written: number,
  prompt: number,
  context: number,
  overlap: number,
): number {
  const seen = written === prompt ? Math.max(overlap, Math.floor(context / 2)) : overlap;
  return Math.max(0, written - Math.min(seen, context - 1));
}

/**
 * Chooses which masked positions of a window to fill now, and with what; at least one.
 *
 * @param logits Of every position of the window, [vocab] each.
 * @param masked The positions still masked, rising; at least one.
 * @param mask The mask token, which is never drawn.
 */
export type Sampler = (
  logits: Float32Array[],
  masked: number[],
  mask: number,
  options: GenerationOptions,
  random: Random,
) => Fixed[];

export interface LanguageModel {
  kind: ModelKind;
  maskToken: number | undefined;
  causal: boolean;
  /** The tokens of a text in order: its characters, and the mask where there is one. */
  vocabulary(text: string): string[];
  /** Examples from windows of `context + 1` tokens. */
  batch(windows: Int32Array[], config: TrainingConfig, random: Random): Batch;
  /** The training loss in nats. */
  loss(logits: tf.Tensor3D, targets: tf.Tensor2D, lossWeights: tf.Tensor2D): tf.Scalar;
  /** Goes on from `prompt` for `length` tokens; yields what each forward pass fixed, by position in the whole text. */
  generate(
    network: Network,
    prompt: Int32Array,
    length: number,
    options: GenerationOptions,
    random: Random,
  ): AsyncGenerator<Fixed[]>;
}
