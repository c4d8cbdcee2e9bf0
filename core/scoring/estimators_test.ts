import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertLess,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { UserError } from "@tiny-diffusion/engines/errors";
import {
  averageMaskedLoss,
  estimateNelbo,
  evaluate,
  scoreExactly,
  scoreLeftToRight,
  validator,
} from "./estimators.ts";
import { seededRandom } from "../random.ts";
import { cutIntoBlocks, score, spaceEvenly } from "./rows.ts";
import type { Scorer } from "./scorer.ts";
import { mean, standardDeviation, standardError, sum } from "./statistics.ts";
import { TOY, toyGpt, toyNats, toyScorer, toyStrings, toyWorld } from "../testing/toy_world.ts";

const world = toyWorld();
const strings = toyStrings();
// Seven: neither the three values of k nor the five rows of a call divide it.
const someBlocks = [5, 17, 30, 42, 58, 66, 79].map((i) => strings[i]);

// ---------------------------------------------------------------- against sums over all masks

/** Nats at the masked positions of a toy string, with the positions given as bits. */
function natsWhereMasked(block: Int32Array, bits: number, keepMask = false): number[] {
  const hidden = block.map((token, i) => bits >> i & 1 ? 0 : token);
  return [0, 1, 2, 3].filter((i) => bits >> i & 1)
    .map((i) => toyNats(world(hidden), i, block[i], { keepMask }));
}

/**
 * The NELBO of a toy string per scored character: the mean over k = 1, 2, 3 of the mean over all
 * masks of k characters.
 */
function enumeratedNelbo(block: Int32Array): number {
  const byCount: number[][] = [[], [], [], []];
  for (let bits = 2; bits < 16; bits += 2) { // bit 0, the given first character, stays off
    const nats = natsWhereMasked(block, bits);
    byCount[nats.length].push(mean(nats));
  }
  return mean(byCount.slice(1).map(mean));
}

/**
 * The same bound in its other form: a time t uniform on (0, 1], each scored character masked with
 * probability t, the cross-entropy of the masked ones summed and weighted by 1/t. Source: MDLM
 * (arXiv:2406.07524, section 3, linear schedule).
 */
async function estimateContinuousNelbo(
  scorer: Scorer,
  blocks: Int32Array[],
  { passes }: { passes: number },
) {
  const random = seededRandom(0);
  const byPass = new Float64Array(passes);
  for (let pass = 0; pass < passes; pass++) {
    const rows = blocks.map((targets, block) => {
      const time = 1 - random.uniform(); // never 0
      const scored = [1, 2, 3].filter(() => random.uniform() < time);
      const tokens = targets.map((token, i) => scored.includes(i) ? 0 : token);
      return { block, tokens, targets, scored, time };
    });
    for await (const { row, nats } of score(scorer, rows, rows.length, {})) {
      byPass[pass] += nats / row.time / 3 / blocks.length;
    }
  }
  const nats = mean(byPass);
  return { nats, bpc: nats / Math.LN2, sePasses: standardError(byPass) / Math.LN2 };
}

for (
  const [name, estimator, passes] of [
    ["fixed-count", estimateNelbo, 3000],
    ["1/t", estimateContinuousNelbo, 12_000], // rare small t with something masked make it much noisier
  ] as const
) {
  Deno.test(`the ${name} form is within 3 standard errors of the NELBO summed over all masks`, async () => {
    const { nats, bpc, sePasses } = await estimator(toyScorer(world), someBlocks, { passes });
    const truth = mean(someBlocks.map(enumeratedNelbo));
    const error = sePasses! * Math.LN2;
    assertLess(error, 0.01 * truth); // else the next line would accept nearly anything
    assertAlmostEquals(nats, truth, 3 * error);
    assertAlmostEquals(bpc!, nats / Math.LN2, 1e-12);
  });
}

Deno.test("the fixed-count form is right for each block alone, not only on average", async () => {
  const passes = 3000;
  const { perBlock } = await estimateNelbo(toyScorer(world), someBlocks, { passes });
  for (const [i, block] of someBlocks.entries()) {
    // single rows have a deviation of about 0.7 nats here: 0.06 is more than 4 standard errors
    assertAlmostEquals(perBlock[i], enumeratedNelbo(block), 0.06, `block ${i}`);
  }
});

// One character at a time in a random order is how the diffusion model writes; an order of
// positions 1, 2, 3 has its own law.
const orders = [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]];

