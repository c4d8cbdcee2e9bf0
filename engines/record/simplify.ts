/**
 * Shortens a recorded graph without changing what it computes: equal nodes become one, constants
 * are folded, transpositions move into products, and tensors are not broadcast before an operation
 * that broadcasts by itself. Autodiff leaves plenty of all four; what is not needed afterwards
 * disappears, since nodes are only reached from the results.
 */
import {
  type Attribute,
  type Graph,
  type GraphDType,
  makeNode,
  type Node,
  nodesInOrder,
  sameShape,
  type Value,
} from "./graph.ts";

type Attributes = Record<string, Attribute>;
/**
 * Returns the value to use instead of the node's output, or undefined where the rewriting does not
 * apply.
 */
type Rewrite = (node: Node, graph: Builder) => Value | undefined;

/** Makes the same graph, shorter. Values and nodes of the old graph are left as they are. */
export function simplify(graph: Graph): Graph {
  const builder = new Builder();
  const renewed = new Map<Value, Value>();
  const renew = (value: Value): Value => {
    if (value.from.kind === "fill") return builder.fill(value.shape, value.dtype, value.from.value);
    return renewed.get(value) ?? value;
  };
  for (const node of nodesInOrder(graph)) {
    const outputs = builder.outputs(
      node.kernel,
      node.inputs.map(renew),
      node.attributes,
      node.outputs,
    );
    node.outputs.forEach((value, i) => renewed.set(value, outputs[i]));
  }
  const all = (values: Record<string, Value>) =>
    Object.fromEntries(Object.entries(values).map(([name, value]) => [name, renew(value)]));
  return { ...graph, outputs: all(graph.outputs), newState: all(graph.newState) };
}

/** Makes nodes in simplest form, and each only once. */
class Builder {
  #nodes = new Map<string, Node>();
  #fills = new Map<string, Value>();
  #ids = new Map<Value, number>();

  /** A constant with equal entries: the same one for the same arguments. */
  fill(shape: number[], dtype: GraphDType, value: number): Value {
    const key = `${dtype} ${Object.is(value, -0) ? "-0" : value} ${shape}`;
    let fill = this.#fills.get(key);
    if (!fill) this.#fills.set(key, fill = { shape, dtype, from: { kind: "fill", value } });
    return fill;
  }

  /** The output of a node with one output. */
  node(kernel: string, inputs: Value[], attributes: Attributes, like: Omit<Value, "from">): Value {
    return this.outputs(kernel, inputs, attributes, [like])[0];
  }

  outputs(
    kernel: string,
    inputs: Value[],
    attributes: Attributes,
    outputs: Omit<Value, "from">[],
  ): Value[] {
    const candidate = makeNode(kernel, inputs, attributes, outputs);
    for (const rewrite of rewrites[kernel] ?? []) {
      const value = rewrite(candidate, this);
      if (value) return [value];
    }
    const ids = candidate.inputs.map((value) => this.#id(value));
    if (commutative.has(kernel)) ids.sort((a, b) => a - b);
    const key = JSON.stringify(
      [kernel, ids, attributes, outputs.map((o) => [o.shape, o.dtype])],
      // JSON has no infinities, NaN and -0.
      (_, value) => typeof value === "number" ? Object.is(value, -0) ? "-0" : `${value}` : value,
    );
    let node = this.#nodes.get(key);
    if (!node) this.#nodes.set(key, node = candidate);
    return node.outputs;
  }

  #id(value: Value): number {
    let id = this.#ids.get(value);
    if (id === undefined) this.#ids.set(value, id = this.#ids.size);
    return id;
  }
}

const commutative = new Set(["Add", "Multiply", "Maximum", "Minimum", "Equal", "LogicalAnd"]);

/** Returns the node that makes `value`, if it is of this kernel. */
function nodeOf(value: Value, kernel: string): Node | undefined {
  return value.from.kind === "node" && value.from.node.kernel === kernel
    ? value.from.node
    : undefined;
}

/** Returns the entry that a constant repeats, or NaN, which equals nothing. */
function uniform(value: Value): number {
  return value.from.kind === "fill" ? value.from.value : NaN;
}

