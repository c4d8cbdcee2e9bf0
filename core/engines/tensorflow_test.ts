import { assert, assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import * as tf from "@tensorflow/tfjs";
import { makeConfig } from "../config.ts";
import * as diffusion from "../diffusion.ts";
import * as gpt from "../gpt.ts";
import type { LanguageModel } from "../language_model.ts";
import { initialWeights } from "../model.ts";
import { initialMoments, scheduleAt } from "../optimizer.ts";
import { gradients, targetNats, trainStep } from "../programs.ts";
import { seededRandom } from "../random.ts";
import { eagerEngine } from "./eager.ts";
import type { HostTensors, Precision, Program, Session } from "./engine.ts";
import { checkKernels } from "./kernel_cases.ts";
import { record } from "./recorder.ts";
import { simplify } from "./simplify.ts";
import { tensorflowEngine, tensorflowStatus } from "./tensorflow.ts";
import { registerTensorflow } from "./tensorflow_backend.ts";
import { loadBinding } from "./tensorflow_binding.ts";
import { tensorflowKernels, tensorflowModel } from "./tensorflow_model.ts";
import { rules } from "./recorder.ts";

// Parity with PyTorch and every kernel in float32 are in parity_test.ts and recorder_test.ts, for all engines alike.

const status = await tensorflowStatus();
if (!status.available) console.warn(`skipped: tests of the engine tensorflow (${status.reason})`);

function testWithTensorflow(name: string, fn: () => void | Promise<void>): void {
  Deno.test({ name, ignore: !status.available, fn });
}

const tiny = { layers: 2, heads: 2, width: 32, context: 24, batch: 4 };
const config = { ...makeConfig("diffusion", "smoke", 20, {}), ...tiny, learningRate: 3e-3 };

/** Weights with moments. */
const state = (seed = 1) => {
  const weights = initialWeights(config, seededRandom(seed));
  return { ...weights, ...initialMoments(weights, config.optimizer) };
};

/** A batch of a language in which each character is one of two that its left neighbour allows. */
function batch(seed: number, model: LanguageModel = diffusion) {
  const random = seededRandom(seed);
  const windows = Array.from({ length: config.batch }, () => {
    let token = 1 + random.integer(19);
    const next = () => token = 1 + (2 * token + random.integer(2)) % 19;
    return Int32Array.from({ length: config.context + 1 }, next);
  });
  return { ...model.batch(windows, config, random) };
}

async function load(
  state: HostTensors,
  programs: Record<string, Program>,
  precision: Precision = "f32",
): Promise<Session> {
  return await (await tensorflowEngine({ precision })).load(state, programs);
}

async function losses(steps: number, precision: Precision): Promise<Float32Array> {
  const session = await load(state(), { step: trainStep(diffusion, config) }, precision);
  const losses = new Float32Array(steps);
  for (let i = 0; i < steps; i++) {
    const { loss } = await session.run("step", { ...batch(i), ...scheduleAt(i + 1, config) });
    losses[i] = loss[0];
  }
  session.dispose();
  return losses;
}

/** A GPT's mean loss over 20 batches that training has not seen, in nats, after 300 steps. */
async function validationLoss(seed: number, precision: Precision): Promise<number> {
  const programs = {
    step: trainStep(gpt, config),
    nats: targetNats(gpt, config, config.batch),
  };
  const session = await load(state(seed), programs, precision);
  for (let i = 0; i < 300; i++) {
    await session.run("step", { ...batch(1000 * seed + i, gpt), ...scheduleAt(i + 1, config) });
  }
  const losses: number[] = [];
  for (let i = 0; i < 20; i++) {
    const { tokens, targets } = batch(1e6 + i, gpt);
    losses.push(...(await session.run("nats", { tokens, targets })).nats);
  }
  session.dispose();
  return losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
}

const vector = (...entries: number[]) => ({
  shape: [entries.length],
  data: Float32Array.from(entries),
});
const x = { shape: [2], dtype: "float32" as const };

Deno.test("every kernel that can be recorded has an operator of TensorFlow", () => {
  // These leave no node: their values are known.
  const constants = ["OnesLike", "ZerosLike", "Fill"];
  // `simplify` writes it as another kernel.
  const rewritten = ["ExpandDims"];
  const known = [...tensorflowKernels, ...constants, ...rewritten];
  assertEquals(Object.keys(rules).filter((kernel) => !known.includes(kernel)), []);
});

Deno.test("in bf16 a value is cast once, however many products take it", () => {
  const program: Program = {
    inputs: { x: { shape: [2, 2], dtype: "float32" } },
    body: ({ w }, { x }) => ({ outputs: { a: tf.matMul(w, x), b: tf.matMul(x, w) } }),
  };
  const state = { w: { shape: [2, 2], data: new Float32Array(4) } };
  const graphs = { program: simplify(record("program", program, state)) };
  const casts = (precision: Precision) => {
    const text = new TextDecoder("latin1").decode(tensorflowModel(state, graphs, precision).bytes);
    return text.split("\x12\x04Cast").length - 1; // field 2 of a node: its operator
  };
  assertEquals(casts("f32"), 0);
  assertEquals(casts("bf16"), 2 + 2); // two factors there, two products back
});

testWithTensorflow("tensorflow computes every kernel in bf16 to 4 in 100", async () => {
  // A factor is off by 2^-9 of itself at most, so a product by 2^-8: sums of 5 products of normal numbers, whose sizes add up to
  // 10 in the worst of these cases, are off by 0.04 though they cancel. All that is not a product stays float32.
  await checkKernels(await tensorflowEngine({ precision: "bf16" }), { tolerance: 4e-2 });
});

testWithTensorflow(
  "eager:tensorflow computes every kernel and its gradient as tfjs does",
  async () => {
    await checkKernels(await eagerEngine("tensorflow", registerTensorflow), { tolerance: 1e-5 });
  },
);

testWithTensorflow("products are rounded in bf16, and in f32 they are not", async () => {
  const program: Program = {
    inputs: { x: { shape: [1, 1], dtype: "float32" } },
    body: (_, { x }) => ({ outputs: { y: tf.matMul(x, x), z: tf.mul(x, x) } }),
  };
  const third = Float32Array.of(1 / 3);
  const f32 = await load({}, { program }), bf16 = await load({}, { program }, "bf16");
  const exact = Math.fround(third[0] * third[0]);
  assertEquals((await f32.run("program", { x: third })).y[0], exact);
  const { y: [y], z: [z] } = await bf16.run("program", { x: third });
  assertEquals(z, exact);
  assertNotEquals(y, exact);
  assertEquals(new Uint32Array(Float32Array.of(y).buffer)[0] & 0xffff, 0); // 8 bits of mantissa
  f32.dispose();
  bf16.dispose();
});

testWithTensorflow("gradients in bf16 point where those in f32 do", async () => {
  const program = { gradients: gradients(diffusion, config, config.batch) };
  const [f32, bf16] = [await load(state(), program), await load(state(), program, "bf16")];
  const exact = await f32.run("gradients", batch(0)),
    rounded = await bf16.run("gradients", batch(0));
  // The loss is a mean of 4 x 24 logarithms near ln 20, each off by some 2^-9 of a logit well below 1.
  assert(Math.abs(exact.loss[0] - rounded.loss[0]) < 2e-3, `${exact.loss} and ${rounded.loss}`);
  for (const name of Object.keys(exact).filter((name) => name !== "loss")) {
    const [a, b] = [exact[name], rounded[name]];
    const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, v, i) => sum + v * b[i], 0);
    // Each product adds an independent relative error of 2^-9 or so; some 20 of them in a row give about 0.01, whose square
    // is what the cosine loses.
    const cosine = dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
    assert(cosine > 0.999, `${name}: cosine ${cosine}`);
  }
  f32.dispose();
  bf16.dispose();
});

