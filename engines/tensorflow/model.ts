/**
 * Lowers recorded graphs to one TensorFlow SavedModel: one table from kernels to TensorFlow's
 * operators. The state becomes resource variables, which stay inside the session and which all
 * programs share.
 */
import type { HostTensors } from "../tensors.ts";
import type { Precision } from "../engine.ts";
import {
  type Graph,
  type GraphDType,
  type Node,
  nodesInOrder,
  type Value,
} from "../record/graph.ts";
import { mapValues } from "@std/collections/map-values";
import {
  type AttrValue,
  type DataType,
  dataTypes,
  encodeSavedModel,
  type NodeDef,
  shapeProto,
  type SignatureDef,
  type TensorInfo,
  type TensorProto,
} from "./proto.ts";

/**
 * Names of tensors that one run of a session feeds or fetches, by the names that the caller uses.
 */
export interface Signature {
  feeds: Record<string, string>;
  fetches: Record<string, string>;
  /** Fetched as well, for its side effect: it is computed once the state has been replaced. */
  done?: string;
}

export interface TensorflowModel {
  /** `saved_model.pb` */
  bytes: Uint8Array;
  programs: Record<string, Signature>;
  /** For each state entry, what to fetch to read it, and what to feed and fetch to replace it. */
  state: Record<string, { read: string; value: string; written: string }>;
}

type Attributes = Record<string, AttrValue>;

const typeOf = (dtype: DataType): AttrValue => ({ type: dataTypes[dtype] });
const int32 = typeOf("int32");

/** The tools of a lowering: name inputs, make small constants, append operators. */
interface Emitter {
  name(value: Value): string;
  /** Names the value in the precision of products. */
  factor(value: Value): string;
  float(value: number): string;
  int32(values: number[] | number, shape?: number[]): string;
  /**
   * Appends an operator with one output, named after `output` or, if absent, anew. Returns the
   * output's name.
   */
  op(type: string, inputs: string[], attributes: Attributes, output?: Value): string;
  /** Appends an operator with several outputs. */
  ops(type: string, inputs: string[], attributes: Attributes, outputs: Value[]): void;
  /** Appends a product of two factors, as float32. */
  product(type: string, inputs: string[], attributes: Attributes, output: Value): void;
}

type Lowering = (node: Node, emit: Emitter) => void;

/** Lowers to the operator of the same meaning, whose type is that of the last input. */
const same = (type: string): Lowering => (node, emit) => {
  const T = typeOf(node.inputs.at(-1)!.dtype);
  emit.op(type, node.inputs.map(emit.name), { T }, node.outputs[0]);
};

/** Lowers to an operator on booleans. */
const logical = (type: string): Lowering => (node, emit) => {
  emit.op(type, node.inputs.map(emit.name), {}, node.outputs[0]);
};

const reduce = (type: string): Lowering => ({ inputs: [x], outputs: [y], attributes }, emit) => {
  emit.op(type, [emit.name(x), emit.int32(attributes.axes as number[])], {
    T: typeOf(x.dtype),
    Tidx: int32,
    keep_dims: { b: attributes.keepDims as boolean },
  }, y);
};

