/**
 * Lowers a recorded graph to an ONNX model: one table from kernels to ONNX operators. The state
 * becomes inputs, and its new values outputs, since ONNX has no variables; or it goes round in a
 * loop, for several steps in one run.
 */
import type { Precision } from "../engine.ts";
import { type HostTensors, sizeOf } from "../tensors.ts";
import {
  type Graph,
  type GraphDType,
  type Node,
  nodesInOrder,
  results,
  sameShape,
  type Value,
} from "../record/graph.ts";
import {
  type AttributeProto,
  attributeTypes,
  type DataType,
  dataTypes,
  encodeModel,
  type GraphProto,
  type NodeProto,
  type TensorProto,
  valueInfo,
} from "./proto.ts";

/** The devices that can compute; onnxruntime calls them execution providers. */
export type OnnxDevice = "cpu" | "cuda" | "webgpu";

/** The domain of onnxruntime's own operators, which precedes their names. */
const MICROSOFT = "com.microsoft";

type Attribute = number | number[] | Float;
/** A float attribute: a plain number is an integer. */
class Float {
  constructor(readonly value: number) {}
}

/**
 * Names of a model's tensors: `state/x` is the state's entry x, `new/x` its new value, `in/x` and
 * `out/x` the rest.
 */
export const stateName = (name: string): string => `state/${name}`;
export const newStateName = (name: string): string => `new/${name}`;
export const inputName = (name: string): string => `in/${name}`;
export const outputName = (name: string): string => `out/${name}`;
/**
 * The number of steps that a model of several takes; outside its loop, all other names except those
 * of state that stays have this prefix.
 */
export const STEPS = "steps";
export const aroundLoop = (name: string): string => `${STEPS}/${name}`;

/** The operations of a lowering: to name inputs, make small constants, append operators. */
interface Emitter {
  name(value: Value): string;
  /** Whether anything reads the value. */
  isUsed(value: Value): boolean;
  float(value: number): string;
  /** Makes a scalar of that type. */
  scalar(dtype: GraphDType, value: number): string;
  floats(values: Float32Array): string;
  int32s(values: Int32Array): string;
  int64(values: number[]): string;
  uint8(value: number): string;
  /** Makes a matrix. */
  int8s(values: Int8Array, shape: [number, number]): string;
  /** Returns the rows of a state entry in 8 bits, if it is a constant of the model. */
  quantized(value: Value): Quantized | undefined;
  /**
   * Appends an operator with one output, named after `output` or, if absent, anew. Returns the
   * output's name.
   */
  op(
    type: string,
    inputs: string[],
    attributes?: Record<string, Attribute>,
    output?: Value,
  ): string;
  /** Appends an operator with several outputs. */
  ops(
    type: string,
    inputs: string[],
    attributes: Record<string, Attribute>,
    outputs: Value[],
  ): void;
}

type Lowering = (node: Node, emit: Emitter) => void;

/** Lowers to the operator of the same meaning, with the same inputs. */
const same = (type: string): Lowering => (node, emit) => {
  emit.op(type, node.inputs.map(emit.name), {}, node.outputs[0]);
};

const reduce = (type: string): Lowering => (node, emit) => {
  const axes = emit.int64(node.attributes.axes as number[]);
  const keepdims = node.attributes.keepDims ? 1 : 0;
  emit.op(type, [emit.name(node.inputs[0]), axes], { keepdims }, node.outputs[0]);
};

