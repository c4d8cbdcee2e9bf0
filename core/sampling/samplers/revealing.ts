/** What the samplers share that reveal something in every pass and take nothing back. */
import type { Random } from "../../random.ts";
import { candidates, draw } from "../draw.ts";
import type { Fixed, GenerationOptions, Sampler } from "./sampler.ts";

/** What a pass can know when it chooses. */
export interface Pass {
  /** Of every position of the window, [vocab] each. */
  logits: Float32Array[];
  /** The positions still hidden, rising; at least one. */
  masked: number[];
  /** The mask token, which is never drawn. */
  mask: number;
  /** Passes made before in this block. */
  index: number;
  /** Positions that were hidden when the block began. */
  total: number;
}

/**
 * A sampler's `fill` from the choice that one pass makes: at least one of the positions still
 * hidden.
 */
export function revealing(
  choose: (pass: Pass, options: GenerationOptions, random: Random) => Fixed[],
): Sampler["fill"] {
  return async function* ({ masked: all, mask, look }, options, random) {
    let masked = all;
    for (let index = 0; masked.length > 0; index++) {
      const pass = { logits: await look(), masked, mask, index, total: all.length };
      const fixed = choose(pass, options, random);
      const positions = new Set(fixed.map(({ position }) => position));
      masked = masked.filter((position) => !positions.has(position));
      yield fixed;
    }
  };
}

/**
 * Draws a character for each position. `confidence` is the probability of the one drawn, after
 * temperature.
 */
export function drawEach(
  positions: number[],
  logits: Float32Array[],
  mask: number,
  options: GenerationOptions,
  random: Random,
): Fixed[] {
  return positions.map((position) => {
    const choice = candidates(logits[position], options, mask), token = draw(choice, random);
    return { position, token, confidence: choice.probabilities[choice.tokens.indexOf(token)] };
  });
}