const lowerings: Record<string, Lowering> = {
  Abs: same("Abs"),
  Exp: same("Exp"),
  Identity: same("Identity"),
  Log: same("Log"),
  Neg: same("Neg"),
  Reciprocal: same("Reciprocal"),
  Relu: same("Relu"),
  Rsqrt: same("Rsqrt"),
  Sigmoid: same("Sigmoid"),
  Sqrt: same("Sqrt"),
  Square: same("Square"),
  Tanh: same("Tanh"),
  LogicalNot: logical("LogicalNot"),
  Step: ({ inputs: [x], outputs: [y], attributes }, emit) => {
    const T = typeOf("float32");
    const positive = emit.op("Greater", [emit.name(x), emit.float(0)], { T });
    const alpha = emit.float((attributes.alpha ?? 0) as number);
    emit.op("SelectV2", [positive, emit.float(1), alpha], { T }, y);
  },
  Cast: ({ inputs: [x], outputs: [y] }, emit) => {
    emit.op("Cast", [emit.name(x)], { SrcT: typeOf(x.dtype), DstT: typeOf(y.dtype) }, y);
  },

  Add: same("AddV2"),
  AddN: ({ inputs, outputs: [y] }, emit) => {
    emit.op("AddN", inputs.map(emit.name), { N: { i: inputs.length }, T: typeOf(y.dtype) }, y);
  },
  Maximum: same("Maximum"),
  Minimum: same("Minimum"),
  Multiply: same("Mul"),
  Pow: same("Pow"),
  RealDiv: same("RealDiv"),
  Sub: same("Sub"),
  Equal: same("Equal"),
  Greater: same("Greater"),
  GreaterEqual: same("GreaterEqual"),
  Less: same("Less"),
  LessEqual: same("LessEqual"),
  LogicalAnd: logical("LogicalAnd"),
  Select: same("SelectV2"),

  Sum: reduce("Sum"),
  Mean: reduce("Mean"),
  Max: reduce("Max"),
  Softmax: same("Softmax"),
  LogSoftmax: same("LogSoftmax"),

  // TensorFlow has no operator for it on the CPU; a result that nobody reads is not computed.
  RmsNorm: ({ inputs: [x], outputs: [y, inverse], attributes }, emit) => {
    const T = typeOf("float32");
    const last = emit.int32([x.shape.length - 1]);
    const square = emit.op("Square", [emit.name(x)], { T });
    const mean = emit.op("Mean", [square, last], { T, Tidx: int32, keep_dims: { b: true } });
    const sum = emit.op("AddV2", [mean, emit.float(attributes.epsilon as number)], { T });
    emit.op("Mul", [emit.name(x), emit.op("Rsqrt", [sum], { T }, inverse)], { T }, y);
  },

  BatchMatMul: ({ inputs: [a, b], outputs: [y], attributes }, emit) => {
    const inputs = [emit.factor(a), emit.factor(b)];
    const [first, second] = [attributes.transposeA, attributes.transposeB]
      .map((flag) => ({ b: flag as boolean }));
    if (y.shape.length === 2) {
      emit.product("MatMul", inputs, { transpose_a: first, transpose_b: second }, y);
    } else {
      emit.product("BatchMatMulV2", inputs, { adj_x: first, adj_y: second }, y);
    }
  },

  Reshape: ({ inputs: [x], outputs: [y] }, emit) => {
    const inputs = [emit.name(x), emit.int32(y.shape)];
    emit.op("Reshape", inputs, { T: typeOf(x.dtype), Tshape: int32 }, y);
  },
  BroadcastTo: ({ inputs: [x], outputs: [y] }, emit) => {
    const inputs = [emit.name(x), emit.int32(y.shape)];
    emit.op("BroadcastTo", inputs, { T: typeOf(x.dtype), Tidx: int32 }, y);
  },
  Transpose: ({ inputs: [x], outputs: [y], attributes }, emit) => {
    const inputs = [emit.name(x), emit.int32(attributes.perm as number[])];
    emit.op("Transpose", inputs, { T: typeOf(x.dtype), Tperm: int32 }, y);
  },
  Concat: ({ inputs, outputs: [y], attributes }, emit) => {
    emit.op("ConcatV2", [...inputs.map(emit.name), emit.int32(attributes.axis as number)], {
      N: { i: inputs.length },
      T: typeOf(y.dtype),
      Tidx: int32,
    }, y);
  },
  SplitV: ({ inputs: [x], outputs, attributes }, emit) => {
    const sizes = emit.int32(attributes.sizes as number[]);
    emit.ops("SplitV", [emit.name(x), sizes, emit.int32(attributes.axis as number)], {
      T: typeOf(x.dtype),
      Tlen: int32,
      num_split: { i: outputs.length },
    }, outputs);
  },
  Slice: ({ inputs: [x], outputs: [y], attributes }, emit) => {
    const begin = emit.int32(attributes.begin as number[]);
    const size = emit.int32(attributes.size as number[]);
    emit.op("Slice", [emit.name(x), begin, size], { T: typeOf(x.dtype), Index: int32 }, y);
  },
  Tile: ({ inputs: [x], outputs: [y], attributes }, emit) => {
    const inputs = [emit.name(x), emit.int32(attributes.reps as number[])];
    emit.op("Tile", inputs, { T: typeOf(x.dtype), Tmultiples: int32 }, y);
  },
  PadV2: ({ inputs: [x], outputs: [y], attributes }, emit) => {
    const { before, after } = attributes as { before: number[]; after: number[] };
    const pads = emit.int32(before.flatMap((pad, axis) => [pad, after[axis]]), [before.length, 2]);
    const fill = attributes.value as number;
    const value = x.dtype === "int32" ? emit.int32(fill) : emit.float(fill);
    emit.op("PadV2", [emit.name(x), pads, value], { T: typeOf(x.dtype), Tpaddings: int32 }, y);
  },
  OneHot: ({ inputs: [x], outputs: [y], attributes }, emit) => {
    const depth = emit.int32(attributes.depth as number);
    const [on, off] = [attributes.on as number, attributes.off as number]
      .map((value) => y.dtype === "int32" ? emit.int32(value) : emit.float(value));
    const axis = { i: -1 };
    emit.op("OneHot", [emit.name(x), depth, on, off], { T: typeOf(y.dtype), TI: int32, axis }, y);
  },
};