const lowerings: Record<string, Lowering> = {
  Abs: same("Abs"),
  Exp: same("Exp"),
  Log: same("Log"),
  Neg: same("Neg"),
  Reciprocal: same("Reciprocal"),
  Relu: same("Relu"),
  Sigmoid: same("Sigmoid"),
  Sqrt: same("Sqrt"),
  Tanh: same("Tanh"),
  LogicalNot: same("Not"),
  Square: ({ inputs: [x], outputs: [y] }, emit) => {
    emit.op("Mul", [emit.name(x), emit.name(x)], {}, y);
  },
  Rsqrt: ({ inputs: [x], outputs: [y] }, emit) => {
    emit.op("Reciprocal", [emit.op("Sqrt", [emit.name(x)])], {}, y);
  },
  Step: ({ inputs: [x], outputs: [y], attributes }, emit) => {
    const positive = emit.op("Greater", [emit.name(x), emit.float(0)]);
    const one = emit.op(
      "Cast",
      [positive],
      { to: dataTypes.float32 },
      attributes.alpha ? undefined : y,
    );
    if (!attributes.alpha) return;
    emit.op("Where", [positive, one, emit.float(attributes.alpha as number)], {}, y);
  },
  Cast: ({ inputs: [x], outputs: [y] }, emit) => {
    emit.op("Cast", [emit.name(x)], { to: dataTypes[y.dtype] }, y);
  },

  Add: same("Add"),
  AddN: same("Sum"),
  Maximum: same("Max"),
  Minimum: same("Min"),
  Multiply: same("Mul"),
  Pow: same("Pow"),
  RealDiv: same("Div"),
  Sub: same("Sub"),
  Equal: same("Equal"),
  Greater: same("Greater"),
  GreaterEqual: same("GreaterOrEqual"),
  Less: same("Less"),
  LessEqual: same("LessOrEqual"),
  LogicalAnd: same("And"),
  Select: same("Where"),

  Sum: reduce("ReduceSum"),
  Mean: reduce("ReduceMean"),
  Max: reduce("ReduceMax"),
  Softmax: ({ inputs: [x], outputs: [y] }, emit) => {
    emit.op("Softmax", [emit.name(x)], { axis: -1 }, y);
  },

  // Made by engines/record/simplify.ts; its second output is the inverse deviation.
  RmsNorm: ({ inputs: [x], outputs, attributes }, emit) => {
    const ones = emit.floats(new Float32Array(x.shape.at(-1)!).fill(1));
    const epsilon = new Float(attributes.epsilon as number);
    emit.ops("SimplifiedLayerNormalization", [emit.name(x), ones], {
      axis: -1,
      epsilon,
      stash_type: dataTypes.float32,
    }, outputs);
  },

  BatchMatMul: ({ inputs: [a, b], outputs: [y], attributes }, emit) => {
    const transA = attributes.transposeA ? 1 : 0;
    const transB = attributes.transposeB ? 1 : 0;
    const inputs = [emit.name(a), emit.name(b)];
    if (y.shape.length === 2) emit.op("Gemm", inputs, { transA, transB }, y);
    else emit.op(`${MICROSOFT}.FusedMatMul`, inputs, { transA, transB, alpha: new Float(1) }, y);
  },

  Reshape: ({ inputs: [x], outputs: [y] }, emit) => {
    emit.op("Reshape", [emit.name(x), emit.int64(y.shape)], {}, y);
  },
  BroadcastTo: ({ inputs: [x], outputs: [y] }, emit) => {
    emit.op("Expand", [emit.name(x), emit.int64(y.shape)], {}, y);
  },
  Transpose: ({ inputs: [x], outputs: [y], attributes }, emit) => {
    emit.op("Transpose", [emit.name(x)], { perm: attributes.perm as number[] }, y);
  },
  Concat: ({ inputs, outputs: [y], attributes }, emit) => {
    emit.op("Concat", inputs.map(emit.name), { axis: attributes.axis as number }, y);
  },
  SplitV: ({ inputs: [x], outputs, attributes }, emit) => {
    const sizes = emit.int64(attributes.sizes as number[]);
    emit.ops("Split", [emit.name(x), sizes], { axis: attributes.axis as number }, outputs);
  },
  Slice: ({ inputs: [x], outputs: [y], attributes }, emit) => {
    const begin = attributes.begin as number[];
    const size = attributes.size as number[];
    const end = begin.map((from, axis) => from + size[axis]);
    emit.op("Slice", [emit.name(x), emit.int64(begin), emit.int64(end)], {}, y);
  },
  Tile: ({ inputs: [x], outputs: [y], attributes }, emit) => {
    emit.op("Tile", [emit.name(x), emit.int64(attributes.reps as number[])], {}, y);
  },
  PadV2: ({ inputs: [x], outputs: [y], attributes }, emit) => {
    const { before, after } = attributes as { before: number[]; after: number[] };
    const value = emit.scalar(x.dtype, attributes.value as number);
    emit.op("Pad", [emit.name(x), emit.int64([...before, ...after]), value], {}, y);
  },
  OneHot: ({ inputs: [x], outputs: [y], attributes }, emit) => {
    const indices = emit.op("Cast", [emit.name(x)], { to: dataTypes.int64 });
    const depth = emit.int64([attributes.depth as number]);
    const values = emit.op("Concat", [
      emit.op("Reshape", [emit.float(attributes.off as number), emit.int64([1])]),
      emit.op("Reshape", [emit.float(attributes.on as number), emit.int64([1])]),
    ], { axis: 0 });
    const float = y.dtype === "float32" ? y : undefined;
    const oneHot = emit.op("OneHot", [indices, depth, values], { axis: -1 }, float);
    if (!float) emit.op("Cast", [oneHot], { to: dataTypes[y.dtype] }, y);
  },
};

