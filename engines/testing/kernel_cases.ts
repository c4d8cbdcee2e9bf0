/**
 * Small programs for tests, one or more for each kernel that can be recorded: forward, and gradient
 * where there is one. The suite of `suite/` runs them on every engine.
 */
import * as tf from "@tensorflow/tfjs-core";
import { seededRandom } from "../../core/random.ts";
import { sizeOf, type Tensors, type TensorSpec } from "../tensors.ts";
import type { Program } from "../engine.ts";

/**
 * Numbers to feed: normal; from 0.5 to 2; or whole ones from -2 to 2, so that some are equal and
 * some are zero.
 */
type Values = "normal" | "positive" | "whole";

interface Input extends TensorSpec {
  values: Values;
}

export interface KernelCase {
  kernel: string;
  /** The name of the case, unique in the table. */
  name: string;
  inputs: Input[];
  /** The computation; a result that is not float32 is cast to it. */
  run: (...inputs: tf.Tensor[]) => tf.Tensor;
  /** Whether to compare the gradient by every input too. */
  gradient: boolean;
}

const normal = (...shape: number[]): Input => ({ shape, dtype: "float32", values: "normal" });
const positive = (...shape: number[]): Input => ({ shape, dtype: "float32", values: "positive" });
const whole = (...shape: number[]): Input => ({ shape, dtype: "float32", values: "whole" });
const int32 = (...shape: number[]): Input => ({ shape, dtype: "int32", values: "whole" });

/**
 * Every case. `engines/record/recorder_test.ts` checks that each rule of the recorder has one and that it records
 * what it says.
 */
export const kernelCases: KernelCase[] = [];

// deno-lint-ignore no-explicit-any -- tensors of any rank go to functions that want a certain one
type Run = (...inputs: any[]) => tf.Tensor;

function add(kernel: string, what: string, inputs: Input[], run: Run, gradient: boolean): void {
  const shapes = inputs.map(({ shape, dtype }) => `${dtype === "int32" ? "int32 " : ""}[${shape}]`);
  const name = [kernel, what, ...shapes].filter((part) => part !== "").join(" ");
  kernelCases.push({ kernel, name, inputs, run, gradient });
}
const differentiable = (kernel: string, what: string, inputs: Input[], run: Run) =>
  add(kernel, what, inputs, run, true);
const forwardOnly = (kernel: string, what: string, inputs: Input[], run: Run) =>
  add(kernel, what, inputs, run, false);

// ---------------------------------------------------------------- one tensor, entry by entry

const ranks = [[], [7], [3, 5], [2, 3, 1], [2, 1, 3, 2]];
for (const shape of ranks) {
  differentiable("Abs", "", [normal(...shape)], tf.abs);
  differentiable("Exp", "", [normal(...shape)], tf.exp);
  differentiable("Identity", "", [normal(...shape)], tf.clone);
  differentiable("Log", "", [positive(...shape)], tf.log);
  differentiable("Neg", "", [normal(...shape)], tf.neg);
  differentiable("Reciprocal", "", [positive(...shape)], tf.reciprocal);
  differentiable("Relu", "", [whole(...shape)], tf.relu);
  differentiable("Rsqrt", "", [positive(...shape)], tf.rsqrt);
  differentiable("Sigmoid", "", [normal(...shape)], tf.sigmoid);
  differentiable("Sqrt", "", [positive(...shape)], tf.sqrt);
  differentiable("Square", "", [normal(...shape)], tf.square);
  differentiable("Step", "", [whole(...shape)], (x) => tf.step(x));
  differentiable("Step", "with a slope below zero", [whole(...shape)], (x) => tf.step(x, -0.25));
  differentiable("Tanh", "", [normal(...shape)], tf.tanh);
  forwardOnly("LogicalNot", "", [whole(...shape)], (x) => tf.logicalNot(tf.greater(x, 0)));
}
for (const [kernel, op] of [["Abs", tf.abs], ["Neg", tf.neg], ["Square", tf.square]] as const) {
  forwardOnly(kernel, "", [int32(3, 5)], op);
}
forwardOnly("Cast", "to int32", [normal(3, 5)], (x) => tf.cast(tf.mul(x, 3), "int32"));
forwardOnly("Cast", "to bool", [whole(3, 5)], (x) => tf.cast(x, "bool"));
forwardOnly("Cast", "to float32", [int32(3, 5)], (x) => tf.cast(x, "float32"));
forwardOnly("Cast", "from bool", [whole(3, 5)], (x) => tf.cast(tf.greater(x, 0), "int32"));

// ---------------------------------------------------------------- two tensors, with broadcasting

