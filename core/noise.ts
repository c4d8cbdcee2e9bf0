/** The noise schedule: how large a share of each window is hidden while training. */
import type { TrainingConfig } from "./config.ts";
import type { Random } from "./random.ts";

/**
 * One mask share per row, each uniform on [0, 1).
 *
 * With `evenMaskShares` the rows share one draw, (u + i) / rows, so that every batch has light and heavy masking in equal
 * parts: less noise in the loss at no cost (Kingma et al., "Variational Diffusion Models", arXiv:2107.00630, appendix I.1).
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
 * What a hidden character of a window counts in the loss. The bound on the likelihood weighs a window by 1 / mask share (Sahoo
 * et al., arXiv:2406.07524), so that lightly masked ones count as much as the others; counting all alike, as the original does,
 * gives calmer gradients.
 */
export function hiddenWeight(
  share: number,
  context: number,
  { boundWeighting }: Pick<TrainingConfig, "boundWeighting">,
): number {
  return boundWeighting ? 1 / Math.max(share, 1 / context) : 1; // no single character may outweigh the batch
}
