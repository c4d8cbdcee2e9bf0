/**
 * What a sampler is: the interface of `threshold`, `confidence`, `entropy`, `ancestral` and
 * `remask`, and what they are told.
 */
import type { Random } from "../../random.ts";
import type { Truncation } from "../draw.ts";

/**
 * A character fixed by a forward pass, or hidden again where `token` is the mask.
 */
export interface Fixed {
  /**
   * Counted from the start of the text, prompt included; within a sampler, from that of the window.
   */
  position: number;
  /** What stands there now. */
  token: number;
  /**
   * From 0 to 1, what the choice was based on: of a GPT and of `threshold` the probability of all
   * characters that could have been drawn, of the other samplers that of the character drawn, or of
   * being hidden again.
   */
  confidence: number;
}

/**
 * How to generate. All but the truncation is of diffusion alone; what a sampler does not use, it
 * ignores.
 */
export interface GenerationOptions extends Truncation {
  /** How many characters a block sees of the text before it. */
  overlap: number;
  /** Chooses what to fix in each pass. */
  sampler: Sampler;
  /** `threshold`: fix every character whose confidence reaches this. */
  threshold: number;
  /** `confidence`, `ancestral`, `remask`: steps in a block. */
  denoisingSteps: number;
  /** `ancestral`, `remask`: how the share of hidden characters falls from step to step. */
  grid: "cosine" | "uniform";
  /** `entropy`: the nats of entropy that may be fixed at once. */
  entropyBound: number;
  /** `remask`: most that is hidden again in a step, as a share of what is shown. */
  remaskCap: number;
}

/** A window of the text with what is masked in it, as a sampler sees it. */
export interface MaskedWindow {
  /** The positions to fill, in the window, rising; all of them masked at first. */
  masked: number[];
  /** The mask token, which is never drawn. */
  mask: number;
  /** A forward pass: the logits of every position of the window as it is now, [vocab] each. */
  look(): Promise<Float32Array[]>;
}

/** A way to choose which masked characters to fix in which pass, and with what. */
export interface Sampler {
  /** Most forward passes that it takes to fill `masked` positions of a window. */
  passes(masked: number, options: GenerationOptions): number;
  /**
   * Fills the masked positions. Yields what each step changes; the caller writes that into the
   * window before the next `look`.
   */
  fill(window: MaskedWindow, options: GenerationOptions, random: Random): AsyncGenerator<Fixed[]>;
}
