/**
 * Speculative decoding of a GPT: a table of n-grams drafts the next few characters, and one forward
 * pass checks them all. The text has exactly the GPT's distribution, whatever the table says: a bad
 * table only costs passes.
 *
 * Source: Leviathan et al., arXiv:2211.17192. With p the GPT's probabilities of the next character,
 * and q the table's, from which a draft x was drawn:
 *   x is kept with probability min(1, p(x) / q(x));
 *   otherwise another is drawn in proportion to max(0, p - q), and the drafts after x are dropped.
 * So x comes from a draft that is kept with probability q(x) min(1, p(x) / q(x)) = min(p(x), q(x)).
 * All else, 1 - sum(min(p, q)), is shared out in proportion to max(0, p - q) = p - min(p, q), whose
 * sum it is: together that is p(x).
 */
import type { Fixed, GenerationOptions, Network } from "../language_model.ts";
import type { NgramTable } from "../ngrams/kneser_ney.ts";
import type { Random } from "../random.ts";
import { distribute, drawIndex } from "./draw.ts";

/**
 * Continues the prompt as a GPT does, with up to `network.drafts` characters of the table checked
 * in each forward pass, and one more after them if all are kept.
 *
 * @param ngrams A table over the tokens of the GPT.
 */
export async function* generateWithDrafts(
  network: Network,
  prompt: Int32Array,
  length: number,
  { ngrams, ...truncation }: GenerationOptions & { ngrams: NgramTable },
  random: Random,
): AsyncGenerator<Fixed[]> {
  const { drafts = 0 } = network;
  const text = [...prompt], end = prompt.length + length;
  while (text.length < end) {
    const start = text.length;
    const drafted = Math.min(drafts, end - start - 1);
    const drafting: Float64Array[] = []; // q of each
    while (drafting.length < drafted) {
      const logs = new Float32Array(ngrams.row(text)).map(Math.log);
      const { probabilities: q } = distribute(logs, truncation);
      drafting.push(q);
      text.push(drawIndex(q, 1, random));
    }
    const logits = await network.logits(text, drafted + 1);
    const fixed: Fixed[] = [];
    for (const [i, row] of logits.entries()) {
      const { probabilities: p, mass } = distribute(row, truncation), draft = text[start + i];
      const token = i < drafted ? check(draft, p, drafting[i], random) : drawIndex(p, 1, random);
      fixed.push({ position: start + i, token, confidence: mass });
      text[start + i] = token;
      if (token !== draft) break;
    }
    text.length = start + fixed.length;
    yield fixed;
  }
}

/** Keeps a draft that was drawn from q, or draws another, so that the result follows p. */
function check(draft: number, p: Float64Array, q: Float64Array, random: Random): number {
  if (random.uniform() * q[draft] < p[draft]) return draft;
  const residual = p.map((probability, token) => Math.max(0, probability - q[token]));
  const mass = residual.reduce((sum, probability) => sum + probability, 0);
  return mass === 0 ? draft : drawIndex(residual, mass, random); // 0: p is q up to rounding
}