/** The kernels that have an operator here. */
export const tensorflowKernels: ReadonlySet<string> = new Set(Object.keys(lowerings));

/**
 * Makes the SavedModel of some programs that share a state.
 *
 * @param state Names and shapes of the state; the data are not looked at.
 * @param precision With `bf16`, products take and give bfloat16 (8 bits of mantissa; sums inside
 * are float32).
 * @throws {TypeError} If a kernel has no lowering.
 */
export function tensorflowModel(
  state: HostTensors,
  graphs: Record<string, Graph>,
  precision: Precision,
): TensorflowModel {
  const nodes: NodeDef[] = [];
  const signatures: Record<string, SignatureDef> = {};
  const constants = new Map<string, string>();

  const append = (op: string, input: string[], attr: Attributes): string => {
    const name = `${op}_${nodes.length}`;
    nodes.push({ name, op, input, attr });
    return name;
  };
  const constant = (key: string, tensor: TensorProto): string => {
    let name = constants.get(key);
    if (!name) {
      name = append("Const", [], { dtype: { type: tensor.dtype }, value: { tensor } });
      constants.set(key, name);
    }
    return name;
  };
  const fill = (dtype: GraphDType, shape: number[], value: number): string => {
    const zero = Object.is(value, -0) ? "-0" : value;
    return constant(`${dtype} [${shape}] ${zero}`, filledTensor(dtype, shape, value));
  };
  const int32Constant = (values: number[] | number, shape?: number[]): string => {
    const list = [values].flat();
    const dims = shape ?? (typeof values === "number" ? [] : [list.length]);
    return constant(`int32 [${dims}] ${list}`, arrayTensor("int32", dims, Int32Array.from(list)));
  };
  const placeholder = (dtype: DataType, shape: number[]): string =>
    append("Placeholder", [], { dtype: typeOf(dtype), shape: { shape: shapeProto(shape) } });
  const info = (name: string, { dtype, shape }: Value): TensorInfo => ({
    name: endpoint(name),
    dtype: dataTypes[dtype],
    tensor_shape: shapeProto(shape),
  });

  const handles: Record<string, string> = {};
  const entries: TensorflowModel["state"] = {};
  const dtype = typeOf("float32");
  const copied = (name: string, T = dtype) => append("DeepCopy", [name], { T });
  const assign = (name: string, value: string, after: string[] = []): string =>
    append("AssignVariableOp", [handles[name], value, ...after], { dtype });
  const after = (assignments: string[]): string =>
    append("Identity", [int32Constant(1), ...assignments.map((name) => `^${name}`)], { T: int32 });

  for (const [name, { shape }] of Object.entries(state)) {
    handles[name] = append("VarHandleOp", [], {
      dtype,
      shape: { shape: shapeProto(shape) },
      shared_name: { s: new TextEncoder().encode(name) },
    });
    const read = append("ReadVariableOp", [handles[name]], { dtype });
    const value = placeholder("float32", shape);
    // Not what was fed itself: its memory belongs to JavaScript, and a variable would keep it.
    const written = after([assign(name, copied(value))]);
    entries[name] = mapValues({ read, value, written }, endpoint);
  }

  const programs: TensorflowModel["programs"] = {};
  for (const [program, graph] of Object.entries(graphs)) {
    const names = new Map<Value, string>();
    const factors = new Map<Value, string>();
    // Where state may keep an input, or a view of it, the program works on a copy, for the same
    // reason. Outputs are copied anyway, but TensorFlow refuses to fetch what is fed.
    const feeds = mapValues(graph.inputs, ({ dtype, shape }) => placeholder(dtype, shape));
    const changesState = Object.keys(graph.newState).length > 0;
    const results = new Set(Object.values(graph.outputs));
    for (const [name, value] of Object.entries(graph.inputs)) {
      const copy = changesState || results.has(value);
      names.set(value, copy ? copied(feeds[name], typeOf(value.dtype)) : feeds[name]);
    }
    const nameOf = ({ from, shape, dtype }: Value): string => {
      switch (from.kind) {
        case "state":
          return append("ReadVariableOp", [handles[from.name]], { dtype: typeOf(dtype) });
        case "fill":
          return fill(dtype, shape, from.value);
        case "constant":
          return append("Const", [], {
            dtype: typeOf(dtype),
            value: { tensor: arrayTensor(dtype, shape, from.data) },
          });
        default:
          throw new TypeError("internal: a value is read before it is lowered");
      }
    };
    const emit: Emitter = {
      name(value) {
        let name = names.get(value);
        if (!name) names.set(value, name = nameOf(value));
        return name;
      },
      factor(value) {
        if (precision === "f32") return emit.name(value);
        let factor = factors.get(value);
        if (!factor) {
          const attributes = { SrcT: typeOf("float32"), DstT: typeOf("bfloat16") };
          factors.set(value, factor = append("Cast", [emit.name(value)], attributes));
        }
        return factor;
      },
      float: (value) => fill("float32", [], value),
      int32: int32Constant,
      op(type, inputs, attributes, output) {
        const name = append(type, inputs, attributes);
        if (output) names.set(output, name);
        return name;
      },
      ops(type, inputs, attributes, outputs) {
        const name = append(type, inputs, attributes);
        outputs.forEach((output, i) => names.set(output, `${name}:${i}`));
      },
      product(type, inputs, attributes, output) {
        if (precision === "f32") {
          emit.op(type, inputs, { T: dtype, ...attributes }, output);
        } else {
          const half = append(type, inputs, { T: typeOf("bfloat16"), ...attributes });
          emit.op("Cast", [half], { SrcT: typeOf("bfloat16"), DstT: dtype }, output);
        }
      },
    };

    for (const node of nodesInOrder(graph)) {
      const lower = lowerings[node.kernel];
      if (!lower) {
        throw new TypeError(
          `Cannot lower "${node.kernel}" to TensorFlow: no operator is given for it`,
        );
      }
      lower(node, emit);
    }
    const fetches = mapValues(graph.outputs, emit.name);
    const values = mapValues(graph.newState, emit.name);
    const assignments = Object.entries(values).map(([name, value]) => {
      // Whatever the program reads of an entry, it reads before the entry is replaced.
      const read = names.get(graph.state[name]);
      return assign(name, value, read ? [`^${read}`] : []);
    });
    const done = assignments.length > 0 ? after(assignments) : undefined;
    programs[program] = {
      feeds: mapValues(feeds, endpoint),
      fetches: mapValues(fetches, endpoint),
      done: done && endpoint(done),
    };
    signatures[program] = {
      inputs: mapValues(feeds, (name, key) => info(name, graph.inputs[key])),
      outputs: mapValues(fetches, (name, key) => info(name, graph.outputs[key])),
      method_name: "tensorflow/serving/predict",
    };
  }
  return { bytes: encodeSavedModel(nodes, signatures), programs, state: entries };
}

function arrayTensor(dtype: GraphDType, shape: number[], data: ArrayBufferView): TensorProto {
  const tensor_content = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return { dtype: dataTypes[dtype], tensor_shape: shapeProto(shape), tensor_content };
}

/** A tensor whose entries are all the same: TensorFlow repeats a single value. */
function filledTensor(dtype: GraphDType, shape: number[], value: number): TensorProto {
  const tensor = { dtype: dataTypes[dtype], tensor_shape: shapeProto(shape) };
  if (dtype === "float32") return { ...tensor, float_val: [value] };
  return dtype === "int32"
    ? { ...tensor, int_val: [value] }
    : { ...tensor, bool_val: [value !== 0] };
}

/** The name of a node's output; the first is meant where none is said. */
function endpoint(name: string): string {
  return name.includes(":") ? name : `${name}:0`;
}
