/**
 * Bits per character that a text costs under another model, the judge. A judge has read the
 * training text, and finds likely what is like it: text of the right spelling and grammar is cheap,
 * noise dear.
 *
 * Cheap is not good: the same line again and again costs next to nothing. What to aim at is the
 * figure of held-out text, and the entropy of the text has to be read with it. A GPT judges itself
 * too kindly, which is why there is a second judge.
 */
import type { Baseline } from "../baselines.ts";
import { type Row, score, type ScoreOptions, type Scorer } from "../rows.ts";

/**
 * The texts in pieces of the judge's context, as rows of a GPT: the first character of a piece is
 * given, the others are scored, and the last piece may be shorter. What fills it up is right of it,
 * where a GPT does not look.
 */
export function* cutIntoJudgedRows(texts: Int32Array[], context: number): Generator<Row> {
  for (const [block, text] of texts.entries()) {
    for (const piece of cutIntoPieces(text, context)) {
      const tokens = new Int32Array(context).fill(piece[0]);
      tokens.set(piece);
      const targets = tokens.slice();
      targets.copyWithin(0, 1);
      const scored = Array.from({ length: piece.length - 1 }, (_, i) => i);
      yield { block, tokens, targets, scored };
    }
  }
}

/**
 * Bits per character of each text under a GPT; NaN for a text of fewer than two characters.
 *
 * @param texts Tokens of the GPT.
 */
export async function judgeByGpt(
  scorer: Scorer,
  texts: Int32Array[],
  options: ScoreOptions = {},
): Promise<number[]> {
  const nats = new Float64Array(texts.length), characters = new Float64Array(texts.length);
  const rows = [...cutIntoJudgedRows(texts, scorer.context)];
  for await (const { row, nats: ofRow } of score(scorer, rows, rows.length, options)) {
    nats[row.block] += ofRow;
    characters[row.block] += row.scored.length;
  }
  return Array.from(nats, (sum, i) => sum / characters[i] / Math.LN2);
}

/**
 * Bits per character of a text under a baseline, of the same characters and with the same history
 * as `judgeByGpt`; NaN for a text of fewer than two characters.
 *
 * @param text Tokens of the baseline.
 */
export function judgeByBaseline(judge: Baseline, text: Int32Array, context: number): number {
  let nats = 0, characters = 0;
  for (const piece of cutIntoPieces(text, context)) {
    for (let i = 1; i < piece.length; i++, characters++) {
      nats -= Math.log(judge.probability(piece.subarray(0, i), piece[i]));
    }
  }
  return nats / characters / Math.LN2;
}

/**
 * Consecutive pieces of at most `length`, but none of a single token: it would have nothing to
 * score.
 */
function* cutIntoPieces(text: Int32Array, length: number): Generator<Int32Array> {
  for (let start = 0; start + 1 < text.length; start += length) {
    yield text.subarray(start, start + length);
  }
}
