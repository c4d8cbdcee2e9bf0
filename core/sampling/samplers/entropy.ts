/**
 * Entropy-bounded decoding: in each pass the least uncertain characters are fixed, as many as keep
 * the error of drawing them independently within `entropyBound` nats.
 *
 * Source: EB-Sampler (Ben-Hamu et al., arXiv:2505.24857): the largest set U, taken by rising
 * entropy H, with sum(H over U) - max(H over U) <= bound. By how much the joint entropy of U can
 * fall short of the sum of its parts, that is, how far from independent its characters can be, is
 * at most the left side. Entropies are the network's, before temperature.
 *
 * Its law is not the model's, but a pass is at most `entropyBound` nats (Kullback-Leibler, before
 * temperature and truncation) away from it. With bound 0 it is one at a time, and draws from the
 * exact law of its order, the least uncertain first.
 */
import { certainty } from "../draw.ts";
import { defineSampler, drawEach, revealPerPass } from "./sampler.ts";

export const entropy = defineSampler({
  name: "entropy",
  source: "EB-Sampler (Ben-Hamu et al., arXiv:2505.24857)",
  options: {
    entropyBound: {
      type: "number",
      min: 0,
      default: 0.3,
      help: "largest error of a pass, in nats",
      short: "bound #",
    },
  },
  maxPasses: (count) => count,
  fill: ({ entropyBound }) =>
    revealPerPass(({ logits, masked }, truncation, random) => {
      const ranked = masked
        .map((position) => ({ position, ...certainty(logits[position]) }))
        .sort((a, b) => a.entropy - b.entropy || a.position - b.position);
      let count = 1;
      let sum = ranked[0].entropy; // the bound's left side once the next one, the largest, is added
      while (count < ranked.length && sum <= entropyBound) sum += ranked[count++].entropy;
      const chosen = ranked.slice(0, count).map(({ position }) => position);
      return drawEach(chosen, logits, truncation, random);
    }),
});
