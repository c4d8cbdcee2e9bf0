/** Computes all figures of sample quality at once, for texts of one length. */
import type { Baseline } from "../baselines.ts";
import type { ScoreOptions } from "../rows.ts";
import type { Scorer } from "../scorer.ts";
import { mean, standardDeviation } from "../statistics.ts";
import { measureRealWords } from "./words.ts";
import { judgeByBaseline, judgeByGpt } from "./judge.ts";
import type { Memorised } from "./memorisation.ts";
import { computeEntropy, countNgrams, jensenShannon, measureDistinct } from "./ngrams.ts";

/** Mean over texts, and their standard deviation (null for a single text). */
export interface Spread {
  mean: number;
  sd: number | null;
}

/** The figures of texts that were made in one way; null where there is nothing to measure. */
export interface QualityFigures {
  /** Bits per character that the text costs under a GPT. */
  judgeGpt: Spread | null;
  /** The same under a GPT that wrote none of the texts and steered no sampler. */
  judgeIndependent: Spread | null;
  /** The same under Kneser-Ney of order 6. */
  judgeNgram: Spread | null;
  /** Entropy of single characters, in bits. */
  entropy: Spread | null;
  /** Share of n-grams that are different ones, 0 to 1. */
  distinct2: Spread | null;
  distinct3: Spread | null;
  distinct4: Spread | null;
  /** Jensen-Shannon divergence of n-grams from those of `Measures.reference`, in bits, 0 to 1. */
  jsd1: Spread | null;
  jsd2: Spread | null;
  jsd3: Spread | null;
  jsd4: Spread | null;
  jsd5: Spread | null;
  /** Share of words that the training text has, 0 to 1. */
  realWords: Spread | null;
  /** Characters of the longest passage that is in the training text, letter for letter. */
  longestMatch: Spread | null;
  /** Share of 30-grams and 50-grams that are in the training text, 0 to 1. */
  found30: Spread | null;
  found50: Spread | null;
}

/** A GPT that judges, and its encoding. */
export interface GptJudge {
  scorer: Scorer;
  encode: (text: string) => Int32Array;
}

/** The judges and reference texts by which texts are measured. */
export interface Measures {
  /** Nothing if there is none, as with the next. */
  gpt?: GptJudge;
  /** A GPT that wrote none of the texts and steered no sampler. */
  independent?: GptJudge;
  ngram: { judge: Baseline; encode: (text: string) => Int32Array };
  /** Characters that a judge sees at once. */
  context: number;
  /** n-grams of the reference text, for n from 1 to 5: the first half of the validation text. */
  reference: Map<string, number>[];
  /** Words of the training text. */
  words: ReadonlySet<string>;
  memorised: (text: string) => Memorised;
}

/** Counts the n-grams of a text for n from 1 to 5, as `Measures.reference` needs them. */
export function countReference(text: string): Map<string, number>[] {
  return [1, 2, 3, 4, 5].map((n) => countNgrams(text, n));
}

/** Computes the divergences of two texts, in bits, for n-grams of 1 to 5 characters. */
export function measureDivergences(text: string, reference: Map<string, number>[]): number[] {
  return countReference(text).map((counts, i) => jensenShannon(counts, reference[i]));
}

/**
 * Measures texts that were made in one way: the mean over them, and their spread.
 *
 * @param texts Texts of one length, without their prompts.
 */
export async function measureQuality(
  texts: string[],
  measures: Measures,
  options: ScoreOptions = {},
): Promise<QualityFigures> {
  const { gpt, independent, ngram, context, reference, words, memorised } = measures;
  const askGpt = async (judge?: GptJudge) =>
    judge && await judgeByGpt(judge.scorer, texts.map(judge.encode), options);
  const judged = await askGpt(gpt);
  const judgedAgain = await askGpt(independent);
  const copied = texts.map(memorised);
  const divergence = texts.map((text) => measureDivergences(text, reference));
  const each = (measure: (text: string, i: number) => number) => summarize(texts.map(measure));
  return {
    judgeGpt: each((_, i) => judged?.[i] ?? NaN),
    judgeIndependent: each((_, i) => judgedAgain?.[i] ?? NaN),
    judgeNgram: each((text) => judgeByBaseline(ngram.judge, ngram.encode(text), context)),
    entropy: each(computeEntropy),
    distinct2: each((text) => measureDistinct(text, 2)),
    distinct3: each((text) => measureDistinct(text, 3)),
    distinct4: each((text) => measureDistinct(text, 4)),
    jsd1: each((_, i) => divergence[i][0]),
    jsd2: each((_, i) => divergence[i][1]),
    jsd3: each((_, i) => divergence[i][2]),
    jsd4: each((_, i) => divergence[i][3]),
    jsd5: each((_, i) => divergence[i][4]),
    realWords: each((text) => measureRealWords(text, words)),
    longestMatch: each((_, i) => copied[i].longest),
    found30: each((_, i) => copied[i].found(30)),
    found50: each((_, i) => copied[i].found(50)),
  };
}

/** Computes mean and standard deviation of the values that are numbers; null if none is. */
export function summarize(values: number[]): Spread | null {
  const known = values.filter((value) => !Number.isNaN(value));
  if (known.length === 0) return null;
  return { mean: mean(known), sd: known.length > 1 ? standardDeviation(known) : null };
}
