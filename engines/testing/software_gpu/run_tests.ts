/**
 * Runs the suite of engines on `onnx:webgpu` on a Linux machine without a GPU: on Mesa's software
 * driver, which passes for a GPU here (`libvulkan.c`). What it can't tell is how fast a GPU is, and
 * whether another driver is right.
 *
 *   apt install gcc libvulkan1 mesa-vulkan-drivers
 *   deno task --cwd checks webgpu
 *
 * The variables VULKAN_LIBRARY and VK_ICD_FILENAMES name the loader and the driver elsewhere.
 */
import { fromFileUrl, join } from "@std/path";

const here = (name: string) => fromFileUrl(new URL(name, import.meta.url));
const LIBRARY_FOLDERS = [`/usr/lib/${Deno.build.arch}-linux-gnu`, "/usr/lib64", "/usr/lib"];
const DRIVER_FOLDER = "/usr/share/vulkan/icd.d";

const loader = Deno.env.get("VULKAN_LIBRARY") ??
  LIBRARY_FOLDERS.map((folder) => join(folder, "libvulkan.so.1")).find(exists);
const drivers = Deno.env.get("VK_ICD_FILENAMES") ??
  [...exists(DRIVER_FOLDER) ? Deno.readDirSync(DRIVER_FOLDER) : []]
    .map(({ name }) => join(DRIVER_FOLDER, name)).find((path) => path.includes("lvp"));

if (!loader || !drivers) {
  const missing = loader ? "Mesa's software driver (lvp_icd)" : "Vulkan (libvulkan.so.1)";
  console.warn(`skipped: onnx:webgpu on the CPU (${missing} is not installed here)`);
  Deno.exit(0);
}

const folder = await Deno.makeTempDir();
let code = 1;
try {
  const flags = ["-shared", "-fPIC", "-Wl,-soname,libvulkan.so.1", "-Wl,-z,nodelete"];
  const output = ["-o", join(folder, "libvulkan.so.1"), here("libvulkan.c"), "-ldl"];
  const built = await new Deno.Command("gcc", { args: [...flags, ...output] }).output();
  if (!built.success) throw new Error(new TextDecoder().decode(built.stderr));
  ({ code } = await new Deno.Command(Deno.execPath(), {
    args: [
      "test",
      "--no-prompt",
      "--allow-all",
      here("../../suite_test.ts"),
      here("../../../checks/engines/suite_test.ts"),
    ],
    env: {
      ENGINES: "onnx:webgpu",
      REAL_VULKAN: loader,
      VK_ICD_FILENAMES: drivers,
      LD_LIBRARY_PATH: [folder, Deno.env.get("LD_LIBRARY_PATH") ?? ""].filter(Boolean).join(":"),
    },
  }).spawn().status);
} finally {
  await Deno.remove(folder, { recursive: true });
}
Deno.exit(code);

function exists(path: string): boolean {
  try {
    return Boolean(Deno.statSync(path));
  } catch {
    return false;
  }
}
