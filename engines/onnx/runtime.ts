/**
 * The one onnxruntime of this process. It comes from npm, and can then use the CPU and, by WebGPU,
 * most GPUs; or from what `deno task setup-onnx-cuda` has set up, and can then use the CPU and
 * NVIDIA's GPUs.
 *
 * Never both: their native addons share a symbol that the dynamic linker makes unique in a process,
 * so the second one would send the first one's sessions to its own library. And npm's library can't
 * take the CUDA half of the PyPI wheel: the tables of functions through which they talk have 826
 * and 820 entries in version 1.30. So that half is used with the wheel's own library; the addon
 * stands on the C interface, which is the same in all builds of a version.
 *
 * The addon finds its library, and the library its CUDA half, in its own folder. That could be
 * npm's package in Deno's cache, where onnxruntime's own installer would put it; but Deno may empty
 * its cache, and what is in there belongs to no one. So setup makes a folder of its own.
 */
import { dirname, join } from "@std/path";
import { createRequire } from "node:module";
import process from "node:process";
import type * as onnxruntime from "onnxruntime-node";
import { cudaDevices } from "../cuda.ts";
import { readRecord, setupCommand } from "../installation.ts";
import { opens } from "../native_library.ts";
import { vulkanDevices } from "../vulkan.ts";

export type Onnxruntime = typeof onnxruntime;

/** What computes: onnxruntime calls them execution providers. */
export type OnnxDevice = "cpu" | "cuda" | "webgpu";

/** What setup writes down last, once all of it works. */
export interface OnnxCudaInstallation {
  /** Of onnxruntime, which must be that of the npm package. */
  version: string;
  /** Folder of the addon, onnxruntime's library and its CUDA half. */
  folder: string;
  /** Folder of Python packages with NVIDIA's libraries, or "" where the system has to have them. */
  packages: string;
  /** Folder that setup has put all this into, and empties again. */
  prefix: string;
}

export const readOnnxCuda = (): Promise<OnnxCudaInstallation> =>
  readRecord<OnnxCudaInstallation>("onnx-cuda", ["version", "folder", "packages", "prefix"]);

/**
 * Whether this is a file of a checkout: only then can it look for npm's package, and setup puts
 * itself in its place.
 */
const isFile = import.meta.url.startsWith("file:");
/**
 * Node's way to load what lies in files. Made where it is used, since a module that came by HTTPS
 * (from JSR) gets none.
 */
const nodeRequire = () => createRequire(import.meta.url);
const SETUP = setupCommand("onnx-cuda");

/** Files of npm's package for a system, this one unless told otherwise. */
export function npmOnnxruntime(
  { platform, arch }: { platform: string; arch: string } = process,
): { version: string; addon: string } {
  const require = nodeRequire(), main = require.resolve("onnxruntime-node"); // its dist/index.js
  const folder = join(dirname(main), "..");
  const addon = join(folder, "bin", "napi-v6", platform, arch, "onnxruntime_binding.node");
  return { version: require(join(folder, "package.json")).version, addon };
}

let loaded: { runtime: Promise<Onnxruntime>; from: "npm" | "setup" } | undefined;

/**
 * onnxruntime, loaded once per process, for what is to compute.
 *
 * @throws {Error} If it does not load here, or there is no such device, in one line that is the
 * reason only.
 */
export async function loadOnnxruntime(device: OnnxDevice): Promise<Onnxruntime> {
  if (device === "cuda") await prepareCuda();
  if (device === "webgpu") refuseWithoutGpu();
  const running = await runningFrom();
  if (device === "webgpu" && running === "setup") throw new Error(TAKEN);
  loaded ??= { runtime: importOnnxruntime(), from: running ?? "npm" };
  return await loaded.runtime;
}

const TAKEN =
  "onnxruntime is loaded once in a process, with CUDA or with WebGPU, and already runs " +
  "with the other one; ask for this engine alone";

/**
 * Which of the two this process has, be it that another isolate of it (another test file) has
 * loaded it.
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

/** Why npm's package can't run on a system at all, or undefined where it has a build for it. */
export async function noBuildFor(
  system: { platform: string; arch: string },
): Promise<string | undefined> {
  const { version, addon } = npmOnnxruntime(system);
  const isThere = await Deno.stat(addon).then(() => true, () => false);
  return isThere
    ? undefined
    : `onnxruntime ${version} has no build for ${system.platform} on ${system.arch}; use another engine`;
}

