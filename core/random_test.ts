import { UserError } from "@tiny-diffusion/engines/errors";
import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertLess,
  assertNotEquals,
  assertThrows,
} from "@std/assert";
import * as fc from "fast-check";
import { type Random, restoreRandom, seededRandom } from "./random.ts";

const many = (random: Random, count: number) =>
  Array.from({ length: count }, () => random.uniform());

Deno.test("the same seed draws the same numbers, another seed others", () => {
  assertEquals(many(seededRandom(5), 100), many(seededRandom(5), 100));
  for (const other of [0, 4, 6, -5]) {
    assertNotEquals(many(seededRandom(5), 3), many(seededRandom(other), 3));
  }
});

Deno.test("a restored generator goes on with the numbers that would have come, also by way of JSON", () => {
  fc.assert(fc.property(
    fc.integer(),
    fc.array(fc.constantFrom("uniform", "integer", "normal"), { maxLength: 30 }),
    (seed, draws) => {
      const random = seededRandom(seed);
      const draw = (random: Random) =>
        draws.map((kind) => kind === "integer" ? random.integer(7) : random[kind as "normal"]());
      draw(random);
      const restored = restoreRandom(JSON.parse(JSON.stringify(random.state())));
      assertEquals(draw(restored), draw(random));
      assertEquals(restored.state(), random.state());
    },
  ));
});

Deno.test("asking for the state draws nothing, and the state is a copy", () => {
  const random = seededRandom(1), twin = seededRandom(1);
  random.state().fill(0);
  assertEquals(many(random, 10), many(twin, 10));
});

Deno.test("uniform has 53 random bits and stays below 1", () => {
  const random = seededRandom(2), draws = 20_000;
  const ones = new Array(53).fill(0);
  for (let i = 0; i < draws; i++) {
    const u = random.uniform(), bits = BigInt(u * 2 ** 53);
    assert(u >= 0 && u < 1);
    assertEquals(Number(bits), u * 2 ** 53); // a whole number of 2^-53
    for (let bit = 0; bit < 53; bit++) ones[bit] += Number((bits >> BigInt(bit)) & 1n);
  }
  // Binomial with deviation sqrt(20000) / 2 = 71; five of them, as 53 bits are looked at
  for (const count of ones) assertLess(Math.abs(count - draws / 2), 5 * 71);
});

Deno.test("uniform is uniform: the largest gap to its distribution is what Kolmogorov and Smirnov allow", () => {
  const draws = 100_000, sorted = many(seededRandom(3), draws).sort((a, b) => a - b);
  const gap = sorted.reduce((most, u, i) => {
    return Math.max(most, Math.abs(u - i / draws), Math.abs(u - (i + 1) / draws));
  }, 0);
  assertLess(gap, 1.95 / Math.sqrt(draws)); // exceeded by one seed in a thousand
});

Deno.test("neighbouring draws are independent", () => {
  const draws = many(seededRandom(4), 100_001);
  const counts = new Array(100).fill(0);
  for (let i = 0; i + 1 < draws.length; i++) {
    counts[10 * Math.floor(10 * draws[i]) + Math.floor(10 * draws[i + 1])]++;
  }
  const chiSquare = counts.reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0);
  assertLess(chiSquare, 148.2); // the upper 0.1 % point with 99 degrees of freedom
});

Deno.test("integers are uniform below their bound", () => {
  const random = seededRandom(5), counts = new Array(7).fill(0);
  for (let i = 0; i < 70_000; i++) counts[random.integer(7)]++;
  const chiSquare = counts.reduce((sum, count) => sum + (count - 10_000) ** 2 / 10_000, 0);
  assertLess(chiSquare, 22.46); // the upper 0.1 % point with 6 degrees of freedom
});

Deno.test("a large bound favours nothing, as a plain remainder of 32 bits would", () => {
  // With bound 3 * 2^30 the remainder would come from the lowest third half of the time, instead of
  // a third.
  const random = seededRandom(6), bound = 3 * 2 ** 30, draws = 30_000;
  let low = 0;
  for (let i = 0; i < draws; i++) if (random.integer(bound) < bound / 3) low++;
  assertLess(Math.abs(low - draws / 3), 4 * Math.sqrt(draws * 2 / 9));
});

Deno.test("bounds of 1 and 2^32 work, others are refused", () => {
  const random = seededRandom(7);
  assertEquals(random.integer(1), 0);
  const whole = Array.from({ length: 100 }, () => random.integer(2 ** 32));
  assert(whole.every((value) => Number.isInteger(value) && value >= 0 && value < 2 ** 32));
  assert(whole.some((value) => value >= 2 ** 31));
  for (const bound of [0, -1, 1.5, NaN, 2 ** 32 + 1]) {
    assertThrows(() => random.integer(bound), RangeError, `Cannot draw an integer below ${bound}`);
  }
});

Deno.test("a state that no generator can have is refused, as one of zeros would draw zeros for ever", () => {
  for (const state of [[0, 0, 0, 0], [1, 2, 3], [1, 2, 3, 2 ** 31], [1, 2, 3, 0.5], undefined]) {
    const restore = () => restoreRandom(state as number[]);
    assertThrows(restore, UserError, "Cannot restore a random state: it is not four integers");
  }
});

Deno.test("normal draws have the moments and the tails of the normal distribution", () => {
  const n = 200_000, random = seededRandom(8);
  const draws = Array.from({ length: n }, () => random.normal());
  const moment = (k: number) => draws.reduce((sum, x) => sum + x ** k, 0) / n;
  // Deviations of the first four moments of n normal draws: 1, sqrt 2, sqrt 15 and sqrt 96 over
  // sqrt n; four of each.
  [[1, 0, 1], [2, 1, 2], [3, 0, 15], [4, 3, 96]].forEach(([k, expected, variance]) => {
    assertAlmostEquals(moment(k), expected, 4 * Math.sqrt(variance / n));
  });
  for (const [limit, share] of [[1, 0.317311], [2, 0.0455], [3, 0.0027], [4, 6.334e-5]]) {
    const beyond = draws.filter((x) => Math.abs(x) > limit).length / n;
    assertAlmostEquals(beyond, share, 4 * Math.sqrt(share / n));
  }
});

Deno.test("the first draws of seeds one apart are uniform and have nothing to do with each other", () => {
  const seeds = Array.from({ length: 10_000 }, (_, seed) => many(seededRandom(seed), 8));
  for (let draw = 0; draw < 8; draw++) {
    const counts = new Array(20).fill(0);
    for (const draws of seeds) counts[Math.floor(20 * draws[draw])]++;
    const statistic = counts.reduce((sum, count) => sum + (count - 500) ** 2 / 500, 0);
    assertLess(statistic, 43.8, `draw ${draw}`); // chi-square, 19 degrees: exceeded once in a thousand
    const products = seeds.slice(1).map((draws, i) => (draws[draw] - 0.5) * (seeds[i][draw] - 0.5));
    const correlation = 12 * products.reduce((a, b) => a + b) / products.length;
    assertLess(Math.abs(correlation), 0.035, `draw ${draw}`); // 3.5 standard errors of 1 / sqrt(10,000)
  }
});
