/**
 * The parts of the page that come from elsewhere: the browser's scripts with what they use of
 * `core/` and `engines/`, and onnxruntime-web. Both need npm the first time: `deno bundle` gets its
 * bundler from there (esbuild, 4 MB packed), and onnxruntime-web is 33 MB packed, 138 MB unpacked
 * in Deno's cache. So that nobody else fetches that, it has its own lock (`onnxruntime.lock`), cut
 * down by hand to what is used, as its scripts need no other package; it works only in a process of
 * its own.
 */
import { fromFileUrl } from "@std/path";
import { browserFiles } from "../../engines/onnx/browser.ts";
import { type ProgramOptions, runDeno } from "../shared/process.ts";

const pathOf = (name: string) => fromFileUrl(new URL(name, import.meta.url));

export const onnxruntimeWeb = "onnxruntime-web@1.30.0";

/** Files of onnxruntime-web by the names that the worker loads them under. */
export const onnxruntimeNames: string[] = Object.values(browserFiles)
  .flatMap(({ script, wasm }) => [script, wasm]);

/** The scripts of the page by their names there. */
export const scripts = {
  "page.js": "client/main.tsx",
  "worker.js": "worker/worker.ts",
  "isolation.js": "isolation.ts",
} as const;

/**
 * Bundles a script with all that it imports.
 *
 * @throws {DenoError} If `deno bundle` fails.
 */
export async function bundle(
  name: keyof typeof scripts,
  options: ProgramOptions = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const config = ["--config", pathOf("../../deno.json"), "--frozen"];
  const args = ["bundle", "--quiet", "--platform=browser", "--minify", ...config];
  return await runDeno([...args, pathOf(scripts[name])], options);
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
  // The package exports its scripts by their devices.
  const path = name.replace(/^ort\.(\w+)\.mjs$/, "$1");
  // A string, so that no tool that walks the workspace sees the import.
  const script = `
    import file from "npm:${onnxruntimeWeb}/${path}" with { type: "bytes" };
    for (let rest = file; rest.length > 0;) rest = rest.subarray(Deno.stdout.writeSync(rest));
  `;
  const own = [
    "--quiet",
    "--no-config",
    "--node-modules-dir=none",
    `--lock=${pathOf("onnxruntime.lock")}`,
    "--frozen",
  ];
  const args = ["run", ...own, "--no-prompt", "--unstable-raw-imports", "-"];
  return await runDeno(args, { ...options, stdin: script });
}
