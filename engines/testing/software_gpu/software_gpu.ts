/**
 * A software GPU for `onnx:webgpu` on a Linux machine without a GPU: Mesa's software driver, which
 * passes for a GPU (`libvulkan.c`). What it can't tell is how fast a GPU is, and whether another
 * driver is right.
 *
 *   apt install gcc libvulkan1 mesa-vulkan-drivers
 *
 * The variables VULKAN_LIBRARY and VK_ICD_FILENAMES name the loader and the driver elsewhere.
 */
import { fromFileUrl, join } from "@std/path";

const LIBRARY_FOLDERS = [`/usr/lib/${Deno.build.arch}-linux-gnu`, "/usr/lib64", "/usr/lib"];
const DRIVER_FOLDER = "/usr/share/vulkan/icd.d";

/**
 * Builds the library that passes the driver for a GPU.
 *
 * @param folder Where to build it.
 * @returns The environment in which a process finds it, or what is missing here.
 */
export async function buildSoftwareGpu(
  folder: string,
): Promise<{ env: Record<string, string> } | { missing: string }> {
  const loader = Deno.env.get("VULKAN_LIBRARY") ??
    LIBRARY_FOLDERS.map((folder) => join(folder, "libvulkan.so.1")).find(exists);
  const drivers = Deno.env.get("VK_ICD_FILENAMES") ??
    [...exists(DRIVER_FOLDER) ? Deno.readDirSync(DRIVER_FOLDER) : []]
      .map(({ name }) => join(DRIVER_FOLDER, name)).find((path) => path.includes("lvp"));
  if (!loader) return { missing: "Vulkan (libvulkan.so.1)" };
  if (!drivers) return { missing: "Mesa's software driver (lvp_icd)" };

  const source = fromFileUrl(new URL("libvulkan.c", import.meta.url));
  const flags = ["-shared", "-fPIC", "-Wl,-soname,libvulkan.so.1", "-Wl,-z,nodelete"];
  const output = ["-o", join(folder, "libvulkan.so.1"), source, "-ldl"];
  const built = await new Deno.Command("gcc", { args: [...flags, ...output] }).output();
  if (!built.success) throw new Error(new TextDecoder().decode(built.stderr));
  return {
    env: {
      REAL_VULKAN: loader,
      VK_ICD_FILENAMES: drivers,
      LD_LIBRARY_PATH: [folder, Deno.env.get("LD_LIBRARY_PATH") ?? ""].filter(Boolean).join(":"),
    },
  };
}

function exists(path: string): boolean {
  try {
    return Boolean(Deno.statSync(path));
  } catch {
    return false;
  }
}