/**
 * Products in 8 bits, where the right factor is the transpose of a constant: the linear layers. The
 * rows of both factors have a scale each, so a row of the result depends on its own row alone: what
 * a GPT says at a position knows nothing of those to its right, or of other texts.
 */
const inInt8: Record<string, Lowering> = {
  BatchMatMul: (node, emit) => {
    const { inputs: [a, b], outputs: [y], attributes } = node;
    const isLinear = !attributes.transposeA && attributes.transposeB;
    const weights = isLinear ? emit.quantized(b) : undefined;
    if (!weights) return lowerings.BatchMatMul(node, emit);
    const [to, from] = b.shape;
    const { columns, scales } = weights;
    // onnxruntime does this once where several products have the same left factor.
    const sizes = emit.op("Abs", [emit.name(a)]);
    const largest = emit.op("ReduceMax", [sizes, emit.int64([-1])], { keepdims: 1 });
    const scale = emit.op("Add", [largest, emit.float(1e-9)]); // not 0
    const shares = emit.op("Div", [emit.name(a), scale]); // from -1 to 1
    const [step, zero] = [emit.float(1 / 127), emit.uint8(128)];
    const quantized = emit.op("QuantizeLinear", [shares, step, zero]);
    const factors = [quantized, emit.int8s(columns, [from, to]), step, emit.floats(scales), zero];
    const product = emit.op(`${MICROSOFT}.MatMulIntegerToFloat`, factors);
    emit.op("Mul", [product, scale], {}, y);
  },
};

/**
 * The largest whole number of a quantized weight. With 127, two products of it and of the other
 * factor, which is at most 255, would overflow the 16 bits in which CPUs without VNNI add them.
 */
const LARGEST_INT8 = 63;

/** A matrix in 8 bits, transposed, and the scale of each of its rows. */
interface Quantized {
  columns: Int8Array;
  scales: Float32Array;
}

/** The constants of a model in 8 bits, by name: a session's programs have the same constants. */
const quantizedConstants = new WeakMap<HostTensors, Map<string, Quantized>>();

/**
 * Quantizes each row of a matrix [rows, columns] with a scale of its own, and transposes it: an
 * entry is the whole number times the scale of its row.
 */
export function quantizeRows(matrix: Float32Array, rows: number, columns: number): Quantized {
  const transposed = new Int8Array(rows * columns);
  const scales = new Float32Array(rows);
  for (let row = 0; row < rows; row++) {
    const start = row * columns;
    let largest = 0;
    for (let i = 0; i < columns; i++) largest = Math.max(largest, Math.abs(matrix[start + i]));
    scales[row] = largest / LARGEST_INT8;
    if (largest === 0) continue;
    const scale = scales[row];
    for (let i = 0; i < columns; i++) {
      transposed[i * rows + row] = Math.round(matrix[start + i] / scale);
    }
  }
  return { columns: transposed, scales };
}

/**
 * What other lowerings make with onnxruntime's own operators, in ONNX's. onnxruntime finds these
 * patterns when it loads the model, and makes its own operators of them.
 */
const portable: Record<string, Lowering> = {
  RmsNorm: ({ inputs: [x], outputs: [y, inverse], attributes }, emit) => {
    const square = emit.op("Pow", [emit.name(x), emit.float(2)]);
    const mean = emit.op("ReduceMean", [square, emit.int64([-1])], { keepdims: 1 });
    const sum = emit.op("Add", [mean, emit.float(attributes.epsilon as number)]);
    const deviation = emit.op("Sqrt", [sum]);
    const ones = emit.floats(new Float32Array(x.shape.at(-1)!).fill(1));
    emit.op("Mul", [emit.op("Div", [emit.name(x), deviation]), ones], {}, y);
    if (emit.isUsed(inverse)) emit.op("Reciprocal", [deviation], {}, inverse);
  },
  BatchMatMul: (node, emit) => {
    const { inputs: [a, b], outputs: [y], attributes } = node;
    if (y.shape.length === 2) return lowerings.BatchMatMul(node, emit);
    const factor = (x: Value, transposed: unknown) => {
      const perm = [...x.shape.keys()];
      const last = perm.length - 1;
      [perm[last - 1], perm[last]] = [last, last - 1];
      return transposed ? emit.op("Transpose", [emit.name(x)], { perm }) : emit.name(x);
    };
    const factors = [factor(a, attributes.transposeA), factor(b, attributes.transposeB)];
    emit.op("MatMul", factors, {}, y);
  },
};

