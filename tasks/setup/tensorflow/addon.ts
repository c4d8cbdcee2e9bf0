/**
 * The addon of `@tensorflow/tfjs-node-gpu`, built against a wheel of TensorFlow by one call of the
 * compiler.
 *
 * The package needs some 45 others to be imported, but not for its sources. The lock file beside
 * this one was therefore cut down by hand to the package itself and Node's C headers; Deno fetches
 * what a lock lists, and no more. It works only in a process of its own.
 */
import { fromFileUrl, join } from "@std/path";
import { cp } from "node:fs/promises";
import type { Installation } from "../../../engines/tensorflow/binding.ts";
import { sha256Hex } from "../../../core/files/read.ts";
import { writeFileAtomically } from "../../../core/files/write.ts";
import workspace from "../../../deno.json" with { type: "json" };
import { note } from "../../shared/cli.ts";
import {
  type CommandOptions,
  errorLine,
  firstThatRuns,
  run,
  runVisibly,
  SetupError,
} from "../commands.ts";
import { type Flavour, LIBRARIES, type Wheel } from "./wheel.ts";

const PACKAGE = workspace.imports["@tensorflow/tfjs-node-gpu"];
const HEADERS = "npm:node-api-headers@1.9.0";

/** Folders of the sources. */
export interface Sources {
  package: string;
  /** With `node_api.h`. */
  headers: string;
}

const here = (name: string) => fromFileUrl(new URL(name, import.meta.url));
const encode = (value: unknown) => new TextEncoder().encode(JSON.stringify(value, null, 2) + "\n");

/**
 * Gets the sources from npm, or from Deno's cache.
 *
 * @throws {SetupError} If npm is not reached.
 */
export async function fetchSources(options: CommandOptions): Promise<Sources> {
  note(`Sources of the addon: ${PACKAGE}`);
  const stdin = `
    import { createRequire } from "node:module";
    import { dirname } from "node:path";
    import "${PACKAGE}/package.json" with { type: "json" };
    import headers from "${HEADERS}";
    const file = createRequire(import.meta.url).resolve("@tensorflow/tfjs-node-gpu/package.json");
    console.log(JSON.stringify({ package: dirname(file), headers: headers.include_dir }));
  `;
  const lock = [
    `--lock=${here("deno.lock")}`,
    "--frozen",
    "--no-config",
    "--node-modules-dir=none",
  ];
  const args = ["run", "--allow-read", "--allow-env", "--no-prompt", "--quiet", ...lock, "-"];
  const { success, stdout, stderr } = await run(Deno.execPath(), args, { ...options, stdin });
  if (success) return JSON.parse(stdout) as Sources;
  throw new SetupError(
    `npm does not give ${PACKAGE.slice("npm:".length)} (${errorLine(stderr)}); check the network`,
  );
}

/**
 * Builds the addon into a folder of `prefix`, together with the package's JavaScript half, or finds
 * it there.
 *
 * @throws {SetupError} If a C++ compiler is missing or fails.
 */
export async function buildAddon(
  prefix: string,
  wheel: Wheel,
  flavour: Flavour,
  sources: Sources,
  options: CommandOptions,
): Promise<Installation> {
  const compilers = [Deno.env.get("CXX") ?? "", "g++", "c++", "clang++"].filter(Boolean);
  const compiler = await firstThatRuns(compilers, ["--version"], options);
  if (!compiler) {
    throw new SetupError(
      `no C++ compiler (${compilers.join(", ")}) is in the PATH; install one (Debian, Ubuntu: ` +
        `apt install g++)`,
    );
  }
  const flags = ["-shared", "-fPIC", "-O2", "-std=c++17", "-DNAPI_VERSION=8"];
  const include = [`-I${join(wheel.folder, "include")}`, `-I${sources.headers}`];
  const files = ["tfjs_backend.cc", "tfjs_binding.cc"]
    .map((name) => join(sources.package, "binding", name));
  const link = [
    `-L${wheel.folder}`,
    ...LIBRARIES.map((name) => `-l:${name}`),
    "-Wl,-z,now", // a missing symbol is an error when it is loaded, not the end of the process later
    "-Wl,-z,initfirst", // before the library, whose kernels log while they are registered
    `-Wl,-rpath,${wheel.folder}`, // the wheel's own run path then finds CUDA's packages beside it
  ];
  const args = [...flags, ...include, ...files, here("quiet_logs.cc"), ...link];
  return await inFolder(prefix, [wheel.version, compiler.result.stdout, ...args], {
    sources,
    version: wheel.version,
    cuda: flavour === "cuda",
    async addon(folder) {
      const addon = "tfjs_binding.node";
      const output = ["-o", join(folder, addon)];
      const built = await runVisibly(compiler.program, [...args, ...output], options);
      if (built.success) return addon;
      throw new SetupError(
        `${compiler.program} does not build the addon: ${
          errorLine(built.stderr)
        }; the lines above ` +
          `say more`,
      );
    },
  });
}

/**
 * The addon and libtensorflow that the package's own installer has put into its folder, if it ran.
 * It is used as it is.
 */
