/** What goes into a bundle: files of this machine, and where they are in the archive. */
import { basename, dirname, join, relative, resolve } from "@std/path";
import { arch, platform } from "node:process";
import { isExportPath } from "../../core/checkpoint.ts";
import { isNgramFile } from "../../core/ngrams/file.ts";
import { findLatestCorpus } from "../shared/fetched_texts.ts";
import { UserError } from "../../engines/errors.ts";
import {
  CUDA_LIBRARIES,
  type OnnxCudaInstallation,
  readOnnxCuda,
} from "../../engines/onnx/runtime.ts";
import { readInstallation } from "../../engines/tensorflow/binding.ts";
import type { EngineName } from "../../engines/names.ts";
import { runDeno, runProgram } from "../shared/process.ts";

/** One of the things in a bundle, as its size is printed. */
export interface Part {
  name: string;
  /** Files and folders of this machine by their place in the archive, without its top folder. */
  links: Record<string, string>;
  /** Texts that are written into it, by the same. */
  texts?: Record<string, string>;
}

/** Options of a bundle. */
export interface Choice {
  engines: readonly EngineName[];
  withData: boolean;
  withWeights: boolean;
  /** A folder that is not to be taken along: that of the bundle itself. */
  out: string;
}

/** The folder for all that is not the project itself. */
const OFFLINE = ".offline";

/** Lists the parts of a bundle of the project in the working directory. */
export async function listParts(choice: Choice, signal: AbortSignal): Promise<Part[]> {
  const { engines, withData, withWeights, out } = choice;
  const has = (...names: EngineName[]) => names.some((name) => engines.includes(name));
  const parts: Part[] = [
    { name: "deno", links: { [`${OFFLINE}/deno`]: Deno.execPath() } },
    ...await packageParts(signal),
    await sourcePart(out, signal),
  ];
  if (has("tensorflow", "eager:tensorflow")) parts.push(await tensorflowPart());
  if (has("onnx:cuda")) parts.push(await cudaPart());
  if (has("onnx:webgpu")) parts.push(...await vulkanPart(signal));
  if (withData) parts.push(await dataPart());
  if (withWeights) parts.push(await weightsPart());
  return parts;
}

/**
 * The packages of the lock file in Deno's cache, which has all of them once any task has started.
 * Of onnxruntime's libraries, 290 MB, only those for this system are taken.
 */
async function packageParts(signal: AbortSignal): Promise<Part[]> {
  const info = async (...args: string[]) =>
    JSON.parse(new TextDecoder().decode(await runDeno(["info", "--json", ...args], { signal })));
  const { denoDir } = await info();
  const { npmPackages } = await info("tasks/engines.ts") as {
    npmPackages: Record<string, { name: string; localPath: string; registryUrl: string }>;
  };
  const cached = (path: string) => join(OFFLINE, "cache", relative(denoDir, path));
  const packages: Part = { name: "packages", links: {}, texts: {} };
  const runtime: Part = { name: "onnxruntime", links: {} };
  for (const { name, localPath, registryUrl } of Object.values(npmPackages)) {
    packages.texts![".npmrc"] = `registry=${registryUrl}\n`;
    const registry = join(dirname(localPath), "registry.json");
    packages.links[cached(registry)] = registry;
    if (name !== "onnxruntime-node") {
      packages.links[cached(localPath)] = localPath;
      continue;
    }
    for await (const { name } of Deno.readDir(localPath)) {
      if (name !== "bin") runtime.links[cached(join(localPath, name))] = join(localPath, name);
    }
    const own = join(localPath, "bin", "napi-v6", platform, arch);
    runtime.links[cached(own)] = own;
  }
  return [packages, runtime];
}

/** Folders whose files are results, not sources. */
const RESULTS = ["data", "weights", "reports"];

/** The project's files without what git ignores. The tasks of its `deno.json` use the cache only. */
async function sourcePart(out: string, signal: AbortSignal): Promise<Part> {
  const names = await listTracked(signal) ?? await listTop();
  const isInside = (name: string) => !relative(out, name).startsWith("..");
  const taken = names.filter((name) =>
    name !== "deno.json" && !RESULTS.includes(name.split("/")[0]) && !isInside(name)
  );
  const config = JSON.parse(await Deno.readTextFile("deno.json"));
  for (const task of Object.values(config.tasks) as { command: string }[]) {
    task.command = task.command.replaceAll(/\bdeno run\b/g, "deno run --cached-only --frozen");
  }
  return {
    name: "sources",
    links: Object.fromEntries(taken.map((name) => [name, resolve(name)])),
    texts: { "deno.json": JSON.stringify(config, null, 2) + "\n" },
  };
}