/** Nats of a toy string given its first character, uncovered in an order. */
function natsInOrder(block: Int32Array, order: number[]): number {
  return sum(order.map((position, step) => {
    const hidden = block.map((token, i) => order.indexOf(i) >= step ? 0 : token);
    return toyNats(world(hidden), position, block[position]);
  }));
}

/** Nats of a toy string under the diffusion model: the orders are equally likely. */
function enumeratedNats(block: Int32Array): number {
  return -Math.log(mean(orders.map((order) => Math.exp(-natsInOrder(block, order)))));
}

Deno.test("the probabilities of all strings under the diffusion model itself sum to 1", () => {
  const total = sum(
    strings.filter(([first]) => first === 1).map((string) => Math.exp(-enumeratedNats(string))),
  );
  assertAlmostEquals(total, 1, 1e-12);
});

Deno.test("the NELBO is the mean over all orders of uncovering, and so above the likelihood for every string", () => {
  for (const [i, block] of strings.entries()) {
    const bound = 3 * enumeratedNelbo(block);
    assertAlmostEquals(bound, mean(orders.map((order) => natsInOrder(block, order))), 1e-12);
    assert(bound > enumeratedNats(block), `string ${i}`); // by Jensen; the orders of this world all differ
  }
});

Deno.test("left-to-right is below the NELBO for some strings and above it for others, and of the likelihood too", async () => {
  const { perBlock } = await scoreLeftToRight(toyScorer(world), strings);
  for (const other of [enumeratedNelbo, (block: Int32Array) => enumeratedNats(block) / 3]) {
    const below = strings.filter((block, i) => perBlock[i] < other(block) - 0.1).length;
    const above = strings.filter((block, i) => perBlock[i] > other(block) + 0.1).length;
    assert(below > 5 && above > 5, `${below} below, ${above} above`);
  }
});

Deno.test("byMaskShare of the toy world is, for each number masked, the mean over all masks of that number", async () => {
  const { byMaskShare } = await estimateNelbo(toyScorer(world), someBlocks, { passes: 3000 });
  assertEquals(byMaskShare.map(({ to }) => to), [3 / 8, 6 / 8, 1]); // 1, 2 and 3 of 3
  for (const [i, { bits, blocks: rows }] of byMaskShare.entries()) {
    const truth = mean(someBlocks.map((block) => {
      const masks = [2, 4, 6, 8, 10, 12, 14].map((bits) => natsWhereMasked(block, bits));
      return mean(masks.filter((nats) => nats.length === i + 1).map(mean));
    }));
    // single rows have a deviation of about a bit: four errors of the mean of some 7,000
    assertAlmostEquals(bits, truth / Math.LN2, 4 / Math.sqrt(rows), `${i + 1} masked`);
  }
});

Deno.test("left-to-right equals the chain rule written out, block by block", async () => {
  const { perBlock } = await scoreLeftToRight(toyScorer(world), strings);
  for (const [i, [a, b, c, d]] of strings.entries()) {
    const chain = toyNats(world([a, 0, 0, 0]), 1, b) + toyNats(world([a, b, 0, 0]), 2, c) +
      toyNats(world([a, b, c, 0]), 3, d);
    assertAlmostEquals(perBlock[i] * 3, chain, 1e-6, `string ${i}`); // three float32 roundings of numbers below 8
  }
});

for (
  const [name, estimator, logits] of [
    ["left-to-right", scoreLeftToRight, world],
    ["exact", scoreExactly, toyGpt()],
  ] as const
) {
  Deno.test(`the ${name} probabilities of all strings with one first character sum to 1`, async () => {
    const { perBlock } = await estimator(toyScorer(logits), strings);
    for (const first of [1, 2, 3]) {
      const total = sum(
        perBlock.filter((_, i) => strings[i][0] === first).map((n) => Math.exp(-3 * n)),
      );
      assertAlmostEquals(total, 1, 1e-6); // 27 float32 roundings, each 1e-7 of its probability
    }
  });
}

Deno.test("exact equals a GPT's conditional probabilities written out", async () => {
  const gpt = toyGpt();
  const { perBlock } = await scoreExactly(toyScorer(gpt), strings);
  for (const [i, text] of strings.entries()) {
    const nats = [0, 1, 2].map((time) => toyNats(gpt(text), time, text[time + 1]));
    assertAlmostEquals(perBlock[i], mean(nats), 1e-6, `string ${i}`);
  }
});

