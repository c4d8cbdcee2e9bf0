/**
 * Pure tfjs functions, recorded once and run anywhere: by onnxruntime, inside TensorFlow, or on
 * tfjs itself.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { type Program, startEngine } from "@tiny-diffusion/engines";
 * import * as tf from "@tensorflow/tfjs-core";
 *
 * const double: Program = {
 *   inputs: { x: { shape: [3], dtype: "float32" } },
 *   body: ({ w }, { x }) => ({ outputs: { y: tf.mul(w, x) } }),
 * };
 * const { engine } = await startEngine("onnx"); // or "auto", which takes the best that runs here
 * const session = await engine.load({ w: { shape: [1], data: Float32Array.of(2) } }, { double });
 * const { y } = await session.run("double", { x: Float32Array.of(1, 2, 3) });
 * session.dispose();
 * assertEquals([...y], [2, 4, 6]);
 * ```
 *
 * @module
 */
export { engineStatuses, startEngine } from "./start.ts";
export type { EngineOptions, EngineStatus } from "./start.ts";
export { type EngineName, engineNames, enginePurposes } from "./names.ts";
export { checkInputs, runSteps } from "./engine.ts";
export type { Engine, Inputs, Outputs, Precision, Program, Session } from "./engine.ts";
export { sizeOf } from "./tensors.ts";
export type { DType, HostTensor, HostTensors, Tensors, TensorSpec } from "./tensors.ts";
export type { Scalar, Tensor, Tensor2D, Tensor3D, Tensor4D } from "./tensors.ts";
export { type Communicator, joinRanks, type Mpi } from "./mpi.ts";
export { compile } from "./record/compile.ts";
export { record } from "./record/recorder.ts";
export { simplify } from "./record/simplify.ts";
export { nodesInOrder, productFlops } from "./record/graph.ts";
export type { Attribute, Graph, GraphDType, Node, Value } from "./record/graph.ts";
export { type Problem, quoted, UserError } from "./errors.ts";