const pairs: [number[], number[]][] = [
  [[], []],
  [[3, 5], [3, 5]],
  [[3, 5], [5]],
  [[3, 5], []],
  [[], [2, 3]],
  [[2, 1, 4], [3, 1]],
  [[2, 3, 1, 5], [1, 3, 2, 5]],
];
for (const [a, b] of pairs) {
  differentiable("Add", "", [normal(...a), normal(...b)], tf.add);
  differentiable("Maximum", "", [whole(...a), whole(...b)], tf.maximum);
  differentiable("Minimum", "", [whole(...a), whole(...b)], tf.minimum);
  differentiable("Multiply", "", [normal(...a), normal(...b)], tf.mul);
  differentiable("Pow", "", [positive(...a), normal(...b)], tf.pow);
  differentiable("RealDiv", "", [normal(...a), positive(...b)], tf.div);
  differentiable("Sub", "", [normal(...a), normal(...b)], tf.sub);
  const comparisons = {
    Equal: tf.equal,
    Greater: tf.greater,
    GreaterEqual: tf.greaterEqual,
    Less: tf.less,
    LessEqual: tf.lessEqual,
  };
  for (const [kernel, op] of Object.entries(comparisons)) {
    forwardOnly(kernel, "", [whole(...a), whole(...b)], op);
    forwardOnly(kernel, "", [int32(...a), int32(...b)], op);
  }
  forwardOnly(
    "LogicalAnd",
    "",
    [whole(...a), whole(...b)],
    (x, y) => tf.logicalAnd(tf.greater(x, 0), tf.less(y, 1)),
  );
  const onInt32 = {
    Add: tf.add,
    Maximum: tf.maximum,
    Minimum: tf.minimum,
    Multiply: tf.mul,
    Sub: tf.sub,
  };
  for (const [kernel, op] of Object.entries(onInt32)) {
    forwardOnly(kernel, "", [int32(...a), int32(...b)], op);
  }
}
forwardOnly(
  "Equal",
  "of bool",
  [whole(3, 5), whole(5)],
  (x, y) => tf.equal(tf.greater(x, 0), tf.greater(y, 0)),
);
const chosen = () => tf.tensor2d([1, 0, 0, 1, 1, 0], [2, 3], "bool");
differentiable("Select", "", [normal(2, 3), normal(2, 3)], (x, y) => tf.where(chosen(), x, y));
forwardOnly("Select", "with broadcasting", [whole(3, 1), normal(3, 5)], (x, y) => {
  return tf.where(tf.greater(x, 0), tf.scalar(-1), y);
});
forwardOnly("Select", "", [int32(2, 3), int32(2, 3)], (x, y) => tf.where(tf.less(x, y), x, y));
differentiable("AddN", "of three", [normal(3, 5), normal(3, 5), normal(3, 5)], (...xs) => {
  return tf.addN(xs);
});
differentiable("AddN", "of one", [normal(2)], (x) => tf.addN([x]));

// ---------------------------------------------------------------- along axes

const reductions: [number[], number | number[] | undefined, boolean][] = [
  [[], undefined, false],
  [[7], 0, false],
  [[3, 5], undefined, true],
  [[3, 5], -1, true],
  [[3, 5], 0, false],
  [[2, 3, 4], [2, 0], false],
  [[2, 1, 3, 5], [1, -1], true],
];
for (const [shape, axis, keepDims] of reductions) {
  const what = `over ${axis ?? "all"}${keepDims ? " kept" : ""}`;
  differentiable("Sum", what, [normal(...shape)], (x) => tf.sum(x, axis, keepDims));
  differentiable("Mean", what, [normal(...shape)], (x) => tf.mean(x, axis, keepDims));
  differentiable("Max", what, [normal(...shape)], (x) => tf.max(x, axis, keepDims));
  forwardOnly("Sum", what, [int32(...shape)], (x) => tf.sum(x, axis, keepDims));
  forwardOnly("Max", what, [int32(...shape)], (x) => tf.max(x, axis, keepDims));
}
forwardOnly("Sum", "of bool", [whole(3, 5)], (x) => tf.sum(tf.greater(x, 0), 1));
for (const shape of [[7], [3, 5], [2, 3, 1], [2, 1, 3, 5]]) {
  differentiable("Softmax", "", [normal(...shape)], (x) => tf.softmax(x));
}
forwardOnly("Softmax", "with hidden entries", [normal(2, 3)], (x) => {
  return tf.softmax(tf.add(x, tf.tensor2d([[0, -Infinity, -Infinity], [0, 0, -Infinity]])));
});

// ---------------------------------------------------------------- products

