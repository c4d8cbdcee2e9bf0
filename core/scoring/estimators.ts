/**
 * The estimators, which score held-out text in numbers that can be compared.
 *
 * One protocol for both models: the text is cut into blocks of the model's context; the first
 * character of each is given, the others are scored. Sums are float64. Nothing here knows a model or
 * an engine: a network is a `Scorer` of rows of tokens.
 */
import { UserError } from "@tiny-diffusion/engines/errors";
import type { ModelKind } from "../config.ts";
import { type Random, seededRandom } from "../random.ts";
import {
  nextCharacterRows,
  prefixRows,
  type Row,
  score,
  type ScoreOptions,
  spaceEvenly,
  unmaskingRows,
  windowRows,
} from "./rows.ts";
import type { Scorer } from "./scorer.ts";
import { bootstrapStandardError, mean, standardError, sum } from "./statistics.ts";

/** The name of an estimator; `estimatorNotes` explains each. */
export type Estimator = "exact" | "nelbo" | "left-to-right" | "masked-mean";

/** The estimators that fit each model, in the order in which tables show them. */
export const estimators: Record<ModelKind, Estimator[]> = {
  gpt: ["exact"],
  diffusion: ["nelbo", "left-to-right", "masked-mean"],
};

/** A caveat to print next to the figures of each estimator. */
export const estimatorNotes: Record<Estimator, string> = {
  "exact": "The model's likelihood of the text, by the chain rule.",
  "nelbo":
    "An upper bound on the diffusion model's negative log-likelihood: the model itself may " +
    "be better than that, not worse. Its training loss has no weight 1/t, so what was trained is " +
    "not quite this bound.",
  "left-to-right": "The exact likelihood of the left-to-right decoder built from the diffusion " +
    "network, not of the diffusion model; in theory it can be above or below the nelbo.",
  "masked-mean":
    "The validation loss that the original prints, in nats. Not a likelihood and not " +
    "the nelbo: a mask share t counts 2t times, the mask keeps a share of the probability, and " +
    "first characters are scored. It can't be compared with a GPT's loss.",
};

/** The result of an estimator. Figures of different `context` are not comparable. */
export interface Evaluation {
  /** The estimator that found it. */
  estimator: Estimator;
  /** Bits per character; null for `masked-mean`, which is not a likelihood. */
  bpc: number | null;
  /** The same in nats per scored character. */
  nats: number;
  /**
   * Standard error over passes (mask noise), in bits per character (in nats for `masked-mean`);
   * null if the figure is exact on its blocks.
   */
  sePasses: number | null;
  /** Standard error by bootstrap over blocks, in bits per character (in nats for `masked-mean`). */
  seBlocks: number;
  /** Characters of a block. */
  context: number;
  /** Number of blocks. */
  blocks: number;
  /** Scored characters in one pass. */
  chars: number;
  /** Passes over the blocks; batches for `masked-mean`. */
  passes: number;
  /** Mean cross-entropy in bits by share of masked characters, for `nelbo` only. */
  byMaskShare: { from: number; to: number; bits: number; blocks: number }[];
  /**
   * Nats per scored character of each block, in the order of the blocks, for paired comparisons.
   * Their mean is `nats`, except for `masked-mean`.
   */
  perBlock: Float64Array;
}

/** How much of the text and of chance an estimator averages over. */
export interface EstimateOptions extends ScoreOptions {
  /** Draws the masks, then the bootstrap's blocks. @default {seededRandom(0)} */
  random?: Random;
  /** Passes of `nelbo` over the blocks. @default {16} */
  passes?: number;
  /** Batches of `masked-mean`. @default {100} */
  batches?: number;
  /** Nats per scored character of a block that `left-to-right` scored before, by its index. */
  known?: (block: number) => number | undefined;
  /** Called with each block that `left-to-right` scores now, and awaited. */
  onBlock?: (block: number, nats: number) => void | Promise<void>;
}

/** The estimator to run, with its options. */
export interface EvaluateOptions extends EstimateOptions {
  /** `exact` for a GPT, any other for diffusion. */
  estimator: Estimator;
  /** Evenly spaced blocks to score. @default {all; 16 for left-to-right} */
  blocks?: number;
}

/** Blocks that `left-to-right` takes by default: it needs a forward pass for each character. */
const LEFT_TO_RIGHT_BLOCKS = 16;

