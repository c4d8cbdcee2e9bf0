/**
 * Remasking: ancestral sampling in which a character may be masked again and drawn anew, now that
 * more is known, so that mistakes can be corrected. In a step from share t of masked characters to
 * s, with sigma = min(cap, s / (1 - t)),
 *   a shown character is masked again with probability sigma,
 *   a masked one is revealed with probability (t - s + sigma (1 - t)) / t,
 * so that a share s is masked after it, as without remasking. Only characters of the block are
 * masked again, nothing given.
 *
 * Source: ReMDM (Wang et al., arXiv:2503.00307), the schedule "cap". With 1 - t = alpha_t it is
 * their posterior.
 *
 * Its law is not the model's: characters revealed in one step are drawn independently, and repeated
 * redrawing moves the text towards the stationary distribution of a Gibbs sampler, whatever the
 * order of the first draws. With cap 0 it is `ancestral`.
 */
import { MASK_TOKEN } from "../../data/tokenizer.ts";
import { defineSampler, denoisingSteps, drawEach, grid, scheduleSteps } from "./sampler.ts";

export const remask = defineSampler({
  name: "remask",
  source: "ReMDM (Wang et al., arXiv:2503.00307)",
  options: {
    denoisingSteps,
    grid,
    remaskCap: {
      type: "number",
      min: 0,
      max: 1,
      default: 0.02,
      help: "largest share of characters masked again in a step",
      short: "cap #",
    },
  },
  maxPasses: (count, { denoisingSteps }) => count === 0 ? 0 : denoisingSteps,
  fill: ({ remaskCap, ...schedule }) =>
    async function* ({ masked: all, forward }, truncation, random) {
      const masked = new Set(all);
      for (const { from, to } of scheduleSteps(schedule)) {
        const sigma = from === 1 ? 0 : Math.min(remaskCap, to / (1 - from)); // at first nothing is shown
        const reveal = (from - to + sigma * (1 - from)) / from;
        const changed = all.filter((position) =>
          random.uniform() < (masked.has(position) ? reveal : sigma)
        );
        const revealed = changed.filter((position) => masked.has(position));
        const again = changed.filter((position) => !masked.has(position));
        const fixed = revealed.length === 0
          ? []
          : drawEach(revealed, await forward(), truncation, random);
        for (const position of revealed) masked.delete(position);
        for (const position of again) masked.add(position);
        const hidden = again.map((position) => ({
          position,
          token: MASK_TOKEN,
          confidence: sigma,
        }));
        if (changed.length > 0) yield [...fixed, ...hidden];
      }
    },
});
