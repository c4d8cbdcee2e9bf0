/**
 * Finds and loads what `deno task setup-tensorflow` has set up: the native half of
 * `@tensorflow/tfjs-node-gpu`, built against a TensorFlow of today. Nothing here knows programs or
 * tensors of tfjs.
 */
import { createRequire } from "node:module";
import { cudaDevices } from "../cuda.ts";
import { readRecord, setupCommand } from "../installation.ts";

/**
 * What the addon offers; the package's `tfjs_binding.d.ts` has it all. Tensors and models are known
 * by number.
 */
export interface Binding {
  /** The tensor shares `data`'s memory until it is deleted. */
  createTensor(shape: number[], dtype: number, data: Float32Array | Int32Array): number;
  deleteTensor(id: number): void;
  /**
   * A tensor's entries, which may lie in TensorFlow's own memory: copy what must outlive the
   * session.
   */
  tensorDataSync(id: number): Float32Array | Int32Array | Uint8Array;
  loadSavedModel(folder: string, tags: string): number;
  deleteSavedModel(id: number): void;
  /** Names are joined by commas. The caller must delete the tensors that it gets. */
  runSavedModel(
    model: number,
    inputs: number[],
    inputNames: string,
    outputNames: string,
  ): { id: number; shape: number[]; dtype: number }[];
  getNumOfTensors(): number;
  getNumOfSavedModels(): number;
  isUsingGpuDevice(): boolean;
  TF_Version: string;
}

/** What setup writes down last, once all of it works. */
export interface Installation {
  /** Version of TensorFlow that the addon was built for. */
  version: string;
  /** Of that build: `x86_64` or `aarch64`. */
  arch: string;
  /** Path of `tfjs_binding.node`. */
  addon: string;
  /** Folder of the package, for its JavaScript half. */
  package: string;
  /** Folder that setup has put all this into, and empties again. */
  prefix: string;
  /** Whether TensorFlow is the build for NVIDIA GPUs. */
  cuda?: boolean;
}

const SETUP = setupCommand("tensorflow");

/**
 * @throws {Error} If TensorFlow is not set up. As everywhere in this file, the message is the
 * reason only.
 */
export const readInstallation = (): Promise<Installation> =>
  readRecord<Installation>("tensorflow", ["version", "arch", "addon", "package", "prefix"]);

let loaded: { binding: Binding; installation: Installation; threads?: number } | undefined;

/**
 * The addon, loaded once per process.
 *
 * @param options.threads Threads inside one operator, and operators at a time; the pools are made
 * once per process. Default: one per core.
 * @throws {Error} If it is not set up or does not load here, saying why.
 * @throws {RangeError} If it already runs with another number of threads.
 */
export async function loadBinding(
  { threads }: { threads?: number } = {},
): Promise<{ binding: Binding; installation: Installation }> {
  if (loaded) {
    if (threads === undefined || threads === loaded.threads) return loaded;
    throw new RangeError(
      `TensorFlow already runs with ${loaded.threads ?? "its own number of"} threads in this ` +
        `process, expected ${threads}; use one number`,
    );
  }
  const installation = await readInstallation();
  await refuseOtherCpu(installation);
  // TensorFlow reads these once, when its library is loaded or its first session starts.
  if (threads !== undefined) {
    Deno.env.set("TF_NUM_INTRAOP_THREADS", String(threads));
    Deno.env.set("TF_NUM_INTEROP_THREADS", String(threads));
  }
  Deno.env.set("TF_FORCE_GPU_ALLOW_GROWTH", "true");
  setDefault("TF_CPP_MIN_LOG_LEVEL", "3"); // errors of ours come back as exceptions
  let binding: Binding;
  bindToItself(installation.addon);
  try {
    binding = createRequire(installation.addon)(installation.addon) as Binding;
  } catch (error) {
    throw new Error(whyNotLoaded(firstLine(error), installation), { cause: error });
  }
  if (binding.TF_Version !== installation.version) {
    throw new Error(
      `its addon was built for TensorFlow ${installation.version} but finds ` +
        `${binding.TF_Version}; ${SETUP} again`,
    );
  }
  loaded = { binding, installation, threads };
  return loaded;
}

