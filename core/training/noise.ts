/**
 * The noise of training: at time t a share t of a window is hidden (the linear schedule; MDLM's
 * bound is the same for all), and t is drawn anew for each window.
 */
import type { TrainingConfig } from "../config.ts";
import type { Random } from "../random.ts";

/**
 * One time t per row, that is, one share of hidden characters: uniform on [0, 1).
 *
 * With `evenMaskShares` the rows share one draw, (u + i) / rows, so that every batch has light and
 * heavy masking in equal parts: less noise in the loss at no cost (Kingma et al., "Variational
 * Diffusion Models", arXiv:2107.00630, appendix I.1). Row i then has its t in [i / rows,
 * (i + 1) / rows); over the batch as a whole it is still uniform.
 */
export function maskShares(
  rows: number,
  { evenMaskShares }: Pick<TrainingConfig, "evenMaskShares">,
  random: Random,
): number[] {
  if (!evenMaskShares) return Array.from({ length: rows }, () => random.uniform());
  const offset = random.uniform();
  return Array.from({ length: rows }, (_, row) => (offset + row) / rows);
}

/**
 * The weight of a hidden character in the loss of a window of which a share `t` is hidden. The
 * bound on the likelihood weighs it by 1/t where t is drawn uniformly (Sahoo et al.,
 * arXiv:2406.07524), so that windows with little hidden count as much as the others; counting all
 * characters alike, as the original does, gives less noisy gradients.
 */
export function lossWeight(
  t: number,
  context: number,
  { boundWeighting }: Pick<TrainingConfig, "boundWeighting">,
): number {
  return boundWeighting ? 1 / Math.max(t, 1 / context) : 1; // no single character may outweigh the batch
}
