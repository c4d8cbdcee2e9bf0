import { UserError } from "@tiny-diffusion/engines/errors";
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { seededRandom } from "../random.ts";
import {
  bootstrapStandardError,
  mean,
  median,
  pairedBootstrap,
  standardDeviation,
  standardError,
} from "./statistics.ts";

const random = seededRandom(11);
const normal = Float64Array.from({ length: 400 }, () => random.normal());

Deno.test("standardError is that of a hand-computed sample", () => {
  const values = [2, 4, 4, 4, 5, 5, 7, 9]; // squares around 5 sum to 32
  assertEquals(mean(values), 5);
  assertAlmostEquals(standardDeviation(values), Math.sqrt(32 / 7), 1e-15);
  assertAlmostEquals(standardError(values), Math.sqrt(32 / 7 / 8), 1e-15);
});

Deno.test("the median of an even number of values lies between the middle two, whatever their order", () => {
  assertEquals(median([10, -1, 9, 2]), 5.5);
  assertEquals(median([10, -1, 9]), 9);
});

Deno.test("the bootstrap's standard error of a mean tends to its closed form", () => {
  const values = [1, 2, 3, 4, 10];
  const closedForm = Math.sqrt(mean(values.map((value) => (value - 4) ** 2)) / 5);
  const error = bootstrapStandardError(values, { resamples: 40_000 });
  assertAlmostEquals(error / closedForm, 1, 0.015); // 40,000 resamples: 0.35 % is one standard error
});

Deno.test("with weights the bootstrap resamples the ratio of two sums, not a mean of ratios", () => {
  const weights = normal.map((_, i) => 1 + i % 3);
  assertAlmostEquals(bootstrapStandardError(weights.map((w) => 7 * w), { weights }), 0, 1e-12);
  // the closed form of a ratio's error, by the delta method
  const values = normal.map((x, i) => weights[i] * 2 + x);
  const ratio = mean(values) / mean(weights);
  const closedForm = standardError(values.map((v, i) => v - ratio * weights[i])) / mean(weights);
  assertAlmostEquals(bootstrapStandardError(values, { weights }) / closedForm, 1, 0.06);
});

Deno.test("the paired bootstrap finds no difference between a model and itself", () => {
  assertEquals(pairedBootstrap(normal, normal), {
    difference: 0,
    standardError: 0,
    interval: [0, 0],
  });
});

Deno.test("the paired bootstrap sees a difference that the spread of blocks would hide", () => {
  const lower = normal.map((x, i) => x - 0.01 + (i % 2 === 0 ? 0.02 : -0.02));
  const { difference, standardError: error, interval } = pairedBootstrap(lower, normal);
  assertAlmostEquals(difference, -0.01, 1e-12);
  assertAlmostEquals(error / (0.02 / Math.sqrt(400)), 1, 0.03); // 10,000 resamples: 0.7 % is one standard error
  assertAlmostEquals((interval[1] - interval[0]) / (2 * 1.96 * error), 1, 0.05); // nearly normal
  assert(interval[1] < 0 && bootstrapStandardError(normal) > 4 * 0.01);
});

Deno.test("swapping the two models changes the sign of the difference and nothing else", () => {
  const other = normal.map((x, i) => x + Math.sin(i));
  const there = pairedBootstrap(normal, other), back = pairedBootstrap(other, normal);
  assertEquals(there.difference, -back.difference);
  assertAlmostEquals(there.interval[0], -back.interval[1], 1e-12);
});

Deno.test("one block, or two models on different blocks, are refused", () => {
  assertThrows(() => bootstrapStandardError([1]), UserError, "1 block(s) scored");
  assertThrows(() => pairedBootstrap([1, 2], [1, 2, 3]), RangeError, "the same blocks");
});
