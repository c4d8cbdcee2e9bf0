/**
 * The estimators: what a network says about held-out text, in numbers that can be compared.
 *
 * One protocol for both models. The text is cut into blocks of the model's context; the first
 * character of each is given, the others are scored. `exact` is a GPT's own likelihood, `nelbo` an
 * upper bound on the diffusion model's, `leftToRight` the likelihood of another decoder built from
 * the same network, and `maskedMean` the loss that the original prints. Sums are float64. Nothing
 * here knows a model or an engine: a network is what it says about rows of tokens.
 */
import type { ModelKind } from "../config.ts";
import { type Random, seededRandom } from "../random.ts";
import type { Estimator, EvaluationRow } from "./results.ts";
import {
  nextCharacterRows,
  noisedRows,
  prefixRows,
  type Row,
  score,
  type ScoreOptions,
  type Scorer,
  unmaskingRows,
  windowRows,
} from "./rows.ts";
import { bootstrapStandardError, mean, standardError, sum } from "./statistics.ts";
import { evenlySpaced, scoredIndices } from "./validation_blocks.ts";

/** Options of every estimator. */
export interface EstimateOptions extends ScoreOptions {
  /** Draws the masks, then the bootstrap's blocks. @default {seededRandom(0)} */
  random?: Random;
}

/**
 * A line of the table of evaluations before it is known whose it is, with the figures that a paired
 * comparison needs.
 */
export interface Evaluation extends Omit<EvaluationRow, "model" | "weights"> {
  /**
   * Nats per scored character of each block, in the order of the blocks. Their mean is `nats` (but
   * see `maskedMean`).
   */
  perBlock: Float64Array;
}

/** What each estimator is, and is not, in a sentence to set beside its figure. */
export const estimatorNotes: Record<Estimator, string> = {
  "exact": "The model's likelihood of the text, by the chain rule.",
  "nelbo":
    "An upper bound on the diffusion model's negative log-likelihood: the model itself may " +
    "be better than that, not worse. Its training loss has no weight 1/t, so what was trained is " +
    "not quite this bound.",
  "left-to-right": "The exact likelihood of the left-to-right decoder built from the diffusion " +
    "network, not of the diffusion model; by theory it lies neither above nor below the nelbo.",
  "masked-mean":
    "The validation loss that the original prints, in nats. Not a likelihood and not " +
    "the nelbo: a mask share t counts 2t times, the mask keeps a share of the probability, and " +
    "first characters are scored. Never to be set beside a GPT's loss.",
};

/** Steps of the curve of cross-entropy against the share of masked characters. */
const MASK_SHARES = 8;

// ---------------------------------------------------------------- estimators

/** Which estimator, and how much of the text and of chance it is to average over. */
export interface EvaluateOptions extends EstimateOptions, ResumeOptions {
  /** `exact` for a GPT, any other for diffusion. */
  estimator: Estimator;
  /** Evenly spaced blocks to score. @default {all; 16 for left-to-right} */
  blocks?: number;
  /** Passes of `nelbo`. @default {16} */
  passes?: number;
  /** Batches of `masked-mean`. @default {100} */
  batches?: number;
}

/**
 * Runs the estimator of that name. `exact` is for a GPT, the others are for diffusion.
 *
 * @param blocks Tokens, each [context], as `validationBlocks` gives them.
 * @param options.known,options.onBlock Of `left-to-right` only, by index into `blocks`.
 * @throws {RangeError} If there are fewer than two blocks or passes, a block is not of the scorer's
 * context, or the network's answers are not numbers.
 *
 * ```ts
 * import { assertAlmostEquals } from "@std/assert";
 * import { evaluate, type Scorer, validationBlocks } from "@tiny-diffusion/core";
 *
 * // Here a scorer that knows nothing of 65 characters; that of a network is `scorerOf(session, config)`.
 * const uniform: Scorer = {
 *   rows: 8,
 *   context: 32,
 *   nats: (tokens) => Promise.resolve(new Float32Array(tokens.length).fill(Math.log(65))),
 * };
 * const blocks = validationBlocks(new Int32Array(1000), uniform.context);
 * const { bpc } = await evaluate(uniform, blocks, { estimator: "nelbo" });
 * assertAlmostEquals(bpc!, Math.log2(65), 1e-6); // float32 answers
 * ```
 */