for (const lead of [[], [2], [2, 3]]) {
  for (const transposeA of [false, true]) {
    for (const transposeB of [false, true]) {
      const what = `A${transposeA ? "ᵀ" : ""} B${transposeB ? "ᵀ" : ""}`;
      const a = normal(...lead, ...(transposeA ? [5, 3] : [3, 5]));
      const b = normal(...lead, ...(transposeB ? [7, 5] : [5, 7]));
      differentiable("BatchMatMul", what, [a, b], (x, y) => {
        return tf.matMul(x, y, transposeA, transposeB);
      });
    }
  }
}
differentiable("BatchMatMul", "of single rows", [normal(1, 5), normal(5, 1)], (x, y) => {
  return tf.matMul(x, y);
});
differentiable("BatchMatMul", "", [normal(4, 2, 3, 5), normal(1, 1, 5, 2)], (x, y) => {
  return tf.matMul(x, y);
});
differentiable("BatchMatMul", "A Bᵀ", [normal(2, 3, 5), normal(7, 5)], (x, y) => {
  return tf.matMul(x, y, false, true);
});
differentiable("BatchMatMul", "of transposed", [normal(2, 5, 3), normal(2, 7, 5)], (x, y) => {
  return tf.matMul(tf.transpose(x, [0, 2, 1]), tf.transpose(y, [0, 2, 1]));
});

// ---------------------------------------------------------------- form

differentiable("Reshape", "to [5, 6]", [normal(2, 3, 5)], (x) => tf.reshape(x, [5, -1]));
differentiable("Reshape", "to a scalar", [normal(1, 1)], (x) => tf.reshape(x, []));
differentiable("Reshape", "of a scalar", [normal()], (x) => tf.reshape(x, [1, 1, 1]));
forwardOnly("Reshape", "", [int32(2, 3)], (x) => tf.reshape(x, [3, 2]));
for (const axis of [0, 1, -1]) {
  differentiable("ExpandDims", `${axis}`, [normal(3, 5)], (x) => tf.expandDims(x, axis));
}
differentiable("ExpandDims", "0", [normal()], (x) => tf.expandDims(x, 0));
const permutations: [number[], number[] | undefined][] = [
  [[3, 5], undefined],
  [[2, 3, 4], [2, 0, 1]],
  [[2, 3, 4], [0, 2, 1]],
  [[2, 3, 4, 5], [0, 2, 1, 3]],
  [[2, 3, 4, 5], [3, 1, 0, 2]],
];
for (const [shape, perm] of permutations) {
  differentiable("Transpose", `${perm}`, [normal(...shape)], (x) => tf.transpose(x, perm));
}
forwardOnly("Transpose", "", [int32(2, 3)], (x) => tf.transpose(x));
differentiable("Concat", "", [normal(2), normal(3)], (x, y) => tf.concat([x, y]));
differentiable("Concat", "along the last", [normal(2, 1, 3), normal(2, 1, 4)], (x, y) => {
  return tf.concat([x, y], -1);
});
differentiable("Concat", "of three", [normal(1, 5), normal(2, 5), normal(3, 5)], (...xs) => {
  return tf.concat(xs, 0);
});
forwardOnly("Concat", "", [int32(2), int32(3)], (x, y) => tf.concat([x, y]));
differentiable("SplitV", "in halves", [normal(2, 3, 4)], (x) => {
  const [first, second] = tf.split(x, 2, -1);
  return tf.sub(tf.mul(first, 2), second);
});
differentiable("SplitV", "of given sizes", [normal(6, 3)], (x) => {
  const [first, , third] = tf.split(x, [1, 2, -1], 0);
  return tf.sub(third, first);
});
differentiable("SplitV", "in twenty", [normal(2, 20)], (x) => {
  const pieces = tf.split(x, 20, 1);
  return tf.sub(tf.mul(pieces[17], pieces[3]), pieces[19]);
});
forwardOnly("SplitV", "", [int32(4)], (x) => tf.sub(...tf.split(x, 2) as [tf.Tensor, tf.Tensor]));
differentiable("Slice", "", [normal(7)], (x) => tf.slice(x, 2, 3));
differentiable("Slice", "to the end", [normal(2, 3, 4)], (x) => tf.slice(x, [0, 1, 1], [2, -1, 2]));
differentiable("Slice", "", [normal(2, 3, 4, 5)], (x) => {
  return tf.slice(x, [1, 0, 2, 3], [1, 3, 1, 2]);
});
forwardOnly("Slice", "", [int32(7)], (x) => tf.slice(x, 2, 3));
differentiable("Tile", "", [normal(3)], (x) => tf.tile(x, [2]));
differentiable("Tile", "", [normal(2, 1, 3)], (x) => tf.tile(x, [1, 4, 2]));
forwardOnly("Tile", "", [int32(3)], (x) => tf.tile(x, [2]));
differentiable("PadV2", "", [normal(3)], (x) => tf.pad(x, [[1, 2]]));
differentiable("PadV2", "with -1.5", [normal(2, 3)], (x) => tf.pad(x, [[0, 1], [2, 0]], -1.5));
forwardOnly("PadV2", "with 3", [int32(2, 3)], (x) => tf.pad(x, [[0, 1], [2, 0]], 3));
const tokens = (x: tf.Tensor) => tf.abs(x) as tf.Tensor1D;
forwardOnly("OneHot", "", [int32(7)], (x) => tf.oneHot(tokens(x), 3));
forwardOnly("OneHot", "and sum", [int32(7)], (x) => tf.sum(tf.oneHot(tokens(x), 3), 0));
forwardOnly("OneHot", "plus int32", [int32(7), int32(3)], (x, y) => {
  return tf.add(tf.oneHot(tokens(x), 3), y);
});
forwardOnly("OneHot", "3 or -1", [int32(2, 3)], (x) => tf.oneHot(tokens(x), 4, 3, -1));
forwardOnly("OneHot", "in float32", [int32(7)], (x) => {
  return tf.oneHot(tokens(x), 3, 0.5, -0.25, "float32");
});

