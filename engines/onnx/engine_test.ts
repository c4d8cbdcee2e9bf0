import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { makeConfig } from "../../core/config.ts";
import { drawWindows } from "../../core/training/step.ts";
import { initialWeights } from "../../core/model.ts";
import { models } from "../../core/models.ts";
import { windowLogits } from "../../core/programs.ts";
import { drawStepInputs, initialState, trainStep } from "../../core/training/step.ts";
import { gradients } from "../../core/training/gradients.ts";
import { seededRandom } from "../../core/random.ts";
import type { HostTensors } from "../tensors.ts";
import type { Graph } from "../record/graph.ts";
import { inputsOf, kernelCases, programOf } from "../testing/kernel_cases.ts";
import { onnxEngine } from "./engine.ts";
import { inputName, onnxModel, onnxStepsModel, outputName, quantizeRows } from "./model.ts";
import { decodeModel } from "../testing/onnx_proto.ts";
import type { GraphProto } from "./proto.ts";
import { loadOnnxruntime, type Onnxruntime } from "./runtime.ts";
import { compile } from "../record/compile.ts";

let ort: Onnxruntime | undefined;
try {
  ort = await loadOnnxruntime("cpu");
} catch (error) {
  console.warn(`skipped: models by onnxruntime (${(error as Error).message})`);
}
const test = (name: string, fn: () => Promise<void>) => Deno.test({ name, ignore: !ort, fn });

/** The operators of a model, those inside loops included. */
function operators(model: Uint8Array): Set<string> {
  const names = ({ node }: GraphProto): string[] =>
    node.flatMap(({ op_type, attribute }) => [
      op_type,
      ...attribute.flatMap(({ g }) => g ? names(g) : []),
    ]);
  return new Set(names(decodeModel(model).graph));
}

function trainingGraph(kind: "gpt" | "diffusion"): Graph {
  const config = makeConfig(kind, "smoke", 66, { optimizer: "muon", dropout: 0.1 });
  const state = initialState(config, seededRandom(1));
  return compile("step", trainStep(models[kind], config), state);
}

Deno.test("a model of several steps is one loop around the operators of one step", () => {
  const graph = trainingGraph("diffusion");
  const one = operators(onnxModel(graph)), several = operators(onnxStepsModel(graph));
  assertEquals(several.difference(one), new Set(["Loop", "Gather", "Identity"]).difference(one));
  assertEquals(one.difference(several), new Set());
});

Deno.test("a training step for WebGPU has no operator that onnxruntime would take to the CPU", () => {
  // Seen with version 1.30, whose log at level 0 tells where each operator goes: these two were
  // taken there, and with them their inputs and outputs from the GPU and back.
  const taken = new Set(["FusedMatMul", "OneHot"]);
  for (const kind of ["gpt", "diffusion"] as const) {
    const graph = trainingGraph(kind);
    assertEquals(operators(onnxModel(graph, { device: "webgpu" })).intersection(taken), new Set());
    assertEquals(operators(onnxModel(graph, { device: "cuda" })).intersection(taken), taken);
  }
});

Deno.test("a portable model has none of onnxruntime's own operators", () => {
  const own = new Set(["FusedMatMul", "SimplifiedLayerNormalization"]);
  for (const kind of ["gpt", "diffusion"] as const) {
    const graph = trainingGraph(kind);
    assertEquals(operators(onnxModel(graph)).intersection(own), own);
    for (const device of ["cpu", "webgpu"] as const) {
      const model = onnxModel(graph, { device, portable: true });
      assertEquals(operators(model).intersection(own), new Set());
    }
  }
});

test("state that no program changes is part of the graphs, and writing it is refused by name", async () => {
  const state = { w: { shape: [1], data: Float32Array.of(2) } };
  const session = await (await onnxEngine({ threads: 1 })).load(state, {
    look: { inputs: {}, body: ({ w }) => ({ outputs: { w } }) },
  });
  const { message } = await assertRejects(() => session.writeState(state), TypeError);
  assert(message.startsWith('Cannot write "w": no program of this session changes it'), message);
  assertEquals([...(await session.run("look", {})).w], [2]);
  session.dispose();
});

Deno.test("a kernel without an operator of ONNX is named", () => {
  const graph = trainingGraph("gpt");
  const { from } = graph.outputs.loss;
  assert(from.kind === "node");
  from.node.kernel = "Frobnicate";
  assertThrows(() => onnxModel(graph), TypeError, `Cannot lower "Frobnicate" to ONNX`);
});

test("what is lowered otherwise for WebGPU and for other runtimes computes the same", async () => {
  for (const one of kernelCases.filter(({ kernel }) => /MatMul|OneHot|Pow|SplitV/.test(kernel))) {
    const graph = compile(one.name, programOf(one), {});
    await compare(one.name, graph, {}, inputsOf(one));
  }
  // The inverse deviation of the norm is read by gradients only.
  const config = makeConfig("gpt", "smoke", 65), random = seededRandom(2);
  const weights = initialWeights(config, random);
  const graph = compile("g", gradients(models.gpt, config, config.batch), weights);
  const windows = drawWindows(
    Int32Array.from({ length: 500 }, () => random.integer(65)),
    config.batch,
    config.context,
    random,
  );
  await compare(
    "gradients",
    graph,
    weights,
    drawStepInputs(models.gpt, config, windows, 1, random),
  );
});

