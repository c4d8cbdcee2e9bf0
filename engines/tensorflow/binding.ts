/**
 * Finds and loads what `deno task setup-tensorflow` has installed: the native half of
 * `@tensorflow/tfjs-node-gpu`, built against a TensorFlow of today. Nothing here knows programs or
 * tensors of tfjs.
 */
import { createRequire } from "node:module";
import { cudaDevices } from "../devices.ts";
import { firstLine, type Problem, UserError } from "../errors.ts";
import { readRecord, setupCommand } from "../installation.ts";

/**
 * The part of the addon that we use; the package's `tfjs_binding.d.ts` has it all. Tensors and
 * models are known by number.
 */
export interface Binding {
  /** The tensor shares `data`'s memory until it is deleted. */
  createTensor(shape: number[], dtype: number, data: Float32Array | Int32Array): number;
  deleteTensor(id: number): void;
  /**
   * A tensor's entries, which may be in TensorFlow's own memory: copy what must outlive the
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

/** The record that setup writes last, once all of it works. */
export interface Installation {
  /** Version of TensorFlow that the addon was built for. */
  version: string;
  /** The CPU that the addon was built for: `x86_64` or `aarch64`. */
  arch: string;
  /** Path of `tfjs_binding.node`. */
  addon: string;
  /** Folder of the package, for its JavaScript half. */
  package: string;
  /** Folder that setup has put all this into, and that uninstalling empties. */
  prefix: string;
  /** Whether TensorFlow is the build for NVIDIA GPUs. */
  cuda?: boolean;
}

const ACTION = "load TensorFlow";
const SETUP = setupCommand("tensorflow");

/**
 * Reads the record of TensorFlow's setup.
 *
 * @throws {UserError} As `readRecord`.
 */
export const readInstallation = (): Promise<Installation> =>
  readRecord<Installation>("tensorflow", ["version", "arch"], ["addon", "package", "prefix"]);

let loaded: { binding: Binding; installation: Installation; threads?: number } | undefined;

/**
 * Loads the addon, once per process.
 *
 * @param options.threads Threads inside one operator, and operators at a time; the pools are made
 * once per process. Default: one per core.
 * @throws {UserError} If it is not set up, does not load here, or already runs with another number
 * of threads.
 */
export async function loadBinding(
  { threads }: { threads?: number } = {},
): Promise<{ binding: Binding; installation: Installation }> {
  if (loaded) {
    if (threads === undefined || threads === loaded.threads) return loaded;
    const running = loaded.threads ?? "its own number of";
    throw new UserError({
      action: ACTION,
      found: `TensorFlow already runs with ${running} threads in this process, expected ${threads}`,
      advice: "use one number",
    });
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
    throw new UserError(whyNotLoaded(firstLine(error), installation), { cause: error });
  }
  if (binding.TF_Version !== installation.version) {
    const { version } = installation;
    throw new UserError({
      action: ACTION,
      found: `its addon was built for TensorFlow ${version} but finds ${binding.TF_Version}`,
      advice: `${SETUP} again`,
    });
  }
  loaded = { binding, installation, threads };
  return loaded;
}

/**
 * Explains why the build for NVIDIA GPUs computes on the CPU; undefined where it does not, or is
 * another build.
 */
export function whyNoGpu(binding: Binding, installation: Installation): UserError | undefined {
  if (!installation.cuda || binding.isUsingGpuDevice()) return undefined;
  try {
    const { names } = cudaDevices();
    return new UserError({
      action: "use an NVIDIA GPU",
      found: `TensorFlow does not take the ${names[0]}`,
      advice: "TF_CPP_MIN_LOG_LEVEL=0 makes it say why",
    });
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
}

/** TensorFlow's wheels need AVX, and end the process where it is missing. */
async function refuseOtherCpu({ arch }: Installation): Promise<void> {
  if (arch !== Deno.build.arch) {
    throw new UserError({
      action: ACTION,
      found: `its addon was built for another CPU (${arch}, expected ${Deno.build.arch})`,
      advice: `${SETUP} on this machine, with TINY_DIFFUSION_TENSORFLOW set to another folder`,
    });
  }
  const features = await cpuFeatures();
  if (arch === "x86_64" && features.size > 0 && !features.has("avx")) {
    const found = "this CPU has no AVX, which TensorFlow's wheels need";
    throw new UserError({ action: ACTION, found, advice: "use another engine" });
  }
}

/**
 * Opens the addon so that TensorFlow takes functions from its own libraries first. Else it takes
 * those of LLVM from Mesa's software driver, where WebGPU has opened that: another version, which
 * ends in wrong numbers or a segmentation fault (seen). Node-API has no such option, but finds the
 * addon open. If this fails, that tells why.
 */
function bindToItself(addon: string): void {
  const RTLD_NOW = 2;
  const RTLD_DEEPBIND = 8;
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

/** Explains what the dynamic linker said. */
function whyNotLoaded(message: string, { addon, version }: Installation): Problem {
  const advice = `${SETUP} again`;
  const symbol = /undefined symbol: (\S+)/.exec(message)?.[1];
  if (symbol) {
    const found =
      `its addon, built for TensorFlow ${version}, misses the symbol ${symbol}: the library has changed`;
    return { action: ACTION, found, advice };
  }
  const library = /(\S+): cannot open shared object file/.exec(message)?.[1];
  if (library) return { action: ACTION, found: `the library ${library} is gone`, advice };
  const found = /ELF|exec format|file too short/i.test(message)
    ? `its addon ${addon} is damaged or was built for another CPU`
    : `its addon ${addon} does not load: ${message}`;
  return { action: ACTION, found, advice };
}

/**
 * Says why bfloat16 would not be fast here; undefined if it is. Without its own instructions it is
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

/** Reads the names of the CPU's instruction sets from Linux; empty where it does not list them. */
async function cpuFeatures(): Promise<Set<string>> {
  const text = await Deno.readTextFile("/proc/cpuinfo").catch(() => "");
  return new Set(/^(?:flags|Features)\s*:(.*)$/m.exec(text)?.[1].trim().split(/\s+/) ?? []);
}

function setDefault(name: string, value: string): void {
  if (Deno.env.get(name) === undefined) Deno.env.set(name, value);
}
