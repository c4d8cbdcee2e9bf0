/**
 * Which GPUs NVIDIA's driver and Vulkan see on this machine. Asked before any library that would
 * use them is loaded: those take seconds to load, and where a device is missing they say nothing,
 * or nothing that helps.
 */
import { firstLine, UserError } from "./errors.ts";

/**
 * The GPUs that CUDA may use here, in its own order; `CUDA_VISIBLE_DEVICES` is the user's choice
 * among them.
 */
export interface CudaDevices {
  names: string[];
  /** The newest CUDA that the driver runs, such as 13.1. */
  cuda: { major: number; minor: number };
}

const CUDA_DRIVER = Deno.build.os === "windows" ? "nvcuda.dll" : "libcuda.so.1";
const CUDA_ERROR_NO_DEVICE = 100;

/**
 * Asks NVIDIA's driver for its GPUs.
 *
 * @throws {UserError} If there is no driver or no device.
 */
export function cudaDevices(): CudaDevices {
  const driver = openLibrary("the NVIDIA driver", CUDA_DRIVER, CUDA_ACTION, {
    cuInit: { parameters: ["u32"], result: "i32" },
    cuDriverGetVersion: { parameters: ["buffer"], result: "i32" },
    cuDeviceGetCount: { parameters: ["buffer"], result: "i32" },
    cuDeviceGet: { parameters: ["buffer", "i32"], result: "i32" },
    cuDeviceGetName: { parameters: ["buffer", "i32", "i32"], result: "i32" },
  });
  try {
    const { cuInit, cuDriverGetVersion, cuDeviceGetCount, cuDeviceGet, cuDeviceGetName } =
      driver.symbols;
    const number = new Int32Array(1);
    const ask = (what: string, code: number): number => {
      if (code === 0) return number[0];
      if (code === CUDA_ERROR_NO_DEVICE) throw noCudaDevice();
      throw new UserError({ action: CUDA_ACTION, found: `${what} gives CUDA's error ${code}` });
    };
    ask("starting the NVIDIA driver", cuInit(0));
    const version = ask("asking for its version", cuDriverGetVersion(number));
    const count = ask("counting the GPUs", cuDeviceGetCount(number));
    if (count === 0) throw noCudaDevice();
    const names = Array.from({ length: count }, (_, i) => {
      const device = ask(`asking for GPU ${i}`, cuDeviceGet(number, i));
      const name = new Uint8Array(256);
      ask(`asking for the name of GPU ${i}`, cuDeviceGetName(name, name.length, device));
      return textUpToZero(name);
    });
    return { names, cuda: { major: Math.floor(version / 1000), minor: version % 1000 / 10 } };
  } finally {
    driver.close();
  }
}

const CUDA_ACTION = "use an NVIDIA GPU";

/** Says why the driver sees no GPU: CUDA silently accepts a wrong choice, and then has none. */
function noCudaDevice(): UserError {
  const chosen = chosenDevices();
  if (chosen === undefined) {
    return new UserError({ action: CUDA_ACTION, found: "the NVIDIA driver sees no GPU" });
  }
  return new UserError({
    action: CUDA_ACTION,
    found: `CUDA_VISIBLE_DEVICES is ${JSON.stringify(chosen)}, which leaves no GPU, expected ` +
      'numbers or ids that "nvidia-smi -L" lists, such as 0 or 0,1',
    advice: "correct it, or unset it for all",
  });
}

/** Returns `CUDA_VISIBLE_DEVICES`, if the user set it. */
export function chosenDevices(): string | undefined {
  try {
    return Deno.env.get("CUDA_VISIBLE_DEVICES");
  } catch {
    return undefined; // a process without that permission; CUDA itself reads it all the same
  }
}

/** One of Vulkan's physical devices. */
export interface VulkanDevice {
  name: string;
  /** Whether it computes on the CPU, such as Mesa's llvmpipe: onnxruntime refuses it. */
  software: boolean;
}

