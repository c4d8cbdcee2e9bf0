import { assert, assertAlmostEquals, assertEquals, assertNotEquals } from "@std/assert";
import * as tf from "@tiny-diffusion/engines/tfjs";
import * as fc from "fast-check";
import { type Config, makeConfig } from "./config.ts";
import * as diffusion from "./diffusion.ts";
import type { Network } from "./language_model.ts";
import { crossEntropy } from "./model.ts";
import { weightedMean } from "./training/step.ts";
import { seededRandom } from "./random.ts";
import type { GenerationOptions, Sampler } from "./language_model.ts";
import { kneserNey } from "./ngrams/kneser_ney.ts";
import { samplers } from "./sampling/samplers/mod.ts";
import { plainOptions } from "./testing/options.ts";

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
 * With a mask share uniform on [0, 1), the number of hidden characters among n is uniform on 0..n
 * (beta-binomial with both parameters 1). Chi-square over the 33 counts has 32 degrees of freedom:
 * 62.5 is exceeded once in a thousand seeds.
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
  const lossFor = async (weights: number[]) => {
    const all = crossEntropy(
      tf.tensor3d(logits, [batch, time, vocab]),
      tf.tensor2d(targets, [batch, time], "int32"),
    );
    return (await weightedMean(all, tf.tensor2d(weights, [batch, time])).data())[0];
  };
  // 3 terms of about 3 in float32: each is off by some 2^-23 of itself
  assertAlmostEquals(await lossFor(hidden), (nats[0] + nats[3] + nats[4]) / 3, 2e-6);
  assertEquals(await lossFor([0, 0, 0, 0, 0, 0]), 0);
});

/**
 * A network with random logits, whose favourite is always the mask. It keeps the windows that it
 * was shown.
 */
function noisy(context: number, vocab: number, seed: number): Network & { seen: number[][] } {
  const random = seededRandom(seed), seen: number[][] = [];
  return {
    context,
    vocab,
    seen,
    logits(tokens) {
      assert(tokens.length <= context);
      seen.push(Array.from(tokens));
      const row = () =>
        Float32Array.from(
          { length: vocab },
          (_, token) => token === MASK ? 50 : 4 * random.normal(),
        );
      return Promise.resolve(Array.from({ length: tokens.length }, row));
    },
  };
}

async function generated(
  prompt: number[],
  length: number,
  { seed = 1, context = 8, threshold = 0.9, ...changes }:
    & Partial<GenerationOptions>
    & { seed?: number; context?: number; threshold?: number } = {},
) {
  const sampler = samplers.threshold.with({ threshold });
  const options = plainOptions({ sampler, overlap: 2, ...changes });
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
      threshold: fc.double({ min: 1e-300, max: 1, noNaN: true }),
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

Deno.test("a block sees the characters before it, and masks where it has yet to write", async () => {
  // Window of 8, two characters of overlap: blocks fill 3..7, 8..13, 14..16; the last window ends
  // with the text.
  const { seen, text, steps } = await generated([1, 2, 3], 14);
  const windowOf = (position: number) =>
    seen[steps.findIndex((fixed) => fixed.some((choice) => choice.position >= position))];
  assertEquals([3, 8, 14].map(windowOf), [
    [1, 2, 3, 0, 0, 0, 0, 0],
    [text[6], text[7], 0, 0, 0, 0, 0, 0],
    [...text.slice(9, 14), 0, 0, 0],
  ]);
});

Deno.test("within a block the network sees what was fixed before", async () => {
  const { seen, steps } = await generated([1, 2, 3], 5);
  steps.slice(0, -1).forEach((fixed, i) => {
    for (const { position, token } of fixed) assertEquals(seen[i + 1][position], token);
  });
});

Deno.test("a sampler sees its window change, the whole text left of it, and the table of n-grams", async () => {
  const ngrams = kneserNey(Int32Array.of(0, 1, 2), 5, 2);
  const texts: number[][] = [];
  const sampler: Sampler = {
    ...samplers.threshold,
    async *fill(window) {
      assert(window.ngrams === ngrams);
      for (const position of window.masked) {
        texts.push([...window.before, ...window.tokens]);
        yield [{ position, token: 5, confidence: 1 }];
      }
    },
  };
  await generated([1, 2, 3], 9, { sampler, ngrams, overlap: 2 });
  assertEquals(
    texts,
    Array.from({ length: 9 }, (_, i) => [
      ...[1, 2, 3],
      ...Array.from({ length: i < 5 ? 5 : 9 }, (_, at) => at < i ? 5 : 0),
    ]),
  );
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

Deno.test("a template is filled where it has masks, and stays as it is elsewhere", async () => {
  await fc.assert(fc.asyncProperty(
    fc.array(fc.nat(5), { maxLength: 40 }),
    fc.nat(5),
    fc.integer({ min: 2, max: 9 }),
    fc.nat(99),
    async (template, length, context, seed) => {
      const { text, steps } = await generated(template, length, { context, seed });
      template.forEach((token, i) => {
        if (token !== MASK) assertEquals(text[i], token);
      });
      assertEquals(text.length, template.length + length);
      assert(text.every((token) => token >= 1 && token <= 5));
      const holes = [...template, ...Array(length).fill(MASK)]
        .flatMap((token, i) => token === MASK ? [i] : []);
      const filled = steps.flat().map(({ position }) => position);
      assertEquals(filled.toSorted((a, b) => a - b), holes);
    },
  ));
});

Deno.test("a gap is filled with what stands on both sides in sight", async () => {
  const { seen } = await generated([1, 2, 3, 4, 5, 1, 2, MASK, 3, 4, 5, 1, 2, 3], 0);
  assertEquals(seen, [[4, 5, 1, 2, MASK, 3, 4, 5]]);
});