/** Lists the files that git knows, or would add; undefined where this is no clone. */
async function listTracked(signal: AbortSignal): Promise<string[] | undefined> {
  const args = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
  const { code, stdout } = await runProgram("git", args, { signal })
    .catch(() => ({ code: 1, stdout: "" }));
  if (code !== 0) return undefined;
  const names = stdout.split("\0").filter((name) => name !== "");
  const there = await Promise.all(names.map(exists)); // a file may have been deleted
  return names.filter((_, i) => there[i]);
}

/** Lists the files and folders of a project that was downloaded. */
async function listTop(): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of Deno.readDir(".")) if (!name.startsWith(".")) names.push(name);
  return names;
}

const exists = (path: string) => Deno.lstat(path).then(() => true, () => false);

/**
 * What `setup-tensorflow` has built, and TensorFlow's two libraries: of the rest of the wheel, only
 * NVIDIA's packages are needed, where it is the build for GPUs.
 */
async function tensorflowPart(): Promise<Part> {
  const installation = await readInstallation();
  const { addon, package: folder, cuda } = installation;
  const to = join(OFFLINE, "tensorflow");
  const libraries = await findTensorflow(addon);
  const links: Record<string, string> = {
    [join(to, "tfjs_binding.node")]: addon,
    [join(to, "package")]: folder,
  };
  for (const name of TENSORFLOW_LIBRARIES) {
    links[join(to, "site-packages", "tensorflow", name)] = join(libraries, name);
  }
  const nvidia = join(libraries, "..", "nvidia");
  if (cuda && await exists(nvidia)) links[join(to, "site-packages", "nvidia")] = nvidia;
  const record = { ...installation, addon: "tfjs_binding.node", package: "package", prefix: "." };
  return { name: "tensorflow", links, texts: asRecord(to, record) };
}

const TENSORFLOW_LIBRARIES = ["libtensorflow_cc.so.2", "libtensorflow_framework.so.2"];

/** Finds the folder of TensorFlow's libraries: the run path of the addon is a text in its file. */
async function findTensorflow(addon: string): Promise<string> {
  const bytes = await Deno.readFile(addon);
  const texts = new TextDecoder("latin1").decode(bytes).matchAll(/(?:\/|\$ORIGIN)[\x20-\x7e]*/g);
  for (const [text] of texts) {
    for (const path of text.split(":")) {
      const folder = path.replace("$ORIGIN", dirname(addon));
      if (await exists(join(folder, TENSORFLOW_LIBRARIES[0]))) return folder;
    }
  }
  throw new UserError({
    action: "bundle TensorFlow",
    found: `${addon} does not say where ${TENSORFLOW_LIBRARIES[0]} is`,
    advice: "run `deno task setup-tensorflow` again",
  });
}

/** What `setup-onnx-cuda` has put together, and NVIDIA's libraries where it fetched them. */
async function cudaPart(): Promise<Part> {
  const installation = await readOnnxCuda();
  const { folder, packages } = installation;
  const to = join(OFFLINE, "onnx-cuda");
  const links: Record<string, string> = {};
  for await (const { name } of Deno.readDir(folder)) {
    if (name !== "installation.json") links[join(to, "library", name)] = join(folder, name);
  }
  const paths = packages ? new Set(CUDA_LIBRARIES.map(({ path }) => path)) : [];
  for (const path of paths) links[join(to, "packages", path)] = join(packages, path);
  const record: OnnxCudaInstallation = {
    ...installation,
    folder: "library",
    packages: packages && "packages",
    prefix: ".",
  };
  return { name: "onnx-cuda", links, texts: asRecord(to, record) };
}

/** The record of a setup, with paths that are relative to it. */
const asRecord = (folder: string, record: object) => ({
  [join(folder, "installation.json")]: JSON.stringify(record, null, 2) + "\n",
});

/** The loader of Vulkan's drivers, which a server may lack though it has a driver. */
async function vulkanPart(signal: AbortSignal): Promise<Part[]> {
  if (Deno.build.os !== "linux") return [];
  const name = "libvulkan.so.1";
  const { stdout } = await runProgram("ldconfig", ["-p"], { signal })
    .catch(() => ({ stdout: "" }));
  const [, path] = stdout.match(/libvulkan\.so\.1 .*=> (\/\S+)/) ?? [];
  if (path === undefined) return [];
  return [{ name: "vulkan loader", links: { [join(OFFLINE, "vulkan", name)]: path } }];
}

/** The text that was fetched last, with what is known of it. */
async function dataPart(): Promise<Part> {
  const text = await findLatestCorpus();
  const paths = [text, text.replace(/\.txt$/, ".json")];
  return {
    name: "text",
    links: Object.fromEntries(paths.map((path) => [join("data", basename(path)), resolve(path)])),
  };
}

/** All weights in `weights/`, without the states of runs, and the tables of n-grams. */
async function weightsPart(): Promise<Part> {
  const links: Record<string, string> = {};
  for await (const { name } of Deno.readDir("weights")) {
    if (isExportPath(name) || isNgramFile(name)) {
      links[join("weights", name)] = resolve("weights", name);
    }
  }
  return { name: "weights", links };
}