const VULKAN_LOADER = "libvulkan.so.1";
const VULKAN_ACTION = "use Vulkan";
/** VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO */
const INSTANCE_CREATE_INFO = 1;
/** VK_PHYSICAL_DEVICE_TYPE_CPU */
const TYPE_CPU = 4;
/** Where VkPhysicalDeviceProperties, of 824 bytes, has the device's type and name. */
const PROPERTIES = { bytes: 824, typeAt: 16, nameAt: 20, nameBytes: 256 };

/**
 * Asks Vulkan, which WebGPU is built on under Linux, for its devices. onnxruntime's WebGPU itself
 * writes its complaints to stderr and then only says that it found no adapter.
 *
 * @throws {UserError} If Vulkan is not installed or does not start.
 */
export function vulkanDevices(): VulkanDevice[] {
  const loader = openLibrary("Vulkan", VULKAN_LOADER, VULKAN_ACTION, {
    vkGetInstanceProcAddr: { parameters: ["pointer", "buffer"], result: "pointer" },
  });
  const find = (instance: Deno.PointerValue, name: string) =>
    loader.symbols.vkGetInstanceProcAddr(
      instance,
      new TextEncoder().encode(name + "\0"),
    ) as Deno.PointerObject<never>;
  try {
    const createInstance = new Deno.UnsafeFnPointer(find(null, "vkCreateInstance"), {
      parameters: ["buffer", "pointer", "buffer"],
      result: "i32",
    });
    const request = new Uint32Array(16);
    request[0] = INSTANCE_CREATE_INFO; // all else may be zero
    const handle = new BigUint64Array(1);
    const failure = createInstance.call(request, null, handle);
    if (failure !== 0) {
      const found = `Vulkan does not start (error ${failure})`;
      throw new UserError({ action: VULKAN_ACTION, found });
    }
    const instance = Deno.UnsafePointer.create(handle[0]);
    const enumerate = new Deno.UnsafeFnPointer(find(instance, "vkEnumeratePhysicalDevices"), {
      parameters: ["pointer", "buffer", "buffer"],
      result: "i32",
    });
    const describe = new Deno.UnsafeFnPointer(find(instance, "vkGetPhysicalDeviceProperties"), {
      parameters: ["pointer", "buffer"],
      result: "void",
    });
    const destroy = new Deno.UnsafeFnPointer(find(instance, "vkDestroyInstance"), {
      parameters: ["pointer", "pointer"],
      result: "void",
    });
    const count = new Uint32Array(1);
    enumerate.call(instance, count, null);
    const devices = new BigUint64Array(count[0]);
    enumerate.call(instance, count, devices);
    const described = [...devices].map((device) => {
      const properties = new Uint8Array(PROPERTIES.bytes);
      describe.call(Deno.UnsafePointer.create(device), properties);
      const { typeAt, nameAt, nameBytes } = PROPERTIES;
      return {
        name: textUpToZero(properties.subarray(nameAt, nameAt + nameBytes)),
        software: new DataView(properties.buffer).getInt32(typeAt, true) === TYPE_CPU,
      };
    });
    destroy.call(instance, null);
    return described;
  } finally {
    loader.close();
  }
}

/** Whether the dynamic linker finds and opens a library by name or path; it then stays open. */
export function opens(library: string): boolean {
  try {
    Deno.dlopen(library, {});
    return true;
  } catch {
    return false;
  }
}

/** Opens a library, or says why that can't be. */
function openLibrary<const Functions extends Deno.ForeignLibraryInterface>(
  what: string,
  library: string,
  action: string,
  functions: Functions,
): Deno.DynamicLibrary<Functions> {
  try {
    return Deno.dlopen(library, functions);
  } catch (cause) {
    const message = firstLine(cause);
    // The words of Linux, macOS and (in English) Windows for a missing file.
    const found = /No such file|not found|could not be found/i.test(message)
      ? `${what} is not installed here (${library} is not found)`
      : `${what} does not load: ${message}`;
    throw new UserError({ action, found }, { cause });
  }
}

function textUpToZero(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0)));
}