// ---------------------------------------------------------------- constants

for (const shape of [[], [3, 5]]) {
  forwardOnly("OnesLike", "", [normal(...shape)], tf.onesLike);
  forwardOnly("ZerosLike", "", [normal(...shape)], tf.zerosLike);
  forwardOnly("Fill", `of [${shape}]`, [], () => tf.fill(shape, -1.5));
  forwardOnly("OnesLike", "", [int32(...shape)], (x) => tf.add(x, tf.onesLike(x)));
  differentiable("Fill", "in a sum", [normal(...shape)], (x) => tf.add(x, tf.fill(shape, 2)));
}
differentiable("Multiply", "by a table", [normal(2, 3)], (x) => {
  return tf.mul(x, tf.tensor2d([[1, 2, 3], [-4, -5, -0.5]]));
});
forwardOnly("Add", "to a table of int32", [int32(2, 3)], (x) => {
  return tf.add(x, tf.tensor1d([1, -2, 3], "int32"));
});
forwardOnly("LogicalAnd", "with a table of bool", [whole(2, 3)], (x) => {
  return tf.logicalAnd(tf.greater(x, 0), tf.tensor1d([true, false, true], "bool"));
});

// ---------------------------------------------------------------- as programs

const inputName = (i: number) => `x${i}`;

/**
 * The case as a program: output `value`, and `gradient/I` by each input for some direction of the
 * result.
 */
export function programOf({ inputs, run, gradient }: KernelCase): Program {
  const specs = Object.fromEntries(
    inputs.map(({ shape, dtype }, i) => [inputName(i), { shape, dtype }]),
  );
  return {
    inputs: specs,
    body(_, given) {
      const xs = inputs.map((_, i) => given[inputName(i)]);
      if (!gradient) return { outputs: { value: tf.cast(run(...xs), "float32") } };
      // No two entries of the direction are the same, so that one in the wrong place is noticed.
      const directed = (...xs: tf.Tensor[]) => {
        const value = run(...xs);
        const size = sizeOf(value.shape);
        const direction = Array.from({ length: size }, (_, i) => Math.cos(1 + i));
        return tf.sum(tf.mul(value, tf.reshape(tf.tensor1d(direction), value.shape))) as tf.Scalar;
      };
      const outputs: Tensors = { value: run(...xs) };
      tf.grads(directed)(xs).forEach((grad, i) => outputs[`gradient/${i}`] = grad);
      return { outputs };
    },
  };
}

/** Numbers for the inputs of a case, the same in every run. */
export function inputsOf({ name, inputs }: KernelCase): Record<string, Float32Array | Int32Array> {
  const random = seededRandom([...name].reduce((hash, c) => hash * 31 + c.codePointAt(0)! | 0, 7));
  const entry: Record<Values, () => number> = {
    normal: () => random.normal(),
    positive: () => 0.5 + 1.5 * random.uniform(),
    whole: () => random.integer(5) - 2,
  };
  return Object.fromEntries(inputs.map(({ shape, dtype, values }, i) => {
    const data = Array.from({ length: sizeOf(shape) }, entry[values]);
    return [inputName(i), dtype === "int32" ? Int32Array.from(data) : Float32Array.from(data)];
  }));
}
