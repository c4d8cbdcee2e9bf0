/**
 * What NVIDIA's driver says about this machine, asked before any library that would use it is
 * loaded: those take seconds to load, and fall silent or speak in riddles where a device is
 * missing.
 */
import { notOpened } from "./native_library.ts";

/**
 * The GPUs that CUDA may use here, in its own order; `CUDA_VISIBLE_DEVICES` is the user's choice
 * among them.
 */
export interface CudaDevices {
  names: string[];
  /** The newest CUDA that the driver runs, such as 13.1. */
  cuda: { major: number; minor: number };
}

const NO_DEVICE = 100;
const DRIVER = Deno.build.os === "windows" ? "nvcuda.dll" : "libcuda.so.1";

/**
 * Asks the driver.
 *
 * @throws {Error} If there is no driver or no device, in one line that is the reason only.
 */
export function cudaDevices(): CudaDevices {
  const driver = openDriver();
  try {
    const { cuInit, cuDriverGetVersion, cuDeviceGetCount, cuDeviceGet, cuDeviceGetName } =
      driver.symbols;
    const number = new Int32Array(1);
    const ask = (what: string, code: number): number => {
      if (code === 0) return number[0];
      throw new Error(code === NO_DEVICE ? noDevice() : `${what} gives CUDA's error ${code}`);
    };
    ask("starting the NVIDIA driver", cuInit(0));
    const version = ask("asking for its version", cuDriverGetVersion(number));
    const count = ask("counting the GPUs", cuDeviceGetCount(number));
    if (count === 0) throw new Error(noDevice());
    const names = Array.from({ length: count }, (_, i) => {
      const device = ask(`asking for GPU ${i}`, cuDeviceGet(number, i));
      const name = new Uint8Array(256);
      ask(`asking for the name of GPU ${i}`, cuDeviceGetName(name, name.length, device));
      return new TextDecoder().decode(name.subarray(0, name.indexOf(0)));
    });
    return { names, cuda: { major: Math.floor(version / 1000), minor: version % 1000 / 10 } };
  } finally {
    driver.close();
  }
}

function openDriver() {
  try {
    return Deno.dlopen(DRIVER, {
      cuInit: { parameters: ["u32"], result: "i32" },
      cuDriverGetVersion: { parameters: ["buffer"], result: "i32" },
      cuDeviceGetCount: { parameters: ["buffer"], result: "i32" },
      cuDeviceGet: { parameters: ["buffer", "i32"], result: "i32" },
      cuDeviceGetName: { parameters: ["buffer", "i32", "i32"], result: "i32" },
    });
  } catch (error) {
    throw notOpened("the NVIDIA driver", DRIVER, error);
  }
}

/** Why the driver sees none: CUDA takes a wrong choice without a word, and then has no device. */
function noDevice(): string {
  const chosen = chosenDevices();
  return chosen === undefined
    ? "the NVIDIA driver sees no GPU"
    : `CUDA_VISIBLE_DEVICES is ${JSON.stringify(chosen)}, which leaves no GPU, expected numbers ` +
      'or ids that "nvidia-smi -L" lists, such as 0 or 0,1; correct it, or unset it for all';
}

/** `CUDA_VISIBLE_DEVICES`, if the user set it. */
export function chosenDevices(): string | undefined {
  try {
    return Deno.env.get("CUDA_VISIBLE_DEVICES");
  } catch {
    return undefined; // a process without that permission; CUDA itself reads it all the same
  }
}
