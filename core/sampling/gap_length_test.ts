import { UserError } from "@tiny-diffusion/engines/errors";
import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { chooseLengths, countLengthPasses, scoreLengths, type TokenPiece } from "./gap_length.ts";
import type { Network } from "../language_model.ts";
import { seededRandom } from "../random.ts";

const MASK = 0;
const tokens = (...values: number[]) => Int32Array.from(values);
const LOG3 = Math.log(3);

/**
 * A network that knows that the characters count 1, 2, 3, 1, 2, 3, … in rows: at each position it
 * gives the one that fits the nearest shown character on the left probability 3/5, the two others
 * 1/5 each; where nothing is shown, 1/3 to each.
 */
function counting(context = 16): Network & { passes: number } {
  return {
    context,
    vocab: 4,
    passes: 0,
    logits(window) {
      this.passes++;
      const all = Array.from(window);
      assertEquals(all.length, context);
      return Promise.resolve(all.map((_, i) => {
        const near = all.slice(0, i).findLastIndex((token) => token !== MASK);
        const row = Float32Array.of(77, 0, 0, 0);
        if (near !== -1) row[1 + (all[near] - 1 + i - near) % 3] = LOG3;
        return row;
      }));
    },
  };
}

Deno.test("the score of a length is the log-probability of what follows, by the chain rule", async () => {
  // "1 2 [gap] 1 2": only a gap of 1 or 4 continues the count.
  const scores = await scoreLengths(counting(), [1, 2], { min: 0, max: 4 }, [1, 2]);
  const right = Math.log(0.6), wrong = Math.log(0.2);
  // The first character after the gap is right or wrong, the second follows the first in any case.
  // float32 sums of 2 terms.
  [wrong, right, wrong, wrong, right].forEach((first, i) =>
    assertAlmostEquals(scores[i], first + right, 1e-6)
  );
});

Deno.test("at temperature 0 the likeliest length is taken, the shortest of equals, for each gap in turn", async () => {
  const pieces: TokenPiece[] = [
    { given: tokens(1, 2) },
    { min: 0, max: 4 },
    { given: tokens(1, 2) },
    { min: 1, max: 3 },
    { given: tokens(2) },
    { min: 2, max: 2 },
  ];
  const network = counting();
  const text = await chooseLengths(network, pieces, { temperature: 0 }, seededRandom(1));
  assertEquals([...text], [1, 2, MASK, 1, 2, MASK, MASK, 2, MASK, MASK]);
  assertEquals(network.passes, 5 * 2 + 3 * 1);
  assert(network.passes <= countLengthPasses(pieces));
});

Deno.test("lengths are drawn from their posterior", async () => {
  // Of the lengths 0 to 2, only 1 fits: it has 3/5 of the probability, the others 1/5 each.
  const pieces: TokenPiece[] = [{ given: tokens(1, 2) }, { min: 0, max: 2 }, { given: tokens(1) }];
  const counts = [0, 0, 0], random = seededRandom(5);
  for (let i = 0; i < 3000; i++) {
    const text = await chooseLengths(counting(), pieces, { temperature: 1 }, random);
    counts[text.length - 3]++;
  }
  const statistic = [600, 1800, 600].reduce((sum, n, i) => sum + (counts[i] - n) ** 2 / n, 0);
  assert(statistic < 13.8, `${counts}`); // chi-square, 2 degrees: exceeded once in a thousand
});

Deno.test("where nothing follows a gap, any of its lengths is as likely", async () => {
  const network = counting(), counts = [0, 0, 0], random = seededRandom(5);
  for (let i = 0; i < 3000; i++) {
    const pieces: TokenPiece[] = [{ given: tokens(1) }, { min: 1, max: 3 }];
    counts[(await chooseLengths(network, pieces, { temperature: 1 }, random)).length - 2]++;
  }
  assertEquals(network.passes, 0);
  assert(counts.reduce((sum, n) => sum + (n - 1000) ** 2 / 1000, 0) < 13.8, `${counts}`);
});

Deno.test("a text longer than the window is judged by what stands around the gap", async () => {
  const before = Array.from({ length: 50 }, (_, i) => 1 + i % 3); // ends in 2
  const after = Array.from({ length: 50 }, (_, i) => 1 + i % 3);
  const scores = await scoreLengths(counting(), before, { min: 0, max: 2 }, after);
  assertEquals(scores.indexOf(Math.max(...scores)), 1);
});

Deno.test("a template without a gap of free length costs no pass", async () => {
  const network = counting();
  const pieces: TokenPiece[] = [{ given: tokens(1) }, { min: 3, max: 3 }];
  const text = await chooseLengths(network, pieces, { temperature: 1 }, seededRandom(1));
  assertEquals([[...text], network.passes, countLengthPasses(pieces)], [[1, 0, 0, 0], 0, 0]);
});

Deno.test("a gap that may be longer than half a window is refused", async () => {
  const pieces: TokenPiece[] = [{ given: tokens(1) }, { min: 1, max: 9 }, { given: tokens(1) }];
  await assertRejects(
    () => chooseLengths(counting(), pieces, { temperature: 1 }, seededRandom(1)),
    UserError,
    "Cannot choose the length of the gap {1..9}: the network sees 16 characters at once, expected a gap of at most 8",
  );
});