Deno.test("masked-mean weights a mask share t by 2t, counts first characters and keeps the mask's logit", async () => {
  // Sum over masked / number masked over a big batch tends to E[sum] / E[number], the number
  // uniform on 0..4.
  let total = 0, masked = 0;
  const masksOfCount = [1, 4, 6, 4, 1];
  for (const block of someBlocks) {
    for (let bits = 0; bits < 16; bits++) {
      const nats = natsWhereMasked(block, bits, true);
      total += sum(nats) / masksOfCount[nats.length];
      masked += nats.length / masksOfCount[nats.length];
    }
  }
  const { nats, bpc, sePasses } = await averageMaskedLoss(toyScorer(world), someBlocks, {
    batch: 2048,
    batches: 20,
  });
  assertEquals(bpc, null);
  assertLess(sePasses!, 0.005);
  // a ratio of means over 2,048 rows is off its limit by about 1/2048 of itself, far less than the
  // noise
  assertAlmostEquals(nats, total / masked, 3 * sePasses!);
});

// ---------------------------------------------------------------- scorers with an answer known beforehand

const VOCAB = 66, CONTEXT = 21;
const random = seededRandom(3);
const text = Int32Array.from({ length: 7 * CONTEXT + 5 }, () => 1 + random.integer(VOCAB - 1));
const blocks = cutIntoBlocks(text, CONTEXT);

const estimators = {
  exact: (scorer: Scorer, of = blocks) => scoreExactly(scorer, of),
  nelbo: (scorer: Scorer, of = blocks) => estimateNelbo(scorer, of),
  "left-to-right": (scorer: Scorer, of = blocks) => scoreLeftToRight(scorer, of),
  "masked-mean": (scorer: Scorer, of = blocks) => averageMaskedLoss(scorer, of, { batches: 5 }),
};
const ofDiffusion = ["nelbo", "left-to-right", "masked-mean"] as const;

/** A scorer that answers position by position. */
function answering(
  nats: (
    row: { tokens: Int32Array; targets: Int32Array; keepMask: boolean },
    position: number,
  ) => number,
  rows = 4,
): Scorer {
  return {
    rows,
    context: CONTEXT,
    nats(tokens, targets, { keepMask = false } = {}) {
      const ofRow = (row: number) => ({
        tokens: tokens.subarray(row * CONTEXT, (row + 1) * CONTEXT),
        targets: targets.subarray(row * CONTEXT, (row + 1) * CONTEXT),
        keepMask,
      });
      return Promise.resolve(
        Float32Array.from(tokens, (_, i) => nats(ofRow(Math.floor(i / CONTEXT)), i % CONTEXT)),
      );
    },
  };
}

for (const [name, run] of Object.entries(estimators)) {
  Deno.test(`${name} scores a model that knows nothing at the logarithm of the number of choices`, async () => {
    const scorer = toyScorer(() => new Float64Array(CONTEXT * VOCAB), {
      context: CONTEXT,
      vocab: VOCAB,
    });
    const { nats } = await run(scorer);
    const choices = name === "masked-mean" ? VOCAB : VOCAB - 1; // the original lets the mask token be one of them
    // each term is a float32 below 5, off by 2^-23 at most; sums are float64
    assertAlmostEquals(nats, Math.log(choices), 5e-7);
  });

  Deno.test(`${name} scores a model that knows each character at 0`, async () => {
    const counting = Int32Array.from({ length: CONTEXT }, (_, i) => 1 + i);
    const next = name === "exact" ? 1 : 0; // a GPT is asked for the character after each position
    const scorer = answering(({ targets }, i) => targets[i] === 1 + i + next ? 0 : 100);
    const { nats } = await run(scorer, [counting, counting]);
    assertEquals(nats, 0);
  });

  Deno.test(`${name} takes no part of its figure from rows that only fill up a call`, async () => {
    const hashed = (
      { tokens, targets }: { tokens: Int32Array; targets: Int32Array },
      i: number,
    ) => {
      assert(
        targets[i] > 0,
        "even a row that fills up should ask for characters, never for the mask",
      );
      return (tokens.reduce((a, b) => (a * 31 + b) % 1009, 7) * (i + 1) + targets[i]) % 97 / 10;
    };
    const [alone, ...others] = await Promise.all(
      [1, 2, 5, 64].map((rows) => run(answering(hashed, rows))),
    );
    for (const other of others) assertEquals(other, alone);
  });

  Deno.test(`${name} ends between two calls when told to, with the reason it was given`, async () => {
    const controller = new AbortController();
    let calls = 0;
    const scorer: Scorer = {
      ...answering(() => 1),
      nats() {
        calls++;
        controller.abort(new Error("enough"));
        return Promise.resolve(new Float32Array(4 * CONTEXT));
      },
    };
    const estimator = name as keyof typeof estimators;
    const { signal } = controller;
    await assertRejects(() => evaluate(scorer, blocks, { estimator, signal }), Error, "enough");
    assertEquals(calls, 1);
  });

  Deno.test(`${name} refuses a network whose answer is not a number`, async () => {
    await assertRejects(() => run(answering(() => NaN)), UserError, "NaN nats per character");
  });
}

