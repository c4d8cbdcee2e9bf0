/**
 * The one onnxruntime of this process. It comes from npm, and can then use the CPU and, by WebGPU,
 * most GPUs; or from what `deno task setup-onnx-cuda` has set up, and can then use the CPU and
 * NVIDIA's GPUs.
 *
 * Never both: their native addons share a symbol that the dynamic linker makes unique in a process,
 * so the second one would send the first one's sessions to its own library. And npm's library can't
 * take the CUDA half of the PyPI wheel: the tables of functions through which they talk have 826
 * and 820 entries in version 1.30. So that half is used with the wheel's own library; the addon
 * uses only the C interface, which is the same in all builds of a version.
 *
 * The addon finds its library, and the library its CUDA half, in its own folder. That could be
 * npm's package in Deno's cache, where onnxruntime's own installer would put it; but Deno may empty
 * its cache at any time. So setup makes its own folder.
 */
import { dirname, join } from "@std/path";
import { createRequire } from "node:module";
import process from "node:process";
import type * as onnxruntime from "onnxruntime-node";
import { cudaDevices, opens, vulkanDevices } from "../devices.ts";
import { firstLine, UserError } from "../errors.ts";
import { readRecord, setupCommand } from "../installation.ts";
import type { OnnxDevice } from "./model.ts";

export type Onnxruntime = typeof onnxruntime;

/** The record that setup writes last, once all of it works. */
export interface OnnxCudaInstallation {
  /** Version of onnxruntime, which must be that of the npm package. */
  version: string;
  /** Folder of the addon, onnxruntime's library and its CUDA half. */
  folder: string;
  /** Folder of Python packages with NVIDIA's libraries, or "" where the system has to have them. */
  packages: string;
  /** Folder that setup has put all this into, and that uninstalling empties. */
  prefix: string;
}

export const readOnnxCuda = (): Promise<OnnxCudaInstallation> =>
  readRecord<OnnxCudaInstallation>("onnx-cuda", ["version"], ["folder", "packages", "prefix"]);

/** Whether this is a file of a checkout: only then can setup's onnxruntime take npm's place. */
const isFile = import.meta.url.startsWith("file:");
/**
 * Node's way to load files. Made where it is used, since a module that came by HTTPS (from JSR)
 * gets none.
 */
const nodeRequire = () => createRequire(import.meta.url);
const SETUP = setupCommand("onnx-cuda");

/** Finds the files of npm's package for a system, by default this one. */
export function npmOnnxruntime(
  { platform, arch }: { platform: string; arch: string } = process,
): { version: string; addon: string } {
  const require = nodeRequire();
  const folder = join(dirname(require.resolve("onnxruntime-node")), ".."); // that of dist/index.js
  const addon = join(folder, "bin", "napi-v6", platform, arch, "onnxruntime_binding.node");
  return { version: require(join(folder, "package.json")).version, addon };
}

const ACTION = "load onnxruntime";

let loaded: { runtime: Promise<Onnxruntime>; from: "npm" | "setup" } | undefined;

/**
 * Loads onnxruntime, once per process.
 *
 * @throws {UserError} If it does not load here, or there is no such device.
 */
export async function loadOnnxruntime(device: OnnxDevice): Promise<Onnxruntime> {
  if (device === "cuda") await prepareCuda();
  if (device === "webgpu") refuseWithoutGpu();
  const running = await runningFrom();
  if (device === "webgpu" && running === "setup") throw alreadyTaken();
  loaded ??= { runtime: importOnnxruntime(), from: running ?? "npm" };
  return await loaded.runtime;
}

function alreadyTaken(): UserError {
  return new UserError({
    action: ACTION,
    found: "onnxruntime is loaded once in a process, with CUDA or with WebGPU, and already runs " +
      "with the other one",
    advice: "ask for this engine alone",
  });
}

/**
 * Finds out which of the two this process has, even if another isolate of it (another test file)
 * has loaded it.
 */
async function runningFrom(): Promise<"npm" | "setup" | undefined> {
  if (loaded) return loaded.from;
  // Deno gives this file only to a process with all permissions, such as the tests'; a task's
  // process has one isolate.
  const maps = await Deno.readTextFile("/proc/self/maps").catch(() => "");
  const path = /\/\S+\/libonnxruntime\.so\S*/.exec(maps)?.[0];
  if (path === undefined) return undefined;
  if (!isFile) return "npm";
  return dirname(path) === dirname(npmOnnxruntime().addon) ? "npm" : "setup";
}

/** Explains why npm's package can't run on a system; undefined where it has a build for it. */
export async function whyNoBuild(
  system: { platform: string; arch: string },
): Promise<UserError | undefined> {
  const { version, addon } = npmOnnxruntime(system);
  const isThere = await Deno.stat(addon).then(() => true, () => false);
  if (isThere) return undefined;
  const found = `onnxruntime ${version} has no build for ${system.platform} on ${system.arch}`;
  return new UserError({ action: ACTION, found, advice: "use another engine" });
}

