/**
 * Confidence-based parallel decoding, as in the original: every masked position where the top-k characters together hold at
 * least `threshold` of the probability is filled, or the most confident one alone where none does.
 *
 * Characters fixed in one pass are drawn independently of each other, so a text follows a product of marginals rather than
 * the model's joint law. With `threshold` 1, one character at a time, in an order that depends on the text.
 */
import type { Sampler } from "../language_model.ts";
import { candidates, draw } from "../sampling.ts";

export const threshold: Sampler = (logits, masked, mask, options, random) => {
  const choices = masked.map((position) => {
    const choice = candidates(logits[position], options, mask);
    // At temperature 0 every choice would be certain; the mass before it says how sure the network is.
    const confidence = options.temperature === 0
      ? candidates(logits[position], { ...options, temperature: 1 }, mask).mass
      : choice.mass;
    return { position, choice, confidence };
  });
  // Probabilities can add up to 1 in float64 without being certain, so threshold 1 is a case of its own.
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
};
