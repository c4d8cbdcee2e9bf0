/** All figures of sample quality at once, for texts of one length, and their mean and spread. */
import type { Baseline } from "../baselines.ts";
import { type QualityFigure, qualityFigures, type QualityRow, type Spread } from "../results.ts";
import type { ScoreOptions, Scorer } from "../rows.ts";
import { mean, standardDeviation } from "../statistics.ts";
import { realWordShare } from "./words.ts";
import { judgedByBaseline, judgedByGpt } from "./judge.ts";
import type { Memorised } from "./memorisation.ts";
import { characterEntropy, distinct, jensenShannon, ngramCounts } from "./ngrams.ts";

/** What texts are held against. */
export interface Measures {
  /** A GPT and its encoding, or nothing if there is none. */
  gpt?: { scorer: Scorer; encode: (text: string) => Int32Array };
  ngram: { judge: Baseline; encode: (text: string) => Int32Array };
  /** Characters that a judge sees at once. */
  context: number;
  /** n-grams of the reference text, for n from 1 to 5: the first half of the validation text. */
  reference: Map<string, number>[];
  /** Words of the training text. */
  words: ReadonlySet<string>;
  memorised: (text: string) => Memorised;
}

/** Lengths of the n-grams whose divergence is measured. */
export const DIVERGENCES = [1, 2, 3, 4, 5] as const;

/** n-grams of a text for each of `DIVERGENCES`, as `Measures.reference` wants them. */
export function referenceOf(text: string): Map<string, number>[] {
  return DIVERGENCES.map((n) => ngramCounts(text, n));
}

/** Divergences of two texts for each of `DIVERGENCES`, in bits. */
export function divergences(text: string, reference: Map<string, number>[]): number[] {
  return DIVERGENCES.map((n, i) => jensenShannon(ngramCounts(text, n), reference[i]));
}

/**
 * The figures of texts that were made in one way: the mean over them, and their spread.
 *
 * @param texts Of one length, without their prompts.
 */
export async function qualityOf(
  texts: string[],
  measures: Measures,
  options: ScoreOptions = {},
): Promise<QualityRow["figures"]> {
  const { gpt, ngram, context, reference, words, memorised } = measures;
  const judged = gpt && await judgedByGpt(gpt.scorer, texts.map(gpt.encode), options);
  const each = texts.map((text, i): Record<QualityFigure, number> => {
    const copied = memorised(text),
      [jsd_1, jsd_2, jsd_3, jsd_4, jsd_5] = divergences(
        text,
        reference,
      );
    return {
      judge_gpt: judged?.[i] ?? NaN,
      judge_ngram: judgedByBaseline(ngram.judge, ngram.encode(text), context),
      entropy: characterEntropy(text),
      distinct_2: distinct(text, 2),
      distinct_3: distinct(text, 3),
      distinct_4: distinct(text, 4),
      ...{ jsd_1, jsd_2, jsd_3, jsd_4, jsd_5 },
      real_words: realWordShare(text, words),
      longest_match: copied.longest,
      found_30: copied.found(30),
      found_50: copied.found(50),
    };
  });
  const spread = (name: QualityFigure) => spreadOf(each.map((figures) => figures[name]));
  return Object.fromEntries(
    qualityFigures.map((name) => [name, spread(name)]),
  ) as QualityRow["figures"];
}

/** Mean and standard deviation of what can be measured; null if nothing can. */
export function spreadOf(values: number[]): Spread | null {
  const known = values.filter((value) => !Number.isNaN(value));
  if (known.length === 0) return null;
  return { mean: mean(known), sd: known.length > 1 ? standardDeviation(known) : null };
}
