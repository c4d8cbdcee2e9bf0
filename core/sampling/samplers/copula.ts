/**
 * Copula decoding: a pass fixes a run of neighbours, from left to right, each drawn given those
 * before it. The network says how likely each character is at each position, but not, in one pass,
 * which characters go together; a table of n-grams says that.
 *
 * Source: Discrete Copula Diffusion (Liu et al., arXiv:2410.01949), where a GPT says it.
 *
 * The law of a character x of the run is, up to a factor,
 *   table(x | left, right) * (network(x) / table(x | seen))^networkWeight.
 * `left` are the characters to its left, those drawn in this pass included, and `right` the given
 * ones if the run ends there. network(x) and table(x | seen) know only what the network has seen, so
 * at weight 1 the table adds nothing but what this pass could not know: the first character of a
 * run is the network's own. Less weight leaves more to the table, 0 all.
 *
 * The law of the text is not the model's: how neighbours depend on each other is the table's word,
 * and table(x | seen) sums over the character before x alone, not over all that may be there. With
 * `longestRun` 1 and weight 1 it is one character at a time, from left to right, and draws from the
 * exact law of that order.
 */
import { UserError } from "@tiny-diffusion/engines/errors";
import { MASK_TOKEN } from "../../data/tokenizer.ts";
import type { Fixed, MaskedWindow } from "../../language_model.ts";
import type { NgramTable } from "../../ngrams/kneser_ney.ts";
import { candidates, draw } from "../draw.ts";
import { defineSampler } from "./sampler.ts";

export const copula = defineSampler({
  name: "copula",
  source: "Discrete Copula Diffusion (Liu et al., arXiv:2410.01949), with a table of n-grams",
  options: {
    entropyBudget: {
      type: "number",
      min: 0,
      default: 10,
      help: "largest sum of the entropies of a run after its first character, in nats",
      short: "budget #",
    },
    longestRun: {
      type: "integer",
      min: 1,
      max: 1024,
      default: 16,
      help: "most characters of a run",
      short: "runs to #",
    },
    networkWeight: {
      type: "number",
      min: 0,
      max: 1,
      default: 1,
      help: "1 = the table only says which neighbours go together, 0 = it says all",
      short: "weight #",
    },
  },
  usesNgrams: true,
  maxPasses: (count) => count,
  fill: ({ entropyBudget, longestRun, networkWeight }) =>
    async function* ({ masked, tokens, before, ngrams, forward }, truncation, random) {
      if (ngrams === undefined) throw noTable();
      for (let next = 0; next < masked.length;) {
        const view = { logits: await forward(), seen: tokens, now: tokens.slice(), before, ngrams };
        const run: Fixed[] = [];
        let spent = 0;
        do {
          const position = masked[next];
          const law = computeLaw(view, position, networkWeight);
          if (run.length > 0) spent += entropyOf(law);
          if (spent > entropyBudget) break;
          const choice = candidates(toLogits(law), truncation, MASK_TOKEN);
          const token = draw(choice, random);
          const confidence = choice.probabilities[choice.tokens.indexOf(token)];
          run.push({ position, token, confidence });
          view.now[position] = token;
          next++;
        } while (run.length < longestRun && masked[next] === masked[next - 1] + 1);
        yield run;
      }
    },
});

function noTable(): UserError {
  return new UserError({
    action: "write with the sampler copula",
    found: "there is no table of n-grams of the text that the weights were trained on",
    advice: "fetch that text, or take another sampler",
  });
}

/** A window in the middle of a pass. */
export interface PassView extends Pick<MaskedWindow, "before"> {
  /** The network's logits of every position, [vocab] each. */
  logits: Float32Array[];
  /** The window as the network has seen it. */
  seen: Int32Array;
  /** The same with the characters that this pass has drawn. */
  now: Int32Array;
  /** A table of n-grams: its character c is the token c + 1. */
  ngrams: NgramTable;
}

/**
 * Computes the probability of each character at a masked position, [vocab - 1], by the formula at
 * the top of this file.
 */
