/**
 * The tensors of tfjs by their number of axes, as public signatures name them.
 *
 * They are tfjs's own types, reached by what makes them: `deno doc --lint` takes their names for
 * private types of ours.
 */
import type * as tf from "@tensorflow/tfjs";

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
