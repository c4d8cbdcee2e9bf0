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
import { defineSampler, denoisingSteps, drawEach, revealPerPass } from "./sampler.ts";

export const confidence = defineSampler({
  name: "confidence",
  source: "MaskGIT (Chang et al., arXiv:2202.04200), LLaDA (Nie et al., arXiv:2502.09992)",
  options: { denoisingSteps },
  maxPasses: (count, { denoisingSteps }) => Math.min(count, denoisingSteps),
  fill: ({ denoisingSteps }) =>
    revealPerPass(({ logits, masked, passesBefore, maskedAtStart }, truncation, random) => {
      const passes = Math.min(maskedAtStart, denoisingSteps);
      const count = Math.ceil(masked.length / (passes - passesBefore));
      const surest = masked
        .map((position) => ({ position, ...certainty(logits[position]) }))
        .sort((a, b) => b.confidence - a.confidence || a.position - b.position)
        .slice(0, count)
        .map(({ position }) => position);
      return drawEach(surest, logits, truncation, random);
    }),
});