export function evaluate(
  scorer: Scorer,
  blocks: Int32Array[],
  { estimator, blocks: count, known, onBlock, ...options }: EvaluateOptions,
): Promise<Evaluation> {
  const indices = scoredIndices(estimator, blocks.length, count);
  const chosen = indices.map((index) => blocks[index]);
  switch (estimator) {
    case "exact":
      return exact(scorer, chosen, options);
    case "nelbo":
      return nelbo(scorer, chosen, options);
    case "left-to-right":
      return leftToRight(scorer, chosen, {
        ...options,
        known: known && ((i) => known(indices[i])),
        onBlock: onBlock && ((i, nats) => onBlock(indices[i], nats)),
      });
    case "masked-mean":
      return maskedMean(scorer, chosen, options);
  }
}

/**
 * Negative log-likelihood under a GPT, in nats per scored character.
 *
 * @param blocks Tokens, each [context].
 */
export async function exact(
  scorer: Scorer,
  blocks: Int32Array[],
  options: EstimateOptions = {},
): Promise<Evaluation> {
  checkBlocks(blocks);
  const perBlock = new Float64Array(blocks.length);
  const rows = nextCharacterRows(blocks);
  for await (const { row, nats } of score(scorer, rows, blocks.length, options)) {
    perBlock[row.block] = nats / row.scored.length;
  }
  return perBlockSummary("exact", scorer.context, perBlock, options);
}

/**
 * Upper bound on the negative log-likelihood under masked diffusion (NELBO), in nats per scored
 * character: exactly k of the T - 1 scored characters of a block are masked, k uniform on 1..T-1,
 * and the cross-entropy is averaged over the masked ones.
 * Source: the fixed-count form in LLaDA (arXiv:2502.09992, section 2.4), after Ou et al.
 * (arXiv:2406.03736).
 *
 * `perBlock` has the effect of the drawn k taken out (see `atEqualShares`), so the error over
 * blocks is one of the text and of the masked positions; that of k is small, as a pass draws k
 * evenly, and shows in `se_passes`.
 *
 * @param blocks Tokens, each [context].
 * @param options.passes Passes over the blocks, k stratified over the blocks of each. Default 16.
 * @throws {RangeError} If `passes` is below 2, since one pass has no standard error.
 */
export async function nelbo(
  scorer: Scorer,
  blocks: Int32Array[],
  { passes = 16, random = seededRandom(0), ...options }: EstimateOptions & { passes?: number } = {},
): Promise<Evaluation> {
  checkBlocks(blocks);
  checkPasses(passes);
  const rows: Figure[] = [];
  const drawn = unmaskingRows(blocks, passes, random);
  for await (const { row, nats } of score(scorer, drawn, passes * blocks.length, options)) {
    const masked = row.scored.length;
    rows.push({ pass: row.pass, block: row.block, masked, nats: nats / masked });
  }
  const perBlock = meansBy("block", atEqualShares(rows), blocks.length);
  return {
    ...perBlockSummary("nelbo", scorer.context, perBlock, { random }),
    se_passes: standardError(meansBy("pass", rows, passes)) / Math.LN2,
    passes,
    by_mask_share: byMaskShare(rows, scorer.context - 1),
  };
}

/**
 * The same bound in its other form: a time t uniform on (0, 1], each scored character masked with
 * probability t, the cross-entropy of the masked ones summed and weighted by 1/t. Source: MDLM
 * (arXiv:2406.07524, section 3, linear schedule).
 *
 * The expectation is that of `nelbo`, the noise is not: its variance over t behaves like the
 * integral of 1/t, which has no end, so its standard error is a rough guide. That is why the
 * fixed-count form is the one that is reported.
 */
