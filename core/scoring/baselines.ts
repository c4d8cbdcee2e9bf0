/**
 * What a figure in bits per character is worth: the same blocks scored by models that need no
 * network. Uniform knows the alphabet, unigram how often each character occurs, and Kneser-Ney,
 * with five characters of history, was the standard before neural networks.
 *
 * Tokens here are characters from 0 to `vocab - 1`, those of a GPT: no mask token among them.
 */
import { type Evaluation, perBlockSummary } from "./estimators.ts";
import type { Random } from "../random.ts";
import type { BaselineName } from "./results.ts";

/** A model that needs no network. */
export interface Baseline {
  /** As in the table of evaluations. */
  name: BaselineName;
  /** p(character | history), the history being the tokens before it in its block, at least one. */
  probability(history: Int32Array, character: number): number;
}

/**
 * All three, from the tokens of the training part.
 *
 * @param vocab Number of characters.
 */
export function baselines(training: Int32Array, vocab: number): Baseline[] {
  return [uniform(vocab), unigram(training, vocab), kneserNey(training, vocab)];
}

/**
 * Negative log-likelihood of the blocks, by the protocol of `exact`: the first character of each
 * block is given, the others are scored, and no history reaches back beyond the block.
 *
 * @param blocks Tokens, each [context].
 * @throws {RangeError} If there are fewer than two blocks, as one has no standard error.
 */
export function scoreBaseline(
  baseline: Baseline,
  blocks: Int32Array[],
  { random }: { random?: Random } = {},
): Evaluation {
  const perBlock = Float64Array.from(blocks, (block) => {
    let nats = 0;
    for (let i = 1; i < block.length; i++) {
      nats -= Math.log(baseline.probability(block.subarray(0, i), block[i]));
    }
    return nats / (block.length - 1);
  });
  return perBlockSummary("exact", blocks[0].length, perBlock, { random });
}

/** Every character as likely as any other. */
export function uniform(vocab: number): Baseline {
  return { name: "uniform", probability: () => 1 / vocab };
}

/**
 * Each character as often as in training, and once more, so that none is impossible (Laplace's rule
 * of succession).
 */
export function unigram(training: Int32Array, vocab: number): Baseline {
  const counts = new Float64Array(vocab).fill(1);
  for (const token of training) counts[token]++;
  const total = training.length + vocab;
  return { name: "unigram", probability: (_, character) => counts[character] / total };
}

/**
 * Interpolated modified Kneser-Ney smoothing of n-grams up to `order`.
 * Source: Chen & Goodman, An empirical study of smoothing techniques for language modeling
 * (TR-10-98, 1998), section 3.
 *
 * The longest history counts how often an n-gram occurs, shorter ones in how many contexts it
 * occurs ("Francisco" is frequent, but only after "San"). At the start of a block, where the
 * longest history there is is itself short, its n-grams are counted by occurrence too: it is then
 * the best model of its own order. Under the unigrams lies the uniform distribution, for characters
 * that training never saw.
 *
 * @param order Length of the longest n-gram, 6 = five characters of history and the one to predict.
 */
export function kneserNey(training: Int32Array, vocab: number, order = 6): Baseline {
  const ngrams = countNgrams(training, vocab, order);
  const occurrences = smoothing(ngrams, ngrams.occurrences, order);
  const contexts = smoothing(ngrams, ngrams.contexts, order);
  return {
    name: `kneser-ney-${order}`,
    probability(history, character) {
      const longest = Math.min(history.length, order - 1);
      let probability = 1 / vocab;
      for (let length = 0; length <= longest; length++) {
        const node = ngrams.find(history.subarray(history.length - length));
        if (node === undefined) break; // never seen, so no longer one was
        const { counts, totals, discounted, discount } = length === longest
          ? occurrences
          : contexts;
        if (totals[node] === 0) continue;
        const next = ngrams.child(node, character);
        const count = next === undefined ? 0 : counts[next];
        const kept = count - discount(length + 1, count);
        probability = (kept + discounted[node] * probability) / totals[node];
      }
      return probability;
    },
  };
}

