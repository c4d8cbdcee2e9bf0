/**
 * The share of hidden characters from step to step, for the samplers that follow a schedule of
 * their own.
 */
import type { GenerationOptions } from "./sampler.ts";

/** One step: from a share `from` of hidden characters to a smaller share `to`. */
export interface GridStep {
  from: number;
  to: number;
}

/**
 * The steps of a block, from all hidden (1) to none (0). `uniform`: equal parts, as in MDLM
 * (arXiv:2406.07524), whose log-linear noise it is. `cosine`: cos(pi/2 i/N) after step i of N, as
 * in MaskGIT (arXiv:2202.04200): few characters at first, while little is known, and many at the
 * end.
 */
export function gridOf({ denoisingSteps: steps, grid }: GenerationOptions) {
  const share = (i: number) => {
    if (i === steps) return 0; // cos(pi/2) is 6e-17 in float64
    return grid === "cosine" ? Math.cos(Math.PI / 2 * i / steps) : 1 - i / steps;
  };
  return Array.from({ length: steps }, (_, i): GridStep => ({ from: share(i), to: share(i + 1) }));
}