Deno.test("exact leaves out the last position of a block, whose target would be in the next block", async () => {
  const { nats, chars } = await scoreExactly(
    answering((_, i) => i === CONTEXT - 1 ? 1e6 : 1),
    blocks,
  );
  assertEquals([nats, chars], [1, 7 * (CONTEXT - 1)]);
});

for (const name of ["nelbo", "left-to-right"] as const) {
  Deno.test(`${name} never hides the first character of a block and never scores it`, async () => {
    const scorer = answering(({ tokens }, i) => i === 0 || tokens[0] === 0 ? 1e6 : 1);
    const { nats, chars } = await estimators[name](scorer);
    assertAlmostEquals(nats, 1, 1e-12);
    assertEquals(chars, 7 * (CONTEXT - 1));
  });
}

for (const name of ofDiffusion) {
  Deno.test(`${name} takes nothing from a position whose character the network can see`, async () => {
    const { nats } = await estimators[name](answering(({ tokens }, i) => tokens[i] === 0 ? 1 : 0));
    assertAlmostEquals(nats, 1, 1e-12);
  });

  Deno.test(`${name} changes no character that it does not hide, and asks for the true ones`, async () => {
    const known = new Set(blocks.map(String));
    await estimators[name](answering(({ tokens, targets }, i) => {
      assert(known.has(String(targets)));
      assert(tokens[i] === 0 || tokens[i] === targets[i]);
      return 1;
    }));
  });
}

Deno.test("only masked-mean lets the mask token keep its probability", async () => {
  for (const [name, run] of Object.entries(estimators)) {
    const { nats } = await run(answering(({ keepMask }) => keepMask ? 2 : 1));
    assertAlmostEquals(nats, name === "masked-mean" ? 2 : 1, 1e-12, name);
  }
});

Deno.test("left-to-right sees nothing to the right of the character that it asks for", async () => {
  const hiddenOfRows: number[] = [];
  const scorer = answering(({ tokens }, i) => {
    const start = tokens.indexOf(0);
    assert(tokens.subarray(start).every((token) => token === 0));
    if (i === 0) hiddenOfRows.push(CONTEXT - start);
    return i === start ? 1 : 1e6;
  });
  const { nats } = await scoreLeftToRight(scorer, blocks);
  assertAlmostEquals(nats, 1, 1e-12);
  const fromAllToOne = Array.from({ length: CONTEXT - 1 }, (_, i) => CONTEXT - 1 - i);
  assertEquals(hiddenOfRows, blocks.flatMap(() => fromAllToOne));
});

// ---------------------------------------------------------------- what else an evaluation says

Deno.test("byMaskShare holds each row once, in the step that its share belongs to", async () => {
  const scored = CONTEXT - 1;
  const share = ({ tokens }: { tokens: Int32Array }) =>
    tokens.filter((token) => token === 0).length / scored;
  const { byMaskShare, passes } = await estimateNelbo(answering(share), blocks, { passes: 40 });
  assertEquals(
    byMaskShare.map(({ from, to }) => [from, to]),
    [0, 1, 2, 3, 4, 5, 6, 7].map((i) => [i / 8, (i + 1) / 8]),
  );
  assertEquals(sum(byMaskShare.map((step) => step.blocks)), passes * blocks.length);
  for (const { from, to, bits } of byMaskShare) {
    const meanShare = bits * Math.LN2;
    assert(meanShare > from && meanShare < to + 1e-6, `${meanShare} is outside ${from} to ${to}`);
  }
});

Deno.test("sePasses is the spread of figures that differ by their masks alone", async () => {
  const runs = await Promise.all(
    Array.from(
      { length: 200 },
      (_, seed) =>
        estimateNelbo(toyScorer(world), someBlocks, { passes: 10, random: seededRandom(seed) }),
    ),
  );
  const spread = standardDeviation(runs.map((run) => run.bpc!));
  const claimed = Math.sqrt(mean(runs.map((run) => run.sePasses! ** 2)));
  // the deviation of 200 figures has an error of 5 %, the mean of 200 claims about 2 %: 16 % is
  // three of them
  assertAlmostEquals(claimed / spread, 1, 0.16);
});

