/** The blocks of held-out text that every estimator scores, and which of them where not all are. */
import type { Estimator } from "./results.ts";

/**
 * The text in consecutive blocks of `context` tokens that do not overlap; what is left at the end
 * is not used.
 *
 * @throws {RangeError} If the text is shorter than one block, or a block would have nothing to
 * score.
 */
export function validationBlocks(tokens: Int32Array, context: number): Int32Array[] {
  if (!Number.isInteger(context) || context < 2) {
    throw new RangeError(
      `Cannot cut the validation text into blocks of ${context}: expected a context of at least 2, ` +
        "as the first character of a block is given and the others are scored",
    );
  }
  const count = Math.floor(tokens.length / context);
  if (count === 0) {
    throw new RangeError(
      `Cannot cut the validation text into blocks: it has ${tokens.length} characters, expected at least ` +
        `${context} (the context of the model); use a longer text or a model with a smaller context`,
    );
  }
  return Array.from({ length: count }, (_, i) => tokens.slice(i * context, (i + 1) * context));
}

/**
 * `count` of the blocks, each from the middle of an equal share of them; all of them if there are
 * no more than that.
 */
export function evenlySpaced<Block>(blocks: Block[], count: number): Block[] {
  return evenlySpacedIndices(blocks.length, count).map((index) => blocks[index]);
}

/** Which of `total` blocks those are. */
export function evenlySpacedIndices(total: number, count: number): number[] {
  if (!Number.isInteger(count) || count < 1) {
    throw new RangeError(`Cannot take ${count} blocks: expected an integer of at least 1`);
  }
  const taken = Math.min(count, total), share = total / taken;
  return Array.from({ length: taken }, (_, i) => Math.floor((i + 0.5) * share));
}

/**
 * Blocks that `left-to-right` takes unless told otherwise: it needs a forward pass for each
 * character.
 */
export const LEFT_TO_RIGHT_BLOCKS = 16;

/** Which of `total` blocks `evaluate` scores. */
export function scoredIndices(estimator: Estimator, total: number, count?: number): number[] {
  const usual = estimator === "left-to-right" ? LEFT_TO_RIGHT_BLOCKS : total;
  return evenlySpacedIndices(total, count ?? usual);
}
