import { assert, assertEquals, assertLess } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import * as fc from "fast-check";

import { makeConfig } from "../../core/config.ts";
import { models } from "../../core/models.ts";
import { initialWeights } from "../../core/model.ts";
import { initialMoments } from "../../core/training/optimizer.ts";
import { trainStep } from "../../core/training/step.ts";
import { seededRandom } from "../../core/random.ts";
import { sizeOf, type TensorSpec } from "../tensors.ts";
import { type Graph, nodesInOrder, results } from "./graph.ts";
import { inputName, onnxModel, outputName } from "../onnx/model.ts";
import { loadOnnxruntime } from "../onnx/runtime.ts";
import { record } from "./recorder.ts";
import { simplify } from "./simplify.ts";

await tf.setBackend("cpu");
const ort = await loadOnnxruntime("cpu");

// deno-lint-ignore no-explicit-any -- tensors of any rank go to functions that want a certain one
type Run = (...inputs: any[]) => tf.Tensor;

const float = (...shape: number[]): TensorSpec => ({ shape, dtype: "float32" });
const int32 = (...shape: number[]): TensorSpec => ({ shape, dtype: "int32" });

function recorded(run: Run, specs: TensorSpec[]): Graph {
  const inputs = Object.fromEntries(specs.map((spec, i) => [`x${i}`, spec]));
  return record("test", {
    inputs,
    body: (_, xs) => ({ outputs: { y: run(...specs.map((_, i) => xs[`x${i}`])) } }),
  }, {});
}

/** The output `y` of a graph, by onnxruntime without its own optimizer. */
async function computed(graph: Graph, data: (Float32Array | Int32Array)[]): Promise<Float32Array> {
  const session = await ort.InferenceSession.create(onnxModel(graph), {
    graphOptimizationLevel: "disabled",
    intraOpNumThreads: 1,
    logSeverityLevel: 3,
  });
  const feeds = Object.entries(graph.inputs)
    .map(([key, { shape, dtype }], i) =>
      [inputName(key), new ort.Tensor(dtype as "float32" | "int32", data[i], shape)] as const
    )
    .filter(([name]) => session.inputNames.includes(name));
  const { [outputName("y")]: y } = await session.run(Object.fromEntries(feeds));
  await session.release();
  return y.data as Float32Array;
}

const kernelsOf = (graph: Graph) => nodesInOrder(graph).map((node) => node.kernel);

/** Numbers from -2 to 2, or whole ones from 0 to 2. */
function dataFor(specs: TensorSpec[], seed = 1): (Float32Array | Int32Array)[] {
  const random = seededRandom(seed);
  return specs.map(({ shape, dtype }) => {
    const size = sizeOf(shape);
    return dtype === "int32"
      ? Int32Array.from({ length: size }, () => random.integer(3))
      : Float32Array.from({ length: size }, () => 4 * random.uniform() - 2);
  });
}

/**
 * Entries must be the same but for rounding: a norm in one operator, or a product that reads its
 * operand another way round, adds up in another order. Some ten roundings of 2^-24 each are below
 * 1e-6; NaN and infinities must agree.
 */
function assertSame(ours: Float32Array, theirs: Float32Array, what = ""): void {
  assertEquals(ours.length, theirs.length);
  theirs.forEach((value, i) => {
    const close = Math.abs(ours[i] - value) <= 1e-6 * Math.max(1, Math.abs(value));
    assert(close || Object.is(ours[i] + 0, value + 0), `${what}[${i}] is ${ours[i]}, was ${value}`);
  });
}

