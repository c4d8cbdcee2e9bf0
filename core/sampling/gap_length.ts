/**
 * How long a gap of free length is to be: the network's own posterior.
 *
 * All lengths are taken to be equally likely beforehand, so by Bayes' rule p(length | text) is
 * proportional to p(what follows | what stands before, a gap of that length). The latter is the
 * probability of the next `SCORED` given characters, by the chain rule from left to right, with the
 * gap itself and all that comes later hidden. Every length is judged by the same characters: no
 * correction for length is needed, as it would be for the probability of the filling. Where nothing
 * follows, any length is as likely as any other.
 */
import type { Network } from "../language_model.ts";
import type { Random } from "../random.ts";
import { candidates, draw } from "./draw.ts";
import type { Gap } from "./template.ts";

/**
 * Given characters after a gap by which its length is judged. 8 cost twice the passes for 0.07 ±
 * 0.1 bits more (docs/lab-log.md, "how long a gap is").
 */
const SCORED = 4;

/** A piece of a template in tokens: given ones, or a gap. */
export type TokenPiece = { given: Int32Array } | Gap;

/** Most forward passes that `chooseLengths` makes. */
export function lengthPasses(pieces: TokenPiece[]): number {
  return pieces.reduce(
    (sum, piece) => sum + ("min" in piece && isFree(piece) ? SCORED * lengthsOf(piece) : 0),
    0,
  );
}

/**
 * The text of a template, with a mask for each hidden character. The length of each free gap is
 * drawn from its posterior, with `temperature` (0: the likeliest), from left to right.
 *
 * @throws {RangeError} If such a gap may be longer than half of what the network sees at once.
 */
export async function chooseLengths(
  network: Network,
  pieces: TokenPiece[],
  mask: number,
  { temperature }: { temperature: number },
  random: Random,
): Promise<Int32Array> {
  const text: number[] = [];
  for (const [i, piece] of pieces.entries()) {
    if ("given" in piece) text.push(...piece.given);
    else {
      let length = piece.min;
      if (isFree(piece)) {
        const after = untilFreeGap(pieces.slice(i + 1), mask);
        const scores = await lengthScores(network, text, piece, after, mask);
        length += draw(candidates(scores, { temperature }), random);
      }
      text.push(...new Array<number>(length).fill(mask));
    }
  }
  return Int32Array.from(text);
}

/**
 * log p(the given characters of `after` | `before`, a gap of each length from `min` to `max`), in
 * nats.
 *
 * @throws {RangeError} If the gap may be longer than half a window, which would leave too little to
 * judge it by.
 */
export async function lengthScores(
  network: Network,
  before: number[],
  { min, max }: Gap,
  after: number[],
  mask: number,
): Promise<Float32Array> {
  const half = network.context >> 1;
  if (max > half) {
    throw new RangeError(
      `Cannot choose the length of the gap {${min}..${max}}: the network sees ${network.context} characters ` +
        `at once, expected a gap of at most ${half}`,
    );
  }
  const given = after.slice(0, half).flatMap((token, i) => token === mask ? [] : [i]);
  const scored = given.slice(0, SCORED);
  const span = scored.length === 0 ? 0 : scored.at(-1)! + 1;
  const scores = new Float32Array(lengthsOf({ min, max }));
  for (let length = min; length <= max && span > 0; length++) {
    const seen = Math.min(before.length, network.context - length - span);
    const window = new Int32Array(network.context).fill(mask);
    window.set(before.slice(before.length - seen));
    for (const offset of scored) {
      const position = seen + length + offset;
      const logits = (await network.logits(window, 0))[position];
      scores[length - min] += logProbability(logits, after[offset], mask);
      window[position] = after[offset];
    }
  }
  return scores;
}

const lengthsOf = ({ min, max }: Gap) => max - min + 1;
const isFree = (piece: TokenPiece) => "min" in piece && piece.min < piece.max;

/** The text of the pieces up to the first gap of free length. */
function untilFreeGap(pieces: TokenPiece[], mask: number): number[] {
  const text: number[] = [];
  for (const piece of pieces) {
    if (isFree(piece)) break;
    text.push(...("given" in piece ? piece.given : new Array<number>(piece.min).fill(mask)));
  }
  return text;
}

/** log p of a character, the mask excluded, in nats. */
function logProbability(logits: Float32Array, token: number, mask: number): number {
  const { tokens, probabilities } = candidates(logits, { temperature: 1 }, mask);
  return Math.log(Math.max(probabilities[tokens.indexOf(token)], Number.MIN_VALUE)); // never -Infinity
}