/**
 * Other operators where onnxruntime's WebGPU (version 1.30) has no kernel, or one that is wrong.
 */
const forWebgpu: Record<string, Lowering> = {
  // Its kernel does not write the inverse deviation.
  RmsNorm: (node, emit) => {
    const { inputs: [x], outputs: [y, inverse], attributes } = node;
    if (!emit.isUsed(inverse)) return lowerings.RmsNorm(node, emit);
    const square = emit.op("Mul", [emit.name(x), emit.name(x)]);
    const last = emit.int64([x.shape.length - 1]);
    const mean = emit.op("ReduceMean", [square, last], { keepdims: 1 });
    const sum = emit.op("Add", [mean, emit.float(attributes.epsilon as number)]);
    const factor = emit.op("Reciprocal", [emit.op("Sqrt", [sum])], {}, inverse);
    emit.op("Mul", [emit.name(x), factor], {}, y);
  },
  // Its kernel fails where it has to broadcast both.
  Pow: ({ inputs, outputs: [y] }, emit) => {
    const shape = emit.int64(y.shape);
    const same = inputs.map((x) =>
      sameShape(x.shape, y.shape) ? emit.name(x) : emit.op("Expand", [emit.name(x), shape])
    );
    emit.op("Pow", same, {}, y);
  },
  BatchMatMul: portable.BatchMatMul,
  OneHot: ({ inputs: [x], outputs: [y], attributes }, emit) => {
    const [on, off] = [attributes.on as number, attributes.off as number];
    const each = emit.int32s(Int32Array.from({ length: attributes.depth as number }, (_, i) => i));
    const column = emit.op("Reshape", [emit.name(x), emit.int64([...x.shape, 1])]);
    const hot = emit.op("Equal", [column, each]);
    emit.op("Where", [hot, emit.scalar(y.dtype, on), emit.scalar(y.dtype, off)], {}, y);
  },
  // Its kernel binds x and every piece, and a device need not have more than 8 storage buffers in a
  // shader.
  SplitV: (node, emit) => {
    const { inputs: [x], outputs, attributes } = node;
    const axis = attributes.axis as number;
    if (1 + outputs.length <= 8) return lowerings.SplitV(node, emit);
    let start = 0;
    for (const piece of outputs) {
      const end = start + piece.shape[axis];
      const bounds = [start, end, axis].map((value) => emit.int64([value]));
      if (emit.isUsed(piece)) emit.op("Slice", [emit.name(x), ...bounds], {}, piece);
      start = end;
    }
  },
};

/** Options for building a model from a graph. */
export interface OnnxModelOptions {
  /**
   * State entries that become constants of the model instead of inputs: onnxruntime packs them once
   * for its matrix kernels.
   */
  fixed?: HostTensors;
  /**
   * Where most of the model is to run: onnxruntime moves to the CPU what it has no kernel for
   * elsewhere, with copies back and forth. @default {"cpu"}
   */
  device?: OnnxDevice;
  /** The precision of products; `int8` only of those with entries of `fixed`. @default {"f32"} */
  precision?: Precision;
  /** Whether to take only operators that ONNX defines, so that others than onnxruntime can run it. */
  portable?: boolean;
}

/**
 * Makes the ONNX model of a graph, as protobuf bytes.
 *
 * @throws {TypeError} If a kernel has no lowering.
 */
export function onnxModel(graph: Graph, options: OnnxModelOptions = {}): Uint8Array {
  const { nodes, initializers, inputs, outputs } = lower(graph, options);
  return encodeModel({
    name: "program",
    node: nodes,
    initializer: initializers,
    input: inputs.map(({ name, value }) => valueInfo(name, value.dtype, value.shape)),
    output: outputs.map(({ name, value }) => valueInfo(name, value.dtype, value.shape)),
  }, options.portable ? [] : [MICROSOFT]);
}