/** Each rewriting on a small graph: what is recorded, and which kernels are left. */
const rewritings: [what: string, specs: TensorSpec[], run: Run, left: string[]][] = [
  ["a copy is dropped", [float(2, 3)], (x) => tf.exp(tf.clone(x)), ["Exp"]],
  ["equal nodes become one", [float(2, 3), float(3)], (x, y) => {
    return tf.mul(tf.exp(tf.add(x, y)), tf.exp(tf.add(y, x)));
  }, ["Add", "Exp", "Multiply"]],
  ["x - y and y - x stay two", [float(3), float(3)], (x, y) => {
    return tf.div(tf.sub(x, y), tf.sub(y, x));
  }, ["Sub", "Sub", "RealDiv"]],
  ["a cast to the same type is dropped", [int32(3)], (x) => {
    return tf.cast(tf.cast(x, "int32"), "float32");
  }, ["Cast"]],
  ["one-hot integers become float32 at once", [int32(4)], (x) => {
    return tf.cast(tf.oneHot(x, 3), "float32");
  }, ["OneHot"]],
  ["constants are folded", [float(3)], (x) => {
    return tf.add(x, tf.div(tf.mul(tf.add(tf.scalar(1), 2), tf.sub(5, 1)), tf.scalar(3)));
  }, ["Add"]],
  ["x + 0, x - 0, x * 1, x / 1 are x", [float(2, 3)], (x) => {
    return tf.exp(tf.div(tf.mul(tf.sub(tf.add(0, x), tf.zeros([3])), tf.ones([2, 3])), 1));
  }, ["Exp"]],
  ["x * 1 of a larger shape is a broadcast", [float(3)], (x) => tf.mul(x, tf.ones([2, 3])), [
    "BroadcastTo",
  ]],
  ["a broadcast before a sum is left to the sum", [float(3), float(2, 3)], (x, y) => {
    return tf.add(tf.mul(x, tf.ones([2, 3])), y);
  }, ["Add"]],
  ["a broadcast that decides the shape stays", [float(3), float(3)], (x, y) => {
    return tf.add(tf.mul(x, tf.ones([2, 3])), y);
  }, ["BroadcastTo", "Add"]],
  ["a broadcast of a broadcast is one", [float(3)], (x) => {
    return tf.exp(tf.mul(tf.mul(x, tf.ones([2, 3])), tf.ones([4, 2, 3])));
  }, ["BroadcastTo", "Exp"]],
  ["-(-x) is x", [float(3)], (x) => tf.exp(tf.neg(tf.neg(x))), ["Exp"]],
  ["a reshape of a reshape is one", [float(2, 3)], (x) => {
    return tf.exp(tf.reshape(tf.expandDims(tf.reshape(x, [3, 2]), 1), [6]));
  }, ["Reshape", "Exp"]],
  ["a reshape to the same shape is dropped", [float(2, 3)], (x) => {
    return tf.exp(tf.reshape(x, [2, 3]));
  }, ["Exp"]],
  ["a transposition of a transposition is one", [float(2, 3, 4)], (x) => {
    return tf.exp(tf.transpose(tf.transpose(x, [1, 2, 0]), [2, 1, 0]));
  }, ["Transpose", "Exp"]],
  ["a transposition there and back is none", [float(2, 3, 4)], (x) => {
    return tf.exp(tf.transpose(tf.transpose(x, [1, 2, 0]), [2, 0, 1]));
  }, ["Exp"]],
  ["products read transposed operands themselves", [float(3, 2), float(5, 3)], (x, y) => {
    return tf.matMul(tf.transpose(x), tf.transpose(y));
  }, ["BatchMatMul"]],
  ["a product that transposes a transposed operand does neither", [
    float(2, 4, 3),
    float(2, 4, 5),
  ], (x, y) => {
    return tf.matMul(tf.transpose(x, [0, 2, 1]), tf.transpose(y, [0, 2, 1]), false, true);
  }, ["BatchMatMul"]],
  ["a transposition of other axes stays before a product", [float(4, 2, 3), float(2, 3, 5)], (
    x,
    y,
  ) => {
    return tf.matMul(tf.transpose(x, [1, 0, 2]), y);
  }, ["Transpose", "BatchMatMul"]],
  ["a whole slice and a tile of one are dropped", [float(2, 3)], (x) => {
    return tf.exp(tf.tile(tf.slice(x, [0, 0], [2, 3]), [1, 1]));
  }, ["Exp"]],
  ["an RMSNorm is one node", [float(2, 3)], (x) => {
    return tf.mul(x, tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), 1e-7)));
  }, ["RmsNorm"]],
  ["the inverse deviation alone comes from the same node", [float(2, 3), float(2, 3)], (x, y) => {
    return tf.mul(y, tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), 1e-7)));
  }, ["RmsNorm", "Multiply"]],
  ["a mean over another axis is no RMSNorm", [float(2, 3)], (x) => {
    return tf.mul(x, tf.rsqrt(tf.add(tf.mean(tf.square(x), 0, true), 1e-7)));
  }, ["Square", "Mean", "Add", "Rsqrt", "Multiply"]],
  ["an epsilon that widens the shape makes no RMSNorm", [float(1, 3)], (x) => {
    return tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), tf.fill([2, 1], 1e-7)));
  }, ["Square", "Mean", "Add", "Rsqrt"]],
  ["the sign of x is not asked of relu(x) again", [float(2, 3), float(2, 3)], (x, y) => {
    return tf.mul(tf.mul(y, tf.relu(x)), tf.step(x));
  }, ["Relu", "Multiply"]],
  ["the sign of another tensor is asked", [float(2, 3), float(2, 3)], (x, y) => {
    return tf.mul(tf.relu(x), tf.step(y));
  }, ["Relu", "Step", "Multiply"]],
  ["different paddings stay two", [float(2)], (x) => {
    return tf.sub(tf.pad(x, [[1, 0]], Infinity), tf.pad(x, [[1, 0]], -Infinity));
  }, ["PadV2", "PadV2", "Sub"]],
  ["what nobody reads disappears", [float(2, 3), float(2, 3)], (x, y) => {
    tf.exp(y);
    return tf.abs(x);
  }, ["Abs"]],
];

