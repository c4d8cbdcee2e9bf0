/**
 * A tfjs backend whose kernels compute nothing: each call appends a node to a graph. Running a
 * program's body on it once gives the whole computation, gradients included, since tfjs's autodiff
 * works on kernels.
 *
 * It deals in names, shapes and types only. The target that runs the graph computes.
 */
import * as tf from "../tfjs.ts";
import { type HostTensors, sizeOf, type Tensors, type TensorSpec } from "../tensors.ts";
import type { Program } from "../engine.ts";
import { type Attribute, type Graph, type GraphDType, makeNode, type Value } from "./graph.ts";
import { mapValues } from "@std/collections/map-values";

const BACKEND = "recorder";

type Info = { shape: number[]; dtype: GraphDType };
type Attributes = Record<string, Attribute>;
/**
 * Derives from a kernel's inputs the outputs' shapes and types, and the attributes worth keeping,
 * in normal form.
 */
type Rule = (inputs: Value[], attributes: Attributes) => {
  outputs: Info[];
  attributes?: Attributes;
};

const like = (x: Value): Info => ({ shape: x.shape, dtype: x.dtype });
const unary: Rule = ([x]) => ({ outputs: [like(x)] });
const broadcast = (a: Value, b: Value) =>
  tf.broadcast_util.assertAndGetBroadcastShape(a.shape, b.shape);
const binary: Rule = ([a, b]) => ({ outputs: [{ shape: broadcast(a, b), dtype: a.dtype }] });
/** Restricts a kernel to floating point, as its targets know nothing else. */
const floating = (kernel: string, rule: Rule): Rule => (inputs, attributes) => {
  const other = inputs.find(({ dtype }) => dtype !== "float32");
  if (other) {
    throw new TypeError(`it uses "${kernel}" of ${other.dtype}, expected float32; cast it first`);
  }
  return rule(inputs, attributes);
};
const comparison: Rule = ([a, b]) => ({ outputs: [{ shape: broadcast(a, b), dtype: "bool" }] });

/** Reductions: `axes` sorted and non-negative. */
const reduction: Rule = ([x], { axis, reductionIndices, keepDims }) => {
  const axes = tf.util.parseAxisParam((axis ?? reductionIndices) as number[], x.shape);
  const shape = x.shape.flatMap((size, i) => axes.includes(i) ? (keepDims ? [1] : []) : [size]);
  return {
    outputs: [{ shape, dtype: x.dtype }],
    attributes: { axes: [...axes].sort((a, b) => a - b), keepDims: Boolean(keepDims) },
  };
};

const softmax: Rule = ([x], { dim, axis }) => {
  const last = x.shape.length - 1;
  const [along] = tf.util.parseAxisParam((dim ?? axis) as number, x.shape);
  if (along !== last) throw new RangeError(`softmax along axis ${along}, expected the last one`);
  return { outputs: [like(x)], attributes: {} };
};

const filled: Rule = ([x]) => ({ outputs: [like(x)] });

/**
 * Every kernel that can be recorded. `recorder_test.ts` compares each with tfjs's own on every
 * engine.
 */