/** Selects which of `total` blocks `evaluate` scores: `count` evenly spaced ones. */
export function selectIndices(estimator: Estimator, total: number, count?: number): number[] {
  const usual = estimator === "left-to-right" ? LEFT_TO_RIGHT_BLOCKS : total;
  return spaceEvenly(total, count ?? usual);
}

/**
 * Runs an estimator. `exact` is for a GPT, the others are for diffusion.
 *
 * @param blocks Tokens, each [context], as `cutIntoBlocks` gives them.
 * @throws {UserError} If there are fewer than two blocks, or the network's answers are not numbers.
 * @throws {RangeError} If there are fewer than two passes, or a block is not of the scorer's
 * context.
 *
 * ```ts
 * import { assertAlmostEquals } from "@std/assert";
 * import { evaluate, type Scorer, cutIntoBlocks } from "@tiny-diffusion/core";
 *
 * // A scorer that finds 65 characters equally likely; `loadScorer` loads a network.
 * const uniform: Scorer = {
 *   rows: 8,
 *   context: 32,
 *   nats: (tokens) => Promise.resolve(new Float32Array(tokens.length).fill(Math.log(65))),
 * };
 * const blocks = cutIntoBlocks(new Int32Array(1000), uniform.context);
 * const { bpc } = await evaluate(uniform, blocks, { estimator: "nelbo" });
 * assertAlmostEquals(bpc!, Math.log2(65), 1e-6); // float32 answers
 * ```
 */
export function evaluate(
  scorer: Scorer,
  blocks: Int32Array[],
  { estimator, blocks: count, known, onBlock, ...options }: EvaluateOptions,
): Promise<Evaluation> {
  const indices = selectIndices(estimator, blocks.length, count);
  const estimate = {
    "exact": scoreExactly,
    "nelbo": estimateNelbo,
    "left-to-right": scoreLeftToRight,
    "masked-mean": averageMaskedLoss,
  }[estimator];
  return estimate(scorer, indices.map((index) => blocks[index]), {
    ...options,
    known: known && ((i) => known(indices[i])),
    onBlock: onBlock && ((i, nats) => onBlock(indices[i], nats)),
  });
}

/** Computes the negative log-likelihood under a GPT, in nats per scored character. */
export async function scoreExactly(
  scorer: Scorer,
  blocks: Int32Array[],
  options: EstimateOptions = {},
): Promise<Evaluation> {
  requireTwoBlocks(blocks);
  const perBlock = new Float64Array(blocks.length);
  const rows = nextCharacterRows(blocks);
  for await (const { row, nats } of score(scorer, rows, blocks.length, options)) {
    perBlock[row.block] = nats / row.scored.length;
  }
  return summarizeBlocks("exact", scorer.context, perBlock, options);
}

/**
 * Estimates an upper bound on the negative log-likelihood under masked diffusion (NELBO), in nats
 * per scored character: exactly k of the T - 1 scored characters of a block are masked, k uniform on
 * 1..T-1, and the cross-entropy is averaged over the masked ones.
 * Source: the fixed-count form in LLaDA (arXiv:2502.09992, section 2.4), after Ou et al.
 * (arXiv:2406.03736).
 *
 * `perBlock` has the effect of the drawn k taken out (see `adjustToEqualShares`), so the error over
 * blocks is one of the text and of the masked positions; that of k is small, as a pass draws k
 * evenly, and shows in `sePasses`.
 */
export async function estimateNelbo(
  scorer: Scorer,
  blocks: Int32Array[],
  { passes = 16, random = seededRandom(0), ...options }: EstimateOptions = {},
): Promise<Evaluation> {
  requireTwoBlocks(blocks);
  requireTwoPasses(passes);
  const rows: Figure[] = [];
  const drawn = unmaskingRows(blocks, passes, random);
  for await (const { row, nats } of score(scorer, drawn, passes * blocks.length, options)) {
    const masked = row.scored.length;
    rows.push({ pass: row.pass, block: row.block, masked, nats: nats / masked });
  }
  const perBlock = averageBy("block", adjustToEqualShares(rows), blocks.length);
  return {
    ...summarizeBlocks("nelbo", scorer.context, perBlock, { random }),
    sePasses: standardError(averageBy("pass", rows, passes)) / Math.LN2,
    passes,
    byMaskShare: averageByMaskShare(rows, scorer.context - 1),
  };
}

