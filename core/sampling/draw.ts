/**
 * From logits to one character: temperature, top-k, top-p, and a draw by inverse CDF, all in
 * float64.
 */
import { UserError } from "@tiny-diffusion/engines/errors";
import { MASK_TOKEN } from "../data/tokenizer.ts";
import type { Truncation } from "../language_model.ts";
import type { Random } from "../random.ts";

/** The characters that may be drawn, with their probabilities before truncation. */
export interface Candidates {
  /** Likeliest first. */
  tokens: number[];
  /** The probability of each, after temperature. */
  probabilities: number[];
  /** The sum of their probabilities: 1 if nothing was cut. */
  mass: number;
}

/**
 * Lists the characters that may be drawn at one position.
 *
 * @param logits [vocab]
 * @param truncation In its range, as `checkTruncation` says.
 * @param never A token that gets no probability (the mask).
 * @throws {UserError} If the logits are not finite numbers.
 *
 * ```ts
 * import { assertAlmostEquals, assertEquals } from "@std/assert";
 * import { candidates } from "@tiny-diffusion/core";
 *
 * const logits = Float32Array.of(9, Math.log(0.5), Math.log(0.3), Math.log(0.2));
 * const { tokens, mass } = candidates(logits, { temperature: 1, topK: 2 }, 0);
 * assertEquals(tokens, [1, 2]); // never 0, though its logit is the largest
 * assertAlmostEquals(mass, 0.8, 1e-6); // the logits are float32
 * ```
 */
export function candidates(
  logits: Float32Array,
  { temperature, topK, topP }: Truncation,
  never?: number,
): Candidates {
  if (logits.some(Number.isNaN)) throw notNumbers(NaN);
  const tokens = sortByLogit(logits).filter((token) => token !== never);
  if (!Number.isFinite(logits[tokens[0]])) throw notNumbers(logits[tokens[0]]);
  const all = softmax(tokens.map((token) => logits[token]), temperature);
  const kept = Math.min(topK ?? all.length, all.length, nucleusSize(all, topP));
  const probabilities = all.slice(0, kept);
  // Nothing cut is exactly 1: rounding must not make one position look surer than another.
  const mass = kept === all.length ? 1 : sum(probabilities);
  return { tokens: tokens.slice(0, kept), probabilities, mass };
}

/** The probability of every token at one position, after truncation. */
export interface Distribution {
  /** By token, summing to 1. */
  probabilities: Float64Array;
  /** The share of them before truncation: 1 if nothing was cut. */
  mass: number;
}

/**
 * Computes the same as `candidates` for every token, in the order of the vocabulary. Where nothing is
 * cut it takes a third of the time, since nothing has to be sorted.
 *
 * @throws {UserError} If the logits are not finite numbers.
 */
export function distribute(logits: Float32Array, truncation: Truncation): Distribution {
  const { temperature, topK, topP = 1 } = truncation;
  const probabilities = new Float64Array(logits.length);
  if (temperature === 0 || topK !== undefined || topP < 1) {
    const kept = candidates(logits, truncation);
    kept.tokens.forEach((token, i) => probabilities[token] = kept.probabilities[i] / kept.mass);
    return { probabilities, mass: kept.mass };
  }
  const largest = findLargest(logits);
  let total = 0;
  for (let token = 0; token < logits.length; token++) {
    total += probabilities[token] = Math.exp((logits[token] - largest) / temperature);
  }
  for (let token = 0; token < logits.length; token++) probabilities[token] /= total;
  return { probabilities, mass: 1 };
}

/**
 * Lists the tokens by falling logit. Equal logits keep the order of the vocabulary, so that the same
 * bytes come out everywhere.
 *
 * A sort with a function that compares is a good part of the time of a draw; numbers are sorted four
 * times as fast. So each token becomes one: the bits of its logit, made to rise as the logit falls,
 * and behind them the token.
 */
function sortByLogit(logits: Float32Array): number[] {
  const bits = new Uint32Array(logits.map((logit) => logit + 0).buffer); // -0 becomes 0
  const keys = new Float64Array(bits.length);
  for (let token = 0; token < keys.length; token++) {
    const pattern = bits[token];
    const falling = pattern < 2 ** 31 ? 2 ** 31 - 1 - pattern : pattern;
    keys[token] = falling * 2 ** 21 + token;
  }
  return Array.from(keys.sort(), (key) => key % 2 ** 21);
}

