/**
 * Means, standard errors and the bootstrap, in float64. What is resampled are whole blocks of text:
 * characters of one block are scored by the same passes and share a speaker, so they are far from
 * independent, while blocks nearly are.
 *
 * Source: Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapters 6 and 13.
 */
import { UserError } from "@tiny-diffusion/engines/errors";
import { type Random, seededRandom } from "../random.ts";

export function sum(values: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i];
  return total;
}

export function mean(values: ArrayLike<number>): number {
  return sum(values) / values.length;
}

/** The middle value, or the mean of the middle two. NaN for no values. */
export function median(values: ArrayLike<number>): number {
  const sorted = Float64Array.from(values).sort();
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Standard deviation with n - 1 below the line. NaN for fewer than two values. */
export function standardDeviation(values: ArrayLike<number>): number {
  const centre = mean(values);
  const squares = Float64Array.from(values, (value) => (value - centre) ** 2);
  return Math.sqrt(sum(squares) / (values.length - 1));
}

/** Standard error of the mean of independent values. NaN for fewer than two values. */
export function standardError(values: ArrayLike<number>): number {
  return standardDeviation(values) / Math.sqrt(values.length);
}

export interface BootstrapOptions {
  /** Draws the resamples. @default {seededRandom(0)} */
  random?: Random;
  resamples?: number;
}

/**
 * Standard error of `mean(values)`, or of `sum(values) / sum(weights)` where each value comes with
 * a weight, by resampling the blocks that they belong to. For a plain mean it tends to the closed
 * form, the deviation with n below the line over the square root of n.
 *
 * @throws {UserError} If there are fewer than two values: one block says nothing about the spread
 * of blocks.
 */
export function bootstrapStandardError(
  values: ArrayLike<number>,
  options: BootstrapOptions & { weights?: ArrayLike<number> } = {},
): number {
  return standardDeviation(resampleMeans(values, options));
}

export interface Comparison {
  /** Mean of a minus mean of b, in the unit of the input. */
  difference: number;
  standardError: number;
  /** From the 2.5th to the 97.5th percentile of the resampled differences. */
  interval: [number, number];
}

/**
 * Compares figures of two models that were measured on the same blocks, in the same order.
 * Resampling the differences leaves out what makes a block hard for both, so it finds differences
 * that the two standard errors alone would hide.
 *
 * @throws {RangeError} If the two are not of the same number of blocks.
 * @throws {UserError} If there are fewer than two.
 */
export function pairedBootstrap(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  { random, resamples = 10_000 }: BootstrapOptions = {},
): Comparison {
  if (a.length !== b.length) {
    throw new RangeError(
      `Cannot compare two models block by block: one has ${a.length} blocks, the other ${b.length}; ` +
        "score both on the same blocks",
    );
  }
  const differences = Float64Array.from(a, (value, block) => value - b[block]);
  const means = resampleMeans(differences, { random, resamples }).sort();
  return {
    difference: mean(differences),
    standardError: standardDeviation(means),
    interval: [percentile(means, 0.025), percentile(means, 0.975)],
  };
}

function resampleMeans(
  values: ArrayLike<number>,
  { random = seededRandom(0), resamples = 2000, weights }: BootstrapOptions & {
    weights?: ArrayLike<number>;
  },
): Float64Array<ArrayBuffer> {
  const count = values.length;
  if (count < 2) {
    throw new UserError({
      action: "estimate an error over blocks",
      found: `${count} block(s) scored, expected at least 2`,
      advice: "use more blocks or a longer text",
    });
  }
  return Float64Array.from({ length: resamples }, () => {
    let total = 0;
    let weight = 0;
    for (let i = 0; i < count; i++) {
      const drawn = random.integer(count);
      total += values[drawn];
      weight += weights?.[drawn] ?? 1;
    }
    return total / weight;
  });
}

/** The value below which a given share of the sorted values is, interpolated linearly. */
function percentile(sorted: Float64Array, share: number): number {
  const at = share * (sorted.length - 1);
  const below = Math.floor(at);
  const above = Math.ceil(at);
  return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
}