Deno.test("sePasses knows that k is stratified: a pass with as many blocks as values of k has no noise of k", async () => {
  const many = Array.from({ length: CONTEXT - 1 }, () => blocks[0]);
  const byCount = answering(({ tokens }) => tokens.filter((token) => token === 0).length);
  const { nats, sePasses } = await estimateNelbo(byCount, many, { passes: 4 });
  assertAlmostEquals(nats, CONTEXT / 2, 1e-12); // the mean of 1..20
  assertAlmostEquals(sePasses!, 0, 1e-12);
});

Deno.test("seBlocks of nelbo does not take the number of masked characters for a trait of the block", async () => {
  const byShare = answering(({ tokens }) => tokens.filter((token) => token === 0).length);
  const { perBlock, nats, seBlocks } = await estimateNelbo(byShare, blocks, { passes: 3 });
  assertAlmostEquals(seBlocks, 0, 1e-9); // float64 sums of small integers
  assertAlmostEquals(mean(perBlock), nats, 1e-12);
});

Deno.test("seBlocks is the spread over blocks, in bits, for figures without mask noise", async () => {
  const { seBlocks, sePasses, perBlock } = await scoreExactly(
    answering(({ tokens }) => tokens[0] / 10),
    blocks,
  );
  const closedForm = standardDeviation(perBlock) * Math.sqrt(6 / 7) / Math.sqrt(7) / Math.LN2;
  assertAlmostEquals(seBlocks / closedForm, 1, 0.06); // 2,000 resamples: 1.6 % is one standard error
  assertEquals(sePasses, null);
});

Deno.test("the same seed gives the same evaluation, another one other masks", async () => {
  const run = (seed: number) =>
    estimateNelbo(toyScorer(world), someBlocks, { random: seededRandom(seed) });
  const [first, again, other] = [await run(1), await run(1), await run(2)];
  assertEquals(first, again);
  assert(first.nats !== other.nats);
});

Deno.test("progress counts rows up to their total, once a call", async () => {
  for (
    const [estimator, total] of [["nelbo", 7 * 16], ["left-to-right", 7 * 20], [
      "exact",
      7,
    ]] as const
  ) {
    const seen: number[] = [];
    await evaluate(answering(() => 1), blocks, {
      estimator,
      onProgress(done, all) {
        assertEquals(all, total);
        seen.push(done);
      },
    });
    assertEquals(
      seen,
      Array.from({ length: Math.ceil(total / 4) }, (_, i) => Math.min(4 * i + 4, total)),
    );
  }
});

Deno.test("evaluate scores as many evenly spaced blocks as it is told to, 16 of them left to right", async () => {
  const many = Array.from({ length: 40 }, () => blocks[0]);
  const scorer = answering(() => 1, 64);
  assertEquals((await evaluate(scorer, many, { estimator: "left-to-right" })).blocks, 16);
  assertEquals((await evaluate(scorer, many, { estimator: "left-to-right", blocks: 3 })).blocks, 3);
  assertEquals((await evaluate(scorer, many, { estimator: "nelbo" })).blocks, 40);
});

Deno.test("left-to-right resumes from the blocks that it is given, asks for no row of them, and reports each new one once", async () => {
  const whole = await scoreLeftToRight(toyScorer(world), someBlocks);
  const known = new Map([[0, 0.5], [3, whole.perBlock[3]], [6, whole.perBlock[6]]]);
  const told: [number, number][] = [], seen: number[] = [];
  let calls = 0;
  const scorer = toyScorer(world, { rows: 2 });
  const counting: Scorer = {
    ...scorer,
    nats(...asked) {
      calls++;
      return scorer.nats(...asked);
    },
  };
  const { perBlock, blocks } = await scoreLeftToRight(counting, someBlocks, {
    known: (block) => known.get(block),
    onBlock: (block, nats) => void told.push([block, nats]),
    onProgress: (done, total) => {
      assertEquals(total, 7 * 3);
      seen.push(done);
    },
  });
  assertEquals([perBlock[0], blocks], [0.5, 7]);
  assertEquals(perBlock.slice(1), whole.perBlock.slice(1));
  assertEquals(told, [1, 2, 4, 5].map((block) => [block, whole.perBlock[block]]));
  assertEquals(calls, 4 * 2); // three rows of a block are two calls of two
  assertEquals(seen.at(-1), 6 * 3);
});

