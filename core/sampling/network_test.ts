import { assert, assertAlmostEquals, assertEquals, assertLess } from "@std/assert";
import { makeConfig } from "../config.ts";
import { startEngine } from "@tiny-diffusion/engines";
import type { Network } from "../language_model.ts";
import { initialWeights } from "../model.ts";
import * as gpt from "../gpt.ts";
import { models } from "../models.ts";
import { loadNetwork, loadNetworks } from "./network.ts";
import { samplers } from "./samplers/mod.ts";
import { seededRandom } from "../random.ts";
import { plainOptions } from "../testing/options.ts";

const { engine } = await startEngine("onnx", { threads: 1 });
const sampler = samplers.threshold.with({ threshold: 0.5 });
const options = plainOptions({ topK: 4, sampler, overlap: 8 });

for (const kind of ["gpt", "diffusion"] as const) {
  const config = makeConfig(kind, "smoke", 12);
  const weights = Object.fromEntries(
    // ten times as large as at the start of training, so that there is something to choose
    Object.entries(initialWeights(config, seededRandom(1)))
      .map(([name, { shape, data }]) => [name, { shape, data: data.map((value) => 10 * value) }]),
  );
  const generate = async (seed: number) => {
    using network = await loadNetwork(engine, models[config.kind], config, weights);
    const steps = await Array.fromAsync(
      models[kind].generate(network, Int32Array.of(3, 1, 4), 50, options, seededRandom(seed)),
    );
    return { steps, forwards: network.forwards };
  };

  Deno.test(`a ${kind} loaded anew writes the same text from the same seed, and counts its forward passes`, async () => {
    const one = await generate(1);
    assertEquals(await generate(1), one);
    assert(`${JSON.stringify(await generate(2))}` !== JSON.stringify(one));
    assertEquals(one.forwards, one.steps.length);
    assertEquals(one.steps.flat().length, 50);
    if (kind === "gpt") assertEquals(one.forwards, 50);
    else assertLess(one.forwards, 50);
  });
}

Deno.test("a window's logits come by position", async () => {
  const config = makeConfig("diffusion", "smoke", 12);
  using network = await loadNetwork(
    engine,
    models[config.kind],
    config,
    initialWeights(config, seededRandom(1)),
  );
  assertEquals([network.context, network.vocab], [32, 12]);
  const tokens = Int32Array.from({ length: 32 }, (_, i) => i % 12);
  const all = await network.logits(tokens);
  assertEquals([all.length, all[0].length], [32, 12]);
  assert(`${all[0]}` !== `${all[1]}`);
});

Deno.test("a window shorter than the context is read as it is, one that is not full as if masks followed", async () => {
  const config = makeConfig("diffusion", "smoke", 12);
  const weights = initialWeights(config, seededRandom(1));
  using whole = await loadNetwork(engine, models[config.kind], config, weights);
  using short = await loadNetwork(engine, models[config.kind], config, weights, { window: 8 });
  assertEquals([whole.context, short.context], [32, 8]);
  const tokens = [3, 0, 4, 1, 5];
  const filledUp = Int32Array.from({ length: 32 }, (_, i) => tokens[i] ?? 0);
  assertEquals(await whole.logits(tokens), (await whole.logits(filledUp)).slice(0, 5));
  assertEquals((await short.logits(tokens)).length, 5);
  assert(`${(await short.logits(tokens))[0]}` !== `${(await whole.logits(tokens))[0]}`);
});

{
  const config = makeConfig("gpt", "smoke", 12);
  const weights = Object.fromEntries(
    Object.entries(initialWeights(config, seededRandom(1)))
      .map(([name, { shape, data }]) => [name, { shape, data: data.map((value) => 10 * value) }]),
  );

  Deno.test("GPT texts written together are those that are written one by one, whatever their lengths", async () => {
    // Three rows for five texts of different lengths: rows take up new texts, end early, and go on
    // alone.
    const lengths = [20, 3, 40, 12, 7];
    const write = async (network: Network, i: number) => {
      const random = seededRandom(i), prompt = Int32Array.of(3, 1, 4);
      const steps = await Array.fromAsync(
        gpt.generate(network, prompt, lengths[i], options, random),
      );
      return steps.map((fixed) => fixed.map(({ position, token }) => [position, token]));
    };
    const networks = await loadNetworks(engine, gpt, config, weights, { rows: 3 });
    const together: unknown[] = [];
    let begun = 0;
    await Promise.all(networks.map(async (network) => {
      using lane = network;
      while (begun < lengths.length) {
        const i = begun++;
        together[i] = await write(lane, i);
      }
    }));
    using alone = await loadNetwork(engine, gpt, config, weights);
    for (const i of lengths.keys()) assertEquals(together[i], await write(alone, i));
    const forwards = networks.reduce((sum, { forwards }) => sum + forwards, 0);
    assertEquals(forwards, alone.forwards);
  });

  Deno.test("the logits of a GPT among others are its own to the rounding of float32", async () => {
    using alone = await loadNetwork(engine, gpt, config, weights);
    const networks = await loadNetworks(engine, gpt, config, weights, { rows: 4 });
    const texts = networks.map((_, row) =>
      Int32Array.from({ length: 9 }, (_, i) => (row + i) % 12)
    );
    const answers = await Promise.all(
      networks.map((network, row) => network.logits(texts[row])),
    );
    for (const [row, text] of texts.entries()) {
      const [expected] = await alone.logits(text);
      // Logits up to 10 or so: sums of 32 to 128 products in another order are off by some 1e-6.
      answers[row][0].forEach((value, i) => assertAlmostEquals(value, expected[i], 1e-4));
    }
    for (const network of networks) network[Symbol.dispose]();
  });
}
