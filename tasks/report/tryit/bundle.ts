/**
 * The parts of the try-it page that come from elsewhere: the browser code with what it uses of
 * `core/`, as one script, and onnxruntime-web. Both need npm the first time: `deno bundle` gets its
 * bundler from there (esbuild, 4 MB packed), and onnxruntime-web is 33 MB packed, 138 MB unpacked
 * in Deno's cache. So that nobody else fetches that, it has its own lock (`bundle.lock`), cut down
 * by hand to what is used, as its scripts need no other package; it works only in a process of its
 * own.
 */
import { fromFileUrl } from "@std/path";
import { type ProgramOptions, runDeno } from "../../shared/process.ts";

const pathOf = (name: string) => fromFileUrl(new URL(name, import.meta.url));

export const onnxruntimeWeb = "onnxruntime-web@1.30.0";

/**
 * Files of onnxruntime-web by the names that the worker loads them under: a script and its
 * WebAssembly for each device.
 */
const onnxruntimeFiles = {
  "ort.wasm.mjs": "wasm",
  "ort-wasm-simd-threaded.wasm": "ort-wasm-simd-threaded.wasm",
  "ort.webgpu.mjs": "webgpu",
  "ort-wasm-simd-threaded.asyncify.wasm": "ort-wasm-simd-threaded.asyncify.wasm",
};
export const onnxruntimeNames = Object.keys(onnxruntimeFiles);

/**
 * Bundles a browser script with all that it imports.
 *
 * @throws {DenoError} If `deno bundle` fails.
 */
export async function bundle(
  entry: "browser.ts" | "worker.ts",
  options: ProgramOptions = {},
): Promise<string> {
  const args = ["--platform=browser", "--minify", `--import-map=${pathOf("imports.json")}`];
  const script = await runDeno(["bundle", ...OWN_LOCK, ...args, pathOf(entry)], options);
  return new TextDecoder().decode(script);
}

/**
 * Gets one of onnxruntime-web's files from npm or Deno's cache.
 *
 * @param name One of `onnxruntimeNames`.
 * @throws {DenoError} If npm is not reached.
 */
export async function fetchOnnxruntime(
  name: string,
  options: ProgramOptions = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const path = onnxruntimeFiles[name as keyof typeof onnxruntimeFiles];
  // A string, so that no tool that walks the workspace sees the import.
  const script = `
    import file from "npm:${onnxruntimeWeb}/${path}" with { type: "bytes" };
    for (let rest = file; rest.length > 0;) rest = rest.subarray(Deno.stdout.writeSync(rest));
  `;
  const args = ["run", ...OWN_LOCK, "--no-prompt", "--unstable-raw-imports", "-"];
  return await runDeno(args, { ...options, stdin: script });
}

const OWN_LOCK = [
  "--quiet",
  "--no-config",
  "--node-modules-dir=none",
  `--lock=${pathOf("bundle.lock")}`,
  "--frozen",
];