export async function nelboContinuous(
  scorer: Scorer,
  blocks: Int32Array[],
  { passes = 16, random = seededRandom(0), ...options }: EstimateOptions & { passes?: number } = {},
): Promise<Evaluation> {
  checkBlocks(blocks);
  checkPasses(passes);
  const scored = scorer.context - 1;
  const rows: Figure[] = [];
  const drawn = noisedRows(blocks, passes, random);
  for await (const { row, nats } of score(scorer, drawn, passes * blocks.length, options)) {
    const masked = row.scored.length;
    rows.push({ pass: row.pass, block: row.block, masked, nats: nats / row.time / scored });
  }
  const perBlock = meansBy("block", rows, blocks.length);
  return {
    ...perBlockSummary("nelbo", scorer.context, perBlock, { random }),
    se_passes: standardError(meansBy("pass", rows, passes)) / Math.LN2,
    passes,
  };
}

/**
 * Negative log-likelihood by the chain rule, everything to the right of a character masked, in nats
 * per scored character.
 *
 * It is the exact likelihood of the left-to-right decoder built from this network, not of the
 * diffusion model, and lies neither above nor below the NELBO by theory. One forward pass for each
 * character, the rows of a call being positions of one block: what a block comes to does not depend
 * on the others, so a run may take those that an earlier one has scored.
 *
 * @param blocks Tokens, each [context]; for the default number see `LEFT_TO_RIGHT_BLOCKS`.
 */
export async function leftToRight(
  scorer: Scorer,
  blocks: Int32Array[],
  { known, onBlock, onProgress, signal, ...options }: EstimateOptions & ResumeOptions = {},
): Promise<Evaluation> {
  checkBlocks(blocks);
  const scored = scorer.context - 1, perBlock = new Float64Array(blocks.length);
  for (const [index, block] of blocks.entries()) {
    const before = known?.(index);
    if (before !== undefined) {
      perBlock[index] = before;
      continue;
    }
    const progress = (done: number) => onProgress?.(index * scored + done, blocks.length * scored);
    const rows = score(scorer, prefixRows([block]), scored, { onProgress: progress, signal });
    for await (const { nats } of rows) perBlock[index] += nats / scored;
    await onBlock?.(index, finite(perBlock[index]));
  }
  return perBlockSummary("left-to-right", scorer.context, perBlock, options);
}

/** What lets a long run go on where an earlier one was stopped. */
export interface ResumeOptions {
  /** Nats per scored character of a block that was scored before, by its index. */
  known?: (block: number) => number | undefined;
  /** Called with each block that is scored now, and waited for. */
  onBlock?: (block: number, nats: number) => void | Promise<void>;
}

/**
 * The validation loss that the original prints, in nats: each row masks each of its characters, the
 * first included, with one probability of its own; the cross-entropies of a batch are summed and
 * divided by the number of its masked characters; the mean of that over batches. The mask token
 * keeps its logit.
 *
 * It is not the NELBO: a mask share t has the weight 2t, so figures are higher. The original draws
 * 200 batches of windows from anywhere in the text; here the windows are the blocks, in a new
 * random order each time all have been used.
 *
 * `perBlock` is each block's own sum over its own number; their mean is not the figure. Both errors
 * are in nats.
 *
 * @param options.batches Batches to average over. Default 100.
 * @param options.batch Rows of one batch. Default 64, as in the original.
 */
export async function maskedMean(
  scorer: Scorer,
  blocks: Int32Array[],
  { batches = 100, batch = 64, random = seededRandom(0), ...options }:
    & EstimateOptions
    & { batches?: number; batch?: number } = {},
): Promise<Evaluation> {
  checkBlocks(blocks);
  checkPasses(batches);
  const ofBatch = { nats: new Float64Array(batches), masked: new Float64Array(batches) };
  const ofBlock = {
    nats: new Float64Array(blocks.length),
    masked: new Float64Array(blocks.length),
  };
  const rows = windowRows(blocks, batches, batch, random);
  const keepMask = { ...options, keepMask: true };
  for await (const { row, nats } of score(scorer, rows, batches * batch, keepMask)) {
    const masked = row.scored.length;
    ofBatch.nats[row.batch] += nats;
    ofBatch.masked[row.batch] += masked;
    ofBlock.nats[row.block] += nats;
    ofBlock.masked[row.block] += masked;
  }
  const losses = ofBatch.nats.map((nats, i) => nats / ofBatch.masked[i]);
  const perBlock = ofBlock.nats.map((nats, i) => nats / ofBlock.masked[i]);
  const weights = ofBlock.masked;
  return {
    estimator: "masked-mean",
    bpc: null,
    nats: finite(mean(losses)),
    se_passes: standardError(losses),
    se_blocks: bootstrapStandardError(ofBlock.nats, { random, weights }),
    context: scorer.context,
    blocks: blocks.length,
    chars: blocks.length * scorer.context,
    passes: batches,
    by_mask_share: [],
    perBlock,
  };
}