/**
 * All n-grams of a text as a tree: node 0 is the empty one, a child is its parent with one more
 * character at the end.
 */
interface Ngrams {
  parents: number[];
  /** Number of characters. */
  lengths: number[];
  /** How often the n-gram occurs. */
  occurrences: number[];
  /**
   * After how many different characters it occurs; 0 for those of the full order, as nothing longer
   * was counted.
   */
  contexts: number[];
  child(node: number, character: number): number | undefined;
  find(characters: Int32Array): number | undefined;
}

function countNgrams(text: Int32Array, vocab: number, order: number): Ngrams {
  // One map from (node, character) to node: at most order * text.length nodes, so keys are exact.
  const children = new Map<number, number>();
  const child = (node: number, character: number) => children.get(node * vocab + character);
  const parents = [-1], lengths = [0], occurrences = [0], last = [-1];
  for (let start = 0; start < text.length; start++) {
    let node = 0;
    const end = Math.min(start + order, text.length);
    for (let i = start; i < end; i++) {
      let next = child(node, text[i]);
      if (next === undefined) {
        next = parents.length;
        children.set(node * vocab + text[i], next);
        parents.push(node);
        lengths.push(lengths[node] + 1);
        occurrences.push(0);
        last.push(text[i]);
      }
      occurrences[next]++;
      node = next;
    }
  }
  // An n-gram without its first character is, too, in the tree, and each is one more context of it.
  const contexts = new Array<number>(parents.length).fill(0);
  const shorter = new Array<number>(parents.length).fill(0);
  for (let node = 1; node < parents.length; node++) { // parents come before their children
    if (lengths[node] === 1) continue;
    shorter[node] = child(shorter[parents[node]], last[node])!;
    contexts[shorter[node]]++;
  }
  return {
    parents,
    lengths,
    occurrences,
    contexts,
    child,
    find(characters) {
      let node: number | undefined = 0;
      for (let i = 0; i < characters.length && node !== undefined; i++) {
        node = child(node, characters[i]);
      }
      return node;
    },
  };
}

/** What smoothing needs to know about each history, for one way of counting. */
function smoothing({ parents, lengths }: Ngrams, counts: number[], order: number) {
  // How many n-grams of each length were counted once, twice, three and four times.
  const countOfCounts = Array.from({ length: order + 1 }, () => [0, 0, 0, 0, 0]);
  for (let node = 1; node < parents.length; node++) {
    if (counts[node] >= 1 && counts[node] <= 4) countOfCounts[lengths[node]][counts[node]]++;
  }
  const byLength = countOfCounts.map(discounts);
  const discount = (length: number, count: number) => byLength[length][Math.min(count, 3)];
  const totals = new Float64Array(parents.length), discounted = new Float64Array(parents.length);
  for (let node = 1; node < parents.length; node++) {
    totals[parents[node]] += counts[node];
    discounted[parents[node]] += discount(lengths[node], counts[node]);
  }
  return { counts, totals, discounted, discount };
}

/**
 * What is taken from a count of 0, 1, 2, and 3 or more (Chen & Goodman, equation 26). Where a text
 * is too small for three discounts to be estimated, as the few hundred pairs of characters may be,
 * one for all (Kneser & Ney, 1995), or a half.
 */
function discounts([_, n1, n2, n3, n4]: number[]): [number, number, number, number] {
  const one = n1 === 0 ? 0.5 : n1 / (n1 + 2 * n2);
  if (n1 === 0 || n2 === 0 || n3 === 0 || n4 === 0) return [0, one, one, one];
  const within = (value: number, count: number) => Math.min(Math.max(value, 0), count);
  return [
    0,
    one,
    within(2 - 3 * one * n3 / n2, 2),
    within(3 - 4 * one * n4 / n3, 3),
  ];
}
