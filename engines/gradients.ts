/**
 * The gradient of every kernel that can be recorded, as tfjs operations. tfjs-core has automatic
 * differentiation but no gradients that load in Deno, and the package that bundles them brings
 * 45 MB of layers, converters and WebGL along. The formulas are tfjs's (Apache License 2.0); those
 * that broadcast add up over the axes that were broadcast, also where tfjs's do not.
 *
 * Importing this module registers them with tfjs.
 */
import * as tf from "@tensorflow/tfjs-core";

type Tensor = tf.Tensor;

/** The tensors that autodiff keeps of a kernel's call, and the derivative by each of its inputs. */
interface Gradient {
  /** Names of the inputs to keep, or all of them, which are then known by number. */
  inputs?: string[] | "all";
  /** Whether to keep the output, too. */
  output?: boolean;
  /** `dy` is the derivative of the loss by the output; `saved` is what was kept, inputs first. */
  derive(
    dy: Tensor,
    saved: Tensor[],
    // deno-lint-ignore no-explicit-any -- as the kernel was called
    attributes: Record<string, any>,
  ): Record<string, () => Tensor>;
}

/** A function of one tensor whose derivative is computed from that tensor. */
const ofInput = (derivative: (dy: Tensor, x: Tensor) => Tensor): Gradient => ({
  inputs: ["x"],
  derive: (dy, [x]) => ({ x: () => derivative(dy, x) }),
});

/** A function of one tensor whose derivative is computed from its result. */
const ofOutput = (derivative: (dy: Tensor, y: Tensor) => Tensor): Gradient => ({
  output: true,
  derive: (dy, [y]) => ({ x: () => derivative(dy, y) }),
});

/** A function of two tensors that are broadcast. */
const ofTwo = (
  byA: (dy: Tensor, a: Tensor, b: Tensor) => Tensor,
  byB: (dy: Tensor, a: Tensor, b: Tensor) => Tensor,
): Gradient => ({
  inputs: ["a", "b"],
  derive: (dy, [a, b]) => ({
    a: () => sumTo(a.shape, byA(dy, a, b)),
    b: () => sumTo(b.shape, byB(dy, a, b)),
  }),
});

/** Adds up over the axes along which a tensor of that shape was broadcast. */
function sumTo(shape: number[], x: Tensor): Tensor {
  const axes = tf.broadcast_util.getReductionAxes(shape, x.shape);
  return tf.reshape(axes.length > 0 ? tf.sum(x, axes) : x, shape);
}

/** Gives the result of a reduction the axes of its input again, of size 1 where it was reduced. */
function keepAxes(x: Tensor, shape: number[], axis: number | number[]): Tensor {
  const axes = tf.util.parseAxisParam(axis, shape);
  return tf.reshape(x, shape.map((size, i) => axes.includes(i) ? 1 : size));
}

const zero: Gradient = { derive: (dy) => ({ x: () => tf.zerosLike(dy) }) };

