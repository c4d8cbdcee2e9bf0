/**
 * Tensors: in ordinary memory, and inside a program.
 *
 * Those inside a program are tfjs's own types, reached by the functions that make them: `deno doc --lint` takes their
 * names for private types of ours.
 */
import type * as tf from "@tensorflow/tfjs-core";

/** A tensor of any number of axes. */
export type Tensor = InstanceType<typeof tf["Tensor"]>;
/** A single number. */
export type Scalar = ReturnType<typeof tf["scalar"]>;
/** A tensor of two axes. */
export type Tensor2D = ReturnType<typeof tf["tensor2d"]>;
/** A tensor of three axes. */
export type Tensor3D = ReturnType<typeof tf["tensor3d"]>;
/** A tensor of four axes. */
export type Tensor4D = ReturnType<typeof tf["tensor4d"]>;

/** The element type of an input. */
export type DType = "float32" | "int32";

/** A tensor in ordinary memory, as it crosses the border of an engine. */
export interface HostTensor<Data extends Float32Array | Int32Array = Float32Array | Int32Array> {
  /** Its size along each axis. */
  shape: number[];
  /** All entries, row-major. */
  data: Data;
}

/**
 * Named float32 tensors in ordinary memory: weights, or weights with the moments of their
 * optimizer.
 */
export type HostTensors = Record<string, HostTensor<Float32Array>>;

/** Named tensors on the engine's side of the border. */
export type Tensors = Record<string, Tensor>;

/**
 * Shape and type of one input of a program. Graphs are static, so there is one program per batch
 * size and length.
 */
export interface TensorSpec {
  /** Its size along each axis. */
  shape: number[];
  /** Its element type. */
  dtype: DType;
}

/** Counts the entries of a tensor of that shape. */
export function sizeOf(shape: number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}
