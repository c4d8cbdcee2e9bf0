/** How near the numbers of two engines must come, and how near they are. */
import type { Engine } from "./engine.ts";

/**
 * The largest allowed difference between an engine's numbers and the reference, relative to the
 * size of what is compared.
 *
 * Float32: sums of some hundred terms in another order, and exponentials good to a few units in the
 * last place, come out within about 1e-6; 1e-5 leaves room for ten roundings. WebGPU's drivers may
 * fuse and approximate (its specification allows 3 ulp for a division and 2^-11 absolute for some
 * functions), so they get a hundred times more.
 *
 * bf16: a factor is off by 2^-9 of itself at most, so a product by 2^-8: sums of 5 products of
 * normal numbers, whose sizes add up to 10 in the worst of the kernels' cases, are off by 0.04
 * though they cancel. All that is not a product stays float32.
 */
export function tolerance({ name, precision }: Pick<Engine, "name" | "precision">): number {
  if (precision === "bf16") return 4e-2;
  return name.endsWith("webgpu") ? 1e-3 : 1e-5;
}

/** The largest distance between two entries at the same place. */
export function largestDifference(ours: ArrayLike<number>, theirs: ArrayLike<number>): number {
  if (ours.length !== theirs.length) {
    throw new RangeError(`Cannot compare ${ours.length} numbers with ${theirs.length}`);
  }
  let most = 0;
  for (let i = 0; i < ours.length; i++) {
    const difference = Math.abs(ours[i] - theirs[i]);
    if (!(difference <= most)) most = difference; // NaN stays, and fails every comparison
  }
  return most;
}
