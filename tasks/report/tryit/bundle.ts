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

const beside = (name: string) => fromFileUrl(new URL(name, import.meta.url));

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
 * A browser script with all that it imports, in one file.
 *
 * @throws {DenoError} If `deno bundle` fails.
 */
export async function bundled(
  entry: "browser.ts" | "worker.ts",
  options: ProgramOptions = {},
): Promise<string> {
  const args = ["--platform=browser", "--minify", `--import-map=${beside("imports.json")}`];
  const script = await runDeno(["bundle", ...ownLock(), ...args, beside(entry)], options);
  return new TextDecoder().decode(script);
}

/**
 * One of onnxruntime-web's files.
 *
 * @param name One of `onnxruntimeNames`.
 * @throws {DenoError} If npm is not reached.
 */
export async function onnxruntimeFile(
  name: string,
  options: ProgramOptions = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const path = onnxruntimeFiles[name as keyof typeof onnxruntimeFiles];
  // A string, so that no tool that walks the workspace sees the import.
  const script = `
    import file from "npm:${onnxruntimeWeb}/${path}" with { type: "bytes" };
    for (let rest = file; rest.length > 0;) rest = rest.subarray(Deno.stdout.writeSync(rest));
  `;
  const args = ["run", ...ownLock(), "--no-prompt", "--unstable-raw-imports", "-"];
  return await runDeno(args, { ...options, stdin: script });
}

const ownLock = () => [
  ...["--quiet", "--no-config", "--node-modules-dir=none"],
  ...[`--lock=${beside("bundle.lock")}`, "--frozen"],
];
