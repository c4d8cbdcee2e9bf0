import { assert, assertAlmostEquals, assertEquals, assertLess } from "@std/assert";
import { lossWeight, maskShares } from "./noise.ts";
import { seededRandom } from "../random.ts";

for (const evenMaskShares of [false, true]) {
  Deno.test(`mask shares are uniform ${evenMaskShares ? "over many batches, if evenly spread" : "if drawn one by one"}`, () => {
    const random = seededRandom(1);
    const shares = Array.from({ length: 5000 }, () => maskShares(8, { evenMaskShares }, random))
      .flat();
    assert(shares.every((share) => share >= 0 && share < 1));
    const sorted = shares.toSorted((a, b) => a - b), n = sorted.length;
    const gap = sorted.reduce((most, share, i) => {
      return Math.max(most, Math.abs(share - i / n), Math.abs(share - (i + 1) / n));
    }, 0);
    // Kolmogorov-Smirnov: exceeded by one seed in a thousand (a fortiori where a batch is spread
    // evenly)
    assertLess(gap, 1.95 / Math.sqrt(n));
  });
}

Deno.test("evenly spread shares of a batch lie one row's share apart, from an offset that varies", () => {
  const random = seededRandom(2), offsets = new Set<number>();
  for (let i = 0; i < 100; i++) {
    const shares = maskShares(5, { evenMaskShares: true }, random);
    assertEquals(shares.length, 5);
    shares.slice(1).forEach((share, row) => assertAlmostEquals(share - shares[row], 1 / 5, 1e-15));
    assert(shares[0] >= 0 && shares[0] < 1 / 5);
    offsets.add(shares[0]);
  }
  assertEquals(offsets.size, 100);
});

Deno.test("independent shares are not evenly spread", () => {
  const shares = maskShares(1000, { evenMaskShares: false }, seededRandom(3));
  const empty = Array.from({ length: 1000 }, (_, i) => i)
    .filter((i) => !shares.some((share) => Math.floor(1000 * share) === i));
  assertAlmostEquals(empty.length / 1000, Math.exp(-1), 0.05); // as many of 1,000 cells as chance leaves empty
});

Deno.test("weighted as the bound weighs, all windows count alike, however much of them is hidden", () => {
  const context = 64, bound = { boundWeighting: true };
  for (const share of [1 / 64, 0.1, 0.5, 1]) {
    assertAlmostEquals(lossWeight(share, context, bound) * share * context, context, 1e-9);
  }
  // A window may have nearly nothing hidden: one character then counts as the whole window, not as
  // thousands.
  assertEquals(lossWeight(1e-9, context, bound), context);
  assertEquals(lossWeight(0, context, bound), context);
  for (const share of [0, 0.01, 1]) {
    assertEquals(lossWeight(share, context, { boundWeighting: false }), 1);
  }
});
