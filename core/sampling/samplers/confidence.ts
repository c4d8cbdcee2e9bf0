/**
 * A fixed number of characters a pass, the surest first: `denoisingSteps` passes fill a block, in
 * equal parts.
 *
 * Sources: MaskGIT (Chang et al., arXiv:2202.04200); low-confidence remasking of LLaDA (Nie et al.,
 * arXiv:2502.09992), whose equal parts these are. Both rank a position by the probability of the
 * character drawn there; here it ranks by that of its likeliest character, before temperature. At
 * temperature 0 that is the same; above it, the luck of a draw then can't decide what is kept.
 *
 * Its law is not the model's, since the characters of one pass are drawn independently of each
 * other. With as many steps as characters it is one at a time, and draws from the exact law of its
 * order, surest first.
 */
import { certainty } from "../draw.ts";
import { drawEach, revealing } from "./revealing.ts";
import type { GenerationOptions, Sampler } from "./sampler.ts";

const passes = (masked: number, { denoisingSteps }: GenerationOptions) =>
  Math.min(masked, denoisingSteps);

export const confidence: Sampler = {
  passes,
  fill: revealing(({ logits, masked, mask, index, total }, options, random) => {
    const count = Math.ceil(masked.length / (passes(total, options) - index));
    const surest = masked
      .map((position) => ({ position, ...certainty(logits[position], mask) }))
      .sort((a, b) => b.confidence - a.confidence || a.position - b.position)
      .slice(0, count);
    return drawEach(surest.map(({ position }) => position), logits, mask, options, random);
  }),
};