/** Returns `value` if it has the node's shape, else broadcasts it. */
function broadcastTo(value: Value, node: Node, graph: Builder): Value {
  const [output] = node.outputs;
  if (sameShape(value.shape, output.shape)) return value;
  return graph.node("BroadcastTo", [value], {}, { shape: output.shape, dtype: value.dtype });
}

/**
 * Operations that broadcast by themselves take the smaller tensor, as long as the result keeps its
 * shape.
 */
const broadcastLate: Rewrite = (node, graph) => {
  const [output] = node.outputs;
  const inputs = [...node.inputs];
  let changed = false;
  inputs.forEach((value, i) => {
    const small = value.from.kind === "fill" && value.shape.length > 0
      ? graph.fill([], value.dtype, value.from.value)
      : nodeOf(value, "BroadcastTo")?.inputs[0];
    if (!small) return;
    const trial = inputs.with(i, small);
    if (!sameShape(broadcastShape(trial.map((v) => v.shape)), output.shape)) return;
    inputs[i] = small;
    changed = true;
  });
  return changed ? graph.node(node.kernel, inputs, node.attributes, output) : undefined;
};

function broadcastShape(shapes: number[][]): number[] {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  return Array.from(
    { length: rank },
    (_, i) => shapes.reduce((size, s) => Math.max(size, s[s.length - rank + i] ?? 1), 1),
  );
}

/** Arithmetic on two constants. */
const fold = (compute: (a: number, b: number) => number): Rewrite => (node, graph) => {
  const [a, b] = node.inputs;
  const [{ shape, dtype }] = node.outputs;
  if (a.from.kind !== "fill" || b.from.kind !== "fill" || dtype !== "float32") return undefined;
  return graph.fill(shape, dtype, Math.fround(compute(a.from.value, b.from.value)));
};

/**
 * x + 0, x * 1 and the like are x, where `neutral` is the second operand (or either, if the
 * operation commutes).
 */
const dropNeutral = (neutral: number, commutes: boolean): Rewrite => (node, graph) => {
  const [a, b] = node.inputs;
  if (uniform(b) === neutral) return broadcastTo(a, node, graph);
  if (commutes && uniform(a) === neutral) return broadcastTo(b, node, graph);
  return undefined;
};

/**
 * 1 / sqrt(mean(x²) + epsilon) over the last axis: the second output of an RMSNorm of x, which
 * targets have as one operator.
 */
const fuseNorm: Rewrite = (node, graph) => {
  const sum = nodeOf(node.inputs[0], "Add");
  const epsilon = sum && uniform(sum.inputs[1]);
  const mean = sum && nodeOf(sum.inputs[0], "Mean");
  const square = mean && nodeOf(mean.inputs[0], "Square");
  if (!square || Number.isNaN(epsilon)) return undefined;
  const x = square.inputs[0];
  const axes = mean.attributes.axes as number[];
  if (!mean.attributes.keepDims || axes.length !== 1 || axes[0] !== x.shape.length - 1) {
    return undefined;
  }
  if (!sameShape(sum.outputs[0].shape, mean.outputs[0].shape)) return undefined;
  return graph.outputs("RmsNorm", [x], { epsilon: epsilon! }, [x, node.outputs[0]])[1];
};

/** x times its own inverse deviation is the first output of the same RMSNorm. */
const fusedNorm: Rewrite = (node) => {
  for (const [x, inverse] of [node.inputs, node.inputs.toReversed()]) {
    const norm = nodeOf(inverse, "RmsNorm");
    if (norm && norm.outputs[1] === inverse && norm.inputs[0] === x) return norm.outputs[0];
  }
  return undefined;
};

/**
 * a relu(x) step(x) is a relu(x): the gradient of ReLU squared needs no second look at the sign.
 */
const dropStep: Rewrite = (node) => {
  for (const [product, step] of [node.inputs, node.inputs.toReversed()]) {
    const x = nodeOf(step, "Step")?.inputs[0];
    if (x && hasFactor(product, (factor) => nodeOf(factor, "Relu")?.inputs[0] === x)) {
      return product;
    }
  }
  return undefined;
};

