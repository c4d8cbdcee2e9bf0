import { assert, assertAlmostEquals, assertEquals, assertNotEquals } from "@std/assert";
import * as tf from "@tensorflow/tfjs";
import * as fc from "fast-check";
import { type Config, makeConfig } from "./config.ts";
import * as diffusion from "./diffusion.ts";
import { blockStart, type GenerationOptions, type Network } from "./language_model.ts";
import { seededRandom } from "./random.ts";
import { threshold } from "./samplers/threshold.ts";

await tf.setBackend("cpu");
const MASK = 0;
const config = makeConfig("diffusion", "smoke", 10);

/** Windows of `context + 1` tokens from 1 to 9, so without the mask. */
function windowsOf(rows: number, context = 32): Int32Array[] {
  const random = seededRandom(7);
  return Array.from(
    { length: rows },
    () => Int32Array.from({ length: context + 1 }, () => 1 + random.integer(9)),
  );
}

Deno.test("a diffusion batch asks for the original characters, and hides exactly those that count", () => {
  const windows = windowsOf(50);
  const { tokens, targets, lossWeights } = diffusion.batch(windows, config, seededRandom(1));
  assertEquals([...targets], windows.flatMap((window) => [...window.slice(0, -1)]));
  tokens.forEach((token, i) => {
    assertEquals(token, lossWeights[i] === 1 ? MASK : targets[i]);
    assert(lossWeights[i] === 0 || lossWeights[i] === 1);
  });
});

/**
 * With a mask share uniform on [0, 1), the number of hidden characters among n is uniform on 0..n (beta-binomial with both
 * parameters 1). Chi-square over the 33 counts has 32 degrees of freedom: 62.5 is exceeded once in a thousand seeds.
 */
function hiddenCountsChiSquare(rows: number, settings: Config): number {
  const { lossWeights } = diffusion.batch(windowsOf(rows), settings, seededRandom(5));
  const counts = new Array(33).fill(0);
  for (let row = 0; row < rows; row++) {
    counts[lossWeights.subarray(row * 32, (row + 1) * 32).reduce((a, b) => a + b)]++;
  }
  const expected = rows / 33;
  return counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
}

Deno.test("the number of hidden characters in a row is uniform", () => {
  assert(hiddenCountsChiSquare(6600, config) < 62.5);
  assert(hiddenCountsChiSquare(6600, { ...config, evenMaskShares: true }) < 62.5);
});

Deno.test("the loss of diffusion is the mean of -log softmax over the hidden positions alone", async () => {
  const random = seededRandom(1), [batch, time, vocab] = [2, 3, 5];
  const logits = Array.from({ length: batch * time * vocab }, () => 3 * random.normal());
  const targets = Array.from({ length: batch * time }, () => random.integer(vocab));
  const hidden = [1, 0, 0, 1, 1, 0];
  const nats = targets.map((target, i) => {
    const row = logits.slice(i * vocab, (i + 1) * vocab); // the mask's logit is one of them
    return Math.log(row.reduce((sum, logit) => sum + Math.exp(logit), 0)) - row[target];
  });
  const lossFor = async (weights: number[]) =>
    (await diffusion.loss(
      tf.tensor3d(logits, [batch, time, vocab]),
      tf.tensor2d(targets, [batch, time], "int32"),
      tf.tensor2d(weights, [batch, time]),
    ).data())[0];
  // 3 terms of about 3 in float32: each is off by some 2^-23 of itself
  assertAlmostEquals(await lossFor(hidden), (nats[0] + nats[3] + nats[4]) / 3, 2e-6);
  assertEquals(await lossFor([0, 0, 0, 0, 0, 0]), 0);
});

/** A network with random logits, whose favourite is always the mask. It keeps the windows that it was shown. */
function noisy(context: number, vocab: number, seed: number): Network & { seen: number[][] } {
  const random = seededRandom(seed), seen: number[][] = [];
  return {
    context,
    vocab,
    seen,
    logits(tokens, from) {
      assertEquals(tokens.length, context);
      seen.push(Array.from(tokens));
      const row = () =>
        Float32Array.from(
          { length: vocab },
          (_, token) => token === MASK ? 50 : 4 * random.normal(),
        );
      return Promise.resolve(Array.from({ length: tokens.length - from }, row));
    },
  };
}

