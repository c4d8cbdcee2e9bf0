/**
 * A suffix array: all suffixes of a text in alphabetical order, so that any passage can be looked
 * up in it by binary search.
 *
 * Source: Manber & Myers, Suffix arrays: a new method for on-line string searches (SIAM Journal on
 * Computing 22, 1993), built here by sorting on prefixes of twice the length each round, with a
 * counting sort.
 */
import { sortByKey } from "../../core/ngrams/kneser_ney.ts";

/**
 * Starts of all suffixes of `text` in the order of their characters; a suffix comes before those
 * that it begins.
 *
 * Takes n log n steps for any text: a million characters of prose take about a second, and so do a
 * million equal ones.
 */
export function buildSuffixArray(text: ArrayLike<number>): Uint32Array {
  const count = text.length;
  let { ranks, classes } = rankCharacters(text);
  let order = sortByKey(ranks, classes, Uint32Array.from({ length: count }, (_, i) => i));
  // Suffixes are in order of their first `length` characters, and `ranks` numbers those prefixes.
  for (let length = 1; classes < count; length *= 2) {
    // By the second half first: suffixes too short to have one, then the others as their second
    // halves are ordered.
    const bySecond = new Uint32Array(count);
    let at = 0;
    for (let start = count - length; start < count; start++) if (start >= 0) bySecond[at++] = start;
    for (const start of order) if (start >= length) bySecond[at++] = start - length;
    order = sortByKey(ranks, classes, bySecond);

    const next = new Int32Array(count);
    const second = (start: number) => start + length < count ? ranks[start + length] : -1;
    classes = 1;
    for (let i = 1; i < count; i++) {
      const [here, before] = [order[i], order[i - 1]];
      if (ranks[here] !== ranks[before] || second(here) !== second(before)) classes++;
      next[here] = classes - 1;
    }
    ranks = next;
  }
  return order;
}

/** Numbers each character by its place among the different characters. */
function rankCharacters(text: ArrayLike<number>): { ranks: Int32Array; classes: number } {
  const different = [...new Set(Array.from(text))].sort((a, b) => a - b);
  const place = new Map(different.map((character, i) => [character, i]));
  return { ranks: Int32Array.from(text, (c) => place.get(c)!), classes: different.length };
}

/**
 * For each position of `passage`, how many characters from there on occur somewhere in `text`,
 * letter for letter.
 *
 * @param order The suffix array of `text`.
 */
export function findMatchLengths(
  passage: ArrayLike<number>,
  text: ArrayLike<number>,
  order: Uint32Array,
): Int32Array {
  return Int32Array.from({ length: passage.length }, (_, from) => {
    // The passage's place among the suffixes: the longest match is with one of its two neighbours
    // there.
    let low = 0;
    let high = order.length;
    let longest = 0;
    while (low < high) {
      const middle = (low + high) >> 1;
      const start = order[middle];
      let length = 0;
      while (
        from + length < passage.length && start + length < text.length &&
        passage[from + length] === text[start + length]
      ) length++;
      longest = Math.max(longest, length);
      const isAfter = from + length < passage.length &&
        (start + length === text.length || passage[from + length] > text[start + length]);
      if (isAfter) low = middle + 1;
      else high = middle;
    }
    return longest;
  });
}
