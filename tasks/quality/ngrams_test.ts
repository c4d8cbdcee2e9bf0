import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import fc from "fast-check";
import { computeEntropy, countNgrams, jensenShannon, measureDistinct } from "./ngrams.ts";

const counts = (text: string, n = 1) => countNgrams(text, n);

Deno.test("n-grams overlap, and are of characters, not of UTF-16 units", () => {
  assertEquals([...counts("abab", 2)], [["ab", 2], ["ba", 1]]);
  assertEquals([...counts("🌙🌊🌙", 1)], [["🌙", 2], ["🌊", 1]]);
  assertEquals(counts("ab", 3).size, 0);
});

Deno.test("the entropy of a coin is 1 bit, of a coin that falls on one side in 3 of 4 throws 0.811", () => {
  assertEquals(computeEntropy("abab"), 1);
  assertAlmostEquals(computeEntropy("aaab"), 2 - 0.75 * Math.log2(3), 1e-12);
  assertEquals([computeEntropy("aaaa"), computeEntropy("")], [0, NaN]);
});

Deno.test("distinct-2 of abab is 2 of 3, and 1 where no pair occurs twice", () => {
  assertAlmostEquals(measureDistinct("abab", 2), 2 / 3, 1e-12);
  assertEquals([measureDistinct("abc", 2), measureDistinct("aaaa", 3), measureDistinct("ab", 3)], [
    1,
    1 / 2,
    NaN,
  ]);
});

Deno.test("the divergence of aab and abb is that computed by hand", () => {
  // frequencies 2/3, 1/3 against 1/3, 2/3; their mean is 1/2, 1/2: 1 - entropy of (1/3, 2/3)
  const entropy = Math.log2(3) - 2 / 3;
  assertAlmostEquals(jensenShannon(counts("aab"), counts("abb")), 1 - entropy, 1e-12);
});

const text = fc.string({ unit: fc.constantFrom("a", "b", "c", "🌙"), minLength: 2, maxLength: 40 });

Deno.test("the divergence is 0 between equal frequencies, 1 between texts with nothing in common, else between", () => {
  fc.assert(fc.property(text, text, fc.integer({ min: 1, max: 2 }), (a, b, n) => {
    const [p, q] = [counts(a, n), counts(b, n)];
    const there = jensenShannon(p, q);
    assert(there > -1e-12 && there < 1 + 1e-12, `${there}`);
    assertAlmostEquals(there, jensenShannon(q, p), 1e-12, "not symmetric");
    const doubled = new Map([...p].map(([ngram, count]) => [ngram, 2 * count]));
    assertAlmostEquals(jensenShannon(p, doubled), 0, 1e-12);
    assertAlmostEquals(jensenShannon(p, counts(a.replaceAll(/./gu, "x") + "y", n)), 1, 1e-12);
  }));
});

Deno.test("an empty text has no divergence from anything", () => {
  assertEquals(jensenShannon(counts(""), counts("ab")), NaN);
});

Deno.test("entropy is at most the logarithm of the number of different characters", () => {
  fc.assert(fc.property(text, (text) => {
    const bits = computeEntropy(text), limit = Math.log2(new Set(text).size);
    assert(bits > -1e-12 && bits < limit + 1e-12, `${bits}, expected at most ${limit}`);
  }));
});