async function importOnnxruntime(): Promise<Onnxruntime> {
  // From version 1.29 on it tells Microsoft of every session, unless that is switched off before it is
  // loaded.
  if (Deno.env.get("ORT_DISABLE_TELEMETRY") === undefined) {
    Deno.env.set("ORT_DISABLE_TELEMETRY", "1");
  }
  try {
    return await import("onnxruntime-node");
  } catch (error) {
    throw await whyNoBuild(process) ??
      new UserError({ action: ACTION, found: firstLine(error) }, { cause: error });
  }
}

/**
 * The libraries that the CUDA half needs, each after those that it needs itself. All but the last
 * are not found without help.
 */
export const CUDA_LIBRARIES = [
  { name: "libcudart.so.13", path: "nvidia/cu13/lib", what: "CUDA 13" },
  { name: "libcublasLt.so.13", path: "nvidia/cu13/lib", what: "CUDA 13" },
  { name: "libcublas.so.13", path: "nvidia/cu13/lib", what: "CUDA 13" },
  { name: "libcurand.so.10", path: "nvidia/cu13/lib", what: "CUDA 13" },
  { name: "libnvrtc.so.13", path: "nvidia/cu13/lib", what: "CUDA 13" },
  { name: "libcudnn.so.9", path: "nvidia/cudnn/lib", what: "cuDNN 9" },
] as const;

/**
 * Opens NVIDIA's libraries, so that the dynamic linker then finds them by name.
 *
 * @param packages Folder of Python packages to look in before the system's folders, or "".
 * @returns The libraries that are missing.
 */
export function openCudaLibraries(packages: string): typeof CUDA_LIBRARIES[number][] {
  return CUDA_LIBRARIES.filter(({ name, path }) =>
    !(packages && opens(join(packages, path, name))) && !opens(name)
  );
}

/** Checks all that can be wrong with CUDA, the cheapest first, and puts the addon in npm's place. */
async function prepareCuda(): Promise<void> {
  if (!isFile) {
    const found = "it needs the project's files on this machine";
    throw new UserError({ action: ACTION, found, advice: "use a clone of it" });
  }
  const installation = await readOnnxCuda();
  const npm = npmOnnxruntime();
  if (installation.version !== npm.version) {
    const found = `it was set up for onnxruntime ${installation.version}, expected ${npm.version}`;
    throw new UserError({ action: ACTION, found, advice: SETUP });
  }
  const { cuda } = cudaDevices();
  if (cuda.major < 13) {
    throw new UserError({
      action: ACTION,
      found: `the NVIDIA driver runs CUDA up to ${cuda.major}.${cuda.minor}, expected 13.0`,
      advice: "update it, or use the engine tensorflow, which needs CUDA 12",
    });
  }
  const missing = openCudaLibraries(installation.packages);
  if (missing.length > 0) throw missingLibraries(missing);
  if (loaded?.from === "setup") return;
  if (await runningFrom() === "npm") throw alreadyTaken();
  loadSetUp(installation);
}

/**
 * Loads the addon that setup has put together as this process's onnxruntime, if it has none yet.
 *
 * @throws {UserError} If the addon does not load.
 */
export function loadSetUp({ folder }: OnnxCudaInstallation): void {
  const addon = join(folder, "onnxruntime_binding.node");
  const { addon: id } = npmOnnxruntime();
  const require = nodeRequire();
  const modules = require.cache as Record<string, unknown>;
  try {
    modules[id] = { id, filename: id, loaded: true, exports: require(addon) };
  } catch (error) {
    const found = `its addon ${addon} does not load: ${firstLine(error)}`;
    throw new UserError({ action: ACTION, found, advice: `${SETUP} again` }, { cause: error });
  }
  loaded = { runtime: importOnnxruntime(), from: "setup" };
}

/** Says which of NVIDIA's libraries are missing, and how to get them. */
export function missingLibraries(missing: { name: string; what: string }[]): UserError {
  const names = missing.map(({ name }) => name).join(", ");
  const products = [...new Set(missing.map(({ what }) => what))].join(" and ");
  const are = missing.length === 1 ? "is" : "are";
  return new UserError({
    action: ACTION,
    found: `${names} ${are} not found, expected ${products} from NVIDIA`,
    advice: "run `deno task setup-onnx-cuda --libraries` to get them from PyPI, or install them " +
      "for the system",
  });
}

/** WebGPU is built on Vulkan under Linux, and on parts of the system elsewhere. */
function refuseWithoutGpu(): void {
  if (Deno.build.os !== "linux") return;
  const found = whyNoGpu();
  if (found) {
    throw new UserError({
      action: ACTION,
      found: `${found}, expected a GPU`,
      advice: "install its Vulkan driver, or use the engine onnx",
    });
  }
}

function whyNoGpu(): string | undefined {
  try {
    const devices = vulkanDevices();
    if (devices.some(({ software }) => !software)) return undefined;
    const names = devices.map(({ name }) => name).join(", ");
    return names ? `Vulkan finds only software (${names})` : "Vulkan finds no GPU";
  } catch (error) {
    return error instanceof UserError ? error.found : firstLine(error);
  }
}
