/**
 * What a figure in bits per character is worth: the same blocks scored by models that need no
 * network. Uniform knows the alphabet, unigram how often each character occurs, and Kneser-Ney,
 * with five characters of history, was the standard before neural networks.
 *
 * Tokens here are characters from 0 to `vocab - 1`, those of a GPT: no mask token among them.
 */
import { type Evaluation, perBlockSummary } from "./estimators.ts";
import { kneserNeyTable } from "./kneser_ney.ts";
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
 * Kneser-Ney smoothing of n-grams up to `order` (`kneser_ney.ts`).
 *
 * @param order Length of the longest n-gram: 6 is five characters of history and the one to
 * predict.
 */
export function kneserNey(training: Int32Array, vocab: number, order = 6): Baseline {
  return { name: `kneser-ney-${order}`, ...kneserNeyTable(training, vocab, order) };
}
