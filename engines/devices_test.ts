/**
 * What is asked of NVIDIA's driver and of Vulkan, against libraries that a C compiler makes here:
 * machines with such devices are rare, and nothing else on them may decide what these tests see.
 */
import { assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { npmOnnxruntime } from "./onnx/runtime.ts";

const CUDA = `
#include <stdlib.h>
#include <string.h>
static int number(const char *name) { return atoi(getenv(name)); }
int cuInit(unsigned flags) { return number("FAKE_ERROR"); }
int cuDriverGetVersion(int *version) { *version = number("FAKE_VERSION"); return 0; }
int cuDeviceGetCount(int *count) { *count = number("FAKE_GPUS"); return 0; }
int cuDeviceGet(int *device, int i) { *device = 10 + i; return 0; }
int cuDeviceGetName(char *name, int size, int device) {
  strncpy(name, device == 10 ? "First GPU" : "Second GPU", size);
  return 0;
}`;

const VULKAN = `
#include <stdlib.h>
#include <string.h>
static int create(void *info, void *allocator, void **instance) {
  *instance = (void *)1;
  return *(int *)info == 1 ? 0 : -1;
}
static int enumerate(void *instance, unsigned *count, void **devices) {
  unsigned all = strlen(getenv("FAKE_TYPES"));
  if (devices) for (unsigned i = 0; i < all; i++) devices[i] = (void *)(long)(i + 1);
  *count = all;
  return 0;
}
static void describe(void *device, char *properties) {
  *(int *)(properties + 16) = getenv("FAKE_TYPES")[(long)device - 1] - '0';
  strcpy(properties + 20, "device 0");
  properties[27] += (long)device;
}
static void destroy(void *instance, void *allocator) {}
void *vkGetInstanceProcAddr(void *instance, const char *name) {
  if (!strcmp(name, "vkCreateInstance")) return create;
  if (!strcmp(name, "vkEnumeratePhysicalDevices")) return enumerate;
  if (!strcmp(name, "vkGetPhysicalDeviceProperties")) return describe;
  return destroy;
}`;

const compiler = Deno.build.os === "linux" && await compilerHere();
if (!compiler) console.warn("skipped: devices of made-up drivers (no C compiler on Linux here)");

async function compilerHere(): Promise<string | undefined> {
  for (const name of ["gcc", "cc", "clang"]) {
    const found = await new Deno.Command(name, { args: ["--version"] }).output().then(
      ({ success }) => success,
      () => false,
    );
    if (found) return name;
  }
}

/** The last line that a script prints in a process whose dynamic linker finds such a library. */
async function withLibrary(
  name: string,
  source: string,
  script: string,
  env: Record<string, string>,
): Promise<string> {
  const folder = await Deno.makeTempDir();
  try {
    const code = join(folder, "library.c");
    await Deno.writeTextFile(code, source);
    const args = ["-shared", "-fPIC", "-w", `-Wl,-soname,${name}`, "-o", join(folder, name), code];
    await new Deno.Command(compiler || "cc", { args }).output();
    // Not `deno eval`, which leaves no coverage.
    const process = new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--no-check", "--allow-all", "-"],
      cwd: fromFileUrl(new URL("..", import.meta.url)),
      env: { LD_LIBRARY_PATH: folder, NO_COLOR: "1", ...env },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    await ReadableStream.from([new TextEncoder().encode(script)]).pipeTo(process.stdin);
    const { stdout, stderr } = await process.output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
    return text(stdout).split("\n").at(-1) || text(stderr);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Prints what an expression gives, or the message or the reason of what it throws. */
const printing = (module: string, names: string, expression: string, part = "message") =>
  `import { ${names} } from "${new URL(module, import.meta.url).href}";
  try { console.log(JSON.stringify(${expression})); } catch (error) { console.log(error.${part}); }`;

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ignore: !compiler, fn });
}

const askCuda = (env: Record<string, string>) =>
  withLibrary(
    "libcuda.so.1",
    CUDA,
    printing("devices.ts", "cudaDevices", "cudaDevices()", "reason"),
    {
      FAKE_ERROR: "0",
      FAKE_VERSION: "13010",
      FAKE_GPUS: "2",
      CUDA_VISIBLE_DEVICES: "",
      ...env,
    },
  );