function hasFactor(value: Value, is: (factor: Value) => boolean): boolean {
  const product = nodeOf(value, "Multiply");
  return product ? product.inputs.some((factor) => hasFactor(factor, is)) : is(value);
}

const identity: Rewrite = (node) => node.inputs[0];

const rewrites: Record<string, Rewrite[]> = {
  Identity: [identity],
  Cast: [(node, graph) => {
    const [x] = node.inputs;
    const [output] = node.outputs;
    if (x.dtype === output.dtype) return x;
    // tfjs makes one-hot rows of integers; the network wants them as float32 at once.
    const oneHot = nodeOf(x, "OneHot");
    const { on, off } = oneHot?.attributes ?? {};
    const exact = Number.isInteger(on) && Number.isInteger(off) && output.dtype === "float32";
    return exact ? graph.node("OneHot", oneHot!.inputs, oneHot!.attributes, output) : undefined;
  }],
  Add: [fold((a, b) => a + b), dropNeutral(0, true), broadcastLate],
  Sub: [fold((a, b) => a - b), dropNeutral(0, false), broadcastLate],
  Multiply: [fold((a, b) => a * b), dropNeutral(1, true), broadcastLate, fusedNorm, dropStep],
  RealDiv: [fold((a, b) => a / b), dropNeutral(1, false), broadcastLate],
  Rsqrt: [fuseNorm],
  Maximum: [broadcastLate],
  Minimum: [broadcastLate],
  Pow: [broadcastLate],
  Neg: [(node) => nodeOf(node.inputs[0], "Neg")?.inputs[0]],

  // A broadcast of a broadcast; a constant is simply made larger.
  BroadcastTo: [(node, graph) => {
    const [x] = node.inputs;
    const [output] = node.outputs;
    if (x.from.kind === "fill") return graph.fill(output.shape, x.dtype, x.from.value);
    const inner = nodeOf(x, "BroadcastTo");
    return inner && graph.node("BroadcastTo", inner.inputs, {}, output);
  }],

  Reshape: [(node, graph) => {
    const [x] = node.inputs;
    const [output] = node.outputs;
    if (sameShape(x.shape, output.shape)) return x;
    if (x.from.kind === "fill") return graph.fill(output.shape, x.dtype, x.from.value);
    const inner = nodeOf(x, "Reshape");
    return inner && graph.node("Reshape", inner.inputs, node.attributes, output);
  }],
  ExpandDims: [
    (node, graph) => graph.node("Reshape", node.inputs, node.attributes, node.outputs[0]),
  ],

  Transpose: [(node, graph) => {
    const [x] = node.inputs;
    const [output] = node.outputs;
    const perm = node.attributes.perm as number[];
    if (perm.every((axis, i) => axis === i)) return x;
    if (x.from.kind === "fill") return graph.fill(output.shape, x.dtype, x.from.value);
    const inner = nodeOf(x, "Transpose");
    if (!inner) return undefined;
    const first = inner.attributes.perm as number[];
    return graph.node("Transpose", inner.inputs, { perm: perm.map((axis) => first[axis]) }, output);
  }],

  // The product reads its operand the other way round instead of having it transposed.
  BatchMatMul: [(node, graph) => {
    const flags = ["transposeA", "transposeB"] as const;
    for (const [i, flag] of flags.entries()) {
      const transposed = nodeOf(node.inputs[i], "Transpose");
      if (!transposed || !swapsLastTwo(transposed.attributes.perm as number[])) continue;
      const inputs = node.inputs.with(i, transposed.inputs[0]);
      const attributes = { ...node.attributes, [flag]: !node.attributes[flag] };
      return graph.node("BatchMatMul", inputs, attributes, node.outputs[0]);
    }
    return undefined;
  }],

  Slice: [
    (node) => sameShape(node.inputs[0].shape, node.outputs[0].shape) ? node.inputs[0] : undefined,
  ],
  Tile: [
    (node) => sameShape(node.inputs[0].shape, node.outputs[0].shape) ? node.inputs[0] : undefined,
  ],
};

function swapsLastTwo(perm: number[]): boolean {
  const rank = perm.length;
  return perm.every((axis, i) =>
    axis === (i === rank - 1 ? rank - 2 : i === rank - 2 ? rank - 1 : i)
  );
}