/**
 * Why the build for NVIDIA GPUs computes on the CPU, or undefined where it does not, or is another
 * build.
 */
export function whyNoGpu(binding: Binding, installation: Installation): string | undefined {
  if (!installation.cuda || binding.isUsingGpuDevice()) return undefined;
  try {
    const { names } = cudaDevices();
    return `TensorFlow does not take the ${names[0]}; TF_CPP_MIN_LOG_LEVEL=0 makes it say why`;
  } catch (error) {
    return firstLine(error);
  }
}

/** TensorFlow's wheels need AVX, and end the process where it is missing. */
async function refuseOtherCpu({ arch }: Installation): Promise<void> {
  if (arch !== Deno.build.arch) {
    throw new Error(
      `its addon was built for another CPU (${arch}, expected ${Deno.build.arch}); ${SETUP} ` +
        `on this machine, with TINY_DIFFUSION_TENSORFLOW set to a folder of its own`,
    );
  }
  const features = await cpuFeatures();
  if (arch === "x86_64" && features.size > 0 && !features.has("avx")) {
    throw new Error("this CPU has no AVX, which TensorFlow's wheels need; use another engine");
  }
}

/**
 * Opens the addon so that TensorFlow takes functions from its own libraries first. Else it takes
 * those of LLVM from Mesa's software driver, where WebGPU has opened that: another version, which
 * ends in wrong numbers or a segmentation fault (seen). Node-API has no such option, but finds the
 * addon open. If this fails, that tells why.
 */
function bindToItself(addon: string): void {
  const RTLD_NOW = 2, RTLD_DEEPBIND = 8;
  const functions = { dlopen: { parameters: ["buffer", "i32"], result: "pointer" } } as const;
  const path = new TextEncoder().encode(`${addon}\0`);
  for (const library of ["libc.so.6", "libdl.so.2"]) { // the second is its place before glibc 2.34
    let linker: Deno.DynamicLibrary<typeof functions>;
    try {
      linker = Deno.dlopen(library, functions);
    } catch {
      continue;
    }
    linker.symbols.dlopen(path, RTLD_NOW | RTLD_DEEPBIND);
    linker.close();
    return;
  }
}

/** What the dynamic linker said, and what it means. */
function whyNotLoaded(message: string, { addon, version }: Installation): string {
  const symbol = /undefined symbol: (\S+)/.exec(message)?.[1];
  if (symbol) {
    return `its addon, built for TensorFlow ${version}, misses the symbol ${symbol}: the library ` +
      `has changed; ${SETUP} again`;
  }
  const library = /(\S+): cannot open shared object file/.exec(message)?.[1];
  if (library) return `the library ${library} is gone; ${SETUP} again`;
  if (/ELF|exec format|file too short/i.test(message)) {
    return `its addon ${addon} is damaged or was built for another CPU; ${SETUP} again`;
  }
  return `its addon ${addon} does not load: ${message}; ${SETUP} again`;
}

/**
 * Why bfloat16 would not be fast here, or undefined if it is: without instructions of its own it is
 * emulated, and slower than float32.
 */
export async function slowBfloat16(binding: Binding): Promise<string | undefined> {
  if (binding.isUsingGpuDevice()) return undefined;
  const features = await cpuFeatures();
  if (["avx512_bf16", "amx_bf16", "bf16"].some((feature) => features.has(feature))) {
    return undefined;
  }
  return "this CPU has no instructions for bfloat16 (avx512_bf16 or AMX), so it would be slower " +
    "than float32";
}

/** Names of instruction sets as Linux tells them; empty where it does not. */
async function cpuFeatures(): Promise<Set<string>> {
  const text = await Deno.readTextFile("/proc/cpuinfo").catch(() => "");
  return new Set(/^(?:flags|Features)\s*:(.*)$/m.exec(text)?.[1].trim().split(/\s+/) ?? []);
}

function setDefault(name: string, value: string): void {
  if (Deno.env.get(name) === undefined) Deno.env.set(name, value);
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0];
}
