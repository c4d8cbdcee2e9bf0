/**
 * The addon of `@tensorflow/tfjs-node-gpu`, built against a wheel of TensorFlow by one call of the
 * compiler.
 *
 * The package needs some 45 others to be imported, but not for its sources. Its lock file
 * (`tensorflow_sources.lock`) was therefore cut down by hand to the package itself and Node's C
 * headers; Deno fetches what a lock lists, and no more. It works only in its own process.
 */
import { fromFileUrl, join } from "@std/path";
import { cp } from "node:fs/promises";
import { sha256Hex } from "../../files/read.ts";
import type { Installation } from "../../engines/tensorflow/binding.ts";
import { runProgram } from "../shared/process.ts";
import { note } from "../shared/run.ts";
import { encodeJson, makeWhole, SetupError } from "./folders.ts";
import { findErrorLine, findProgram, runVisibly } from "./programs.ts";
import type { Installed } from "./python.ts";

const PACKAGE = "npm:@tensorflow/tfjs-node-gpu@4.22.0";
const HEADERS = "npm:node-api-headers@1.9.0";

/** The C library. */
export const LIBRARIES = ["libtensorflow_cc.so.2", "libtensorflow_framework.so.2"];

export interface Sources {
  package: string;
  /** Contains `node_api.h`. */
  headers: string;
}

const here = (name: string) => fromFileUrl(new URL(name, import.meta.url));

/**
 * Fetches the sources from npm, or from Deno's cache.
 *
 * @throws {SetupError} If npm can't be reached.
 */
export async function fetchSources(signal: AbortSignal): Promise<Sources> {
  note(`Sources of the addon: ${PACKAGE}`);
  const stdin = `
    import { createRequire } from "node:module";
    import { dirname } from "node:path";
    import "${PACKAGE}/package.json" with { type: "json" };
    import headers from "${HEADERS}";
    const file = createRequire(import.meta.url).resolve("@tensorflow/tfjs-node-gpu/package.json");
    console.log(JSON.stringify({ package: dirname(file), headers: headers.include_dir }));
  `;
  const lock = [`--lock=${here("tensorflow_sources.lock")}`, "--frozen", "--node-modules-dir=none"];
  const { code, stdout, stderr } = await runScript(stdin, lock, signal);
  if (code === 0) return JSON.parse(stdout) as Sources;
  throw new SetupError(
    `npm does not give ${PACKAGE.slice("npm:".length)} (${findErrorLine(stderr)})`,
    "check the network",
  );
}

/** Runs a script in a `deno` that knows nothing of this project. */
function runScript(stdin: string, flags: string[], signal: AbortSignal) {
  const permissions = ["--allow-read", "--allow-env", "--no-prompt"];
  const args = ["run", ...permissions, "--quiet", "--no-config", ...flags, "-"];
  return runProgram(Deno.execPath(), args, { signal, stdin });
}

/**
 * Builds the addon into a folder of `prefix`, together with the package's JavaScript half, or finds
 * it there.
 *
 * @throws {SetupError} If a C++ compiler is missing or fails.
 */
export async function buildAddon(
  prefix: string,
  wheel: Installed & { cuda: boolean },
  sources: Sources,
  signal: AbortSignal,
): Promise<Installation> {
  const names = [Deno.env.get("CXX") ?? "", "g++", "c++", "clang++"].filter(Boolean);
  const compiler = await findProgram(names, ["--version"], signal);
  if (!compiler) {
    throw new SetupError(
      `no C++ compiler (${names.join(", ")}) is in the PATH`,
      "install one (Debian, Ubuntu: apt install g++)",
    );
  }
  const binding = (name: string) => join(sources.package, "binding", name);
  const args = [
    "-shared",
    "-fPIC",
    "-O2",
    "-std=c++17",
    "-DNAPI_VERSION=8",
    `-I${join(wheel.folder, "include")}`,
    `-I${sources.headers}`,
    binding("tfjs_backend.cc"),
    binding("tfjs_binding.cc"),
    here("quiet_logs.cc"),
    `-L${wheel.folder}`,
    ...LIBRARIES.map((name) => `-l:${name}`),
    "-Wl,-z,now", // a missing symbol is an error when it is loaded, not the end of the process later
    "-Wl,-z,initfirst", // before the library, whose kernels log while they are registered
    `-Wl,-rpath,${wheel.folder}`, // from there the wheel's own run path finds CUDA's packages
  ];
  const key = [wheel.version, compiler.stdout, ...args];
  const { version, cuda } = wheel;
  return await assemble(prefix, key, { sources, version, cuda }, async (folder) => {
    const addon = "tfjs_binding.node";
    const output = ["-o", join(folder, addon)];
    const built = await runVisibly(compiler.program, [...args, ...output], signal);
    if (built.success) return addon;
    throw new SetupError(
      `${compiler.program} does not build the addon: ${findErrorLine(built.output)}`,
      "the lines above say more",
    );
  });
}

