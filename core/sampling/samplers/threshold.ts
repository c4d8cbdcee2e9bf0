/**
 * Confidence-based parallel decoding, as in the original: every masked position where the top-k
 * characters together hold at least `threshold` of the probability is filled, or the most confident
 * one alone where none does.
 *
 * Source: nathan-barry/tiny-diffusion. As there, the confidence is the mass after temperature; at
 * temperature 0, where every choice would be certain, the mass before it.
 *
 * Its law is not the model's: characters fixed in one pass are drawn independently, each from its
 * own marginal. With `threshold` 1 it fills one character at a time, and then draws from the exact
 * law of the order that it takes, surest first; without truncation all are equally sure, and that
 * order is from left to right.
 */
import { candidates, draw } from "../draw.ts";
import { revealing } from "./revealing.ts";
import type { Sampler } from "./sampler.ts";

export const threshold: Sampler = {
  passes: (masked) => masked,
  fill: revealing(({ logits, masked, mask }, options, random) => {
    const choices = masked.map((position) => {
      const choice = candidates(logits[position], options, mask);
      const confidence = options.temperature === 0
        ? candidates(logits[position], { ...options, temperature: 1 }, mask).mass
        : choice.mass;
      return { position, choice, confidence };
    });
    // Probabilities can add up to 1 in float64 without being certain, so threshold 1 is a case of
    // its own.
    const confident = options.threshold < 1
      ? choices.filter(({ confidence }) => confidence >= options.threshold)
      : [];
    const best = choices.reduce((a, b) => b.confidence > a.confidence ? b : a);
    return (confident.length > 0 ? confident : [best])
      .map(({ position, choice, confidence }) => ({
        position,
        token: draw(choice, random),
        confidence,
      }));
  }),
};
