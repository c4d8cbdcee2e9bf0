/**
 * Statistics of the characters of a text: their entropy, how many n-grams are different ones, and
 * how far two texts are apart. n-grams are of characters (code points), the tokens of the models.
 *
 * All of these depend on the length of the text: compare figures of one length only.
 */

/** Counts each n-gram of a text. A text shorter than n has none. */
export function countNgrams(text: string, n: number): Map<string, number> {
  const characters = [...text];
  const counts = new Map<string, number>();
  for (let start = 0; start + n <= characters.length; start++) {
    const ngram = characters.slice(start, start + n).join("");
    counts.set(ngram, (counts.get(ngram) ?? 0) + 1);
  }
  return counts;
}

/**
 * Entropy of the characters of a text in bits: -sum p log2 p over their frequencies. NaN for an
 * empty text. Source: Shannon, A mathematical theory of communication (1948), section 6.
 */
export function computeEntropy(text: string): number {
  const counts = countNgrams(text, 1);
  const total = sumCounts(counts);
  if (total === 0) return NaN;
  let bits = 0;
  for (const count of counts.values()) bits -= count / total * Math.log2(count / total);
  return bits;
}

/**
 * Share of the n-grams of a text that are different ones, 0 to 1: 1 where none occurs twice. NaN
 * for a text shorter than n. Source: distinct-n of Li et al., A diversity-promoting objective
 * function for neural conversation models (arXiv:1510.03055), there of words.
 */
export function measureDistinct(text: string, n: number): number {
  const counts = countNgrams(text, n);
  return counts.size / sumCounts(counts);
}

/**
 * Jensen-Shannon divergence of two histograms, in bits: half the relative entropy of each to their
 * mean. 0 for equal frequencies, 1 for texts without a common n-gram. NaN if one is empty. Source:
 * Lin, Divergence measures based on the Shannon entropy (IEEE Transactions on Information Theory
 * 37, 1991).
 *
 * Two short texts of one author are far from 0, as most of their n-grams are rare. So a figure is
 * meaningful only next to that of two other texts of the same lengths: the noise floor.
 */
export function jensenShannon(a: Map<string, number>, b: Map<string, number>): number {
  const totalA = sumCounts(a), totalB = sumCounts(b);
  if (totalA === 0 || totalB === 0) return NaN;
  const term = (p: number, q: number) => p === 0 ? 0 : p * Math.log2(2 * p / (p + q)) / 2;
  let bits = 0;
  for (const [ngram, count] of a) {
    const p = count / totalA;
    const q = (b.get(ngram) ?? 0) / totalB;
    bits += term(p, q) + term(q, p);
  }
  for (const [ngram, count] of b) if (!a.has(ngram)) bits += term(count / totalB, 0);
  return bits;
}

function sumCounts(counts: Map<string, number>): number {
  let total = 0;
  for (const count of counts.values()) total += count;
  return total;
}