/**
 * Finds the addon and libtensorflow that the package's own installer puts into its folder, if it
 * ran. They are used as they are.
 */
export async function findPackagedAddon(
  prefix: string,
  sources: Sources,
  signal: AbortSignal,
): Promise<Installation | undefined> {
  const modules = join("node_modules", "@tensorflow", "tfjs-node-gpu");
  for (const folder of [join(Deno.cwd(), modules), sources.package]) {
    const addon = await findInstallersAddon(folder);
    if (!addon) continue;
    note(`Found the addon of the package's own installer: ${addon}`);
    const stdin = `
      import { createRequire } from "node:module";
      console.log(createRequire(import.meta.url)(${JSON.stringify(addon)}).TF_Version);
    `;
    const { code, stdout, stderr } = await runScript(stdin, ["--allow-ffi"], signal);
    const version = stdout.trim().split("\n").at(-1)!;
    if (code === 0 && version) {
      const parts = { sources, version, cuda: false };
      return await assemble(prefix, [addon, version], parts, () => Promise.resolve(addon));
    }
    note(`It does not load (${findErrorLine(stderr)}): building another one`);
  }
  return undefined;
}

/** The addon in `lib/napi-v8` needs `deps/lib/libtensorflow.so.2`. */
async function findInstallersAddon(folder: string): Promise<string | undefined> {
  try {
    await Deno.stat(join(folder, "deps", "lib", "libtensorflow.so.2"));
    for await (const { name } of Deno.readDir(join(folder, "lib"))) {
      const addon = join(folder, "lib", name, "tfjs_binding.node");
      if (name.startsWith("napi-v") && await Deno.stat(addon)) return addon;
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return undefined;
}

/**
 * Assembles a folder with an addon and the JavaScript that belongs to it, or finds it there.
 *
 * @param key All that the addon is made from: names the folder.
 * @param makeAddon Makes the addon in a folder and returns its path, relative to it or absolute.
 */
async function assemble(
  prefix: string,
  key: string[],
  { sources, version, cuda }: { sources: Sources; version: string; cuda: boolean },
  makeAddon: (folder: string) => Promise<string>,
): Promise<Installation> {
  const own = await Promise.all([
    Deno.readTextFile(join(sources.package, "package.json")),
    Deno.readTextFile(here("quiet_logs.cc")),
    Deno.readTextFile(here("tensorflow_addon.ts")), // decides what else is in the folder
  ]);
  const hash = await sha256Hex(encodeJson([...key, ...own]));
  const folder = join(prefix, `addon-${hash.slice(0, 12)}`);
  const readRecord = async () =>
    JSON.parse(await Deno.readTextFile(join(folder, "installation.json"))) as Installation;
  try {
    const installation = await readRecord();
    note(`The addon is already built: ${installation.addon}`);
    return installation;
  } catch {
    // It is not there yet.
  }
  await makeWhole(folder, async (partial) => {
    const path = await makeAddon(partial);
    await copyJavaScript(sources.package, partial);
    const installation: Installation = {
      version,
      arch: Deno.build.arch,
      addon: path.startsWith("/") ? path : join(folder, path),
      package: join(folder, "package"),
      prefix,
      cuda,
    };
    await Deno.writeFile(join(partial, "installation.json"), encodeJson(installation));
  });
  return await readRecord();
}

/** Copies the package's backend and kernels, and replaces what they import and don't need. */
async function copyJavaScript(source: string, folder: string): Promise<void> {
  const target = join(folder, "package");
  await Deno.mkdir(target);
  await cp(join(source, "package.json"), join(target, "package.json"));
  await cp(join(source, "dist"), join(target, "dist"), { recursive: true });
  // Classes of protobuf messages, which only TensorBoard's summaries use, and which import another
  // package.
  await Deno.writeTextFile(join(target, "dist", "proto", "api_pb.js"), "module.exports = {};\n");
  // tfjs must be the copy that is already loaded: another one would not know our tensors.
  for (const name of ["tfjs", "tfjs-core"]) {
    const shared = join(target, "node_modules", "@tensorflow", name);
    await Deno.mkdir(shared, { recursive: true });
    await Deno.writeTextFile(join(shared, "package.json"), `{ "main": "index.js" }\n`);
    await Deno.writeTextFile(
      join(shared, "index.js"),
      `module.exports = globalThis[Symbol.for("tiny-diffusion.tfjs")];\n`,
    );
  }
}
