import { assert, assertAlmostEquals, assertEquals, assertLess, assertNotEquals } from "@std/assert";
import * as tf from "@tiny-diffusion/engines/tfjs";
import { type Config, makeConfig } from "../config.ts";
import * as diffusion from "../diffusion.ts";
import * as gpt from "../gpt.ts";
import { crossEntropy, forward } from "../model.ts";
import { targetNats } from "../programs.ts";
import { seededRandom } from "../random.ts";
import type { HostTensors, Tensor2D, Tensors, TensorSpec } from "@tiny-diffusion/engines/tensors";
import {
  batchInputs,
  computeGradients,
  drawStepInputs,
  drawWindows,
  initialState,
  stateNames,
  type StepInputs,
  validationNats,
} from "./step.ts";

await tf.setBackend("cpu");

Deno.test("windows are stretches of the text, from its first to its last character, each equally often", () => {
  const tokens = Int32Array.from({ length: 20 }, (_, i) => 100 + i), context = 4;
  const windows = drawWindows(tokens, 16_000, context, seededRandom(1));
  const starts = new Array(20).fill(0);
  for (const window of windows) {
    const start = window[0] - 100;
    assertEquals([...window], [...tokens.subarray(start, start + 5)]);
    assertEquals(window.length, 5);
    starts[start]++;
  }
  assertEquals(starts.slice(16), [0, 0, 0, 0]); // no window reaches beyond the end
  const chiSquare = starts.slice(0, 16).reduce((sum, n) => sum + (n - 1000) ** 2 / 1000, 0);
  assertLess(chiSquare, 37.7); // the upper 0.1 % point with 15 degrees of freedom
});

Deno.test("a text of just one window gives that one", () => {
  const tokens = Int32Array.of(1, 2, 3, 4, 5);
  const windows = drawWindows(tokens, 3, 4, seededRandom(1));
  assert(windows.every((window) => `${window}` === `${tokens}`));
});

/** A diffusion model in whose batches of 5 the first 2 rows are a GPT's. */
const dual: Config = makeConfig("diffusion", "smoke", 9, { causalRows: 2, batch: 5, dropout: 0.2 });
const text = Int32Array.from({ length: 200 }, (_, i) => 1 + (i * i + i) % 8);

const load = (state: HostTensors): Tensors =>
  Object.fromEntries(
    Object.entries(state).map(([name, { shape, data }]) => [name, tf.tensor(data, shape)]),
  );

const pick = (specs: Record<string, TensorSpec>, inputs: StepInputs): Tensors =>
  Object.fromEntries(
    Object.entries(specs).map(([name, { shape, dtype }]) => [
      name,
      tf.tensor(inputs[name], shape, dtype),
    ]),
  );

Deno.test("the first causalRows rows of a batch are a GPT's, the others a diffusion model's", () => {
  const windows = drawWindows(text, dual.batch, dual.context, seededRandom(1));
  const both = drawStepInputs(diffusion, dual, windows, 1, seededRandom(2));
  const random = seededRandom(2);
  const left = gpt.batch(windows.slice(0, 2), dual, random);
  const right = diffusion.batch(windows.slice(2), dual, random);
  for (const name of ["tokens", "targets", "lossWeights"] as const) {
    assertEquals([...both[name]], [...left[name], ...right[name]]);
  }
  assertEquals(both.dropoutRows.length, 2 * dual.context * 2, "dropout is for the causal rows");
});

Deno.test("the loss with causal rows is one mean over all positions that count in either half", async () => {
  const config = { ...dual, dropout: 0 };
  const windows = drawWindows(text, config.batch, config.context, seededRandom(1));
  const inputs = pick(
    batchInputs(config.batch, config),
    drawStepInputs(diffusion, config, windows, 1, seededRandom(2)),
  );
  const state = load(initialState(config, seededRandom(3)));
  const { loss } = computeGradients(diffusion, config, state, inputs);

  let total = 0;
  let count = 0;
  for (let row = 0; row < config.batch; row++) {
    const [tokens, targets, lossWeights] = ["tokens", "targets", "lossWeights"].map((name) =>
      tf.slice(inputs[name], [row, 0], [1, config.context])
    );
    const { attend } = row < 2 ? gpt : diffusion;
    const logits = forward(tokens as Tensor2D, state, config, { attend });
    const nats = await crossEntropy(logits, targets as Tensor2D).data();
    (await lossWeights.data()).forEach((weight, i) => {
      total += weight * nats[i];
      count += weight;
    });
  }
  // means of some 100 float32 terms of about 2, summed in another order
  assertAlmostEquals((await loss.data())[0], total / count, 1e-5);
});

Deno.test("dropout changes the causal rows alone", async () => {
  const windows = drawWindows(text, dual.batch, dual.context, seededRandom(1));
  const drawn = drawStepInputs(diffusion, dual, windows, 1, seededRandom(2));
  const state = load(initialState(dual, seededRandom(3)));
  const lossOf = async (config: Config, counted: (row: number) => boolean) => {
    const lossWeights = drawn.lossWeights.map((weight, i) =>
      counted(Math.floor(i / dual.context)) ? weight : 0
    );
    const inputs = pick(batchInputs(dual.batch, config), { ...drawn, lossWeights } as StepInputs);
    return (await computeGradients(diffusion, config, state, inputs).loss.data())[0];
  };
  const without = { ...dual, dropout: 0 };
  const isLeft = (row: number) => row < 2;
  assertNotEquals(await lossOf(dual, isLeft), await lossOf(without, isLeft));
  assertEquals(
    await lossOf(dual, (row) => !isLeft(row)),
    await lossOf(without, (row) => !isLeft(row)),
  );
});

Deno.test("the average of the weights is what is validated", async () => {
  const config = makeConfig("gpt", "smoke", 9, { emaDecay: 0.9 });
  const state = load(initialState(config, seededRandom(1)));
  const average = load(initialState(config, seededRandom(2)));
  for (const name of Object.keys(state).filter((name) => name.startsWith("ema/"))) {
    state[name] = average[name];
  }
  const shape = [1, config.context];
  const window = tf.tensor(text.subarray(0, config.context), shape, "int32");
  const inputs = { tokens: window, targets: window };
  const score = (program: ReturnType<typeof targetNats>, state: Tensors) =>
    program.body(state, inputs).outputs.nats.data();
  assertEquals(
    await score(validationNats(gpt, config, 1), state),
    await score(targetNats(gpt, config, 1), average),
  );
});

Deno.test("stateNames lists what initialState makes", () => {
  for (const change of [{}, { optimizer: "muon", emaDecay: 0.9 }] as Partial<Config>[]) {
    const config = makeConfig("gpt", "smoke", 9, change);
    assertEquals(stateNames(config), Object.keys(initialState(config, seededRandom(1))));
  }
  assert(!stateNames(makeConfig("gpt", "smoke", 9)).some((name) => name.startsWith("ema/")));
});