test("the NVIDIA driver tells its GPUs and the newest CUDA that it runs", async () => {
  assertEquals(JSON.parse(await askCuda({})), {
    names: ["First GPU", "Second GPU"],
    cuda: { major: 13, minor: 1 },
  });
});

test("a choice that leaves no GPU is named, as CUDA itself takes it without a word", async () => {
  assertMatch(
    await askCuda({ FAKE_ERROR: "100", CUDA_VISIBLE_DEVICES: "7" }),
    /^CUDA_VISIBLE_DEVICES is "7", which leaves no GPU, expected numbers or ids .*; correct it/,
  );
  assertMatch(
    await askCuda({ FAKE_GPUS: "0" }),
    /^CUDA_VISIBLE_DEVICES is "", which leaves no GPU/,
  );
  assertEquals(
    await askCuda({ FAKE_ERROR: "803" }),
    "starting the NVIDIA driver gives CUDA's error 803",
  );
});

const record = JSON.stringify({
  version: npmOnnxruntime().version,
  folder: "/nowhere",
  packages: "",
  prefix: "/nowhere",
});

/** What `onnx:cuda` says where setup has left a record and there is such a driver. */
async function startCuda(env: Record<string, string>, text = record): Promise<string> {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(join(folder, "installation.json"), text);
    return await askEngines("onnx:cuda", "libcuda.so.1", CUDA, {
      TINY_DIFFUSION_ONNX_CUDA: folder,
      FAKE_ERROR: "0",
      FAKE_GPUS: "1",
      ...env,
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const askEngines = (
  engine: string,
  library: string,
  source: string,
  env: Record<string, string>,
) =>
  withLibrary(
    library,
    source,
    printing("mod.ts", "startEngine", `(await startEngine("${engine}")).engine.name`),
    env,
  );

test("onnx:cuda refuses an older driver, another version of onnxruntime and missing libraries in one line each", async () => {
  const cannot = 'Cannot start the engine "onnx:cuda": ';
  assertEquals(
    await startCuda({ FAKE_VERSION: "12040" }),
    `${cannot}the NVIDIA driver runs CUDA up to 12.4, expected 13.0; update it, or use the engine ` +
      "tensorflow, which needs CUDA 12",
  );
  assertMatch(
    await startCuda(
      { FAKE_VERSION: "13000" },
      record.replace(/"version":"[^"]+"/, '"version":"1.0.0"'),
    ),
    /^Cannot start .*: it was set up for onnxruntime 1\.0\.0, expected [\d.]+; run `deno task setup-onnx-cuda`$/,
  );
  // Where NVIDIA's libraries are installed, the next thing that is missing is the addon.
  assertMatch(
    await startCuda({ FAKE_VERSION: "13000" }),
    /: lib\S+ .*not found, expected .*run `deno task setup-onnx-cuda --libraries`|: its addon \/nowhere\S+ does not load: /,
  );
  assertMatch(
    await startCuda({ FAKE_VERSION: "13000" }, "{}"),
    /: its record \S+ is damaged; run /,
  );
});

const askVulkan = (types: string) =>
  withLibrary(
    "libvulkan.so.1",
    VULKAN,
    printing("devices.ts", "vulkanDevices", "vulkanDevices()"),
    {
      FAKE_TYPES: types,
    },
  );

test("Vulkan tells its devices, and which of them are software", async () => {
  assertEquals(JSON.parse(await askVulkan("42")), [
    { name: "device 1", software: true },
    { name: "device 2", software: false },
  ]);
  assertEquals(JSON.parse(await askVulkan("")), []);
});

test("onnx:webgpu refuses a machine that has software devices only, or none, in one line", async () => {
  const start = (types: string) =>
    askEngines("onnx:webgpu", "libvulkan.so.1", VULKAN, { FAKE_TYPES: types });
  const advice = ", expected a GPU; install its Vulkan driver, or use the engine onnx";
  assertEquals(
    await start("44"),
    'Cannot start the engine "onnx:webgpu": Vulkan finds only software (device 1, device 2)' +
      advice,
  );
  assertEquals(
    await start(""),
    `Cannot start the engine "onnx:webgpu": Vulkan finds no GPU${advice}`,
  );
});