/**
 * Computes the negative log-likelihood by the chain rule, everything to the right of a character
 * masked, in nats per scored character.
 *
 * It is the exact likelihood of the left-to-right decoder built from this network, not of the
 * diffusion model, and in theory can be above or below the NELBO. One forward pass for each
 * character, the rows of a call being positions of one block: the figure of a block does not depend
 * on the others, so a run may take those that an earlier one has scored.
 */
export async function scoreLeftToRight(
  scorer: Scorer,
  blocks: Int32Array[],
  { known, onBlock, onProgress, signal, random }: EstimateOptions = {},
): Promise<Evaluation> {
  requireTwoBlocks(blocks);
  const scored = scorer.context - 1;
  const perBlock = new Float64Array(blocks.length);
  for (const [index, block] of blocks.entries()) {
    const before = known?.(index);
    if (before !== undefined) {
      perBlock[index] = before;
      continue;
    }
    const progress = (done: number) => onProgress?.(index * scored + done, blocks.length * scored);
    const rows = score(scorer, prefixRows([block]), scored, { onProgress: progress, signal });
    for await (const { nats } of rows) perBlock[index] += nats / scored;
    await onBlock?.(index, requireFinite(perBlock[index]));
  }
  return summarizeBlocks("left-to-right", scorer.context, perBlock, { random });
}

/**
 * Computes the validation loss that the original prints, in nats: each row masks each of its
 * characters, the first included, with its own probability; the cross-entropies of a batch are
 * summed and divided by the number of its masked characters; the mean of that over batches. The mask
 * token keeps its logit.
 *
 * It is not the NELBO: a mask share t has the weight 2t, so figures are higher. The original draws
 * 200 batches of windows from anywhere in the text; here the windows are the blocks, in a new
 * random order each time all have been used.
 *
 * `perBlock` is each block's own sum over its own number; their mean is not the figure. Both errors
 * are in nats.
 *
 * @param options.batch Rows of one batch. Default 64, as in the original.
 */
export async function averageMaskedLoss(
  scorer: Scorer,
  blocks: Int32Array[],
  { batches = 100, batch = 64, random = seededRandom(0), ...options }: EstimateOptions & {
    batch?: number;
  } = {},
): Promise<Evaluation> {
  requireTwoBlocks(blocks);
  requireTwoPasses(batches);
  const zeros = (count: number) => ({
    nats: new Float64Array(count),
    masked: new Float64Array(count),
  });
  const ofBatch = zeros(batches);
  const ofBlock = zeros(blocks.length);
  const rows = windowRows(blocks, batches, batch, random);
  const keepMask = { ...options, keepMask: true };
  for await (const { row, nats } of score(scorer, rows, batches * batch, keepMask)) {
    for (const [sums, i] of [[ofBatch, row.batch], [ofBlock, row.block]] as const) {
      sums.nats[i] += nats;
      sums.masked[i] += row.scored.length;
    }
  }
  const losses = ofBatch.nats.map((nats, i) => nats / ofBatch.masked[i]);
  return {
    estimator: "masked-mean",
    bpc: null,
    nats: requireFinite(mean(losses)),
    sePasses: standardError(losses),
    seBlocks: bootstrapStandardError(ofBlock.nats, { random, weights: ofBlock.masked }),
    context: scorer.context,
    blocks: blocks.length,
    chars: blocks.length * scorer.context,
    passes: batches,
    byMaskShare: [],
    perBlock: ofBlock.nats.map((nats, i) => nats / ofBlock.masked[i]),
  };
}

// ---------------------------------------------------------------- validation while training

/** Blocks, passes and seed of the validation during training. */
const VALIDATION = { blocks: 64, passes: 2, seed: 0 };

/**
 * Prepares the validation of a training run: bits per character on 64 evenly spaced blocks, exact
 * for a GPT, the NELBO with two stratified passes for diffusion. The masks are drawn once, so two
 * figures of one run differ by their weights alone.
 *
 * @returns A function from a scorer to bits per character. They are NaN if the network's answers
 * are: a run that diverges should say so in its own words.
 */
