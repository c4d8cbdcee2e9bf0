/**
 * The share of real words in a text: a first measure of how a small model writes, next to its bits
 * per character.
 */

// Letters with their combining marks; an apostrophe counts only between letters, so quotation marks
// don't.
const WORD = /[\p{L}\p{M}]+(?:['’][\p{L}\p{M}]+)*/gu;

/** The words of a text, in lower case and with plain apostrophes, in order. */
export function splitWords(text: string): string[] {
  return (text.match(WORD) ?? []).map((word) => word.toLowerCase().replaceAll("’", "'"));
}

/** The different words of a text, for `measureRealWords`. */
export function collectWords(text: string): Set<string> {
  return new Set(splitWords(text));
}

/**
 * Share of the words of `text` that are among `words`, each occurrence counted. The first and the
 * last word are left out, as they may be cut.
 *
 * Held-out text stays below 1 too, since it has words that the training text lacks: that is what a
 * perfect model would reach.
 *
 * @returns 0 to 1, or `NaN` if no word is left to count.
 */
export function measureRealWords(text: string, words: ReadonlySet<string>): number {
  const counted = splitWords(text).slice(1, -1);
  return counted.filter((word) => words.has(word)).length / counted.length;
}
