/**
 * The default engine: onnxruntime from npm, which needs nothing else on the CPU and, by WebGPU, on
 * most GPUs; for NVIDIA's see `runtime.ts`, for browsers `browser.ts`.
 */
import type { Engine } from "../engine.ts";
import { loadOnnxruntime } from "./runtime.ts";
import type { OnnxDevice } from "./model.ts";
import { engineOn } from "./session.ts";

/** Options of the engine. */
export interface OnnxOptions {
  /** Threads inside one operator on the CPU. Default: one per core. */
  threads?: number;
  /** The precision of products with weights that no program changes. @default {"f32"} */
  precision?: "f32" | "int8";
  /** The device that computes. @default {"cpu"} */
  device?: OnnxDevice;
}

/**
 * Starts the engine.
 *
 * @throws {UserError} If onnxruntime does not load here, or does not start on that device.
 */
export async function onnxEngine(
  { threads = navigator.hardwareConcurrency, device = "cpu", precision = "f32" }: OnnxOptions = {},
): Promise<Engine> {
  const name = device === "cpu" ? "onnx" : `onnx:${device}`;
  return await engineOn(await loadOnnxruntime(device), {
    name,
    device,
    precision,
    threads,
    isWeb: false,
  });
}
