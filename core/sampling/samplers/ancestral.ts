/**
 * Ancestral sampling: the noise process backwards. The share of masked characters falls along a
 * grid of `denoisingSteps`; in a step from share t to s each masked character is revealed with
 * probability (t - s) / t, whatever the network thinks of it. A step that reveals none costs no
 * forward pass.
 *
 * Source: MDLM (Sahoo et al., arXiv:2406.07524). There, revealing and choosing the character are
 * one draw by Gumbel noise, which in float32 loses rare events and so lowers the temperature (Zheng
 * et al., arXiv:2409.02908); here they are two draws by inverse CDF in float64.
 *
 * Its law is not the model's where a step reveals several characters, as they are drawn
 * independently. As the steps grow in number, that becomes rare: the limit is one at a time in an
 * order drawn uniformly, whose law the NELBO bounds.
 */
import { defineSampler, denoisingSteps, drawEach, grid, scheduleSteps } from "./sampler.ts";

export const ancestral = defineSampler({
  name: "ancestral",
  source: "MDLM (Sahoo et al., arXiv:2406.07524)",
  options: { denoisingSteps, grid },
  maxPasses: (count, { denoisingSteps }) => Math.min(count, denoisingSteps),
  fill: (settings) =>
    async function* ({ masked: all, forward }, truncation, random) {
      let masked = all;
      for (const { from, to } of scheduleSteps(settings)) {
        const revealed = masked.filter(() => random.uniform() < (from - to) / from);
        if (revealed.length === 0) continue;
        masked = masked.filter((position) => !revealed.includes(position));
        yield drawEach(revealed, await forward(), truncation, random);
      }
    },
});
