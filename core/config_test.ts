import { UserError } from "@tiny-diffusion/engines/errors";
import { assertEquals, assertThrows } from "@std/assert";
import { checkModelConfig, makeConfig, type PresetName, presets } from "./config.ts";

Deno.test("preset full has the original's settings", () => {
  const { preset: _, seed: __, kind, ...config } = makeConfig("gpt", "full", 65);
  assertEquals(kind, "gpt");
  assertEquals(config, {
    vocab: 65,
    context: 256,
    layers: 6,
    heads: 6,
    width: 384,
    batch: 64,
    steps: 5000,
    optimizer: "adamw",
    learningRate: 3e-4,
    muonLearningRate: 0.02, // not used
    warmup: 0,
    schedule: "constant",
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
    weightDecay: 0.01,
    clip: 0,
    dropout: 0,
    emaDecay: 0,
    zeroProjections: false,
    evenMaskShares: false,
    boundWeighting: false,
    causalRows: 0,
    evalEvery: 500,
  });
  assertEquals(makeConfig("diffusion", "full", 66).steps, 10_000);
});

Deno.test("presets smoke and small have the sizes that the command contract names", () => {
  const sizes = (preset: PresetName) => {
    const { layers, heads, width, context, batch } = presets[preset];
    return [layers, heads, width, context, batch];
  };
  assertEquals(sizes("smoke"), [2, 2, 32, 32, 8]);
  assertEquals(presets.smoke.steps, { gpt: 30, diffusion: 30 });
  assertEquals(sizes("small"), [4, 4, 128, 64, 12]);
});

Deno.test("what the user asks for replaces the preset's, and what is left out does not", () => {
  const config = makeConfig("gpt", "smoke", 65, { steps: 7, batch: undefined, seed: 9 });
  assertEquals([config.steps, config.batch, config.seed], [7, 8, 9]);
});

Deno.test("every preset is a network that can be built", () => {
  for (const preset of Object.keys(presets) as PresetName[]) {
    for (const kind of ["gpt", "diffusion"] as const) {
      checkModelConfig(makeConfig(kind, preset, 66));
    }
  }
});

Deno.test("sizes that no network can have are refused by name, with what is allowed", () => {
  const config = makeConfig("gpt", "smoke", 65);
  const wrong: [object, string][] = [
    [{ vocab: 1 }, "vocab is 1, expected 2 to 65536"],
    [{ context: 0 }, "context is 0"],
    [{ layers: 1.5 }, "layers is 1.5"],
    [{ heads: 0 }, "heads is 0"],
    [{ width: NaN }, "width is NaN"],
    [{ width: 1e9 }, "width is 1000000000"],
    [{ heads: "2" }, "heads is 2"],
    [{ width: 30, heads: 4 }, "width 30 is not a multiple of 2 * heads (4)"],
    [{ width: 6, heads: 2 }, "width 6 is not a multiple of 2 * heads (2)"], // a head of 3 has no halves to turn
  ];
  for (const [change, message] of wrong) {
    assertThrows(() => checkModelConfig({ ...config, ...change }), UserError, message);
  }
});
