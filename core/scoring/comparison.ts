/** Compares two models by the blocks of text that both were scored on. */
import { UserError } from "@tiny-diffusion/engines/errors";
import type { ModelKind } from "../config.ts";
import type { Random } from "../random.ts";
import type { BaselineName } from "./baselines.ts";
import type { Estimator } from "./estimators.ts";
import { pairedBootstrap } from "./statistics.ts";

/** One side of a comparison. */
export interface Compared {
  /** The model or baseline. */
  model: ModelKind | BaselineName;
  /** The file of its weights; empty for a baseline. */
  weights: string;
  /** The estimator that scored it. */
  estimator: Estimator;
}

/** The difference between two models on the same blocks. */
export interface ModelComparison {
  /** One side. */
  a: Compared;
  /** The other. */
  b: Compared;
  /** Bits per character of `a` minus those of `b`: below 0 where `a` is the better one. */
  difference: number;
  /** Standard error of the difference, by the paired bootstrap over blocks. */
  seBlocks: number;
  /** Holds 95 % of the resampled differences. */
  interval: [number, number];
  /** Whether the interval excludes 0. */
  excludesZero: boolean;
  /** Characters of a block. */
  context: number;
  /** Blocks that both were scored on. */
  blocks: number;
}

/** Figures of one model and estimator by block. */
export interface BlockFigures extends Compared {
  /** Characters of a block. */
  context: number;
  /** The places of the blocks in the text, rising. */
  indices: readonly number[];
  /** Nats per scored character of each. */
  perBlock: ArrayLike<number>;
}

/**
 * Whether a difference of the two means something: blocks of the same length, and the same
 * estimator or two that both estimate the likelihood of the text. `left-to-right` and `nelbo`
 * belong to two decoders of one network, which do not compete, and `masked-mean` is not a
 * likelihood.
 */
export function isComparable(a: BlockFigures, b: BlockFigures): boolean {
  return a.context === b.context && commonBlocks(a, b).length >= 2 && (
    a.estimator === b.estimator && a.estimator !== "masked-mean" ||
    isExactWith(a.estimator, b.estimator) || isExactWith(b.estimator, a.estimator)
  );
}

function isExactWith(one: Estimator, other: Estimator): boolean {
  return one === "exact" && (other === "nelbo" || other === "left-to-right");
}

/**
 * Computes the difference of two models in bits per character, on the blocks that both were scored
 * on, with its error by the paired bootstrap over blocks: what makes a block hard for both cancels.
 * Figures of a `nelbo` carry the noise of their masks into that error; two of the same seed have
 * the same masks, and most of it cancels too. Where one side is a `nelbo` and the other exact, a
 * bound is compared: the diffusion model itself may be better than that.
 *
 * @throws {UserError} If the two are not comparable, see `isComparable`.
 */
export function compareOnBlocks(
  a: BlockFigures,
  b: BlockFigures,
  options: { random?: Random; resamples?: number } = {},
): ModelComparison {
  if (!isComparable(a, b)) {
    const of = ({ model, estimator, context, indices }: BlockFigures) =>
      `${model} ${estimator} on ${indices.length} blocks of ${context}`;
    throw new UserError({
      action: `compare ${of(a)} with ${of(b)}`,
      found: "expected blocks of the same length, two or more in common, and estimators that " +
        "speak of the same thing",
      advice: "score both in the same way",
    });
  }
  const common = commonBlocks(a, b);
  const bits = ({ indices, perBlock }: BlockFigures) => {
    const places = new Map(indices.map((index, i) => [index, i]));
    return common.map((index) => perBlock[places.get(index)!] / Math.LN2);
  };
  const side = ({ model, weights, estimator }: BlockFigures) => ({ model, weights, estimator });
  const { difference, standardError, interval } = pairedBootstrap(bits(a), bits(b), options);
  return {
    a: side(a),
    b: side(b),
    difference,
    seBlocks: standardError,
    interval,
    excludesZero: interval[0] > 0 || interval[1] < 0,
    context: a.context,
    blocks: common.length,
  };
}

function commonBlocks(a: BlockFigures, b: BlockFigures): number[] {
  const others = new Set(b.indices);
  return a.indices.filter((index) => others.has(index));
}