for (const precision of ["f32", "bf16"] as const) {
  testWithTensorflow(`two runs in ${precision} have the same losses, bit by bit`, async () => {
    assertEquals(await losses(20, precision), await losses(20, precision));
  });
}

testWithTensorflow("300 steps in bf16 end within the range of five seeds in f32", async () => {
  const seeds = [1, 2, 3, 4, 5];
  const exact = new Map<number, number>();
  for (const seed of seeds) exact.set(seed, await validationLoss(seed, "f32"));
  const inOrder = seeds.toSorted((a, b) => exact.get(a)! - exact.get(b)!);
  const [least, , median, , most] = inOrder.map((seed) => exact.get(seed)!);
  // Two characters may follow each one, so nobody gets below ln 2 = 0.69; nothing learned would be ln 19 = 2.9.
  assert(most < 0.8, `nothing learned: ${[...exact.values()]}`);
  // From the start that came out in the middle: what bf16 changes must be less than what the seed changes.
  const rounded = await validationLoss(inOrder[2], "bf16");
  assert(least <= rounded && rounded <= most, `${rounded}, in f32 ${[...exact.values()]}`);
  assertNotEquals(rounded, median);
});

testWithTensorflow("a step replaces the state that other programs read", async () => {
  const programs = {
    step: trainStep(diffusion, config),
    nats: targetNats(diffusion, config, config.batch, { keepMask: true }),
  };
  const session = await load(state(), programs);
  const { tokens, targets, lossWeights } = batch(0);
  const loss = async () => {
    const { nats } = await session.run("nats", { tokens, targets });
    const sum = nats.reduce((sum, value, i) => sum + value * lossWeights[i], 0);
    return sum / lossWeights.reduce((a, b) => a + b, 0);
  };
  const before = await loss();
  const step = await session.run("step", { ...batch(0), ...scheduleAt(1, config) });
  assert(Math.abs(step.loss[0] - before) < 1e-5, `${step.loss[0]} and ${before}`);
  assert(await loss() < before - 1e-3);
  session.dispose();
});

