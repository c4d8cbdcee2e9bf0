import { assert, assertEquals, assertLess } from "@std/assert";
import { makeConfig } from "./config.ts";
import { onnxEngine } from "./engines/onnx.ts";
import type { GenerationOptions } from "./language_model.ts";
import { initialWeights } from "./model.ts";
import { models } from "./models.ts";
import { loadNetwork } from "./network.ts";
import { seededRandom } from "./random.ts";
import { threshold } from "./samplers/threshold.ts";

const engine = onnxEngine({ threads: 1 });
const options: GenerationOptions = {
  temperature: 1,
  topK: 4,
  threshold: 0.5,
  overlap: 8,
  sampler: threshold,
};

for (const kind of ["gpt", "diffusion"] as const) {
  const config = makeConfig(kind, "smoke", 12);
  const weights = Object.fromEntries(
    // ten times as large as at the start of training, so that there is something to choose
    Object.entries(initialWeights(config, seededRandom(1)))
      .map(([name, { shape, data }]) => [name, { shape, data: data.map((value) => 10 * value) }]),
  );
  const generate = async (seed: number) => {
    using network = await loadNetwork(engine, config, weights);
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

Deno.test("a window's logits come by position, from the one asked for to the last", async () => {
  const config = makeConfig("diffusion", "smoke", 12);
  using network = await loadNetwork(engine, config, initialWeights(config, seededRandom(1)));
  assertEquals([network.context, network.vocab], [32, 12]);
  const tokens = Int32Array.from({ length: 32 }, (_, i) => i % 12);
  const all = await network.logits(tokens, 0), some = await network.logits(tokens, 30);
  assertEquals([all.length, all[0].length, some.length], [32, 12, 2]);
  assertEquals(some, all.slice(30));
  assert(`${all[0]}` !== `${all[1]}`);
});
