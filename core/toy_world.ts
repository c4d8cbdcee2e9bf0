/**
 * A masked diffusion model so small that everything about it can be counted: three characters and
 * the mask, length four, and for each of the 256 rows of tokens a table of logits. Tests hold
 * estimators and samplers against the sums over all masks.
 */
import { seededRandom } from "./random.ts";
import type { Scorer } from "./scoring.ts";

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
