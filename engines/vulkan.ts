/**
 * The Vulkan devices of a Linux machine, which is what WebGPU stands on there. Asked beforehand,
 * since onnxruntime's WebGPU writes its complaints to stderr by itself and then only says that it
 * found no adapter.
 */
import { notOpened } from "./native_library.ts";

/** One of Vulkan's physical devices. */
export interface VulkanDevice {
  name: string;
  /** Computed on the CPU, such as Mesa's llvmpipe: onnxruntime refuses it. */
  software: boolean;
}

/**
 * VkPhysicalDeviceType; VkPhysicalDeviceProperties takes 824 bytes, with the type at 16 and the
 * name at 20.
 */
const CPU = 4, PROPERTIES_BYTES = 824, TYPE_AT = 16, NAME_AT = 20, NAME_BYTES = 256;

/**
 * Asks Vulkan.
 *
 * @throws {Error} If Vulkan is not installed or does not start, in one line that is the reason
 * only.
 */
export function vulkanDevices(): VulkanDevice[] {
  const { symbols: { vkGetInstanceProcAddr }, close } = openVulkan();
  const find = (instance: Deno.PointerValue, name: string) =>
    vkGetInstanceProcAddr(instance, new TextEncoder().encode(name + "\0")) as Deno.PointerObject<
      never
    >;
  try {
    const createInstance = new Deno.UnsafeFnPointer(find(null, "vkCreateInstance"), {
      parameters: ["buffer", "pointer", "buffer"],
      result: "i32",
    });
    // VkInstanceCreateInfo: its type is 1, all else may be zero.
    const request = new Uint32Array(16), handle = new BigUint64Array(1);
    request[0] = 1;
    const failure = createInstance.call(request, null, handle);
    if (failure !== 0) throw new Error(`Vulkan does not start (error ${failure})`);
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
      const properties = new Uint8Array(PROPERTIES_BYTES);
      describe.call(Deno.UnsafePointer.create(device), properties);
      const name = properties.subarray(NAME_AT, NAME_AT + NAME_BYTES);
      return {
        name: new TextDecoder().decode(name.subarray(0, name.indexOf(0))),
        software: new DataView(properties.buffer).getInt32(TYPE_AT, true) === CPU,
      };
    });
    destroy.call(instance, null);
    return described;
  } finally {
    close();
  }
}

function openVulkan() {
  try {
    const library = Deno.dlopen("libvulkan.so.1", {
      vkGetInstanceProcAddr: { parameters: ["pointer", "buffer"], result: "pointer" },
    });
    return { symbols: library.symbols, close: () => library.close() };
  } catch (error) {
    throw notOpened("Vulkan", "libvulkan.so.1", error);
  }
}
