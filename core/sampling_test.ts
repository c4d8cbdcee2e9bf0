import { assert, assertAlmostEquals, assertEquals, assertLess, assertThrows } from "@std/assert";
import * as fc from "fast-check";
import { type Random, seededRandom } from "./random.ts";
import { candidates, draw, type Truncation } from "./sampling.ts";

const logitsOf = (...probabilities: number[]) => Float32Array.from(probabilities, Math.log);

const kept = (logits: Float32Array, options: Partial<Truncation>, never?: number) => {
  const { tokens, probabilities, mass } = candidates(logits, { temperature: 1, ...options }, never);
  return { tokens, probabilities, mass };
};

Deno.test("candidates are sorted by probability, equal ones by token", () => {
  const { tokens, probabilities, mass } = kept(logitsOf(0.1, 0.4, 0.1, 0.4), {});
  assertEquals(tokens, [1, 3, 0, 2]);
  // float32 logits: off by 2^-24 of 2.3
  [0.4, 0.4, 0.1, 0.1].forEach((p, i) => assertAlmostEquals(probabilities[i], p, 1e-6));
  assertAlmostEquals(mass, 1, 1e-12);
});

Deno.test("top-k keeps the k likeliest, and all where there are fewer", () => {
  const logits = logitsOf(0.5, 0.3, 0.15, 0.05);
  assertEquals(kept(logits, { topK: 1 }).tokens, [0]);
  assertEquals(kept(logits, { topK: 3 }).tokens, [0, 1, 2]);
  assertEquals(kept(logits, { topK: 99 }).tokens, [0, 1, 2, 3]);
  assertAlmostEquals(kept(logits, { topK: 2 }).mass, 0.8, 1e-6);
});

Deno.test("top-p keeps the fewest that reach p, the one that crosses it included", () => {
  const logits = logitsOf(0.5, 0.3, 0.15, 0.05);
  assertEquals(kept(logits, { topP: 0.4 }).tokens, [0]);
  assertEquals(kept(logits, { topP: 0.49 }).tokens, [0]);
  assertEquals(kept(logits, { topP: 0.51 }).tokens, [0, 1]);
  assertEquals(kept(logits, { topP: 0.79 }).tokens, [0, 1]);
  assertEquals(kept(logits, { topP: 0.81 }).tokens, [0, 1, 2]);
  assertEquals(kept(logits, { topP: 1 }).tokens, [0, 1, 2, 3]);
  assertEquals(kept(logits, { topP: 0.81, topK: 2 }).tokens, [0, 1]);
});

Deno.test("temperature divides the logits, and at 0 leaves the likeliest alone", () => {
  const logits = Float32Array.of(0, 1, 2);
  const weights = [4, 2, 0].map(Math.exp), total = weights.reduce((a, b) => a + b);
  const { tokens, probabilities } = kept(logits, { temperature: 0.5 });
  assertEquals(tokens, [2, 1, 0]);
  probabilities.forEach((p, i) => assertAlmostEquals(p, weights[i] / total, 1e-15));
  assertEquals(kept(logits, { temperature: 0 }).probabilities, [1, 0, 0]);
  assertEquals(kept(Float32Array.of(1, 5, 5), { temperature: 0 }).tokens[0], 1); // the first of equals
});

Deno.test("a token that is never to be drawn is none of the candidates, and takes no probability", () => {
  const { tokens, probabilities } = kept(Float32Array.of(50, 0, 0), {}, 0);
  assertEquals([tokens, probabilities], [[1, 2], [0.5, 0.5]]);
});

Deno.test("huge and tiny logits give probabilities, not NaN", () => {
  assertEquals(kept(Float32Array.of(3e38, -3e38, -Infinity), {}).probabilities, [1, 0, 0]);
  assertEquals(kept(Float32Array.of(-3e38, -3e38), {}).probabilities, [0.5, 0.5]);
  assertEquals(kept(Float32Array.of(0, 1), { temperature: 1e-300 }).probabilities, [1, 0]);
});

