/**
 * A corpus as a model sees it: tokens for training and validation, and random windows of the
 * former.
 */
import type { Corpus } from "./corpus.ts";
import type { Random } from "../random.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** Tokens to train on, and tokens held out. */
export interface Dataset {
  /** Windows of it are the examples. */
  train: Int32Array;
  /** Blocks of it are scored. */
  validation: Int32Array;
}

/**
 * The two parts of a corpus in tokens.
 *
 * @throws {RangeError} If the text has characters that the vocabulary lacks.
 */
export function datasetOf(corpus: Corpus, { encode }: Tokenizer): Dataset {
  return {
    train: encode(corpus.train, "the text"),
    validation: encode(corpus.validation, "the text"),
  };
}

/**
 * `count` random windows of `context + 1` tokens: what a window holds, and the character after it.
 * They share the memory of `tokens`, of which there must be that many.
 */
export function drawWindows(
  tokens: Int32Array,
  count: number,
  context: number,
  random: Random,
): Int32Array[] {
  return Array.from({ length: count }, () => {
    const start = random.integer(tokens.length - context);
    return tokens.subarray(start, start + context + 1);
  });
}