export async function packagedAddon(
  prefix: string,
  sources: Sources,
  options: CommandOptions,
): Promise<Installation | undefined> {
  const modules = join("node_modules", "@tensorflow", "tfjs-node-gpu");
  for (const folder of [resolveIn(Deno.cwd(), modules), sources.package]) {
    const addon = await addonOfInstaller(folder);
    if (!addon) continue;
    note(`Found what the package's own installer has built: ${addon}`);
    const stdin = `
      import { createRequire } from "node:module";
      console.log(createRequire(import.meta.url)(${JSON.stringify(addon)}).TF_Version);
    `;
    const args = [
      "run",
      "--allow-read",
      "--allow-env",
      "--allow-ffi",
      "--no-config",
      "--quiet",
      "-",
    ];
    const { success, stdout, stderr } = await run(Deno.execPath(), args, { ...options, stdin });
    const version = stdout.trim().split("\n").at(-1)!;
    if (success && version) {
      return await inFolder(prefix, [addon, version], {
        sources,
        version,
        addon: () => Promise.resolve(addon),
      });
    }
    note(`It does not load (${errorLine(stderr)}): building another one`);
  }
  return undefined;
}

const resolveIn = (folder: string, path: string) => join(folder, path);

/** `deps/lib/libtensorflow.so.2` is what the addon in `lib/napi-v8` looks for. */
async function addonOfInstaller(folder: string): Promise<string | undefined> {
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
 * Name and content of the folder with an addon and what belongs to it; `key` is all that it was
 * made from.
 */
async function inFolder(
  prefix: string,
  key: string[],
  { sources, version, cuda = false, addon }: {
    sources: Sources;
    version: string;
    cuda?: boolean;
    /** Makes the addon in this folder and gives its path, relative to it or absolute. */
    addon(folder: string): Promise<string>;
  },
): Promise<Installation> {
  const own = await Promise.all([
    Deno.readTextFile(join(sources.package, "package.json")),
    Deno.readTextFile(here("quiet_logs.cc")),
    Deno.readTextFile(here("addon.ts")), // says what else is in the folder
  ]);
  const hash = await sha256Hex(encode([...key, ...own]));
  const folder = join(prefix, `addon-${hash.slice(0, 12)}`);
  const record = join(folder, "installation.json");
  try {
    const installation = JSON.parse(await Deno.readTextFile(record)) as Installation;
    note(`The addon is already built: ${installation.addon}`);
    return installation;
  } catch {
    // Not there yet: a folder gets this name only once it is whole.
  }
  const partial = `${folder}.partial-${crypto.randomUUID().slice(0, 8)}`;
  try {
    await Deno.mkdir(partial);
    const path = await addon(partial);
    await copyJavaScript(sources.package, partial);
    const installation: Installation = {
      version,
      arch: Deno.build.arch,
      addon: path.startsWith("/") ? path : join(folder, path),
      package: join(folder, "package"),
      prefix,
      cuda,
    };
    await writeFileAtomically(join(partial, "installation.json"), encode(installation));
    await Deno.rename(partial, folder);
    return installation;
  } catch (error) {
    await Deno.remove(partial, { recursive: true }).catch(() => {});
    throw error;
  }
}

/**
 * The package's backend and kernels, with what they ask for and we have otherwise or don't need.
 */
async function copyJavaScript(source: string, folder: string): Promise<void> {
  const target = join(folder, "package");
  await Deno.mkdir(target);
  await cp(join(source, "package.json"), join(target, "package.json"));
  await cp(join(source, "dist"), join(target, "dist"), { recursive: true });
  // Classes of protobuf messages, which only TensorBoard's summaries use, and which ask for another
  // package.
  await Deno.writeTextFile(join(target, "dist", "proto", "api_pb.js"), "module.exports = {};\n");
  // tfjs is the copy that is loaded already: another one would know nothing of our tensors.
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

/**
 * Runs a product and a gradient on an installation that is not yet in use, in a process of its own.
 *
 * @throws {SetupError} If they fail, or the process ends.
 */
export async function tryInstallation(
  installation: Installation,
  options: CommandOptions,
): Promise<void> {
  const record = join(installation.package, "..");
  const permissions = ["read", "write", "env", "ffi", "sys"].map((name) => `--allow-${name}`);
  const args = ["run", ...permissions, "--no-prompt", "--quiet", here("check.ts")];
  const env = { TINY_DIFFUSION_TENSORFLOW: record };
  const { stdout, stderr, signal } = await run(Deno.execPath(), args, { ...options, env });
  if (signal) {
    throw new SetupError(
      `TensorFlow ends the process with ${signal} on this machine (${errorLine(stderr)}); use ` +
        `--engine onnx`,
    );
  }
  let status: { available: boolean; reason: string };
  try {
    status = JSON.parse(stdout);
  } catch {
    throw new SetupError(`the check of it failed: ${errorLine(stderr)}`);
  }
  if (!status.available) throw new SetupError(`the check of it failed: ${status.reason}`);
  note(`A product and a gradient are right: ${status.reason}`);
}
