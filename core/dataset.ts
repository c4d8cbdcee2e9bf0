/** A corpus as a model sees it: tokens for training and validation, and random windows of the former. */
import type { Corpus } from "./corpus.ts";
import type { Random } from "./random.ts";
import type { Tokenizer } from "./tokenizer.ts";

export interface Dataset {
  train: Int32Array;
  validation: Int32Array;
}

/** The two parts of a corpus in tokens. */
export function datasetOf(corpus: Corpus, { encode }: Tokenizer): Dataset {
  return {
    train: encode(corpus.train, "the text"),
    validation: encode(corpus.validation, "the text"),
  };
}

/** `count` random windows of `context + 1` tokens: what a window holds, and the character after it. */
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