Deno.test("logits that are no numbers are refused in one line", () => {
  for (const logits of [[0, NaN], [Infinity, 0], [-Infinity, -Infinity]]) {
    const error = assertThrows(() => kept(Float32Array.from(logits), {}), RangeError);
    assert(
      error.message.startsWith("Cannot choose a character: the network's logits are not finite"),
    );
  }
});

Deno.test("options out of their range are refused by name", () => {
  const wrong: [Partial<Truncation>, string][] = [
    [{ temperature: -1 }, "temperature is -1"],
    [{ temperature: NaN }, "temperature is NaN"],
    [{ temperature: Infinity }, "temperature is Infinity"],
    [{ topK: 0 }, "top-k is 0"],
    [{ topK: 1.5 }, "top-k is 1.5"],
    [{ topP: 0 }, "top-p is 0"],
    [{ topP: 1.01 }, "top-p is 1.01"],
  ];
  for (const [options, message] of wrong) {
    assertThrows(() => kept(Float32Array.of(0, 1), options), RangeError, message);
  }
});

/** Chi-square of how often each candidate is drawn in 100,000 draws against its probability. */
function chiSquare(logits: Float32Array, options: Partial<Truncation>): number {
  const choice = candidates(logits, { temperature: 1, ...options });
  const random = seededRandom(11), draws = 100_000;
  const counts = new Map<number, number>();
  for (let i = 0; i < draws; i++) {
    const token = draw(choice, random);
    counts.set(token, (counts.get(token) ?? 0) + 1);
  }
  assertEquals([...counts.keys()].filter((token) => !choice.tokens.includes(token)), []);
  return choice.tokens.reduce((sum, token, i) => {
    const expected = draws * choice.probabilities[i] / choice.mass;
    return sum + ((counts.get(token) ?? 0) - expected) ** 2 / expected;
  }, 0);
}

Deno.test("draws follow the law that temperature, top-k and top-p leave", () => {
  const random = seededRandom(4);
  const logits = Float32Array.from({ length: 12 }, () => random.normal());
  // Upper 0.1 % points of chi-square with 11, 11, 3 and 5 degrees of freedom: 31.26, 31.26, 16.27 and 20.52.
  assertLess(chiSquare(logits, {}), 31.26);
  assertLess(chiSquare(logits, { temperature: 0.7 }), 31.26);
  assertLess(chiSquare(logits, { topK: 4 }), 16.27);
  assertEquals(candidates(logits, { temperature: 1, topP: 0.75 }).tokens.length, 6);
  assertLess(chiSquare(logits, { topP: 0.75 }), 20.52);
});

Deno.test("a draw is the inverse of the cumulative probabilities in float64, down to events of 1e-15", () => {
  // In float32, or with noise added to logits in float32, events below some 1e-8 never happen.
  const logits = Float32Array.of(0, Math.log(1e-9), Math.log(1e-15));
  const choice = candidates(logits, { temperature: 1 });
  const at = (u: number) => draw(choice, { uniform: () => u } as Random);
  assertEquals(at(0), 0);
  assertEquals(at(1 - 1.1e-9), 0);
  assertEquals(at(1 - 0.9e-9), 1);
  assertEquals(at(1 - 1.1e-15), 1);
  assertEquals(at(1 - 2 ** -53), 2); // the largest number that `uniform` gives
});

Deno.test("a draw is always one of the candidates", () => {
  fc.assert(fc.property(
    fc.array(fc.float({ min: -100, max: 100, noNaN: true }), { minLength: 1, maxLength: 20 }),
    fc.constantFrom(0, 0.1, 1, 10),
    fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined }),
    fc.constantFrom(0, 0.3, 1 - 2 ** -53),
    (logits, temperature, topK, u) => {
      const choice = candidates(Float32Array.from(logits), { temperature, topK });
      const token = draw(choice, { uniform: () => u } as Random);
      const i = choice.tokens.indexOf(token);
      assert(i >= 0 && choice.probabilities[i] > 0);
    },
  ));
});
