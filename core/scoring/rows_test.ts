import { assert, assertEquals, assertLess, assertRejects } from "@std/assert";
import fc from "fast-check";
import { seededRandom } from "../random.ts";
import {
  drawStratifiedCounts,
  nextCharacterRows,
  score,
  unmaskingRows,
  windowRows,
} from "./rows.ts";

/** Pearson's statistic against equal frequencies. */
function chiSquare(observed: number[]): number {
  const expected = observed.reduce((a, b) => a + b) / observed.length;
  return observed.reduce((total, count) => total + (count - expected) ** 2 / expected, 0);
}

/**
 * 1e-6 of equal frequencies exceed this (Wilson and Hilferty's approximation of the chi-square
 * quantile).
 */
function chiSquareLimit(classes: number): number {
  const freedom = classes - 1, variance = 2 / (9 * freedom);
  return freedom * (1 - variance + 4.753 * Math.sqrt(variance)) ** 3;
}

for (const blocks of [1, 3, 7, 10, 23]) {
  Deno.test(`the number masked in each of ${blocks} block(s) alone is uniform on 1 to 10`, () => {
    const random = seededRandom(blocks);
    const seen = Array.from({ length: blocks }, () => new Array<number>(10).fill(0));
    for (let pass = 0; pass < 5000; pass++) {
      for (const [block, count] of drawStratifiedCounts(blocks, 10, random).entries()) {
        seen[block][count - 1]++;
      }
    }
    for (const ofBlock of seen) assertLess(chiSquare(ofBlock), chiSquareLimit(10));
  });
}

Deno.test("a pass covers the numbers masked evenly: every stratum holds one block", () => {
  fc.assert(
    fc.property(
      fc.nat({ max: 99 }),
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 1, max: 40 }),
      (
        seed,
        blocks,
        scored,
      ) => {
        const counts = drawStratifiedCounts(blocks, scored, seededRandom(seed)).sort((a, b) =>
          a - b
        );
        for (const [stratum, count] of counts.entries()) {
          assert(count >= 1 + Math.floor(stratum / blocks * scored) && count <= scored);
          assert(count <= 1 + Math.floor((stratum + 1) / blocks * scored));
        }
      },
    ),
  );
});

Deno.test("a pass of 20 blocks over 10 numbers draws each number twice", () => {
  const counts = drawStratifiedCounts(20, 10, seededRandom(1)).sort((a, b) => a - b);
  assertEquals(counts, [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10]);
});

Deno.test("a draw just below 1 masks all scored characters, not one more than there are", () => {
  const highest = { ...seededRandom(1), uniform: () => 1 - 2 ** -53 };
  assertEquals(Math.max(...drawStratifiedCounts(435, 255, highest)), 255);
});

Deno.test("strata change places between passes", () => {
  const random = seededRandom(1);
  const order = () =>
    String(drawStratifiedCounts(50, 1000, random).map((count) => Math.floor((count - 1) / 20)));
  assert(order() !== order());
});

Deno.test("a row of the NELBO hides exactly the positions that it scores, every set of them as likely", () => {
  const block = Int32Array.of(1, 2, 3, 1, 2);
  const seen = new Map<string, number>();
  for (const { tokens, targets, scored } of unmaskingRows([block], 16_000, seededRandom(2))) {
    assertEquals(targets, block);
    const hidden = [...tokens.keys()].filter((i) => tokens[i] === 0);
    assertEquals(hidden, scored.toSorted());
    assert(hidden.length >= 1 && hidden[0] > 0);
    seen.set(String(hidden), (seen.get(String(hidden)) ?? 0) + 1);
  }
  assertEquals(seen.size, 15);
  for (const size of [1, 2, 3]) {
    const ofSize = [...seen].filter(([set]) => set.split(",").length === size).map(([, count]) =>
      count
    );
    assertLess(chiSquare(ofSize), chiSquareLimit(ofSize.length));
  }
});

Deno.test("windows of masked-mean use every block equally often before any comes again", () => {
  const blocks = [1, 2, 3].map((token) => Int32Array.of(token, token));
  const drawn = [...windowRows(blocks, 5, 3, seededRandom(1))];
  assertEquals(drawn.map((row) => row.batch), [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]);
  for (let batch = 0; batch < 5; batch++) {
    const used = drawn.filter((row) => row.batch === batch).map((row) => row.block);
    assertEquals(used.toSorted(), [0, 1, 2]);
  }
});

Deno.test("an answer of the network that has another number of figures is refused, not read past its end", async () => {
  const blocks = [Int32Array.of(1, 2, 3)];
  const answering = (numbers: number) => {
    const nats = () => Promise.resolve(new Float32Array(numbers));
    return Array.fromAsync(
      score({ rows: 2, context: 3, nats }, nextCharacterRows(blocks), 1, {}),
    );
  };
  assertEquals((await answering(6)).length, 1);
  for (const numbers of [0, 3, 5, 7]) {
    const { message } = await assertRejects(() => answering(numbers), TypeError);
    assertEquals(
      message,
      `Cannot read the network's answer: it has ${numbers} numbers, expected 2 x 3`,
    );
  }
});
