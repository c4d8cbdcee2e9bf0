/**
 * Interpolated modified Kneser-Ney smoothing: a table of n-grams that gives the probability of a
 * next character in a few microseconds.
 *
 * Source: Chen & Goodman, An empirical study of smoothing techniques for language modeling
 * (TR-10-98, 1998), section 3.
 *
 * The longest history counts how often an n-gram occurs, shorter ones in how many contexts it
 * occurs ("Francisco" is frequent, but only after "San"). A history shorter than the table's, such
 * as at the start of a block, is the longest there is and so counts occurrences too: the table is
 * then the best model of that shorter order. The unigrams are interpolated with the uniform
 * distribution, for characters that training never saw.
 */

import { UserError } from "@tiny-diffusion/engines/errors";

/** Probabilities of the next character by the characters before it, from a table of n-grams. */
export interface NgramTable {
  /** The name in the table of evaluations. */
  name: `kneser-ney-${number}`;
  /** Length of the longest n-gram: 6 is five characters of history and the one to predict. */
  order: number;
  /** Number of characters. */
  vocab: number;
  /** p(character | history), of which the last `order - 1` characters count. */
  probability(history: ArrayLike<number>, character: number): number;
  /**
   * p(character | history) of every character, [vocab].
   *
   * @param row Receives the result; a new array by default.
   */
  row(history: ArrayLike<number>, row?: Float64Array): Float64Array;
}

/**
 * Counts the n-grams of a text: a model that gives the probability of a character by those before
 * it.
 *
 * Time and memory are proportional to `order` times the length of the text (about 20 bytes for
 * each different n-gram), whatever the number of characters.
 *
 * @param training Characters as numbers from 0 to `vocab - 1`.
 * @param order Length of the longest n-gram: 6 is five characters of history and the one to
 * predict.
 * @param onProgress Called with the lengths counted and to count.
 * @throws {UserError} If there is not enough memory.
 */
export function kneserNey(
  training: Int32Array,
  vocab: number,
  order = 6,
  onProgress?: (done: number, total: number) => void,
): NgramTable {
  return smooth(countNgrams(training, vocab, order, onProgress));
}

/** The n-grams of a text up to some length, with their counts. */
export interface NgramCounts {
  /** Number of characters. */
  vocab: number;
  /** The n-grams of each length from 1 on. */
  levels: NgramLevel[];
}

/** Turns counts into probabilities. */
export function smooth({ vocab, levels }: NgramCounts): NgramTable {
  const order = levels.length;
  const occurrenceDiscounts = levels.map(({ occurrences }) => estimateDiscounts(occurrences));
  const contextDiscounts = levels.map(({ contexts }) => estimateDiscounts(contexts));

  /** Finds the nodes of the history's last 0, 1, 2, … characters, as far as they were seen. */
  function findNodes(history: ArrayLike<number>): number[] {
    for (let length = Math.min(history.length, order - 1); length > 0; length--) {
      let node = 0;
      for (let i = 0; i < length && node >= 0; i++) {
        node = findChild(levels[i], node, history[history.length - length + i]);
      }
      if (node < 0) continue;
      const nodes = [node];
      for (let i = length; i > 0; i--) nodes.unshift(levels[i - 1].suffixes[nodes[0]]);
      return nodes;
    }
    return [0];
  }

  /** The counts that matter for n-grams of `length` characters of history. */
  function countsAt(length: number, history: ArrayLike<number>) {
    const { firstChild, characters, occurrences, contexts } = levels[length];
    return length === Math.min(history.length, order - 1)
      ? { firstChild, characters, counts: occurrences, discounts: occurrenceDiscounts[length] }
      : { firstChild, characters, counts: contexts, discounts: contextDiscounts[length] };
  }

  return {
    name: `kneser-ney-${order}`,
    order,
    vocab,
    probability(history, character) {
      let probability = 1 / vocab;
      for (const [length, node] of findNodes(history).entries()) {
        const { firstChild, characters, counts, discounts } = countsAt(length, history);
        let total = 0;
        let spared = 0;
        let kept = 0;
        for (let child = firstChild[node]; child < firstChild[node + 1]; child++) {
          const count = counts[child];
          const discount = discounts[Math.min(count, 3)];
          total += count;
          spared += discount;
          if (characters[child] === character) kept = count - discount;
        }
        if (total > 0) probability = (kept + spared * probability) / total;
      }
      return probability;
    },
    row(history, row = new Float64Array(vocab)) {
      row.fill(1 / vocab);
      for (const [length, node] of findNodes(history).entries()) {
        const { firstChild, characters, counts, discounts } = countsAt(length, history);
        const end = firstChild[node + 1];
        let total = 0;
        let spared = 0;
        for (let child = firstChild[node]; child < end; child++) {
          total += counts[child];
          spared += discounts[Math.min(counts[child], 3)];
        }
        if (total === 0) continue;
        const share = spared / total;
        for (let character = 0; character < vocab; character++) row[character] *= share;
        for (let child = firstChild[node]; child < end; child++) {
          row[characters[child]] += (counts[child] - discounts[Math.min(counts[child], 3)]) / total;
        }
      }
      return row;
    },
  };
}

/**
 * All n-grams of one length in sorted order, as the children of those that are one shorter: a node
 * is an n-gram, and its children are that n-gram with one more character at the end.
 */