for (const [what, specs, run, left] of rewritings) {
  Deno.test(`simplifying: ${what}`, async () => {
    const graph = recorded(run, specs), before = structuredClone(kernelsOf(graph));
    const short = simplify(graph);
    assertEquals(kernelsOf(short).sort(), [...left].sort());
    assertEquals(kernelsOf(graph), before); // the old graph is left as it was
    assertEquals(results(short)[0].shape, results(graph)[0].shape);
    const data = dataFor(specs);
    assertSame(await computed(short, data), await computed(lowerable(graph), data));
  });
}

/** The graph with the two kernels that only simplification takes away in forms that ONNX has. */
function lowerable(graph: Graph): Graph {
  for (const node of nodesInOrder(graph)) {
    if (node.kernel === "ExpandDims") node.kernel = "Reshape";
    if (node.kernel === "Identity") {
      node.kernel = "Reshape";
      node.attributes = { shape: node.outputs[0].shape };
    }
  }
  return graph;
}

Deno.test("simplifying keeps NaN, infinities and what they make of zeros", async () => {
  // x * 0 is not 0, x - x is not 0, x / x is not 1 and 0 / x is not 0, as x may be NaN or infinite.
  const specs = [float(6)];
  const data = [Float32Array.of(1, -2, 0, NaN, Infinity, -Infinity)];
  const kept: [Run, string][] = [
    [(x) => tf.mul(x, 0), "Multiply"],
    [(x) => tf.sub(x, x), "Sub"],
    [(x) => tf.div(x, x), "RealDiv"],
    [(x) => tf.div(0, x), "RealDiv"],
    [(x) => tf.mul(tf.mul(x, tf.relu(x)), tf.step(x)), "Relu"],
    [(x) => tf.maximum(x, -Infinity), "Maximum"],
    [(x) => tf.add(x, NaN), "Add"],
    [(x) => tf.pow(x, 0), "Pow"],
  ];
  for (const [run, kernel] of kept) {
    const graph = recorded(run, specs), short = simplify(graph);
    assert(kernelsOf(short).includes(kernel), `${kernel} is gone`);
    assertSame(await computed(short, data), await computed(graph, data), kernel);
  }
});

Deno.test("folding a constant gives what float32 gives, division by zero included", async () => {
  const folded: Run[] = [
    () => tf.add(tf.scalar(2 ** 24), 1), // 16777217 is no float32
    () => tf.div(tf.scalar(1), 0),
    () => tf.div(tf.scalar(0), 0),
    () => tf.mul(tf.scalar(3e38), 10),
    () => tf.mul(tf.scalar(-1), 0),
  ];
  for (const run of folded) {
    const graph = recorded(run, []), short = simplify(graph);
    assertEquals(kernelsOf(short), []);
    const [ours, theirs] = [await computed(short, []), await computed(graph, [])];
    assert(Object.is(ours[0], theirs[0]), `${ours[0]}, was ${theirs[0]}`);
  }
});

