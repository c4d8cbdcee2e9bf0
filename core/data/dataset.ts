/** A corpus as tokens, and the random windows of it that a model is trained on. */
import type { Corpus } from "./corpus.ts";
import type { Random } from "../random.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** Tokens to train on, and tokens held out. */
export interface Dataset {
  /** Its windows are the training examples. */
  train: Int32Array;
  /** Its blocks are scored. */
  validation: Int32Array;
}

/**
 * Encodes both parts of a corpus.
 *
 * @throws {UserError} If the text has characters that the vocabulary lacks.
 */
export function encodeCorpus(corpus: Corpus, { encode }: Tokenizer): Dataset {
  return {
    train: encode(corpus.train, "the text"),
    validation: encode(corpus.validation, "the text"),
  };
}

/**
 * Draws `count` random windows of `context + 1` tokens: as many as the model reads and the one after
 * them. They share the memory of `tokens`, of which there must be at least that many.
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
