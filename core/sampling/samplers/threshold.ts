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
import { MASK_TOKEN } from "../../data/tokenizer.ts";
import { candidates, draw } from "../draw.ts";
import { defineSampler, revealPerPass } from "./sampler.ts";

export const threshold = defineSampler({
  name: "threshold",
  source: "nathan-barry/tiny-diffusion",
  options: {
    threshold: {
      type: "number",
      above: 0,
      max: 1,
      default: 0.95,
      help: "fix characters with at least this confidence",
    },
  },
  maxPasses: (count) => count,
  fill: ({ threshold }) =>
    revealPerPass(({ logits, masked }, truncation, random) => {
      const choices = masked.map((position) => {
        const choice = candidates(logits[position], truncation, MASK_TOKEN);
        const confidence = truncation.temperature === 0
          ? candidates(logits[position], { ...truncation, temperature: 1 }, MASK_TOKEN).mass
          : choice.mass;
        return { position, choice, confidence };
      });
      // Probabilities can add up to 1 in float64 without being certain, so threshold 1 is a case of
      // its own.
      const confident = threshold < 1
        ? choices.filter(({ confidence }) => confidence >= threshold)
        : [];
      const best = choices.reduce((a, b) => b.confidence > a.confidence ? b : a);
      return (confident.length > 0 ? confident : [best])
        .map(({ position, choice, confidence }) => ({
          position,
          token: draw(choice, random),
          confidence,
        }));
    }),
});
