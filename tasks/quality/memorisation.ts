/** Measures how much of a text is copied from the training text. */
import { buildSuffixArray, findMatchLengths } from "./suffix_array.ts";

export interface Memorised {
  /** Characters of the longest passage that occurs verbatim in the training text. */
  longest: number;
  /**
   * Share of the n-grams of the text that occur there, 0 to 1; NaN if the text is shorter than n.
   */
  found(n: number): number;
}

/**
 * A function that looks a text up in the training text. Held-out text is what to compare with:
 * common phrases are found there, too.
 *
 * Source of the measure: copied n-grams as in McCoy et al., How much do language models copy from
 * their training data? (arXiv:2111.09509); 50-grams as in Carlini et al. (arXiv:2202.07646), there
 * of tokens, here of characters.
 */
export function makeCopyFinder(training: string): (text: string) => Memorised {
  const source = codePoints(training);
  const order = buildSuffixArray(source);
  return (text) => {
    const lengths = findMatchLengths(codePoints(text), source, order);
    return {
      longest: lengths.reduce((longest, length) => Math.max(longest, length), 0),
      found(n) {
        const starts = lengths.length - n + 1;
        if (starts < 1) return NaN;
        return lengths.subarray(0, starts).filter((length) => length >= n).length / starts;
      },
    };
  };
}

function codePoints(text: string): Int32Array {
  return Int32Array.from(Array.from(text, (character) => character.codePointAt(0)!));
}