export interface NgramLevel {
  /** The last character of each n-gram; rising among the children of one node. */
  characters: Uint16Array | Uint32Array;
  /** The count of each. */
  occurrences: Uint32Array;
  /** After how many different characters each occurs; zeros in the last level. */
  contexts: Uint32Array;
  /** The children of node n of the level above are those from entry n to entry n + 1. */
  firstChild: Uint32Array;
  /** The node that is each n-gram without its first character, in the level above. */
  suffixes: Uint32Array;
}

/**
 * Counts the n-grams of a text, as `kneserNey` does.
 *
 * @throws {UserError} If there is not enough memory.
 */
export function countNgrams(
  training: Int32Array,
  vocab: number,
  order = 6,
  onProgress?: (done: number, total: number) => void,
): NgramCounts {
  try {
    return { vocab, levels: countLevels(training, vocab, order, onProgress) };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // the engine's for an array too large
    throw new UserError({
      action: `count the n-grams of ${training.length} characters`,
      found: "there is not enough memory",
      advice: "take a shorter text with --data",
    }, { cause: error });
  }
}

/**
 * Counts n-grams level by level. Two counting sorts, by last character and then by parent, bring
 * equal n-grams next to each other, so no hash table is needed, which would overflow on large
 * texts.
 */
function countLevels(
  text: Int32Array,
  vocab: number,
  order: number,
  onProgress?: (done: number, total: number) => void,
): NgramLevel[] {
  const levels: NgramLevel[] = [];
  let parents = new Uint32Array(text.length); // node of the n-gram that starts at each position
  let parentCount = 1;
  for (let length = 1; length <= order; length++) {
    onProgress?.(length - 1, order);
    const starts = Math.max(0, text.length - length + 1);
    const all = new Uint32Array(starts).map((_, start) => start);
    const byCharacter = sortByKey(text.subarray(length - 1), vocab, all);
    const sorted = sortByKey(parents, parentCount, byCharacter);

    const nodes = new Uint32Array(starts);
    const firstChild = new Uint32Array(parentCount + 1);
    const firstStarts = new Uint32Array(starts);
    let count = 0;
    let parent = -1;
    let character = -1;
    for (let i = 0; i < starts; i++) {
      const start = sorted[i];
      if (parents[start] !== parent || text[start + length - 1] !== character) {
        parent = parents[start];
        character = text[start + length - 1];
        firstStarts[count++] = start;
        firstChild[parent + 1]++;
      }
      nodes[start] = count - 1;
    }
    for (let node = 0; node < parentCount; node++) firstChild[node + 1] += firstChild[node];

    const level: NgramLevel = {
      characters: new (vocab > 2 ** 16 ? Uint32Array : Uint16Array)(count),
      occurrences: new Uint32Array(count),
      contexts: new Uint32Array(count),
      firstChild,
      suffixes: new Uint32Array(count),
    };
    for (let start = 0; start < starts; start++) level.occurrences[nodes[start]]++;
    const above = levels.at(-1);
    for (let node = 0; node < count; node++) {
      const start = firstStarts[node];
      level.characters[node] = text[start + length - 1];
      if (above === undefined) continue;
      // `parents` holds the nodes of one shorter n-grams: the one that starts a character later is
      // this one without its first character, in one more context.
      level.suffixes[node] = parents[start + 1];
      above.contexts[level.suffixes[node]]++;
    }
    levels.push(level);
    parents = nodes;
    parentCount = count;
  }
  onProgress?.(order, order);
  return levels;
}

/** Sorts items by `keys[item]`, each from 0 to `keyCount - 1`, and leaves the order of equal ones. */
export function sortByKey(
  keys: Int32Array | Uint32Array,
  keyCount: number,
  items: Uint32Array,
): Uint32Array {
  const next = new Uint32Array(keyCount + 1);
  for (let i = 0; i < items.length; i++) next[keys[items[i]] + 1]++;
  for (let key = 0; key < keyCount; key++) next[key + 1] += next[key];
  const sorted = new Uint32Array(items.length);
  for (let i = 0; i < items.length; i++) sorted[next[keys[items[i]]]++] = items[i];
  return sorted;
}

/** The child of `node` that ends in `character`; -1 if there is none. */
export function findChild(
  { characters, firstChild }: Pick<NgramLevel, "characters" | "firstChild">,
  node: number,
  character: number,
): number {
  let low = firstChild[node];
  let high = firstChild[node + 1];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (characters[middle] < character) low = middle + 1;
    else high = middle;
  }
  return low < firstChild[node + 1] && characters[low] === character ? low : -1;
}

/**
 * The discounts of counts of 0, 1, 2, and 3 or more (Chen & Goodman, equation 26). Where a text is
 * too small to estimate three, as the few hundred pairs of characters may be, one discount serves
 * for all counts (Kneser & Ney, 1995), or a half.
 */
function estimateDiscounts(counts: Uint32Array): [number, number, number, number] {
  const countOfCounts = [0, 0, 0, 0, 0];
  for (let i = 0; i < counts.length; i++) if (counts[i] <= 4) countOfCounts[counts[i]]++;
  const [, n1, n2, n3, n4] = countOfCounts;
  const one = n1 === 0 ? 0.5 : n1 / (n1 + 2 * n2);
  if (n1 === 0 || n2 === 0 || n3 === 0 || n4 === 0) return [0, one, one, one];
  const clamp = (value: number, count: number) => Math.min(Math.max(value, 0), count);
  return [0, one, clamp(2 - 3 * one * n3 / n2, 2), clamp(3 - 4 * one * n4 / n3, 3)];
}