async function compare(
  what: string,
  graph: Graph,
  fixed: HostTensors,
  inputs: Record<string, Float32Array | Int32Array>,
): Promise<void> {
  const cpu = await onCpu(onnxModel(graph, { fixed }), graph, inputs);
  for (const options of [{ device: "webgpu" }, { portable: true }] as const) {
    const other = await onCpu(onnxModel(graph, { fixed, ...options }), graph, inputs);
    for (const [name, values] of Object.entries(cpu)) {
      const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const difference = values.reduce(
        (most, value, i) => Math.max(most, Math.abs(value - other[name][i])),
        0,
      );
      // Sums of some hundred float32 products in another order: about 1e-6 of the largest entry,
      // as in engines/testing/engine_case.ts.
      assert(difference <= 1e-5 * largest, `${what}, ${name}: differs by ${difference / largest}`);
    }
  }
}

/** Runs a model, whatever it was lowered for, on the CPU. */
async function onCpu(
  model: Uint8Array,
  graph: Graph,
  inputs: Record<string, Float32Array | Int32Array>,
): Promise<Record<string, Float32Array>> {
  const session = await ort!.InferenceSession.create(model, {
    intraOpNumThreads: 1,
    logSeverityLevel: 3,
  });
  const feeds = Object.entries(graph.inputs)
    .map(([key, { shape, dtype }]) =>
      [
        inputName(key),
        new ort!.Tensor(dtype as "float32" | "int32", inputs[key], shape),
      ] as const
    )
    .filter(([name]) => session.inputNames.includes(name));
  const fetched = await session.run(Object.fromEntries(feeds));
  await session.release();
  return Object.fromEntries(
    Object.keys(graph.outputs).map((key) => [key, fetched[outputName(key)].data as Float32Array]),
  );
}

Deno.test("a quantized entry is off by at most half of its row's step, and a row of zeros stays zero", () => {
  const random = seededRandom(1), rows = 5, columns = 7;
  const matrix = Float32Array.from({ length: rows * columns }, () => random.normal());
  matrix.fill(0, 2 * columns, 3 * columns);
  const quantized = quantizeRows(matrix, rows, columns);
  for (let row = 0; row < rows; row++) {
    const scale = quantized.scales[row];
    for (let i = 0; i < columns; i++) {
      const whole = quantized.columns[i * rows + row];
      // 63: two products with a byte still fit into 16 bits.
      assert(Math.abs(whole) <= 63 && 2 * 63 * 255 < 2 ** 15);
      assert(Math.abs(whole * scale - matrix[row * columns + i]) <= scale * 0.5001);
    }
  }
});

test("in int8 the linear layers are in 8 bits, and the logits near those in float32", async () => {
  const config = makeConfig("diffusion", "smoke", 65), random = seededRandom(2);
  const weights = initialWeights({ ...config, zeroProjections: false }, random);
  const program = windowLogits(models.diffusion, config, 1);
  const graph = compile("logits", program, weights);
  const ofModel = (precision: "f32" | "int8", fixed: HostTensors) =>
    decodeModel(onnxModel(graph, { fixed, precision })).graph.node
      .filter(({ op_type }) => op_type === "MatMulIntegerToFloat").length;
  assertEquals(ofModel("int8", weights), 6 * config.layers + 1); // the embedding is a look-up
  assertEquals(ofModel("f32", weights), 0);
  assertEquals(ofModel("int8", {}), 0, "weights that change are not quantized");
  const tokens = Int32Array.from({ length: config.context }, () => random.integer(65));
  const [exact, near] = await Promise.all((["f32", "int8"] as const).map(async (precision) => {
    const session = await (await onnxEngine({ precision })).load(weights, { program });
    const { logits } = await session.run("program", { tokens });
    session.dispose();
    return logits;
  }));
  const size = (values: Float32Array) => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0));
  const share = size(exact.map((logit, i) => logit - near[i])) / size(exact);
  // Each product is off by about 1 %, the root of the squares of 1 / (63 sqrt 12) of a factor times
  // the largest over the usual entry, and there are three in a row.
  assert(share > 1e-4 && share < 0.05, `off by ${share}`);
});

test("in int8 a position's logits are the same bits whatever follows, and whatever is next to it", async () => {
  const config = makeConfig("gpt", "smoke", 65), random = seededRandom(3);
  const weights = initialWeights({ ...config, zeroProjections: false }, random);
  const session = await (await onnxEngine({ precision: "int8" }))
    .load(weights, { program: windowLogits(models.gpt, config, 2) });
  const window = () => Array.from({ length: config.context }, () => random.integer(65));
  const half = config.context / 2, [given, other] = [window(), window()];
  const logits = async (tokens: number[]) =>
    (await session.run("program", { tokens: Int32Array.from(tokens) })).logits.slice(0, half * 65);
  const one = await logits([...given, ...window()]);
  assertEquals(await logits([...given.slice(0, half), ...other.slice(half), ...window()]), one);
  session.dispose();
});