/**
 * Makes the ONNX model of any number of steps of a graph, one after the other: a `Loop` that
 * carries the state which the graph replaces, so that it stays where it is computed. Inputs and
 * outputs are those of `onnxModel`, with a first axis for the steps; their names, and those of the
 * carried state, are `aroundLoop`. `STEPS` is an int64 scalar.
 *
 * @throws As `onnxModel`.
 */
export function onnxStepsModel(graph: Graph, options: OnnxModelOptions = {}): Uint8Array {
  const { nodes, initializers, inputs, outputs } = lower(graph, options);
  const carried = Object.entries(graph.newState);
  const stepOutputs = outputs.filter(({ name }) => name.startsWith(outputName("")));
  const batches = inputs.filter(({ name }) => name.startsWith(inputName("")));
  const stays = inputs.filter(({ name }) =>
    name.startsWith(stateName("")) && !carried.some(([key]) => stateName(key) === name)
  );
  const picks = batches.map(({ name }): NodeProto => ({
    name: `pick/${name}`,
    op_type: "Gather",
    input: [aroundLoop(name), "step"],
    output: [name],
    attribute: [attribute("axis", 0)],
  }));
  const goOn: NodeProto = {
    name: "goOn",
    op_type: "Identity",
    input: ["going"],
    output: ["goesOn"],
    attribute: [],
  };
  const body: GraphProto = {
    name: "step",
    node: [...picks, ...nodes, goOn],
    initializer: initializers,
    input: [
      valueInfo("step", "int64", []),
      valueInfo("going", "bool", []),
      ...carried.map(([key, { dtype, shape }]) => valueInfo(stateName(key), dtype, shape)),
    ],
    output: [
      valueInfo("goesOn", "bool", []),
      ...carried.map(([key, { dtype, shape }]) => valueInfo(newStateName(key), dtype, shape)),
      ...stepOutputs.map(({ name, value }) => valueInfo(name, value.dtype, value.shape)),
    ],
  };
  const loop: NodeProto = {
    name: "steps",
    op_type: "Loop",
    input: [STEPS, "", ...carried.map(([key]) => aroundLoop(stateName(key)))],
    output: [
      ...carried.map(([key]) => aroundLoop(newStateName(key))),
      ...stepOutputs.map(({ name }) => aroundLoop(name)),
    ],
    attribute: [{ name: "body", type: attributeTypes.graph, g: body }],
  };
  const carriedInfo = (nameOf: (key: string) => string) =>
    carried.map(([key, { dtype, shape }]) => valueInfo(aroundLoop(nameOf(key)), dtype, shape));
  const stacked = ({ name, value }: Named) =>
    valueInfo(aroundLoop(name), value.dtype, [STEPS, ...value.shape]);
  return encodeModel({
    name: "program",
    node: [loop],
    input: [
      valueInfo(STEPS, "int64", []),
      ...batches.map(stacked),
      ...carriedInfo(stateName),
      ...stays.map(({ name, value }) => valueInfo(name, value.dtype, value.shape)),
    ],
    output: [...carriedInfo(newStateName), ...stepOutputs.map(stacked)],
  }, options.portable ? [] : [MICROSOFT]);
}

interface Named {
  name: string;
  value: Value;
}

