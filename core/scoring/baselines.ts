/**
 * Baselines for a figure in bits per character: the same blocks scored by models that need no
 * network. Uniform knows the alphabet, unigram how often each character occurs, and Kneser-Ney,
 * with five characters of history, was the standard before neural networks.
 *
 * Tokens here are characters from 0 to `vocab - 1`, those of a GPT: no mask token among them.
 */
import type { Random } from "../random.ts";
import { type Evaluation, summarizeBlocks } from "./estimators.ts";
import { kneserNey } from "../ngrams/kneser_ney.ts";

/** The name of a model without a network. */
export type BaselineName = "uniform" | "unigram" | `kneser-ney-${number}`;

/** A model that needs no network. */
export interface Baseline {
  /** The name in the table of evaluations. */
  name: BaselineName;
  /** p(character | history), the history being the tokens before it in its block, at least one. */
  probability(history: Int32Array, character: number): number;
}

/**
 * Trains all three on the tokens of the training part.
 *
 * @param vocab Number of characters.
 */
export function trainBaselines(
  training: Int32Array,
  vocab: number,
  onProgress?: (done: number, total: number) => void,
): Baseline[] {
  return [uniform(vocab), unigram(training, vocab), kneserNey(training, vocab, 6, onProgress)];
}

/**
 * Computes the negative log-likelihood of the blocks, by the protocol of `exact`: the first
 * character of each block is given, the others are scored, and no history reaches back beyond the
 * block.
 *
 * @param blocks Tokens, each [context].
 * @throws {RangeError} If there are fewer than two blocks, as one has no standard error.
 */
export function scoreBaseline(
  baseline: Baseline,
  blocks: Int32Array[],
  { random }: { random?: Random } = {},
): Evaluation {
  const perBlock = Float64Array.from(
    blocks,
    (block) => sumNats(baseline, block) / (block.length - 1),
  );
  return summarizeBlocks("exact", blocks[0].length, perBlock, { random });
}

/** Sums -log p of the characters of a block after the first. */
export function sumNats(baseline: Baseline, block: Int32Array): number {
  let nats = 0;
  for (let i = 1; i < block.length; i++) {
    nats -= Math.log(baseline.probability(block.subarray(0, i), block[i]));
  }
  return nats;
}

/** Makes the model in which every character is as likely as any other. */
export function uniform(vocab: number): Baseline {
  return { name: "uniform", probability: () => 1 / vocab };
}

/**
 * Makes the model in which each character is as likely as it is frequent in training, counted once
 * more, so that none is impossible (Laplace's rule of succession).
 */
export function unigram(training: Int32Array, vocab: number): Baseline {
  const counts = new Float64Array(vocab).fill(1);
  for (const token of training) counts[token]++;
  const total = training.length + vocab;
  return { name: "unigram", probability: (_, character) => counts[character] / total };
}