/** By kernel; `engines/testing/kernel_cases.ts` has cases of each, which a test compares with difference quotients. */
export const gradients: Record<string, Gradient> = {
  // one tensor, entry by entry
  Abs: ofInput((dy, x) => tf.mul(dy, tf.step(x, -1))),
  Cast: { derive: (dy) => ({ x: () => tf.clone(dy) }) },
  Exp: ofOutput((dy, y) => tf.mul(dy, y)),
  Identity: { derive: (dy) => ({ x: () => tf.cast(dy, "float32") }) },
  Log: ofInput((dy, x) => tf.div(dy, x)),
  Neg: { derive: (dy) => ({ x: () => tf.neg(dy) }) },
  OnesLike: zero,
  Reciprocal: ofInput((dy, x) => tf.div(dy, tf.neg(tf.square(x)))),
  Relu: ofInput((dy, x) => tf.mul(dy, tf.step(x))),
  Rsqrt: ofInput((dy, x) => tf.neg(tf.div(dy, tf.mul(tf.pow(x, 1.5), 2)))),
  Sigmoid: ofOutput((dy, y) => tf.mul(dy, tf.mul(y, tf.sub(1, y)))),
  Sqrt: ofInput((dy, x) => tf.div(dy, tf.mul(tf.sqrt(x), 2))),
  Square: ofInput((dy, x) => tf.mul(dy, tf.mul(x, 2))),
  Step: zero,
  Tanh: ofOutput((dy, y) => tf.mul(tf.sub(1, tf.square(y)), dy)),
  ZerosLike: zero,

  // two tensors, entry by entry, with broadcasting
  Add: ofTwo((dy) => dy, (dy) => dy),
  Maximum: ofTwo(
    (dy, a, b) => tf.mul(dy, tf.cast(tf.greaterEqual(a, b), "float32")),
    (dy, a, b) => tf.mul(dy, tf.cast(tf.less(a, b), "float32")),
  ),
  Minimum: ofTwo(
    (dy, a, b) => tf.mul(dy, tf.cast(tf.lessEqual(a, b), "float32")),
    (dy, a, b) => tf.mul(dy, tf.cast(tf.greater(a, b), "float32")),
  ),
  Multiply: ofTwo((dy, _, b) => tf.mul(dy, b), (dy, a) => tf.mul(dy, a)),
  Pow: {
    inputs: ["a", "b"],
    output: true,
    derive: (dy, [a, b, y]) => ({
      a: () => sumTo(a.shape, tf.mul(dy, tf.mul(b, tf.pow(a, tf.sub(b, 1))))),
      b: () => {
        const logarithm = tf.where(tf.greater(a, 0), tf.log(a), tf.zerosLike(a));
        return sumTo(b.shape, tf.mul(dy, tf.mul(y, logarithm)));
      },
    }),
  },
  RealDiv: {
    inputs: ["a", "b"],
    derive: (dy, [a, b]) => ({
      a: () => sumTo(a.shape, tf.div(dy, b)),
      b: () => tf.neg(tf.div(sumTo(b.shape, tf.mul(dy, a)), tf.square(b))),
    }),
  },
  Sub: {
    inputs: ["a", "b"],
    derive: (dy, [a, b]) => ({
      a: () => sumTo(a.shape, dy),
      b: () => tf.neg(sumTo(b.shape, dy)),
    }),
  },
  Select: {
    inputs: ["condition"],
    derive: (dy, [condition]) => ({
      condition: () => tf.cast(tf.zerosLike(condition), "float32"),
      t: () => tf.mul(dy, tf.cast(condition, "float32")),
      e: () => tf.mul(dy, tf.cast(tf.logicalNot(condition), "float32")),
    }),
  },
  AddN: {
    inputs: "all",
    derive: (dy, inputs) => Object.fromEntries(inputs.map((_, i) => [i, () => tf.clone(dy)])),
  },

  // along axes
  Sum: {
    inputs: ["x"],
    derive: (dy, [x], { axis }) => ({
      x: () => tf.mul(keepAxes(dy, x.shape, axis), tf.ones(x.shape)),
    }),
  },
  Mean: {
    inputs: ["x"],
    derive: (dy, [x], { axis }) => ({
      x: () => tf.div(tf.mul(keepAxes(dy, x.shape, axis), tf.ones(x.shape)), x.size / dy.size),
    }),
  },
  Max: {
    inputs: ["x"],
    output: true,
    derive: (dy, [x, y], { reductionIndices }) => ({
      x: () => {
        const isMost = tf.equal(x, keepAxes(y, x.shape, reductionIndices));
        return tf.mul(keepAxes(dy, x.shape, reductionIndices), tf.cast(isMost, "float32"));
      },
    }),
  },
  Softmax: {
    output: true,
    derive: (dy, [y], { dim }) => ({
      logits: () => {
        const weighted = tf.mul(dy, y);
        return tf.sub(weighted, tf.mul(tf.sum(weighted, [dim], true), y));
      },
    }),
  },

  // products
  BatchMatMul: {
    inputs: ["a", "b"],
    derive: (dy, [a, b], { transposeA, transposeB }) => ({
      a: () =>
        sumTo(
          a.shape,
          transposeA ? tf.matMul(b, dy, transposeB, true) : tf.matMul(dy, b, false, !transposeB),
        ),
      b: () =>
        sumTo(
          b.shape,
          transposeB ? tf.matMul(dy, a, true, transposeA) : tf.matMul(a, dy, !transposeA, false),
        ),
    }),
  },

  // form
  Reshape: ofInput((dy, x) => tf.reshape(dy, x.shape)),
  ExpandDims: {
    inputs: ["input"],
    derive: (dy, [input]) => ({ input: () => tf.reshape(dy, input.shape) }),
  },
  Transpose: {
    derive: (dy, _, { perm }) => ({
      x: () => tf.transpose(dy, tf.backend_util.getUndoAxesPermutation(perm)),
    }),
  },
  Concat: {
    inputs: "all",
    derive: (dy, inputs, { axis }) => {
      const [along] = tf.util.parseAxisParam(axis, inputs[0].shape);
      const pieces = tf.split(dy, inputs.map(({ shape }) => shape[along]), along);
      return Object.fromEntries(pieces.map((piece, i) => [i, () => piece]));
    },
  },
  SplitV: {
    derive: (dy, _, { axis }) => ({ x: () => tf.concat(dy as unknown as Tensor[], axis) }),
  },
  Slice: {
    inputs: ["x"],
    derive: (dy, [x], { begin, size }) => ({
      x: () => {
        const [from, sizes] = tf.slice_util.parseSliceParams(x, begin, size);
        const paddings = x.shape.map((all, i) => [from[i], all - from[i] - sizes[i]]);
        return tf.pad(dy, paddings as [number, number][]);
      },
    }),
  },
  PadV2: {
    inputs: ["x"],
    derive: (dy, [x], { paddings }) => ({
      x: () => tf.slice(dy, paddings.map(([before]: [number, number]) => before), x.shape),
    }),
  },
  Tile: {
    inputs: ["x"],
    derive: (dy, [x], { reps }: { reps?: number[] }) => ({
      x: () => {
        // Each repeated axis becomes two, and the sum goes over the first of them.
        const shape = x.shape.flatMap((size, i) => [reps![i], size]);
        return tf.sum(tf.reshape(dy, shape), x.shape.map((_, i) => 2 * i));
      },
    }),
  },
};

for (const [kernelName, { inputs, output, derive }] of Object.entries(gradients)) {
  tf.registerGradient({
    kernelName,
    inputsToSave: inputs === "all" ? [] : inputs,
    saveAllInputs: inputs === "all",
    outputsToSave: output ? [true] : [],
    gradFunc: (dy, saved, attributes) => derive(dy as Tensor, saved, attributes),
  });
}
