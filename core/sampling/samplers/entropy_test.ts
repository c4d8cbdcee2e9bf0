import { assert, assertEquals } from "@std/assert";
import * as fc from "fast-check";
import { seededRandom } from "../../random.ts";
import { maskedWindow } from "../../testing/masked_window.ts";
import { certainty } from "../draw.ts";
import { entropy } from "./entropy.ts";

/** Two characters, of which the first has probability p. */
const rowOf = (p: number) => Float32Array.of(99, Math.log(p), Math.log(1 - p));

async function firstPass(shares: number[], entropyBound: number): Promise<number[]> {
  const forward = () => Promise.resolve(shares.map(rowOf));
  const masked = shares.map((_, i) => i);
  const { fill } = entropy.with({ entropyBound });
  const steps = fill(maskedWindow(masked, forward), { temperature: 1 }, seededRandom(1));
  return (await steps.next()).value!.map(({ position }: { position: number }) => position);
}

Deno.test("entropy fixes the least uncertain, and as many as have the bound together without the last", async () => {
  // Entropies in nats: 0.056, 0.325, 0.500, 0.673, 0.693.
  const shares = [0.5, 0.99, 0.6, 0.9, 0.8];
  assertEquals(await firstPass(shares, 0), [1]);
  assertEquals(await firstPass(shares, 0.05), [1]);
  assertEquals(await firstPass(shares, 0.06), [1, 3]);
  assertEquals(await firstPass(shares, 0.37), [1, 3]);
  assertEquals(await firstPass(shares, 0.39), [1, 3, 4]);
  assertEquals(await firstPass(shares, 0.89), [1, 3, 4, 2]);
  assertEquals(await firstPass(shares, 1.56), [1, 3, 4, 2, 0]);
});

Deno.test("no larger set of the least uncertain would be within the bound, and the one taken is", async () => {
  await fc.assert(fc.asyncProperty(
    fc.array(fc.double({ min: 0.001, max: 0.999, noNaN: true }), { minLength: 1, maxLength: 20 }),
    fc.double({ min: 0, max: 4, noNaN: true }),
    async (shares, bound) => {
      const count = (await firstPass(shares, bound)).length;
      const rising = shares.map((p) => certainty(rowOf(p)).entropy).sort((a, b) => a - b);
      const gap = (k: number) => rising.slice(0, k - 1).reduce((a, b) => a + b, 0); // sum - max
      assert(gap(count) <= bound);
      assert(count === shares.length || gap(count + 1) > bound);
    },
  ));
});

Deno.test("the joint entropy of what entropy fixes in a pass falls short of the sum of its parts by the bound at most", async () => {
  // The worst case: all characters are copies of each other. Then the joint entropy is that of the
  // largest.
  const shares = [0.7, 0.7, 0.7, 0.7], one = certainty(rowOf(0.7)).entropy;
  for (const bound of [0.1, 0.5, 0.7, 1.3, 3]) {
    const count = (await firstPass(shares, bound)).length;
    assert(count * one - one <= bound);
  }
});