// ---------------------------------------------------------------- random graphs

/**
 * What a random program does next: an operation on earlier values, chosen by numbers taken modulo
 * how many there are.
 */
type Step = [operation: number, first: number, second: number];

const shapes = [[2, 3], [3], [1, 3], [], [3, 2], [2, 2, 3]];
const operations: ((x: tf.Tensor, y: tf.Tensor) => tf.Tensor)[] = [
  tf.add,
  tf.sub,
  tf.mul,
  (x, y) => tf.div(x, tf.add(tf.square(y), 1)),
  tf.maximum,
  (x) => tf.neg(x),
  (x) => tf.relu(x),
  (x) => tf.step(x),
  (x) => tf.tanh(x),
  (x) => tf.clone(x),
  (x) => tf.transpose(x),
  (x) => tf.reshape(x, [-1]),
  (x) => tf.expandDims(x, 0),
  (x) => tf.add(x, 0),
  (x) => tf.mul(x, 1),
  (x) => tf.mul(x, tf.ones([2, ...x.shape])),
  (x) => tf.mul(tf.fill(x.shape, 2), tf.add(tf.scalar(0.5), tf.zeros(x.shape))),
  (x) => tf.sum(x, -1, true),
  (x) => tf.mul(x, tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), 2 ** -10))),
  (x, y) => tf.matMul(x as tf.Tensor2D, y as tf.Tensor2D, false, true),
  (x, y) => tf.matMul(tf.transpose(x) as tf.Tensor2D, y as tf.Tensor2D),
  (x) => tf.grad((z) => tf.sum(tf.square(tf.relu(z))))(x),
];

/** A program of the steps that are possible; its result is the sum of the last values. */
function programOf(steps: Step[]): Run {
  return (...inputs: tf.Tensor[]) => {
    const values = [...inputs];
    for (const [operation, first, second] of steps) {
      const x = values[first % values.length], y = values[second % values.length];
      try {
        const value = operations[operation % operations.length](x, y);
        if (sizeOf(value.shape) <= 100 && value.rank <= 4) values.push(value);
      } catch {
        // shapes that do not fit: another step will
      }
    }
    return values.slice(-3).map((value) => tf.sum(value)).reduce((a, b) => tf.add(a, b));
  };
}

Deno.test("any small graph is no longer after simplifying, and computes the same", async () => {
  const specs = shapes.map((shape) => float(...shape)), data = dataFor(specs);
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(99), fc.nat(99), fc.nat(99)), { minLength: 3, maxLength: 16 }),
      async (steps) => {
        const graph = recorded(programOf(steps), specs), short = simplify(graph);
        assert(kernelsOf(short).length <= kernelsOf(graph).length);
        const [ours, theirs] = [
          await computed(short, data),
          await computed(lowerable(graph), data),
        ];
        // Products of products grow, and sums of them may cancel: a relative difference of
        // float32's 2^-24 a dozen times over.
        const size = Math.max(1, Math.abs(theirs[0]));
        assert(
          Math.abs(ours[0] - theirs[0]) <= 1e-4 * size || Object.is(ours[0], theirs[0]),
          `${ours[0]}, was ${theirs[0]}`,
        );
      },
    ),
    { numRuns: 150, seed: 1 },
  );
});

Deno.test("simplifying twice changes nothing more, and a training step loses a quarter of its nodes", () => {
  for (const model of Object.values(models)) {
    const config = makeConfig(model.kind, "smoke", 10);
    const weights = initialWeights(config, seededRandom(1));
    const state = { ...weights, ...initialMoments(weights, config.optimizer) };
    const graph = record("step", trainStep(model, config), state);
    const once = simplify(graph), twice = simplify(once);
    assertEquals(kernelsOf(twice).length, kernelsOf(once).length);
    assertLess(kernelsOf(once).length, 3 / 4 * kernelsOf(graph).length);
  }
});