async function generated(
  prompt: number[],
  length: number,
  { seed = 1, context = 8, ...changes }:
    & Partial<GenerationOptions>
    & { seed?: number; context?: number } = {},
) {
  const options = { temperature: 1, threshold: 0.9, overlap: 2, sampler: threshold, ...changes };
  const network = noisy(context, 6, 1);
  const steps = await Array.fromAsync(
    diffusion.generate(network, Int32Array.from(prompt), length, options, seededRandom(seed)),
  );
  const text = [...prompt];
  for (const { position, token } of steps.flat()) text[position] = token;
  return { steps, text, seen: network.seen };
}

Deno.test("diffusion fills every position once, never with the mask, in at most one forward pass a character", async () => {
  await fc.assert(fc.asyncProperty(
    fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 20 }),
    fc.nat(30),
    fc.record({
      context: fc.integer({ min: 2, max: 9 }),
      overlap: fc.nat(12),
      threshold: fc.double({ min: 0, max: 1, noNaN: true }),
      temperature: fc.constantFrom(0, 0.5, 1),
      topK: fc.constantFrom(undefined, 1, 2),
      seed: fc.nat(99),
    }),
    async (prompt, length, changes) => {
      const { steps, text, seen } = await generated(prompt, length, changes);
      const positions = steps.flat().map(({ position }) => position).sort((a, b) => a - b);
      assertEquals(positions, Array.from({ length }, (_, i) => prompt.length + i));
      assertEquals(text.slice(0, prompt.length), prompt);
      assert(text.every((token) => token >= 1 && token <= 5));
      assert(steps.every((fixed) => fixed.length >= 1));
      assertEquals(seen.length, steps.length);
      assert(seen.length <= length);
    },
  ));
});

Deno.test("a block sees the characters before it, and masks to the end of the window", async () => {
  // Window of 8, two characters of overlap: blocks fill 3..7, 8..13, 14..16; the last leaves masks behind.
  const { seen, text, steps } = await generated([1, 2, 3], 14);
  const windowOf = (position: number) =>
    seen[steps.findIndex((fixed) => fixed.some((choice) => choice.position >= position))];
  assertEquals([3, 8, 14].map(windowOf), [
    [1, 2, 3, 0, 0, 0, 0, 0],
    [text[6], text[7], 0, 0, 0, 0, 0, 0],
    [text[12], text[13], 0, 0, 0, 0, 0, 0],
  ]);
  const last = seen.at(-1)!;
  assertEquals(last.slice(5), [0, 0, 0]); // positions 17 to 19 were not asked for
});

Deno.test("within a block the network sees what was fixed before", async () => {
  const { seen, steps } = await generated([1, 2, 3], 5);
  steps.slice(0, -1).forEach((fixed, i) => {
    for (const { position, token } of fixed) assertEquals(seen[i + 1][position], token);
  });
});

Deno.test("without a prompt, diffusion starts from masks alone", async () => {
  const { seen, text } = await generated([], 8);
  assertEquals(seen[0], [0, 0, 0, 0, 0, 0, 0, 0]);
  assertEquals(text.length, 8);
});

Deno.test("of a prompt longer than the window, diffusion sees the last half window", async () => {
  const prompt = [1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1];
  const { seen, text } = await generated(prompt, 4);
  assertEquals(seen[0], [3, 4, 5, 1, 0, 0, 0, 0]);
  assertEquals(text.slice(0, 11), prompt);
});

Deno.test("diffusion asked for nothing runs nothing", async () => {
  const { steps, seen } = await generated([1, 2], 0);
  assertEquals([steps, seen], [[], []]);
});

Deno.test("diffusion at temperature 0 does not depend on the seed", async () => {
  const [one, two] = [
    await generated([1], 30, { temperature: 0 }),
    await generated([1], 30, {
      temperature: 0,
      seed: 2,
    }),
  ];
  assertEquals(one.steps, two.steps);
});

Deno.test("the same seed gives diffusion's text again, another seed another text", async () => {
  const { steps, text } = await generated([1], 40);
  assertEquals((await generated([1], 40)).steps, steps);
  assertNotEquals((await generated([1], 40, { seed: 2 })).text, text);
});

Deno.test("a window starts so that a block sees the overlap, and the first one up to half a window of the prompt", () => {
  const cases: [written: number, prompt: number, overlap: number, start: number][] = [
    [0, 0, 2, 0], // nothing before it
    [3, 3, 2, 0], // a short prompt is seen whole
    [20, 20, 2, 16], // half a window of a long one
    [20, 20, 6, 14], // or the overlap, if that is more
    [20, 20, 100, 13], // but one position is left to fill
    [20, 3, 2, 18],
    [20, 3, 0, 20],
    [20, 3, 100, 13],
  ];
  for (const [written, prompt, overlap, start] of cases) {
    assertEquals(blockStart(written, prompt, 8, overlap), start);
  }
});
