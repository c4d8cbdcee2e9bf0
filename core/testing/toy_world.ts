/**
 * A masked diffusion model so small that everything about it can be counted: three characters and
 * the mask, length four, and for each of the 256 rows of tokens a table of logits. Tests hold
 * estimators and samplers against the sums over all masks.
 */
import type { Network } from "../language_model.ts";
import { seededRandom } from "../random.ts";
import type { Scorer } from "../scoring/scorer.ts";

export const TOY = { vocab: 4, length: 4 } as const;

/** Logits for a row of tokens, [time, vocab] flattened. */
export type Logits = (tokens: ArrayLike<number>) => ArrayLike<number>;

/**
 * Logits drawn once for every row of tokens, the mask token's and those of characters that can be
 * seen included.
 */
export function toyWorld(seed = 1): Logits {
  const random = seededRandom(seed);
  const size = TOY.length * TOY.vocab;
  const table = Float64Array.from(
    { length: TOY.vocab ** TOY.length * size },
    () => random.normal(),
  );
  return (tokens) => {
    let row = 0;
    for (let i = 0; i < TOY.length; i++) row = row * TOY.vocab + tokens[i];
    return table.subarray(row * size, (row + 1) * size);
  };
}

/**
 * The same tables as a GPT: the logits at a position are those of the row in which all that follows
 * it is masked.
 */
export function toyGpt(seed = 1): Logits {
  const world = toyWorld(seed);
  return (tokens) =>
    Array.from({ length: TOY.length }, (_, time) => {
      const seen = Array.from({ length: TOY.length }, (_, i) => i <= time ? tokens[i] : 0);
      return Array.from(world(seen)).slice(time * TOY.vocab, (time + 1) * TOY.vocab);
    }).flat();
}

/** Every string of `length` characters (1..3). */
export function toyStrings(length: number = TOY.length): Int32Array[] {
  return Array.from(
    { length: (TOY.vocab - 1) ** length },
    (_, number) => Int32Array.from({ length }, (_, i) => 1 + Math.floor(number / 3 ** i) % 3),
  );
}

/** -log p(target) at one position of logits, with or without the mask token among the choices. */
export function toyNats(
  logits: ArrayLike<number>,
  position: number,
  target: number,
  { vocab = TOY.vocab as number, keepMask = false } = {},
): number {
  let total = 0;
  for (let token = keepMask ? 0 : 1; token < vocab; token++) {
    total += Math.exp(logits[position * vocab + token]);
  }
  return Math.log(total) - logits[position * vocab + target];
}

/** A table of logits as a scorer of `rows` rows at a time. */
export function toyScorer(
  logits: Logits,
  { rows = 5, context = TOY.length as number, vocab = TOY.vocab as number } = {},
): Scorer {
  return {
    rows,
    context,
    nats(tokens, targets, { keepMask = false } = {}) {
      const nats = new Float32Array(rows * context);
      for (let row = 0; row < rows; row++) {
        const [start, end] = [row * context, (row + 1) * context];
        const ofRow = logits(tokens.subarray(start, end));
        for (let i = 0; i < context; i++) {
          nats[start + i] = toyNats(ofRow, i, targets[start + i], { vocab, keepMask });
        }
      }
      return Promise.resolve(nats);
    },
  };
}

/** A table of logits as the network that generation reads. */
export function toyNetwork(logits: Logits): Network {
  const { length, vocab } = TOY;
  return {
    context: length,
    vocab,
    logits(tokens) {
      const all = Float32Array.from(logits(tokens));
      const row = (i: number) => all.subarray(i * vocab, (i + 1) * vocab);
      return Promise.resolve(Array.from({ length }, (_, i) => row(i)));
    },
  };
}

/** Which of the hidden positions may be the next to be revealed, all of them equally likely. */
export type Order = (logits: ArrayLike<number>, masked: number[]) => number[];

/**
 * The law of sampling one character at a time: the probability of every string, keyed as
 * `"1,2,3,1"`, summed over all the ways in which the order can lead to it.
 */
export function toyLaw(logits: Logits, order: Order): Map<string, number> {
  const law = new Map<string, number>();
  const visit = (tokens: number[], probability: number) => {
    const masked = tokens.flatMap((token, i) => token === 0 ? [i] : []);
    if (masked.length === 0) {
      law.set(`${tokens}`, (law.get(`${tokens}`) ?? 0) + probability);
      return;
    }
    const ofRow = logits(tokens), next = order(ofRow, masked);
    for (const position of next) {
      for (let token = 1; token < TOY.vocab; token++) {
        const share = Math.exp(-toyNats(ofRow, position, token)) / next.length;
        visit(tokens.with(position, token), probability * share);
      }
    }
  };
  visit(new Array(TOY.length).fill(0), 1);
  return law;
}

/**
 * Chi-square of drawn strings against a law, and the value that it exceeds once in a thousand seeds
 * if they follow it (Wilson and Hilferty, 1931). Strings expected less than 5 times count as one.
 */
export function chiSquare(
  drawn: string[],
  law: Map<string, number>,
): { statistic: number; limit: number } {
  const counts = new Map<string, number>();
  for (const text of drawn) counts.set(text, (counts.get(text) ?? 0) + 1);
  const cells: [count: number, expected: number][] = [], rare: [number, number] = [0, 0];
  for (const [text, probability] of law) {
    const count = counts.get(text) ?? 0, expected = probability * drawn.length;
    if (expected >= 5) cells.push([count, expected]);
    else rare[0] += count, rare[1] += expected;
  }
  if (rare[1] > 0) cells.push(rare);
  const statistic = cells.reduce(
    (sum, [count, expected]) => sum + (count - expected) ** 2 / expected,
    0,
  );
  const freedom = cells.length - 1, spread = 2 / (9 * freedom);
  return { statistic, limit: freedom * (1 - spread + 3.09 * Math.sqrt(spread)) ** 3 };
}
