/**
 * The length of a gap of free length: the network's own posterior.
 *
 * All lengths are taken to be equally likely beforehand, so by Bayes' rule p(length | text) is
 * proportional to p(the text after the gap | the text before it, a gap of that length). The latter
 * is the probability of the next `SCORED` given characters, by the chain rule from left to right,
 * with the gap itself and all that comes later hidden. Every length is judged by the same
 * characters: no correction for length is needed, as it would be for the probability of the
 * filling. Where nothing follows, any length is as likely as any other.
 */
import { UserError } from "@tiny-diffusion/engines/errors";
import { makeMasks, MASK_TOKEN } from "../data/tokenizer.ts";
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

/** Returns the most forward passes that `chooseLengths` makes. */
export function countLengthPasses(pieces: TokenPiece[]): number {
  return pieces.reduce(
    (sum, piece) => sum + ("min" in piece && isFree(piece) ? SCORED * countLengths(piece) : 0),
    0,
  );
}

/**
 * Puts the pieces of a template together, with a mask for each hidden character. The length of each
 * free gap is drawn from its posterior, with `temperature` (0: the likeliest), from left to right.
 *
 * @throws {UserError} If such a gap may be longer than half of what the network sees at once.
 */
export async function chooseLengths(
  network: Network,
  pieces: TokenPiece[],
  { temperature }: { temperature: number },
  random: Random,
): Promise<Int32Array> {
  const text: number[] = [];
  for (const [i, piece] of pieces.entries()) {
    if ("given" in piece) {
      text.push(...piece.given);
      continue;
    }
    let length = piece.min;
    if (isFree(piece)) {
      const after = joinPieces(pieces.slice(i + 1));
      const scores = await scoreLengths(network, text, piece, after);
      length += draw(candidates(scores, { temperature }), random);
    }
    text.push(...makeMasks(length));
  }
  return Int32Array.from(text);
}

/**
 * Computes log p(the given characters of `after` | `before`, a gap of each length from `min` to
 * `max`), in nats.
 *
 * @throws {UserError} If the gap may be longer than half a window, which would leave too little to
 * judge it by.
 */
export async function scoreLengths(
  network: Network,
  before: number[],
  { min, max }: Gap,
  after: number[],
): Promise<Float32Array> {
  const half = network.context >> 1;
  if (max > half) {
    throw new UserError({
      action: `choose the length of the gap {${min}..${max}}`,
      found: `the network sees ${network.context} characters at once, expected a gap of at most ` +
        `${half}`,
    });
  }
  const given = after.slice(0, half).flatMap((token, i) => token === MASK_TOKEN ? [] : [i]);
  const scored = given.slice(0, SCORED);
  const span = scored.length === 0 ? 0 : scored.at(-1)! + 1;
  const scores = new Float32Array(countLengths({ min, max }));
  for (let length = min; length <= max && span > 0; length++) {
    const seen = Math.min(before.length, network.context - length - span);
    const window = Int32Array.from(makeMasks(network.context));
    window.set(before.slice(before.length - seen));
    for (const offset of scored) {
      const position = seen + length + offset;
      const logits = (await network.logits(window))[position];
      scores[length - min] += logProbability(logits, after[offset]);
      window[position] = after[offset];
    }
  }
  return scores;
}

const countLengths = ({ min, max }: Gap) => max - min + 1;
const isFree = (piece: TokenPiece) => "min" in piece && piece.min < piece.max;

/** Joins the pieces up to the first gap of free length, with a mask for each hidden character. */
export function joinPieces(pieces: TokenPiece[]): number[] {
  const text: number[] = [];
  for (const piece of pieces) {
    if ("given" in piece) text.push(...piece.given);
    else if (isFree(piece)) break;
    else text.push(...makeMasks(piece.min));
  }
  return text;
}

/** Computes log p of a character, the mask excluded, in nats. */
function logProbability(logits: Float32Array, token: number): number {
  const { tokens, probabilities } = candidates(logits, { temperature: 1 }, MASK_TOKEN);
  return Math.log(Math.max(probabilities[tokens.indexOf(token)], Number.MIN_VALUE)); // never -Infinity
}