async function importOnnxruntime(): Promise<Onnxruntime> {
  // From version 1.29 on it tells Microsoft of every session, unless it is told not to before it is
  // loaded.
  if (Deno.env.get("ORT_DISABLE_TELEMETRY") === undefined) {
    Deno.env.set("ORT_DISABLE_TELEMETRY", "1");
  }
  try {
    return await import("onnxruntime-node");
  } catch (error) {
    throw new Error(await noBuildFor(process) ?? (error as Error).message, { cause: error });
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
 * Opens NVIDIA's libraries, so that the dynamic linker has them when it is asked for them by name.
 *
 * @param packages Folder of Python packages to look in before the system's folders, or "".
 * @returns Those that are missing.
 */
export function openCudaLibraries(packages: string): typeof CUDA_LIBRARIES[number][] {
  return CUDA_LIBRARIES.filter(({ name, path }) =>
    !(packages && opens(join(packages, path, name))) && !opens(name)
  );
}

/**
 * Everything that can be wrong with CUDA, from the cheapest to find out on, and then the addon in
 * the place of npm's.
 */
async function prepareCuda(): Promise<void> {
  if (!isFile) throw new Error("it needs the project's files on this machine; use a clone of it");
  const installation = await readOnnxCuda();
  const npm = npmOnnxruntime();
  if (installation.version !== npm.version) {
    throw new Error(
      `it was set up for onnxruntime ${installation.version}, expected ${npm.version}; ${SETUP}`,
    );
  }
  const { cuda } = cudaDevices();
  if (cuda.major < 13) {
    throw new Error(
      `the NVIDIA driver runs CUDA up to ${cuda.major}.${cuda.minor}, expected 13.0; update it, or ` +
        "use the engine tensorflow, which needs CUDA 12",
    );
  }
  const missing = openCudaLibraries(installation.packages);
  if (missing.length > 0) throw new Error(whatIsMissing(missing));
  if (loaded?.from === "setup") return;
  if (await runningFrom() === "npm") throw new Error(TAKEN);
  loadSetUp(installation);
}

/**
 * Makes what setup has put together this process's onnxruntime, if it has none yet.
 *
 * @throws {Error} If the addon does not load; the message is the reason only.
 */
export function loadSetUp({ folder }: OnnxCudaInstallation): void {
  const addon = join(folder, "onnxruntime_binding.node"), { addon: id } = npmOnnxruntime();
  const require = nodeRequire(), modules = require.cache as Record<string, unknown>;
  try {
    modules[id] = { id, filename: id, loaded: true, exports: require(addon) };
  } catch (error) {
    const reason = (error as Error).message.split("\n")[0];
    throw new Error(`its addon ${addon} does not load: ${reason}; ${SETUP} again`);
  }
  loaded = { runtime: importOnnxruntime(), from: "setup" };
}

/** In one line, with how to get it. */
export function whatIsMissing(missing: { name: string; what: string }[]): string {
  const names = missing.map(({ name }) => name).join(", ");
  const products = [...new Set(missing.map(({ what }) => what))].join(" and ");
  return `${names} ${missing.length === 1 ? "is" : "are"} not found, expected ${products} from ` +
    "NVIDIA; run `deno task setup-onnx-cuda --libraries` to get them from PyPI, or install them " +
    "for the system";
}

/** WebGPU stands on Vulkan on Linux, and on parts of the system elsewhere. */
function refuseWithoutGpu(): void {
  if (Deno.build.os !== "linux") return;
  const found = withoutGpu();
  if (found) {
    throw new Error(
      `${found}, expected a GPU; install its Vulkan driver, or use the engine onnx`,
    );
  }
}

function withoutGpu(): string | undefined {
  try {
    const devices = vulkanDevices();
    if (devices.some(({ software }) => !software)) return undefined;
    const names = devices.map(({ name }) => name).join(", ");
    return names ? `Vulkan finds only software (${names})` : "Vulkan finds no GPU";
  } catch (error) {
    return (error as Error).message;
  }
}
