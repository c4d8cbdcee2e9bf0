import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensors } from "../tensors.ts";
import type { Program } from "../engine.ts";
import { nodesInOrder, results } from "./graph.ts";
import { inputsOf, kernelCases, programOf } from "../testing/kernel_cases.ts";
import { record, rules } from "./recorder.ts";

await tf.setBackend("cpu");

Deno.test("every rule of the recorder has a case, and every case a name of its own", () => {
  const covered = new Set(kernelCases.map(({ kernel }) => kernel));
  assertEquals(Object.keys(rules).filter((kernel) => !covered.has(kernel)), []);
  assertEquals(new Set(kernelCases.map(({ name }) => name)).size, kernelCases.length);
});

Deno.test("every case records the kernel that it is about", () => {
  const constants = ["OnesLike", "ZerosLike", "Fill"]; // their values are known without a node
  for (const one of kernelCases) {
    const graph = record(one.name, programOf({ ...one, gradient: false }), {});
    const kernels = nodesInOrder(graph).map((node) => node.kernel);
    const values = [...results(graph), ...nodesInOrder(graph).flatMap((node) => node.inputs)];
    const found = constants.includes(one.kernel)
      ? values.some((value) => value.from.kind === "fill")
      : kernels.includes(one.kernel);
    assert(found, `${one.name} records ${kernels}`);
  }
});

Deno.test("the recorder gives every kernel the shape and type that tfjs gives it", () => {
  for (const one of kernelCases) {
    const data = inputsOf(one);
    let recorded: { shape: number[]; dtype: string } | undefined;
    record(one.name, {
      inputs: programOf(one).inputs,
      body(_, inputs) {
        const { shape, dtype } = recorded = one.run(...Object.values(inputs));
        return { outputs: { value: tf.zeros(shape, dtype === "float32" ? dtype : "float32") } };
      },
    }, {});
    const computed = tf.tidy(() => {
      const { shape, dtype } = one.run(
        ...one.inputs.map(({ shape, dtype }, i) => tf.tensor(data[`x${i}`], shape, dtype)),
      );
      return { shape, dtype };
    });
    assertEquals([recorded!.shape, recorded!.dtype], [computed.shape, computed.dtype], one.name);
  }
});

/** A program of one float32 input `x` of three entries. */
function program(run: (x: tf.Tensor) => tf.Tensor): Program {
  return {
    inputs: { x: { shape: [3], dtype: "float32" } },
    body: (_, { x }) => ({ outputs: { y: run(x) } }),
  };
}

const outside = tf.tensor1d([1, 2, 3]);

const mistakes: [what: string, run: (x: tf.Tensor) => tf.Tensor, message: RegExp][] = [
  ["an operation that it does not know", (x) => tf.cumsum(x), /"Cumsum" can't be recorded; add a/],
  ["dividing integers", (x) => tf.div(tf.cast(x, "int32"), tf.scalar(2, "int32")), /"FloorDiv"/],
  ["reading a value", (x) => tf.scalar(x.dataSync()[0]), /reads a value that is only known when/],
  ["a tensor from outside", (x) => tf.add(x, outside), /uses a tensor made outside of it/],
  ["returning a tensor from outside", () => outside, /uses a tensor made outside of it/],
  ["shapes that don't fit", (x) => tf.add(x, tf.ones([2])), /shape/],
  [
    "a product of sizes that don't fit",
    (x) => tf.matMul(tf.ones([2, 2]), tf.reshape(x, [3, 1])),
    /sizes are 2 and 3/,
  ],
  [
    "joining shapes that don't fit",
    (x) => tf.concat([tf.ones([2, 2]), tf.reshape(x, [3, 1])]),
    /shape/i,
  ],
  ["a slice beyond the end", (x) => tf.slice(x, 2, 2), /would overflow/],
  ["softmax along another axis", (x) => tf.softmax(tf.reshape(x, [3, 1]), 0), /non-last dimension/],
  ["exp of integers", (x) => tf.exp(tf.cast(x, "int32")), /"Exp" of int32.*cast/],
  ["the mean of integers", (x) => tf.mean(tf.cast(x, "int32")), /"Mean" of int32.*cast/],
  ["an output of integers", (x) => tf.cast(x, "int32"), /output "y" is int32 \[3\].*float32/],
];
for (const [what, run, message] of mistakes) {
  Deno.test(`recording ${what} is refused in one line, and leaves tfjs as it was`, () => {
    const before = { backend: tf.getBackend(), tensors: tf.memory().numTensors };
    const error = assertThrows(() => record("step", program(run), {}), TypeError);
    assertMatch(error.message, /^Cannot record the program "step": /);
    assertMatch(error.message, message);
    assertEquals(error.message.split("\n").length, 1);
    assertEquals({ backend: tf.getBackend(), tensors: tf.memory().numTensors }, before);
    assertEquals([...tf.add(outside, 1).dataSync()], [2, 3, 4]);
  });
}

Deno.test("a new value of the state must be of an entry there is, and of its shape", () => {
  const state = { w: { shape: [2], data: new Float32Array(2) } };
  const changing = (newState: (state: Tensors) => Tensors): Program => ({
    inputs: {},
    body: (state) => ({ outputs: {}, newState: newState(state) }),
  });
  const refusal = (newState: (state: Tensors) => Tensors) =>
    assertThrows(() => record("step", changing(newState), state), TypeError).message;
  assertMatch(refusal(({ w }) => ({ v: w })), /the state has no "v"/);
  assertMatch(
    refusal(({ w }) => ({ w: tf.concat([w, w]) })),
    /"w" is float32 \[4\].*float32 \[2\]/,
  );
});

Deno.test("recording leaves no tensor behind", () => {
  const before = tf.memory().numTensors;
  record("step", program((x) => tf.grad((x) => tf.sum(tf.exp(tf.mul(x, 2))))(x)), {});
  assertEquals(tf.memory().numTensors, before);
});

Deno.test("a constant made in a program can be read there", () => {
  const { outputs } = record(
    "step",
    program((x) => tf.mul(x, tf.tensor1d([1, 2, 3]).dataSync()[2])),
    {},
  );
  const { from } = outputs.y;
  assert(from.kind === "node");
  assertEquals(from.node.inputs[1].from, { kind: "fill", value: 3 });
});
