/** Scores each character of a text by itself: to see where a model is surprised. */
import type { ModelKind } from "../config.ts";
import { MASK_TOKEN } from "../data/tokenizer.ts";
import { range, type Row, scoreEach, type ScoreOptions } from "./rows.ts";
import type { Scorer } from "./scorer.ts";

/** What each model sees of the text around a character that it scores. */
export const sight: Record<ModelKind, string> = {
  gpt: "the characters to its left",
  diffusion: "all other characters, on both sides",
};

/**
 * Computes the bits that each character costs: for a GPT `-log2 p(character | those to its left)`,
 * whose sum is the text's likelihood, apart from the first character, which has nothing to its left
 * and gets NaN; for diffusion `-log2 p(character | all others)`, which is no likelihood: each
 * character is hidden by itself while the others are shown, so the bits are fewer and don't add up.
 *
 * Of a text longer than the scorer's context, a GPT sees at least half a context to the left of a
 * character, and a diffusion model half a context on each side, or more on one side at the ends.
 * Diffusion takes one row of the network for each character.
 *
 * @param scorer Its context is at most as long as the text.
 * @param text Tokens, none of them masked.
 */
export async function scoreCharacters(
  scorer: Scorer,
  kind: ModelKind,
  text: Int32Array,
  options: ScoreOptions = {},
): Promise<Float64Array> {
  const bits = new Float64Array(text.length).fill(NaN);
  const rows = [...(kind === "gpt" ? leftRows : aroundRows)(text, scorer.context)];
  for await (const { row: { first }, nats } of scoreEach(scorer, rows, rows.length, options)) {
    nats.forEach((value, i) => bits[first + i] = value / Math.LN2);
  }
  return bits;
}

/** A row whose scored positions belong to consecutive characters, from `first` on. */
type CharacterRow = Row & { first: number };

/** A GPT's rows: windows that overlap by half, of which each scores what none before it has. */
function* leftRows(text: Int32Array, context: number): Generator<CharacterRow> {
  const stride = Math.max(1, context >> 1);
  let first = 1;
  for (let start = 0; first < text.length; start += stride) {
    const end = Math.min(start + context, text.length);
    // Filled up on the right, where a GPT does not look.
    const tokens = new Int32Array(context).fill(text[start]);
    tokens.set(text.subarray(start, end));
    const targets = tokens.slice();
    targets.copyWithin(0, 1);
    const scored = range(first - 1 - start, end - 1 - start);
    yield { block: 0, tokens, targets, scored, first };
    first = end;
  }
}

/** A diffusion model's rows: a window around each character, which alone is hidden. */
function* aroundRows(text: Int32Array, context: number): Generator<CharacterRow> {
  for (const first of text.keys()) {
    const start = Math.max(0, Math.min(first - (context >> 1), text.length - context));
    const targets = text.slice(start, start + context);
    const tokens = targets.slice();
    tokens[first - start] = MASK_TOKEN;
    yield { block: 0, tokens, targets, scored: [first - start], first };
  }
}
