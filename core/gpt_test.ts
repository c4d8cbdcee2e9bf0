import { assert, assertAlmostEquals, assertEquals, assertNotEquals } from "@std/assert";
import * as tf from "@tiny-diffusion/engines/tfjs";
import { makeConfig } from "./config.ts";
import * as gpt from "./gpt.ts";
import type { Network } from "./language_model.ts";
import { crossEntropy } from "./model.ts";
import { weightedMean } from "./training/step.ts";
import { type Random, seededRandom } from "./random.ts";
import type { GenerationOptions } from "./language_model.ts";
import { plainOptions } from "./testing/options.ts";

await tf.setBackend("cpu");
const config = makeConfig("gpt", "smoke", 10);

Deno.test("each target of a GPT is the token after it, and all of them count", () => {
  const windows = [Int32Array.of(1, 2, 3, 4), Int32Array.of(9, 8, 7, 6)];
  const unused = { state: () => [] } as unknown as Random; // whatever is drawn from it would throw
  const batch = gpt.batch(windows, config, unused);
  assertEquals([...batch.tokens], [1, 2, 3, 9, 8, 7]);
  assertEquals([...batch.targets], [2, 3, 4, 8, 7, 6]);
  assertEquals([...batch.lossWeights], [1, 1, 1, 1, 1, 1]);
});

Deno.test("the loss of a GPT is the mean of -log softmax over every position", async () => {
  const random = seededRandom(1), [batch, time, vocab] = [2, 3, 5];
  const logits = Array.from({ length: batch * time * vocab }, () => 3 * random.normal());
  const targets = Array.from({ length: batch * time }, () => random.integer(vocab));
  const nats = targets.map((target, i) => {
    const row = logits.slice(i * vocab, (i + 1) * vocab);
    return Math.log(row.reduce((sum, logit) => sum + Math.exp(logit), 0)) - row[target];
  });
  const windows = [0, 1].map(() => new Int32Array(time + 1));
  const { lossWeights } = gpt.batch(windows, makeConfig("gpt", "smoke", vocab), random);
  const all = crossEntropy(
    tf.tensor3d(logits, [batch, time, vocab]),
    tf.tensor2d(targets, [batch, time], "int32"),
  );
  const loss = weightedMean(all, tf.tensor2d(lossWeights, [batch, time]));
  // 6 terms of about 3 in float32: each is off by some 2^-23 of itself
  assertAlmostEquals((await loss.data())[0], nats.reduce((a, b) => a + b) / 6, 2e-6);
});

/** A network that likes the token after the last one best, then the others in turn. */
function cyclic(vocab: number): Network & { seen: number[][] } {
  const seen: number[][] = [];
  return {
    context: 4,
    vocab,
    seen,
    logits(tokens) {
      const all = Array.from(tokens);
      seen.push(all);
      const row = (last: number) =>
        Float32Array.from({ length: vocab }, (_, token) => -((token - last - 1 + vocab) % vocab));
      return Promise.resolve(all.slice(-1).map(row));
    },
  };
}

async function generated(
  prompt: number[],
  length: number,
  { seed = 1, ...changes }: Partial<GenerationOptions> & { seed?: number } = {},
) {
  const network = cyclic(5), random = seededRandom(seed);
  const steps = await Array.fromAsync(
    gpt.generate(network, Int32Array.from(prompt), length, plainOptions(changes), random),
  );
  return { steps, tokens: steps.flat().map(({ token }) => token), seen: network.seen };
}

Deno.test("a GPT fixes one character a forward pass, from left to right, knowing all before it", async () => {
  const { steps, tokens, seen } = await generated([2, 4], 20);
  assertEquals(steps.map((fixed) => fixed.map(({ position }) => position)), [
    ...Array.from({ length: 20 }, (_, i) => [2 + i]),
  ]);
  assertEquals(seen, Array.from({ length: 20 }, (_, i) => [2, 4, ...tokens.slice(0, i)]));
});

Deno.test("a GPT asked for nothing runs nothing", async () => {
  assertEquals(await generated([2], 0), { steps: [], tokens: [], seen: [] });
});

Deno.test("a GPT at temperature 0 takes the likeliest character, whatever the seed", async () => {
  for (const seed of [1, 2]) {
    const { tokens } = await generated([2], 7, { temperature: 0, seed });
    assertEquals(tokens, [3, 4, 0, 1, 2, 3, 4]);
  }
});

Deno.test("the same seed gives a GPT's text again, another seed another text", async () => {
  const { tokens } = await generated([2], 40);
  assertEquals((await generated([2], 40)).tokens, tokens);
  assertNotEquals((await generated([2], 40, { seed: 2 })).tokens, tokens);
});

Deno.test("with top-k 2 a GPT never takes a third character, and the confidence is what both had", async () => {
  const { steps, seen } = await generated([2], 200, { topK: 2 });
  const weights = [0, -1, -2, -3, -4].map(Math.exp);
  const mass = (weights[0] + weights[1]) / weights.reduce((a, b) => a + b);
  steps.forEach(([{ token, confidence }], i) => {
    assert([1, 2].includes((token - seen[i].at(-1)! + 5) % 5));
    assertAlmostEquals(confidence, mass, 1e-12);
  });
});