export const rules: Record<string, Rule> = {
  // one tensor, entry by entry
  Abs: unary,
  Exp: floating("Exp", unary),
  Identity: unary,
  Log: floating("Log", unary),
  Neg: unary,
  Reciprocal: floating("Reciprocal", unary),
  Relu: floating("Relu", unary),
  Rsqrt: floating("Rsqrt", unary),
  Sigmoid: floating("Sigmoid", unary),
  Sqrt: floating("Sqrt", unary),
  Square: unary,
  Step: floating("Step", unary),
  Tanh: floating("Tanh", unary),
  LogicalNot: unary,
  Cast: ([x], { dtype }) => ({ outputs: [{ shape: x.shape, dtype: dtype as GraphDType }] }),

  // two tensors, entry by entry, with broadcasting
  Add: binary,
  Maximum: binary,
  Minimum: binary,
  Multiply: binary,
  Pow: floating("Pow", binary),
  RealDiv: floating("RealDiv", binary),
  Sub: binary,
  Equal: comparison,
  Greater: comparison,
  GreaterEqual: comparison,
  Less: comparison,
  LessEqual: comparison,
  LogicalAnd: comparison,
  Select: ([condition, t, e]) => {
    const shape = tf.broadcast_util.assertAndGetBroadcastShape(
      condition.shape,
      broadcast(t, e),
    );
    return { outputs: [{ shape, dtype: t.dtype }] };
  },
  AddN: floating("AddN", unary),

  // along axes
  Sum: reduction,
  Mean: floating("Mean", reduction),
  Max: reduction,
  Softmax: floating("Softmax", softmax),

  // products: `transposeA`, `transposeB` swap the last two axes; leading axes must agree
  BatchMatMul: floating("BatchMatMul", ([a, b], { transposeA, transposeB }) => {
    const rows = a.shape.at(transposeA ? -1 : -2)!;
    const columns = b.shape.at(transposeB ? -2 : -1)!;
    const inner = [a.shape.at(transposeA ? -2 : -1), b.shape.at(transposeB ? -1 : -2)];
    if (inner[0] !== inner[1]) {
      throw new TypeError(
        `it multiplies matrices whose inner sizes are ${inner[0]} and ${inner[1]}`,
      );
    }
    const lead = tf.broadcast_util.assertAndGetBroadcastShape(
      a.shape.slice(0, -2),
      b.shape.slice(0, -2),
    );
    return {
      outputs: [{ shape: [...lead, rows, columns], dtype: a.dtype }],
      attributes: { transposeA: Boolean(transposeA), transposeB: Boolean(transposeB) },
    };
  }),

  // form
  Reshape: ([x], { shape }) => {
    const to = tf.util.inferFromImplicitShape(shape as number[], sizeOf(x.shape));
    return { outputs: [{ shape: to, dtype: x.dtype }], attributes: { shape: to } };
  },
  ExpandDims: ([x], { dim }) => {
    const at = (dim as number) < 0 ? x.shape.length + 1 + (dim as number) : dim as number;
    const shape = [...x.shape.slice(0, at), 1, ...x.shape.slice(at)];
    return { outputs: [{ shape, dtype: x.dtype }], attributes: { shape } };
  },
  Transpose: ([x], { perm }) => ({
    outputs: [{ shape: (perm as number[]).map((axis) => x.shape[axis]), dtype: x.dtype }],
  }),
  Concat: (inputs, { axis }) => {
    const [along] = tf.util.parseAxisParam(axis as number, inputs[0].shape);
    tf.backend_util.assertParamsConsistent(inputs.map((x) => x.shape), along);
    const shape = [...inputs[0].shape];
    shape[along] = inputs.reduce((sum, x) => sum + x.shape[along], 0);
    return { outputs: [{ shape, dtype: inputs[0].dtype }], attributes: { axis: along } };
  },
  SplitV: ([x], { numOrSizeSplits, axis }) => {
    const [along] = tf.util.parseAxisParam(axis as number, x.shape);
    const sizes = tf.backend_util.prepareSplitSize(
      x as unknown as tf.Tensor,
      numOrSizeSplits as number[],
      along,
    );
    const outputs = sizes.map((size) => ({
      shape: x.shape.map((all, i) => i === along ? size : all),
      dtype: x.dtype,
    }));
    return { outputs, attributes: { sizes, axis: along } };
  },
  Slice: ([x], { begin, size }) => {
    const [from, shape] = tf.slice_util.parseSliceParams(
      x as unknown as tf.Tensor,
      begin as number[],
      size as number[],
    );
    tf.slice_util.assertParamsValid(x as unknown as tf.Tensor, from, shape);
    return { outputs: [{ shape, dtype: x.dtype }], attributes: { begin: from, size: shape } };
  },
  Tile: ([x], { reps }) => ({
    outputs: [{
      shape: x.shape.map((size, i) => size * (reps as number[])[i]),
      dtype: x.dtype,
    }],
  }),
  PadV2: ([x], { paddings, constantValue }) => {
    const pads = paddings as unknown as [number, number][];
    return {
      outputs: [{
        shape: x.shape.map((size, i) => pads[i][0] + size + pads[i][1]),
        dtype: x.dtype,
      }],
      attributes: {
        before: pads.map((p) => p[0]),
        after: pads.map((p) => p[1]),
        value: constantValue as number,
      },
    };
  },
  OneHot: ([indices], { depth, onValue, offValue, dtype }) => ({
    outputs: [{ shape: [...indices.shape, depth as number], dtype: dtype as GraphDType }],
    attributes: { depth, on: onValue, off: offValue },
  }),

  // constants
  OnesLike: filled,
  ZerosLike: filled,
  Fill: (_, { shape, dtype }) => ({
    outputs: [{ shape: shape as number[], dtype: (dtype ?? "float32") as GraphDType }],
  }),
};