/** A network's certainty about a character, before any temperature or truncation. */
export interface Certainty {
  /** The probability of the likeliest character. */
  confidence: number;
  /** The entropy of the character, in nats. */
  entropy: number;
}

/**
 * Measures how sure a diffusion model is at one position. The mask gets no probability.
 *
 * @param logits [vocab]
 * @throws {UserError} If the logits are not finite numbers.
 */
export function certainty(logits: Float32Array): Certainty {
  const largest = findLargest(logits, MASK_TOKEN);
  // Sums of e^d and of e^d d, with d the distance below the largest.
  let total = 0;
  let weighted = 0;
  for (let token = 0; token < logits.length; token++) {
    const distance = logits[token] - largest;
    const weight = Math.exp(distance);
    if (token === MASK_TOKEN || weight === 0) continue;
    total += weight;
    weighted += weight * distance;
  }
  return { confidence: 1 / total, entropy: Math.log(total) - weighted / total };
}

/**
 * Finds the largest logit but that of `never`.
 *
 * @throws {UserError} If the logits are not finite numbers.
 */
function findLargest(logits: Float32Array, never?: number): number {
  let largest = -Infinity;
  for (let token = 0; token < logits.length; token++) {
    if (Number.isNaN(logits[token])) throw notNumbers(NaN);
    if (token !== never && logits[token] > largest) largest = logits[token];
  }
  if (!Number.isFinite(largest)) throw notNumbers(largest);
  return largest;
}

function notNumbers(found: number): UserError {
  return new UserError({
    action: "choose a character",
    found: `the network's logits are not finite numbers (${found})`,
    advice: "the weights may be damaged",
  });
}

/**
 * Draws one of the candidates in proportion to its probability, by inverse CDF.
 *
 * ```ts
 * import { assertAlmostEquals } from "@std/assert";
 * import { candidates, draw, seededRandom } from "@tiny-diffusion/core";
 *
 * const random = seededRandom(1);
 * const logits = Float32Array.of(Math.log(0.9), Math.log(0.1));
 * const drawn = Array.from({ length: 1000 }, () => draw(candidates(logits, { temperature: 1 }), random));
 * const share = drawn.filter((token) => token === 0).length / 1000;
 * assertAlmostEquals(share, 0.9, 0.04); // four standard errors
 * ```
 */
export function draw({ tokens, probabilities, mass }: Candidates, random: Random): number {
  return tokens[drawIndex(probabilities, mass, random)];
}

/** Draws an index in proportion to the weights, whose sum is `total`, by inverse CDF. */
export function drawIndex(weights: ArrayLike<number>, total: number, random: Random): number {
  let left = random.uniform() * total;
  let last = 0;
  for (let i = 0; i < weights.length; i++) {
    left -= weights[i];
    if (left < 0) return i;
    if (weights[i] > 0) last = i;
  }
  return last; // reached only where rounding left a sliver
}

/**
 * Checks the ranges of the options, once, where they enter.
 *
 * @throws {UserError} With the option, its value and its range.
 */
export function checkTruncation({ temperature, topK, topP }: Truncation): void {
  const refuse = (name: string, value: number, expected: string) => {
    throw new UserError({
      action: "choose a character",
      found: `${name} is ${value}, expected ${expected}`,
    });
  };
  if (!(temperature >= 0 && temperature < Infinity)) {
    refuse("temperature", temperature, "a number, at least 0");
  }
  if (topK !== undefined && !(Number.isInteger(topK) && topK >= 1)) {
    refuse("top-k", topK, "a whole number, at least 1");
  }
  if (topP !== undefined && !(topP > 0 && topP <= 1)) {
    refuse("top-p", topP, "a number, above 0 and at most 1");
  }
}

/** The probabilities of logits that are given in falling order. */
function softmax(falling: number[], temperature: number): number[] {
  if (temperature === 0) return falling.map((_, i) => i === 0 ? 1 : 0);
  const weights = falling.map((logit) => Math.exp((logit - falling[0]) / temperature));
  const total = sum(weights);
  return weights.map((weight) => weight / total);
}

function nucleusSize(falling: number[], topP = 1): number {
  if (topP === 1) return falling.length;
  let mass = 0;
  const last = falling.findIndex((probability) => (mass += probability) >= topP);
  return last === -1 ? falling.length : last + 1;
}

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
