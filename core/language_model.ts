/** What `gpt.ts` and `diffusion.ts` both are, so that training, evaluation and sampling need not know which one they serve. */
import type { ModelKind, TrainingConfig } from "./config.ts";
import type { Random } from "./random.ts";
import type { Truncation } from "./sampling.ts";
import type { Scalar, Tensor2D, Tensor3D } from "./tensors.ts";

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
  /** Most tokens that it reads at once. */
  context: number;
  /** Number of tokens, the mask included. */
  vocab: number;
  /** Logits of the positions from `from` to the end of `tokens`, [vocab] each. */
  logits(tokens: ArrayLike<number>, from: number): Promise<Float32Array[]>;
}

/**
 * A character fixed by a forward pass, or hidden again where `token` is the mask. `confidence` is the probability that the choice
 * was based on.
 */
export interface Fixed {
  /** Counted from the start of the text, prompt included; within a sampler, from that of the window. */
  position: number;
  /** What stands there now. */
  token: number;
  /** From 0 to 1. */
  confidence: number;
}

/** How to generate. All but the truncation is of diffusion alone; what a sampler does not use, it ignores. */
export interface GenerationOptions extends Truncation {
  /** How many characters a block sees of the text before it. */
  overlap: number;
  /** Chooses what to fix in each pass. */
  sampler: Sampler;
  /** `threshold`: fix every character whose confidence reaches this. */
  threshold: number;
  /** `confidence`, `ancestral`, `remask`: steps in a block. Default 64. */
  denoisingSteps?: number;
  /** `ancestral`, `remask`: how the share of hidden characters falls from step to step. Default `cosine`. */
  grid?: "cosine" | "uniform";
  /** `entropy`: the nats of entropy that may be fixed at once. Default 0.5. */
  entropyBound?: number;
  /** `remask`: most that is hidden again in a step, as a share of what is shown. Default 0.02. */
  remaskCap?: number;
}

/** A window of the text with what is hidden in it, as a sampler sees it. */
export interface Hidden {
  /** The positions to fill, in the window, rising; all of them hidden at first. */
  masked: number[];
  /** The mask token, which is never drawn. */
  mask: number;
  /** A forward pass: the logits of every position of the window as it is now, [vocab] each. */
  look(): Promise<Float32Array[]>;
}

/** A way to choose which hidden characters to fix in which pass, and with what. */
export interface Sampler {
  /** Most forward passes that it takes to fill `masked` positions of a window. */
  passes(masked: number, options: GenerationOptions): number;
  /** Fills the hidden positions. Yields what each step changes; the caller writes that into the window. */
  fill(hidden: Hidden, options: GenerationOptions, random: Random): AsyncGenerator<Fixed[]>;
}

/** All in which the two models differ: `gpt.ts` and `diffusion.ts` each export one. */
export interface LanguageModel {
  /** Which of the two it is. */
  kind: ModelKind;
  /** The token of a hidden character, where there is one. */
  maskToken: number | undefined;
  /** Whether a position sees only itself and what is left of it. */
  causal: boolean;
  /** The tokens of a text in order: its characters, and the mask where there is one. */
  vocabulary(text: string): string[];
  /** Examples from windows of `context + 1` tokens. */
  batch(windows: Int32Array[], config: TrainingConfig, random: Random): Batch;
  /** The training loss in nats. `logits` is [batch, time, vocab], the others are [batch, time]. */
  loss(logits: Tensor3D, targets: Tensor2D, lossWeights: Tensor2D): Scalar;
  /**
   * Goes on from `prompt` for `length` tokens; yields what each step fixed, by position in the whole text. Diffusion also fills
   * what is masked in `prompt`.
   */
  generate(
    network: Network,
    prompt: Int32Array,
    length: number,
    options: GenerationOptions,
    random: Random,
  ): AsyncGenerator<Fixed[]>;
}