/** Makes the operators of a graph, in order, and names the tensors that go in and out. */
function lower(
  graph: Graph,
  { fixed = {}, device = "cpu", precision = "f32", portable: isPortable }: OnnxModelOptions,
): { nodes: NodeProto[]; initializers: TensorProto[]; inputs: Named[]; outputs: Named[] } {
  const nodes: NodeProto[] = [];
  const initializers: TensorProto[] = [];
  const names = new Map<Value, string>();
  const constants = new Map<string, string>();
  const order = nodesInOrder(graph);
  const used = new Set([...order.flatMap(({ inputs }) => inputs), ...results(graph)]);
  let count = 0;

  const initializer = (dtype: DataType, dims: number[], data: ArrayBufferView): string => {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const key = bytes.length <= 4096 ? `${dtype} ${dims} ${bytes}` : undefined;
    const known = key && constants.get(key);
    if (known) return known;
    const name = `constant${initializers.length}`;
    initializers.push(tensorProto(name, dtype, dims, data));
    if (key) constants.set(key, name);
    return name;
  };
  const emit: Emitter = {
    name(value) {
      const known = names.get(value);
      if (known) return known;
      const name = nameOf(value);
      names.set(value, name);
      return name;
    },
    isUsed: (value) => used.has(value),
    float: (value) => emit.scalar("float32", value),
    scalar: (dtype, value) => initializer(dtype, [], filledArray(dtype, 1, value)),
    floats: (values) => initializer("float32", [values.length], values),
    int32s: (values) => initializer("int32", [values.length], values),
    int64: (values) => initializer("int64", [values.length], new BigInt64Array(values.map(BigInt))),
    uint8: (value) => initializer("uint8", [], Uint8Array.of(value)),
    int8s: (values, shape) => initializer("int8", shape, values),
    quantized({ from, shape: [rows, columns] }) {
      if (from.kind !== "state" || !fixed[from.name]) return undefined;
      const { data } = fixed[from.name];
      const known = quantizedConstants.getOrInsertComputed(fixed, () => new Map());
      return known.getOrInsertComputed(
        from.name,
        () => quantizeRows(data, rows, columns),
      );
    },
    op(type, inputs, attributes = {}, output) {
      const name = output ? emit.name(output) : `t${count++}`;
      append(type, inputs, attributes, [name]);
      return name;
    },
    ops: (type, inputs, attributes, outputs) =>
      append(type, inputs, attributes, outputs.map(emit.name)),
  };
  const nameOf = ({ from, shape, dtype }: Value): string => {
    switch (from.kind) {
      case "input":
        return inputName(from.name);
      case "state":
        return from.name in fixed
          ? initializer("float32", shape, fixed[from.name].data)
          : stateName(from.name);
      case "node":
        return `t${count++}`;
      case "constant":
        return initializer(dtype, shape, from.data);
      case "fill":
        return initializer(dtype, shape, filledArray(dtype, sizeOf(shape), from.value));
    }
  };
  const append = (
    type: string,
    input: string[],
    attributes: Record<string, Attribute>,
    output: string[],
  ) => {
    const [op_type, domain] = type.startsWith(MICROSOFT)
      ? [type.slice(MICROSOFT.length + 1), MICROSOFT]
      : [type, ""];
    const list = Object.entries(attributes).map(([name, value]) => attribute(name, value));
    const name = `${op_type}${nodes.length}`;
    nodes.push({ name, op_type, domain, input, output, attribute: list });
  };

  const all = [
    ...Object.entries(graph.outputs).map(([name, value]) => [outputName(name), value] as const),
    ...Object.entries(graph.newState).map(([name, value]) => [newStateName(name), value] as const),
  ];
  for (const [name, value] of all) {
    if (value.from.kind === "node" && !names.has(value)) names.set(value, name);
  }
  for (const node of order) {
    const lowering = isPortable && portable[node.kernel] ||
      device === "webgpu" && forWebgpu[node.kernel] ||
      precision === "int8" && inInt8[node.kernel] || lowerings[node.kernel];
    if (!lowering) {
      throw new TypeError(`Cannot lower "${node.kernel}" to ONNX: no operator is given for it`);
    }
    lowering(node, emit);
  }
  // A value that already has a name (an input, or another result) is copied to get this one.
  const outputs = all.map(([name, value]) => {
    if (names.get(value) !== name) append("Identity", [emit.name(value)], {}, [name]);
    return { name, value };
  });
  const inputs = [...Object.values(graph.inputs), ...Object.values(graph.state)]
    .filter((value) =>
      names.has(value) && !(value.from.kind === "state" && value.from.name in fixed)
    )
    .map((value) => ({ name: names.get(value)!, value }));
  return { nodes, initializers, inputs, outputs };
}

function tensorProto(
  name: string,
  dtype: DataType,
  dims: number[],
  data: ArrayBufferView,
): TensorProto {
  const raw_data = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return { name, data_type: dataTypes[dtype], dims, raw_data };
}

function attribute(name: string, value: Attribute): AttributeProto {
  if (value instanceof Float) return { name, type: attributeTypes.float, f: value.value };
  if (typeof value === "number") return { name, type: attributeTypes.int, i: value };
  return { name, type: attributeTypes.ints, ints: value };
}

function filledArray(dtype: GraphDType, size: number, value: number): ArrayBufferView {
  if (dtype === "float32") return new Float32Array(size).fill(value);
  return dtype === "int32" ? new Int32Array(size).fill(value) : new Uint8Array(size).fill(value);
}
