/** The engines by name, without what they are made of: help needs to load none of them. */
import type { Precision } from "./engine.ts";

/** The purpose of each engine, in the order in which lists show them. */
export const enginePurposes = {
  "onnx": "each program recorded once and run by onnxruntime on the CPU: the default",
  "onnx:cuda": "each program recorded once and run by onnxruntime on an NVIDIA GPU",
  "onnx:webgpu": "each program recorded once and run by onnxruntime on a GPU by WebGPU",
  "tensorflow":
    "each program recorded once and run inside TensorFlow: the fastest for large networks, has bf16",
  "eager:wasm": "tfjs on WebAssembly, operation by operation: slow, runs nearly everywhere",
  "eager:cpu": "tfjs in plain JavaScript: very slow, the reference for tests",
  "eager:webgpu":
    "tfjs on the GPU by WebGPU, operation by operation (a software driver counts too)",
  "eager:tensorflow": "tfjs on TensorFlow, operation by operation",
} as const;

/** The name of an engine. */
export type EngineName = keyof typeof enginePurposes;

/** The engines; `engineStatuses` says which of them run on a machine. */
export const engineNames = Object.keys(enginePurposes) as EngineName[];

/** Whether an engine can compute in that precision. */
export function hasPrecision(name: EngineName, precision: Precision): boolean {
  return precision === "f32" || name === onlyEngineWith[precision];
}

/** The engine that has a precision which no other has. */
export const onlyEngineWith = { bf16: "tensorflow", int8: "onnx" } as const;
