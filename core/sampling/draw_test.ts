import { UserError } from "@tiny-diffusion/engines/errors";
import { assert, assertAlmostEquals, assertEquals, assertLess, assertThrows } from "@std/assert";
import * as fc from "fast-check";
import type { Truncation } from "../language_model.ts";
import { type Random, seededRandom } from "../random.ts";
import { candidates, certainty, checkTruncation, distribute, draw } from "./draw.ts";

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

Deno.test("any logits are sorted as a comparison of numbers sorts them", () => {
  const logit = fc.oneof(fc.float({ noNaN: true }), fc.constantFrom(0, -0, 1, -1, -Infinity));
  fc.assert(fc.property(fc.array(logit, { minLength: 1, maxLength: 70 }), (list) => {
    const logits = Float32Array.of(0, ...list).map((value) => value === Infinity ? 0 : value);
    const sorted = [...logits.keys()].sort((a, b) => logits[b] - logits[a] || a - b);
    assertEquals(candidates(logits, { temperature: 1 }).tokens, sorted);
  }));
});

Deno.test("a distribution has the candidates' probabilities, by token, with a sum of 1", () => {
  const logit = fc.float({ min: -50, max: 50, noNaN: true });
  const truncation = fc.record({
    temperature: fc.constantFrom(0, 0.5, 1, 3),
    topK: fc.constantFrom(undefined, 1, 3),
    topP: fc.constantFrom(undefined, 1, 0.6),
  });
  const list = fc.array(logit, { minLength: 1, maxLength: 20 });
  fc.assert(fc.property(list, truncation, (list, truncation) => {
    const logits = Float32Array.from(list);
    const { tokens, probabilities, mass } = candidates(logits, truncation);
    const expected = new Float64Array(list.length);
    tokens.forEach((token, i) => expected[token] = probabilities[i] / mass);
    const distribution = distribute(logits, truncation);
    assertEquals(distribution.mass, mass);
    // sums of up to 20 numbers in another order
    expected.forEach((p, i) => assertAlmostEquals(distribution.probabilities[i], p, 1e-14));
  }));
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

Deno.test("logits that are not numbers are refused in one line", () => {
  for (const logits of [[0, NaN], [Infinity, 0], [-Infinity, -Infinity]]) {
    for (const choose of [candidates, distribute]) {
      const error = assertThrows(
        () => choose(Float32Array.from(logits), { temperature: 1 }),
        UserError,
      );
      assert(
        error.message.startsWith("Cannot choose a character: the network's logits are not finite"),
      );
    }
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
    assertThrows(() => checkTruncation({ temperature: 1, ...options }), UserError, message);
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

Deno.test("draws follow the distribution that temperature, top-k and top-p leave", () => {
  const random = seededRandom(5);
  const logits = Float32Array.from({ length: 12 }, () => random.normal());
  // Upper 0.1 % points of chi-square with 11, 11, 3 and 5 degrees of freedom: 31.26, 31.26, 16.27
  // and 20.52.
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
  fc.assert(
    fc.property(
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
    ),
    {
      examples: [
        [
          [0, -9.436886709588766e-17, 8.999725317012431e-23, -74.4034652709961],
          0.1,
          undefined,
          1 - 2 ** -53,
        ],
      ],
    },
  );
});

Deno.test("where nothing is cut, the mass is exactly 1", () => {
  fc.assert(fc.property(
    fc.array(fc.float({ min: -30, max: 30, noNaN: true }), { minLength: 2, maxLength: 70 }),
    (logits) => assertEquals(kept(Float32Array.from(logits), {}).mass, 1),
  ));
});

Deno.test("certainty is the largest probability and the entropy in nats, the mask aside", () => {
  const { confidence, entropy } = certainty(Float32Array.of(99, ...logitsOf(0.5, 0.25, 0.25)));
  assertAlmostEquals(confidence, 0.5, 1e-6); // float32 logits
  assertAlmostEquals(entropy, 1.5 * Math.LN2, 1e-6);
  assertEquals(certainty(Float32Array.of(99, 3, -Infinity)), { confidence: 1, entropy: 0 });
  assertEquals(certainty(Float32Array.of(99, 3e38, -3e38)), { confidence: 1, entropy: 0 });
});

Deno.test("certainty agrees with the candidates, and lies between sure and undecided", () => {
  fc.assert(fc.property(
    fc.array(fc.float({ min: -20, max: 20, noNaN: true }), { minLength: 2, maxLength: 66 }),
    (values) => {
      const logits = Float32Array.from(values);
      const { confidence, entropy } = certainty(logits);
      const { probabilities } = candidates(logits, { temperature: 1 }, 0);
      // sums of up to 65 terms in float64
      assertAlmostEquals(confidence, probabilities[0], 1e-12);
      const expected = probabilities.reduce((sum, p) => sum - (p > 0 ? p * Math.log(p) : 0), 0);
      assertAlmostEquals(entropy, expected, 1e-10);
      assert(entropy >= -1e-12 && entropy <= Math.log(probabilities.length) + 1e-12);
    },
  ));
});

Deno.test("certainty refuses logits that are not numbers", () => {
  for (const logits of [[0, NaN], [Infinity, 0], [-Infinity, -Infinity]]) {
    assertThrows(() => certainty(Float32Array.of(99, ...logits)), UserError, "not finite numbers");
  }
});

/**
 * The fault that must not come back, as in MDLM's code: the largest of logit + Gumbel noise, from
 * uniform numbers of 24 bits as float32 has them (Zheng et al., arXiv:2409.02908). The noise then
 * lies between -3.2 and 16.7, so nothing rarer than e^-19.9 is ever drawn, and rare events come too
 * seldom: the temperature is lower than it says.
 */
function gumbelInFloat32(logits: Float32Array, bits: () => number): number {
  const tiny = 1e-10, round = Math.fround;
  const noise = () =>
    -round(Math.log(round(tiny - round(Math.log(round(bits() / 2 ** 24 + tiny))))));
  const noisy = Array.from(logits, (logit) => round(logit + noise()));
  return noisy.indexOf(Math.max(...noisy));
}

Deno.test("an event of 1e-9 is drawn as often as it should be, where Gumbel noise in float32 can't draw it", () => {
  const rare = Math.log(1e-9), logits = Float32Array.of(0, rare);
  // The best that the noise can do for it: the largest number for the rare one, the smallest for
  // the other.
  let calls = 0;
  const favourable = () => calls++ % 2 === 0 ? 0 : 2 ** 24 - 1;
  assertEquals(gumbelInFloat32(logits, favourable), 0);
  assertEquals(gumbelInFloat32(Float32Array.of(0, Math.log(1e-8)), favourable), 1); // one of 1e-8 it could

  // Ours: a uniform number has 53 bits, so it can be looked at in the one billionth of its range
  // that is the event's.
  const choice = candidates(logits, { temperature: 1 });
  const draws = 1000;
  let drawn = 0;
  for (let i = 0; i < draws; i++) {
    const u = 1 - 4e-9 * (i + 0.5) / draws; // spread over the last 4e-9
    drawn += draw(choice, { uniform: () => u } as Random);
  }
  assertAlmostEquals(drawn / draws * 4e-9, 1e-9, 1e-11);
});

Deno.test("draws have no coarser grain than float64's, as float32 numbers would give them", () => {
  const random = seededRandom(1);
  const numbers = Array.from({ length: 100 }, () => random.uniform());
  const onGrid = (bits: number) => numbers.filter((u) => Number.isInteger(u * 2 ** bits)).length;
  assertEquals([onGrid(24), onGrid(53)], [0, 100]);
});