export function validator(
  kind: ModelKind,
  blocks: Int32Array[],
): (scorer: Scorer, options?: ScoreOptions) => Promise<number> {
  const chosen = spaceEvenly(blocks.length, VALIDATION.blocks).map((index) => blocks[index]);
  const rows: Row[] = kind === "gpt"
    ? [...nextCharacterRows(chosen)]
    : [...unmaskingRows(chosen, VALIDATION.passes, seededRandom(VALIDATION.seed))];
  return async (scorer, options = {}) => {
    let total = 0;
    for await (const { row, nats } of score(scorer, rows, rows.length, options)) {
      total += nats / row.scored.length;
    }
    return total / rows.length / Math.LN2;
  };
}

// ---------------------------------------------------------------- from rows to figures

/** The result of one block in one pass: nats per scored character, with that many masked. */
interface Figure {
  pass: number;
  block: number;
  masked: number;
  nats: number;
}

/** Summarizes nats per block that have no noise of masks. */
export function summarizeBlocks(
  estimator: Estimator,
  context: number,
  perBlock: Float64Array,
  { random }: EstimateOptions,
): Evaluation {
  const nats = requireFinite(mean(perBlock));
  return {
    estimator,
    bpc: nats / Math.LN2,
    nats,
    sePasses: null,
    seBlocks: bootstrapStandardError(perBlock, { random }) / Math.LN2,
    context,
    blocks: perBlock.length,
    chars: perBlock.length * (context - 1),
    passes: 1,
    byMaskShare: [],
    perBlock,
  };
}

/** Averages the nats of each block over its passes, or of each pass over its blocks. */
function averageBy(key: "block" | "pass", rows: Figure[], groups: number): Float64Array {
  const means = new Float64Array(groups);
  for (const row of rows) means[row[key]] += row.nats * groups / rows.length;
  return means;
}

/**
 * Moves the rows along the line of nats against masked characters to the average number masked. A
 * block that happened to have few masked looks easy, which would widen the apparent spread of
 * blocks, though over a pass it cancels. The mean over all rows does not change. (A regression
 * control variate: Owen, Monte Carlo theory, methods and examples, chapter 8.)
 */
function adjustToEqualShares(rows: Figure[]): Figure[] {
  const middle = mean(rows.map((row) => row.masked));
  const level = mean(rows.map((row) => row.nats));
  const spread = sum(rows.map((row) => (row.masked - middle) ** 2));
  if (spread === 0) return rows;
  const slope = sum(rows.map((row) => (row.masked - middle) * (row.nats - level))) / spread;
  return rows.map((row) => ({ ...row, nats: row.nats - slope * (row.masked - middle) }));
}

/** Steps of the curve of cross-entropy against the share of masked characters. */
const MASK_SHARES = 8;

/**
 * Averages the cross-entropy in bits by share of masked characters, above `from` up to `to`; steps
 * without a row are left out.
 */
function averageByMaskShare(rows: Figure[], scored: number): Evaluation["byMaskShare"] {
  return Array.from({ length: MASK_SHARES }, (_, step) => {
    const inside = rows.filter((row) => Math.ceil(row.masked * MASK_SHARES / scored) === step + 1);
    return {
      from: step / MASK_SHARES,
      to: (step + 1) / MASK_SHARES,
      bits: mean(inside.map((row) => row.nats)) / Math.LN2,
      blocks: inside.length,
    };
  }).filter(({ blocks }) => blocks > 0);
}

/** The bootstrap at the end needs two; it is better to say so before the long part. */
function requireTwoBlocks(blocks: Int32Array[]): void {
  if (blocks.length < 2) {
    throw new UserError({
      action: `estimate from ${blocks.length} block(s)`,
      found: "expected at least 2, as one has no standard error",
      advice: "use more blocks or a longer text",
    });
  }
}

function requireTwoPasses(passes: number): void {
  if (!Number.isInteger(passes) || passes < 2) {
    throw new RangeError(
      `Cannot estimate with ${passes} pass(es): expected an integer of at least 2, as one has no standard error`,
    );
  }
}

function requireFinite(nats: number): number {
  if (!Number.isFinite(nats)) {
    throw new UserError({
      action: "score the text",
      found: `the network gives ${nats} nats per character, expected a finite number`,
      advice: "the weights may be damaged or the training may have diverged",
    });
  }
  return nats;
}
