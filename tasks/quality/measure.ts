/** Computes all figures of sample quality at once, for texts of one length. */
import type { Baseline } from "../../core/scoring/baselines.ts";
import type { ScoreOptions } from "../../core/scoring/rows.ts";
import type { Scorer } from "../../core/scoring/scorer.ts";
import { mean, standardDeviation } from "../../core/scoring/statistics.ts";
import type { QualityFigures, Spread } from "../shared/results.ts";
import { measureRealWords } from "../shared/words.ts";
import { judgeByBaseline, judgeByGpt } from "./judge.ts";
import type { Memorised } from "./memorisation.ts";
import { computeEntropy, countNgrams, jensenShannon, measureDistinct } from "./ngrams.ts";

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
    judge_gpt: each((_, i) => judged?.[i] ?? NaN),
    judge_independent: each((_, i) => judgedAgain?.[i] ?? NaN),
    judge_ngram: each((text) => judgeByBaseline(ngram.judge, ngram.encode(text), context)),
    entropy: each(computeEntropy),
    distinct_2: each((text) => measureDistinct(text, 2)),
    distinct_3: each((text) => measureDistinct(text, 3)),
    distinct_4: each((text) => measureDistinct(text, 4)),
    jsd_1: each((_, i) => divergence[i][0]),
    jsd_2: each((_, i) => divergence[i][1]),
    jsd_3: each((_, i) => divergence[i][2]),
    jsd_4: each((_, i) => divergence[i][3]),
    jsd_5: each((_, i) => divergence[i][4]),
    real_words: each((text) => measureRealWords(text, words)),
    longest_match: each((_, i) => copied[i].longest),
    found_30: each((_, i) => copied[i].found(30)),
    found_50: each((_, i) => copied[i].found(50)),
  };
}

/** Computes mean and standard deviation of the values that are numbers; null if none is. */
export function summarize(values: number[]): Spread | null {
  const known = values.filter((value) => !Number.isNaN(value));
  if (known.length === 0) return null;
  return { mean: mean(known), sd: known.length > 1 ? standardDeviation(known) : null };
}
