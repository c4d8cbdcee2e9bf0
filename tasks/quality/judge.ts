/**
 * Bits per character that a text costs under another model, the judge. A judge has read the
 * training text, and finds likely what is like it: text of the right spelling and grammar is cheap,
 * noise dear.
 *
 * Cheap is not good: the same line again and again costs next to nothing. What to aim at is the
 * figure of held-out text, and the entropy of the text has to be read with it. A judge is too kind
 * to what it wrote or steered itself, so there are three: the GPT (which writes, too), the table of
 * n-grams (which drafts for the GPT, and glues together what the sampler `copula` writes), and a
 * smaller GPT of another seed, which does nothing but judge.
 */
import { type Baseline, sumNats } from "../../core/scoring/baselines.ts";
import {
  cutIntoPieces,
  nextCharacterRows,
  score,
  type ScoreOptions,
} from "../../core/scoring/rows.ts";
import type { Scorer } from "../../core/scoring/scorer.ts";

/** Computes the bits per character of each text under a GPT; NaN for fewer than two characters. */
export async function judgeByGpt(
  scorer: Scorer,
  texts: Int32Array[],
  options: ScoreOptions = {},
): Promise<number[]> {
  const nats = new Float64Array(texts.length);
  const characters = new Float64Array(texts.length);
  const rows = [...nextCharacterRows(texts, scorer.context)];
  for await (const { row, nats: ofRow } of score(scorer, rows, rows.length, options)) {
    nats[row.block] += ofRow;
    characters[row.block] += row.scored.length;
  }
  return Array.from(nats, (sum, i) => sum / characters[i] / Math.LN2);
}

/** Computes the same under a baseline, for the same characters with the same history. */
export function judgeByBaseline(judge: Baseline, text: Int32Array, context: number): number {
  let nats = 0;
  let characters = 0;
  for (const piece of cutIntoPieces(text, context)) {
    nats += sumNats(judge, piece);
    characters += piece.length - 1;
  }
  return nats / characters / Math.LN2;
}