// ---------------------------------------------------------------- validation while training

/** Blocks, passes and seed of the validation during training. */
const VALIDATION = { blocks: 64, passes: 2, seed: 0 };

/**
 * What a training run watches: bits per character on 64 evenly spaced blocks, exact for a GPT, the
 * NELBO with two stratified passes for diffusion. The masks are drawn once, so two figures of one
 * run differ by their weights alone.
 *
 * @returns A function from a scorer to bits per character. They are NaN if the network's answers
 * are: a run that diverges should say so in its own words.
 */
export function validator(
  kind: ModelKind,
  blocks: Int32Array[],
): (scorer: Scorer, options?: ScoreOptions) => Promise<number> {
  const chosen = evenlySpaced(blocks, VALIDATION.blocks);
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

/** What one block of one pass came to: nats per scored character, with that many masked. */
interface Figure {
  pass: number;
  block: number;
  masked: number;
  nats: number;
}

/** The table's line for figures per block, in nats, that have no noise of masks. */
export function perBlockSummary(
  estimator: Estimator,
  context: number,
  perBlock: Float64Array,
  { random }: EstimateOptions,
): Evaluation {
  const nats = finite(mean(perBlock));
  return {
    estimator,
    bpc: nats / Math.LN2,
    nats,
    se_passes: null,
    se_blocks: bootstrapStandardError(perBlock, { random }) / Math.LN2,
    context,
    blocks: perBlock.length,
    chars: perBlock.length * (context - 1),
    passes: 1,
    by_mask_share: [],
    perBlock,
  };
}

/** Mean nats of each block over its passes, or of each pass over its blocks. */
function meansBy(key: "block" | "pass", rows: Figure[], groups: number): Float64Array {
  const means = new Float64Array(groups);
  for (const row of rows) means[row[key]] += row.nats * groups / rows.length;
  return means;
}

/**
 * The rows moved along the line of nats against masked characters to the average number masked. A
 * block that happened to have few masked looks easy, which would widen the apparent spread of
 * blocks, though over a pass it cancels. The mean over all rows is not changed. (A regression
 * control variate: Owen, Monte Carlo theory, methods and examples, chapter 8.)
 */
function atEqualShares(rows: Figure[]): Figure[] {
  const middle = mean(rows.map((row) => row.masked)), level = mean(rows.map((row) => row.nats));
  const spread = sum(rows.map((row) => (row.masked - middle) ** 2));
  if (spread === 0) return rows;
  const slope = sum(rows.map((row) => (row.masked - middle) * (row.nats - level))) / spread;
  return rows.map((row) => ({ ...row, nats: row.nats - slope * (row.masked - middle) }));
}

/**
 * Mean cross-entropy in bits by share of masked characters, above `from` up to `to`; steps without
 * a row are left out.
 */
function byMaskShare(rows: Figure[], scored: number): Evaluation["by_mask_share"] {
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

/** Before the long part: the bootstrap at its end needs two. */
function checkBlocks(blocks: Int32Array[]) {
  if (blocks.length < 2) {
    throw new RangeError(
      `Cannot estimate from ${blocks.length} block(s): expected at least 2, as one has no standard error; ` +
        "use more blocks or a longer text",
    );
  }
}

function checkPasses(passes: number) {
  if (!Number.isInteger(passes) || passes < 2) {
    throw new RangeError(
      `Cannot estimate with ${passes} pass(es): expected an integer of at least 2, as one has no standard error`,
    );
  }
}

function finite(nats: number): number {
  if (!Number.isFinite(nats)) {
    throw new RangeError(
      `Cannot score the text: the network gives ${nats} nats per character, expected a finite number; ` +
        "the weights may be damaged or the training may have diverged",
    );
  }
  return nats;
}
