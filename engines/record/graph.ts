/**
 * A recorded program: which kernels ran on which values. Its only numbers are constants, and it
 * knows neither tfjs nor any target. `recorder.ts` makes graphs, `simplify.ts` shortens them,
 * `onnx/` and `tensorflow/` run them.
 */
import { type DType, sizeOf } from "../tensors.ts";

/** The element type of a tensor in a graph. */
export type GraphDType = DType | "bool";
/** A setting of a kernel's call. */
export type Attribute = number | boolean | string | number[];

/** One tensor of the program, known by shape and type. */
export interface Value {
  /** Its size along each axis. */
  shape: number[];
  /** Its element type. */
  dtype: GraphDType;
  /** Exactly one of these says where it comes from. */
  from:
    | { kind: "input"; name: string }
    | { kind: "state"; name: string }
    | { kind: "constant"; data: Float32Array | Int32Array | Uint8Array }
    /** A constant all of whose entries are the same. */
    | { kind: "fill"; value: number }
    | { kind: "node"; node: Node; output: number };
}

/** One call of a kernel, by its tfjs name. */
export interface Node {
  /** Such as `BatchMatMul`. */
  kernel: string;
  /** Its inputs, in tfjs's order. */
  inputs: Value[];
  /** Its settings, in the recorder's normal form. */
  attributes: Record<string, Attribute>;
  /** Its outputs. */
  outputs: Value[];
}

/** All that a run of a program reads and computes; its nodes are reached from the results. */
export interface Graph {
  /** The inputs of a run. */
  inputs: Record<string, Value>;
  /** The state entries that the program reads or replaces. */
  state: Record<string, Value>;
  /** The outputs of a run. */
  outputs: Record<string, Value>;
  /** New values of state entries, by their names. */
  newState: Record<string, Value>;
}

/** Makes a node and the values that it computes. */
export function makeNode(
  kernel: string,
  inputs: Value[],
  attributes: Record<string, Attribute>,
  outputs: { shape: number[]; dtype: GraphDType }[],
): Node {
  const node: Node = { kernel, inputs, attributes, outputs: [] };
  node.outputs = outputs.map(({ shape, dtype }, output) => ({
    shape,
    dtype,
    from: { kind: "node", node, output },
  }));
  return node;
}

/** Lists the nodes that the graph's results depend on, each after those that it reads. */
export function nodesInOrder(graph: Graph): Node[] {
  const order: Node[] = [];
  const seen = new Set<Node>();
  // An explicit stack: a training step is thousands of nodes deep.
  const stack: { node: Node; next: number }[] = [];
  const visit = (value: Value) => {
    if (value.from.kind !== "node" || seen.has(value.from.node)) return;
    seen.add(value.from.node);
    stack.push({ node: value.from.node, next: 0 });
    while (stack.length > 0) {
      const top = stack[stack.length - 1];
      if (top.next === top.node.inputs.length) {
        order.push(top.node);
        stack.pop();
        continue;
      }
      const { from } = top.node.inputs[top.next++];
      if (from.kind === "node" && !seen.has(from.node)) {
        seen.add(from.node);
        stack.push({ node: from.node, next: 0 });
      }
    }
  };
  for (const value of results(graph)) visit(value);
  return order;
}

/** Lists everything that a run of the graph must compute. */
export function results(graph: Graph): Value[] {
  return [...Object.values(graph.outputs), ...Object.values(graph.newState)];
}

export function sameShape(a: number[], b: number[]): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis]);
}

/**
 * Counts the floating-point operations of all matrix products of a graph, which are nearly all of
 * its arithmetic.
 */
export function productFlops(graph: Graph): number {
  return nodesInOrder(graph).filter((node) => node.kernel === "BatchMatMul").reduce((sum, node) => {
    const depth = node.inputs[0].shape.at(node.attributes.transposeA ? -2 : -1)!;
    return sum + 2 * sizeOf(node.outputs[0].shape) * depth;
  }, 0);
}