testWithTensorflow("entries of the state can change places, or stay as they are", async () => {
  const swap: Program = {
    inputs: {},
    body: ({ a, b }) => ({ outputs: { sum: tf.add(a, b) }, newState: { a: b, b: a } }),
  };
  const silent: Program = { inputs: {}, body: ({ a }) => ({ outputs: {}, newState: { c: a } }) };
  const session = await load({ a: vector(1), b: vector(2), c: vector(3), d: vector(4) }, {
    swap,
    silent,
  });
  for (let i = 0; i < 20; i++) assertEquals([...(await session.run("swap", {})).sum], [3]);
  await session.run("swap", {});
  assertEquals(await session.run("silent", {}), {});
  const after = Object.values(await session.readState()).map(({ data }) => [...data]);
  assertEquals(after, [[2], [1], [2], [4]]);
  session.dispose();
});

testWithTensorflow("the state keeps no memory of ours, wherever it lies", async () => {
  const keep: Program = {
    inputs: { x: { shape: [64], dtype: "float32" }, y: { shape: [64], dtype: "float32" } },
    body: (_, { x, y }) => ({
      outputs: {},
      newState: { a: x, b: tf.reshape(y, [8, 8]), c: tf.slice(y, 0, 32) },
    }),
  };
  const state = {
    a: vector(...new Float32Array(64)),
    b: { shape: [8, 8], data: new Float32Array(64) },
    c: vector(...new Float32Array(32)),
  };
  const session = await load(state, { keep });
  // TensorFlow shares what lies at a multiple of 64 bytes, and copies the rest; one of these offsets is such a multiple.
  for (let offset = 0; offset < 16; offset++) {
    const [x, y] = [7, 8].map((value) =>
      new Float32Array(80).fill(value).subarray(offset).subarray(0, 64)
    );
    await session.run("keep", { x, y });
    x.fill(0);
    y.fill(0);
    const { a, b, c } = await session.readState();
    assertEquals([a, b, c].map(({ data }) => new Set(data)), [
      new Set([7]),
      new Set([8]),
      new Set([8]),
    ]);
  }
  session.dispose();
});