/** Kernels that make a constant, and which. */
const fills: Record<string, (attributes: Attributes) => number> = {
  OnesLike: () => 1,
  ZerosLike: () => 0,
  Fill: ({ value }) => value as number,
};

/** The backend that tfjs sees. Its "data" are values of the graph. */
class Recorder extends tf.KernelBackend {
  #values = new WeakMap<tf.DataId, Value>();

  recorded(tensor: { dataId: tf.DataId }): Value {
    const value = this.#values.get(tensor.dataId);
    if (value === undefined) throw new TypeError("it uses a tensor made outside of it");
    return value;
  }

  /** Makes a tensor that represents `value`. */
  tensorOf(value: Value): tf.Tensor {
    return tf.engine().makeTensorFromTensorInfo(this.infoOf(value));
  }

  infoOf(value: Value): tf.TensorInfo {
    const dataId = {};
    this.#values.set(dataId, value);
    return { dataId, shape: value.shape, dtype: value.dtype };
  }

  record(kernel: string, inputs: Value[], attributes: Attributes): tf.TensorInfo[] {
    const rule = rules[kernel](inputs, attributes);
    if (kernel in fills) {
      const from = { kind: "fill" as const, value: fills[kernel](attributes) };
      return rule.outputs.map((info) => this.infoOf({ ...info, from }));
    }
    const kept = rule.attributes ?? attributes;
    return makeNode(kernel, inputs, kept, rule.outputs).outputs.map((value) => this.infoOf(value));
  }

  override write(data: tf.BackendValues, shape: number[], dtype: tf.DataType): tf.DataId {
    return this.infoOf(constantValue(data as ArrayLike<number>, shape, dtype)).dataId;
  }
  override move(id: tf.DataId, data: tf.BackendValues, shape: number[], dtype: tf.DataType) {
    this.#values.set(id, constantValue(data as ArrayLike<number>, shape, dtype));
  }
  override read(id: tf.DataId): Promise<tf.BackendValues> {
    return Promise.resolve(this.readSync(id));
  }
  override readSync(id: tf.DataId): tf.BackendValues {
    const value = this.#values.get(id);
    if (value?.from.kind === "constant") return value.from.data;
    if (value?.from.kind === "fill") {
      return new Float32Array(sizeOf(value.shape)).fill(value.from.value);
    }
    throw new TypeError("it reads a value that is only known when the program runs");
  }
  override disposeData() {
    return true;
  }
  override incRef() {}
  override refCount() {
    return 1;
  }
  override numDataIds() {
    return 0;
  }
  override timerAvailable() {
    return false;
  }
  override floatPrecision(): 32 {
    return 32;
  }
  override epsilon() {
    return 1e-7;
  }
}

function constantValue(data: ArrayLike<number>, shape: number[], dtype: tf.DataType): Value {
  const size = sizeOf(shape);
  const copy = dtype === "float32"
    ? Float32Array.from({ length: size }, (_, i) => data[i])
    : dtype === "int32"
    ? Int32Array.from({ length: size }, (_, i) => data[i])
    : Uint8Array.from({ length: size }, (_, i) => Number(data[i]));
  const uniform = copy.every((entry) => Object.is(entry, copy[0]));
  const from = uniform && size > 0
    ? { kind: "fill" as const, value: copy[0] }
    : { kind: "constant" as const, data: copy };
  return { shape, dtype: dtype as GraphDType, from };
}