export function computeLaw(view: PassView, position: number, networkWeight: number): Float64Array {
  const { logits, seen, now, before, ngrams } = view;
  const network = computeMarginal(logits[position]);
  if (now[position - 1] === MASK_TOKEN) return network; // of two apart, the table knows nothing
  const right = readRight(seen, position);
  const table = readTable(ngrams, readLeft(now, before, position, ngrams.order), right);
  const isLeftSeen = seen[position - 1] !== MASK_TOKEN;
  const known = isLeftSeen ? table : sumOverPrevious(view, position, right);
  const law = table.map((probability, character) =>
    probability * (network[character] / Math.max(known[character], 1e-9)) ** networkWeight
  );
  // The table of a small text may exclude all that the network thinks possible.
  return law.some((weight) => weight > 0) ? normalize(law) : network;
}

/**
 * What the table says where the network has not seen the character to the left: the sum over that
 * character, each as likely as the network says, after what was seen before it.
 */
function sumOverPrevious(
  { logits, seen, before, ngrams }: PassView,
  position: number,
  right: number[],
): Float64Array {
  const left = readLeft(seen, before, position - 1, ngrams.order);
  const total = new Float64Array(ngrams.vocab);
  for (const [previous, share] of computeMarginal(logits[position - 1]).entries()) {
    if (share < 1e-3) continue; // a tenth of the rows, and the same figures to 0.003 bits
    const row = readTable(ngrams, [...left, previous], right);
    for (let x = 0; x < total.length; x++) total[x] += share * row[x];
  }
  return total;
}

/** Computes table(x | left, right) of every character, [vocab - 1]. */
function readTable(ngrams: NgramTable, left: number[], right: number[]): Float64Array {
  const row = ngrams.row(left);
  if (right.length === 0) return row;
  const text = [...left, 0, ...right];
  return normalize(row.map((probability, x) => {
    text[left.length] = x;
    for (let i = left.length + 1; i < text.length; i++) {
      probability *= ngrams.probability(text.slice(0, i), text[i]);
    }
    return probability;
  }));
}

/** Lists up to `most` characters to the left of a position, up to the next mask. */
function readLeft(
  window: Int32Array,
  before: Int32Array,
  position: number,
  most: number,
): number[] {
  const characters: number[] = [];
  for (let i = position - 1; characters.length < most; i--) {
    const token = i >= 0 ? window[i] : before[before.length + i];
    if (token === undefined || token === MASK_TOKEN) break;
    characters.unshift(token - 1);
  }
  return characters;
}

/** Characters to the right that count: with 1 of them a gap costs 0.03 bits more, with 5 the same. */
const MOST_RIGHT = 3;

/** Lists the given characters that follow a position directly. */
function readRight(window: Int32Array, position: number): number[] {
  const following = Array.from(window.subarray(position + 1, position + 1 + MOST_RIGHT));
  const end = following.indexOf(MASK_TOKEN);
  return following.slice(0, end === -1 ? undefined : end).map((token) => token - 1);
}

/** Computes the probability of each character from its logits, [vocab - 1]; the mask has none. */
export function computeMarginal(logits: Float32Array): Float64Array {
  const ofCharacters = Float64Array.from(logits.subarray(1));
  const largest = ofCharacters.reduce((a, b) => Math.max(a, b));
  return normalize(ofCharacters.map((logit) => Math.exp(logit - largest)));
}

function normalize(weights: Float64Array): Float64Array {
  const total = weights.reduce((a, b) => a + b);
  return weights.map((weight) => weight / total);
}

/** Returns logits [vocab] with these probabilities. */
function toLogits(law: Float64Array): Float32Array {
  return Float32Array.of(-Infinity, ...law.map(Math.log));
}

/** Computes the entropy of a law, in nats. */
export function entropyOf(law: Float64Array): number {
  return law.reduce((sum, p) => p > 0 ? sum - p * Math.log(p) : sum, 0);
}
