import { UserError } from "@tiny-diffusion/engines/errors";
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { type BlockFigures, compareOnBlocks, isComparable } from "./comparison.ts";
import { estimateNelbo } from "./estimators.ts";
import { seededRandom } from "../random.ts";
import { mean, pairedBootstrap } from "./statistics.ts";
import { toyScorer, toyStrings, toyWorld } from "../testing/toy_world.ts";

const figures = (changes: Partial<BlockFigures> = {}): BlockFigures => ({
  ...{ model: "gpt", weights: "gpt.safetensors", estimator: "exact", context: 4 },
  indices: [0, 1, 2, 3],
  perBlock: [1, 2, 3, 4],
  ...changes,
});
const bound = (changes: Partial<BlockFigures> = {}) =>
  figures({ model: "diffusion", weights: "d.safetensors", estimator: "nelbo", ...changes });

Deno.test("the difference is that of the means in bits, a minus b, with the sides named", () => {
  const comparison = compareOnBlocks(bound({ perBlock: [2, 3, 4, 5] }), figures());
  assertAlmostEquals(comparison.difference, 1 / Math.LN2, 1e-12);
  assertEquals(comparison.a, {
    model: "diffusion",
    weights: "d.safetensors",
    estimator: "nelbo",
  });
  assertEquals([comparison.b.model, comparison.context, comparison.blocks], ["gpt", 4, 4]);
  // every block differs by the same, so there is no doubt left
  assertAlmostEquals(comparison.seBlocks, 0, 1e-12);
  assert(comparison.excludesZero);
});

Deno.test("zero is excluded just where it lies outside the interval, on either side", () => {
  const other = figures({ perBlock: [1.1, 1.9, 3.1, 3.9] });
  assertEquals(compareOnBlocks(figures(), other).excludesZero, false);
  assertEquals(compareOnBlocks(figures(), figures()).excludesZero, false);
  for (const sign of [1, -1]) {
    const far = figures({ perBlock: [1, 2, 3, 4].map((nats, i) => nats + sign * (1 + i / 10)) });
    const { excludesZero, interval } = compareOnBlocks(far, figures());
    assert(excludesZero && interval[0] * sign > 0 && interval[1] * sign > 0);
  }
});

Deno.test("only the blocks that both were scored on count", () => {
  const decoder = bound({ estimator: "left-to-right", indices: [1, 3], perBlock: [5, 8] });
  const { difference, blocks } = compareOnBlocks(decoder, figures());
  assertAlmostEquals(difference, ((5 - 2) + (8 - 4)) / 2 / Math.LN2, 1e-12);
  assertEquals(blocks, 2);
});

Deno.test("figures that mean different things, or share fewer than two blocks, are not compared", () => {
  const pairs: [BlockFigures, BlockFigures, boolean][] = [
    [bound(), figures(), true],
    [figures(), bound({ estimator: "left-to-right" }), true],
    [bound(), bound(), true],
    [bound(), bound({ estimator: "left-to-right" }), false],
    [bound({ estimator: "masked-mean" }), bound({ estimator: "masked-mean" }), false],
    [bound({ estimator: "masked-mean" }), figures(), false],
    [figures({ context: 8 }), figures(), false],
    [figures({ indices: [3, 4], perBlock: [1, 1] }), figures(), false],
  ];
  for (const [a, b, expected] of pairs) {
    assertEquals(isComparable(a, b), expected, `${a.estimator} and ${b.estimator}`);
    if (!expected) assertThrows(() => compareOnBlocks(a, b), UserError, "Cannot compare");
  }
});

Deno.test("two diffusion models with the same masks are told apart where different masks would hide it", async () => {
  const strings = toyStrings(), world = toyWorld();
  // the same network, a little surer of itself or less
  const warmer = (tokens: ArrayLike<number>) => Array.from(world(tokens), (logit) => 0.93 * logit);
  const of = async (logits: typeof world, seed: number) => {
    const { perBlock } = await estimateNelbo(toyScorer(logits), strings, {
      passes: 2,
      random: seededRandom(seed),
    });
    return bound({ perBlock, indices: [...strings.keys()] });
  };
  const first = await of(world, 1);
  const same = compareOnBlocks(await of(warmer, 1), first);
  const other = compareOnBlocks(await of(warmer, 2), first);
  assert(same.seBlocks < other.seBlocks / 3, `${same.seBlocks}, ${other.seBlocks}`);
  assert(same.excludesZero && same.difference < 0);
});

Deno.test("the interval of 95 % holds the truth in about 95 of 100 samples of blocks", () => {
  const random = seededRandom(5);
  const runs = 400, count = 60;
  const held = mean(Array.from({ length: runs }, () => {
    const a = Array.from({ length: count }, () => 2 + random.normal());
    const b = a.map((nats) => nats - 0.1 + 0.4 * random.normal()); // a is worse by 0.1 in truth
    const { interval } = pairedBootstrap(a, b, { random, resamples: 400 });
    return Number(interval[0] < 0.1 && 0.1 < interval[1]);
  }));
  // a share of 400 has a deviation of 1.1 %; percentile intervals of 60 blocks are a little too
  // short, by about 1 %
  assert(held > 0.9 && held < 0.985, `${held}`);
});