const recorder = new Recorder();
tf.registerBackend(BACKEND, () => recorder, 0);
for (const kernelName of Object.keys(rules)) {
  tf.registerKernel({
    kernelName,
    backendName: BACKEND,
    kernelFunc: ({ inputs, attrs }) => {
      const values = Object.values(inputs as Record<string, tf.TensorInfo | tf.TensorInfo[]>)
        .flat().map((tensor) => recorder.recorded(tensor));
      const infos = recorder.record(kernelName, values, (attrs ?? {}) as Attributes);
      return infos.length === 1 ? infos[0] : infos;
    },
  });
}

/**
 * Runs `program.body` once on the recorder and returns what it would compute.
 *
 * @param state Names and shapes of the state; the data are not looked at.
 * @throws {TypeError} If the body uses an operation that can't be recorded, reads a value, or
 * returns an output that is not float32 or a new value that is not like the old one.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { nodesInOrder, type Program, record, simplify } from "@tiny-diffusion/engines";
 * import * as tf from "../tfjs.ts";
 *
 * const program: Program = {
 *   inputs: { x: { shape: [2, 3], dtype: "float32" } },
 *   body: ({ w }, { x }) => ({ outputs: { y: tf.relu(tf.matMul(x as tf.Tensor2D, w as tf.Tensor2D)) } }),
 * };
 * const graph = simplify(record("layer", program, { w: { shape: [3, 4], data: new Float32Array(12) } }));
 * assertEquals(graph.outputs.y.shape, [2, 4]);
 * assertEquals(nodesInOrder(graph).map(({ kernel }) => kernel).slice(-1), ["Relu"]);
 * ```
 */
export function record(name: string, program: Program, state: HostTensors): Graph {
  const placeholder = (kind: "input" | "state") => (spec: TensorSpec, key: string): Value => ({
    shape: spec.shape,
    dtype: spec.dtype,
    from: { kind, name: key },
  });
  const inputs = mapValues(program.inputs, placeholder("input"));
  const stateValues = mapValues(
    state,
    ({ shape }, key) => placeholder("state")({ shape, dtype: "float32" }, key),
  );
  const previous = tf.getBackend() || "cpu"; // none yet, if nothing was computed so far
  tf.setBackend(BACKEND);
  try {
    const graph: Graph = { inputs, state: stateValues, outputs: {}, newState: {} };
    tf.tidy(() => {
      const tensors = (values: Record<string, Value>): Tensors =>
        mapValues(values, (value) => recorder.tensorOf(value));
      const result = program.body(tensors(stateValues), tensors(inputs));
      graph.outputs = mapValues(result.outputs, (tensor, key) => {
        const value = recorder.recorded(tensor);
        requireLike(`output "${key}"`, value, { shape: value.shape, dtype: "float32" });
        return value;
      });
      graph.newState = mapValues(result.newState ?? {}, (tensor, key) => {
        if (!(key in stateValues)) throw new TypeError(`the state has no "${key}" to be replaced`);
        const value = recorder.recorded(tensor);
        requireLike(`new "${key}"`, value, stateValues[key]);
        return value;
      });
    });
    return graph;
  } catch (error) {
    throw new TypeError(`Cannot record the program "${name}": ${reason(error)}`, { cause: error });
  } finally {
    tf.setBackend(previous);
  }
}

function requireLike(what: string, found: Info, expected: Info): void {
  const inWords = ({ shape, dtype }: Info) => `${dtype} [${shape}]`;
  if (inWords(found) !== inWords(expected)) {
    throw new TypeError(`its ${what} is ${inWords(found)}, expected ${inWords(expected)}`);
  }
}

function reason(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const kernel = /Kernel '(\w+)' not registered/.exec(message)?.[1];
  return kernel === undefined
    ? message
    : `the operation "${kernel}" can't be recorded; add a rule to recorder.ts and its lowering, or use an eager engine`;
}