testWithTensorflow("state that is written or read is copied", async () => {
  const double: Program = {
    inputs: {},
    body: ({ a }) => ({ outputs: { a }, newState: { a: tf.mul(a, 2) } }),
  };
  const initial = { a: vector(1, 2), b: vector(3, 4) };
  const session = await load(initial, { double });
  initial.a.data.fill(0);
  assertEquals([...(await session.run("double", {})).a], [1, 2]);
  const read = await session.readState(["a"]);
  assertEquals(Object.keys(read), ["a"]);
  read.a.data.fill(0);
  const written = vector(5, 6);
  await session.writeState({ b: written });
  written.data.fill(0);
  const { a, b } = await session.readState();
  assertEquals([[...a.data], [...b.data]], [[2, 4], [5, 6]]);
  session.dispose();
});

testWithTensorflow("an output may be an input, a constant or an entry of the state", async () => {
  const program: Program = {
    inputs: { x },
    body: ({ a }, { x }) => ({ outputs: { x, again: x, a, one: tf.ones([2]) } }),
  };
  const session = await load({ a: vector(3, 4) }, { program });
  const outputs = await session.run("program", { x: Float32Array.of(1, 2) });
  assertEquals(Object.values(outputs).map((data) => [...data]), [[1, 2], [1, 2], [3, 4], [1, 1]]);
  session.dispose();
});

testWithTensorflow("a wrong input is refused before anything runs", async () => {
  const program: Program = { inputs: { x }, body: (_, { x }) => ({ outputs: { x } }) };
  const session = await load({}, { program });
  // `run` may throw or reject.
  const refused = async (inputs: Record<string, Float32Array>) =>
    await assertRejects(async () => await session.run("program", inputs), TypeError);
  await refused({});
  await refused({ x: new Float32Array(3) });
  session.dispose();
});

testWithTensorflow(
  "2,000 steps leave no tensor behind, and memory as it was after 200",
  async () => {
    const { binding } = await loadBinding();
    const before = { tensors: binding.getNumOfTensors(), models: binding.getNumOfSavedModels() };
    const small = { ...config, layers: 1, width: 16, context: 8, batch: 2 };
    const weights = initialWeights(small, seededRandom(1));
    const session = await load(
      { ...weights, ...initialMoments(weights, small.optimizer) },
      { step: trainStep(diffusion, small) },
    );
    const tokens = new Int32Array(16).fill(3), lossWeights = new Float32Array(16).fill(1);
    const inputs = { tokens, targets: tokens, lossWeights, ...scheduleAt(1, small) };
    let after200 = 0;
    for (let step = 1; step <= 2000; step++) {
      await session.run("step", inputs);
      assertEquals(binding.getNumOfTensors(), before.tensors);
      if (step === 200) after200 = Deno.memoryUsage().rss;
    }
    const growth = Deno.memoryUsage().rss / after200 - 1;
    assert(growth <= 0.02, `grew by ${growth}`);
    session.dispose();
    assertEquals(binding.getNumOfSavedModels(), before.models);
  },
);

testWithTensorflow("the folder of the model is gone once it is loaded", async () => {
  const folder = await Deno.makeTempDir(), before = Deno.env.get("TMPDIR");
  Deno.env.set("TMPDIR", folder);
  try {
    const session = await load({}, { none: { inputs: {}, body: () => ({ outputs: {} }) } });
    assertEquals([...Deno.readDirSync(folder)], []);
    session.dispose();
  } finally {
    if (before === undefined) Deno.env.delete("TMPDIR");
    else Deno.env.set("TMPDIR", before);
    await Deno.remove(folder);
  }
});

testWithTensorflow("a process has one number of threads, and another one is refused", async () => {
  await assertRejects(
    () => tensorflowEngine({ threads: 77 }),
    RangeError,
    "already runs with its own number of threads in this process, expected 77",
  );
});

Deno.test("a kernel without an operator is named", () => {
  const graph = simplify(record("program", {
    inputs: { x },
    body: (_, { x }) => ({ outputs: { y: tf.exp(x) } }),
  }, {}));
  const { from } = graph.outputs.y;
  assert(from.kind === "node");
  from.node.kernel = "Frobnicate";
  assertThrows(
    () => tensorflowModel({}, { program: graph }, "f32"),
    TypeError,
    `Cannot lower "Frobnicate" to TensorFlow`,
  );
});
