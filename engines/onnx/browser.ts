/**
 * The engine `onnx` in a browser, over onnxruntime-web: on the CPU by WebAssembly, with threads
 * where the page is isolated from other sites, or on the GPU by WebGPU. To be started in a worker,
 * since onnxruntime keeps the thread that it runs on busy.
 */
import type { Engine } from "../engine.ts";
import { firstLine, UserError } from "../errors.ts";
import { engineOn, type OnnxruntimeApi } from "./session.ts";

/** The devices of a browser. */
export type BrowserDevice = "wasm" | "webgpu";

/**
 * Files of onnxruntime-web that have to be served in one folder: a script and its WebAssembly for
 * each device, by the paths that npm's package has them under.
 */
export const browserFiles = {
  wasm: { script: "ort.wasm.mjs", wasm: "ort-wasm-simd-threaded.wasm" },
  webgpu: { script: "ort.webgpu.mjs", wasm: "ort-wasm-simd-threaded.asyncify.wasm" },
} as const;

/** Options of the engine. */
export interface BrowserOptions {
  /** The device that computes. */
  device: BrowserDevice;
  /**
   * Threads of WebAssembly; one where the page is not isolated from other sites. Default:
   * `defaultThreads()`.
   */
  threads?: number;
  /** The address of the folder with `browserFiles`. */
  folder: string | URL;
}

/** onnxruntime-web's interface. */
interface OnnxruntimeWeb extends OnnxruntimeApi {
  env: { wasm: { wasmPaths?: { wasm: string }; numThreads?: number } };
}

/** The engine, and how many threads it has. */
export interface BrowserEngine extends Engine {
  /** Threads of WebAssembly. */
  threads: number;
}

declare const crossOriginIsolated: boolean | undefined; // not among Deno's types

/**
 * Chooses the number of threads: half of what the browser counts, as most computers count each core
 * twice, from 2, where it counts as many, to 8.
 */
export function defaultThreads(): number {
  const count = navigator.hardwareConcurrency;
  return Math.min(count, Math.max(2, Math.min(8, Math.ceil(count / 2))));
}

/**
 * Starts the engine. A worker can have one, since onnxruntime-web takes its threads once.
 *
 * @throws {UserError} If the files can't be loaded, or the browser lacks WebGPU or WebAssembly's
 * SIMD.
 */
export async function createBrowserEngine(
  { device, threads = defaultThreads(), folder }: BrowserOptions,
): Promise<BrowserEngine> {
  const { script, wasm } = browserFiles[device];
  const name = `onnx:${device}`;
  let onnxruntime: OnnxruntimeWeb;
  try {
    onnxruntime = await import(new URL(script, folder).href);
  } catch (error) {
    throw new UserError({ action: `start ${name}`, found: firstLine(error) }, { cause: error });
  }
  const isIsolated = typeof crossOriginIsolated !== "undefined" && crossOriginIsolated;
  const count = isIsolated && device === "wasm" ? threads : 1;
  onnxruntime.env.wasm.wasmPaths = { wasm: new URL(wasm, folder).href };
  onnxruntime.env.wasm.numThreads = count;
  const engine = await engineOn(onnxruntime, {
    name,
    device: device === "wasm" ? "cpu" : device,
    precision: "f32",
    threads: count,
    isWeb: true,
  });
  return { ...engine, threads: count };
}