Deno.test("evaluate names the blocks that it keeps by their place in the whole text, whatever their number", async () => {
  const many = Array.from({ length: 40 }, (_, i) => strings[i]);
  const told = async (blocks: number) => {
    const kept = new Map<number, number>();
    await evaluate(toyScorer(world), many, {
      estimator: "left-to-right",
      blocks,
      onBlock: (block, nats) => void kept.set(block, nats),
    });
    return kept;
  };
  const [some, all] = [await told(5), await told(40)];
  assertEquals([...some.keys()], [4, 12, 20, 28, 36]);
  for (const [block, nats] of some) assertEquals(nats, all.get(block));
});

// ---------------------------------------------------------------- blocks

Deno.test("cutIntoBlocks covers the text without overlap and drops what is left over", () => {
  assertEquals(blocks.length, 7);
  assertEquals(blocks.flatMap((block) => [...block]), [...text.subarray(0, 7 * CONTEXT)]);
  assertEquals(cutIntoBlocks(new Int32Array(111_540), 256).length, 435); // Tiny Shakespeare, see the protocol
  assertThrows(() => cutIntoBlocks(new Int32Array(20), 21), UserError, "it has 20 characters");
  assertThrows(() => cutIntoBlocks(new Int32Array(20), 1), RangeError, "at least 2");
});

Deno.test("spaceEvenly takes the middles of equal shares, and never more than there are", () => {
  assertEquals(spaceEvenly(9, 3), [1, 4, 7]);
  assertEquals(spaceEvenly(4, 9), [0, 1, 2, 3]);
  const spaced = spaceEvenly(435, 64);
  const gaps = spaced.slice(1).map((index, i) => index - spaced[i]);
  assert(gaps.every((gap) => gap === 6 || gap === 7));
  assertThrows(() => spaceEvenly(1, 0), RangeError);
});

Deno.test("estimators refuse what has no standard error, and blocks that don't fit the network", async () => {
  const scorer = answering(() => 1);
  await assertRejects(() => estimateNelbo(scorer, blocks, { passes: 1 }), RangeError, "at least 2");
  await assertRejects(() => scoreExactly(scorer, blocks.slice(1, 2)), UserError, "1 block(s)");
  await assertRejects(() => scoreExactly(scorer, strings), RangeError, "4 tokens");
});

// ---------------------------------------------------------------- validation while training

Deno.test("the validator asks for the same masks each time, two stratified passes of 64 blocks", async () => {
  const many = Array.from({ length: 200 }, (_, i) => strings[i % strings.length]);
  const validate = validator("diffusion", many);
  const recorded: string[][] = [];
  const recording = (rows: number): Scorer => {
    const scorer = toyScorer(world, { rows });
    const calls: string[] = [];
    recorded.push(calls);
    return {
      ...scorer,
      nats(tokens, targets) {
        for (let row = 0; row < rows; row++) {
          calls.push(String(tokens.subarray(row * 4, row * 4 + 4)));
        }
        return scorer.nats(tokens, targets);
      },
    };
  };
  const first = await validate(recording(8)), again = await validate(recording(8));
  assertEquals([first, recorded[0]], [again, recorded[1]]);
  assertEquals(recorded[0].length, 2 * 64);
  assertAlmostEquals(await validate(recording(7)), first, 1e-12);
  assertEquals(
    await validator("diffusion", many)(toyScorer(world)),
    first,
    "another run of the program",
  );
  const truth = mean(spaceEvenly(many.length, 64).map((i) => enumeratedNelbo(many[i]))) / Math.LN2;
  // 128 rows with a deviation of about 1 bit: 0.3 is three standard errors
  assertAlmostEquals(first, truth, 0.3);
});

Deno.test("the validator of a GPT is exact on 64 evenly spaced blocks", async () => {
  const many = Array.from({ length: 200 }, (_, i) => strings[i * 7 % strings.length]);
  const scorer = toyScorer(toyGpt());
  const { bpc } = await evaluate(scorer, many, { estimator: "exact", blocks: 64 });
  assertAlmostEquals(await validator("gpt", many)(scorer), bpc!, 1e-12);
});

Deno.test("the toy world has every string and answers by all of its tokens", () => {
  assertEquals(new Set(strings.map(String)).size, 81);
  assert(strings.every((string) => string.every((token) => token >= 1 && token < TOY.vocab)));
  const answers = new Set(strings.map((string) => String(world(string))));
  assertEquals(answers.size, 81);
});
