/**
 * Sets onnxruntime up for NVIDIA's GPUs: the CUDA half and the library that it fits, from the PyPI
 * wheel `onnxruntime-gpu`, combined with the addon of the npm package; `engines/onnx/runtime.ts`
 * explains why.
 */
import { join } from "@std/path";
import { npmOnnxruntime, type OnnxCudaInstallation } from "../../engines/onnx/runtime.ts";
import { sha256Hex } from "../../files/read.ts";
import { note } from "../shared/run.ts";
import type { Check } from "./check_onnx_cuda.ts";
import {
  checkFailed,
  encodeJson,
  explainFailures,
  type Folders,
  makeWhole,
  SetupError,
  setUpIn,
  tryInProcess,
} from "./folders.ts";
import { findComplete, type Installed, installPackages } from "./python.ts";

const MODULE_FILES = [
  "capi/libonnxruntime_providers_cuda.so",
  "capi/libonnxruntime_providers_shared.so",
];

/** onnxruntime's own library. */
const libraryIn = (version: string) => `capi/libonnxruntime.so.${version}`;

export const onnxCudaFolders: Folders = {
  what: "onnx-cuda",
  own: /^(onnxruntime-[\d.]+-(bare|full)-|library-)[0-9a-f]/,
  isIncomplete: async (path, prefix) =>
    path.startsWith(join(prefix, "onnxruntime-")) && !await findComplete(path, MODULE_FILES),
};

/**
 * Sets onnxruntime up for CUDA, or finds it set up, and records that: also where there is no GPU, or
 * some of NVIDIA's libraries are missing, which the result then says.
 *
 * @param libraries Whether to install NVIDIA's libraries, too.
 * @param prefix Folder for all but the record. Default: the record's own.
 * @throws {UserError} If something for the setup itself is missing; the error says how to get it.
 */
export function setUpOnnxCuda(
  libraries: boolean,
  signal: AbortSignal,
  prefix?: string,
): Promise<{ installation: OnnxCudaInstallation; check: Check }> {
  return explainFailures("onnxruntime for CUDA", async () => {
    if (Deno.build.os !== "linux" || Deno.build.arch !== "x86_64") {
      throw new SetupError(
        `this is ${Deno.build.os} on ${Deno.build.arch}, expected Linux on x86_64, for which there ` +
          "are a wheel and an addon",
        "use --engine onnx:webgpu",
      );
    }
    const npm = npmOnnxruntime();
    let check: Check | undefined;
    const installation = await setUpIn(onnxCudaFolders, prefix, async (folder) => {
      const wheel = await installWheel(folder, npm.version, libraries, signal);
      const installation = await putTogether(folder, wheel, npm.addon, libraries);
      check = await tryInstallation(installation, signal);
      return installation;
    });
    return { installation, check: check! };
  });
}

function installWheel(
  prefix: string,
  version: string,
  libraries: boolean,
  signal: AbortSignal,
): Promise<Installed> {
  return installPackages(prefix, {
    title: `onnxruntime-gpu ${version}`,
    name: `onnxruntime-${version}-${libraries ? "full" : "bare"}-`,
    // The libraries need none of the Python packages that the wheel depends on. NVIDIA's libraries
    // are such packages.
    requirements: libraries
      ? [`onnxruntime-gpu[cuda,cudnn]==${version}`]
      : ["--no-deps", `onnxruntime-gpu==${version}`],
    distributions: ["onnxruntime-gpu"],
    module: "onnxruntime",
    files: [...MODULE_FILES, libraryIn(version)],
    pythons: ["3.12", "3.13", "3.11", "3.14"],
    bytes: libraries ? 5e9 : 1e9,
    otherwise: "use --engine onnx",
  }, signal);
}

/**
 * Makes a folder with the addon, the library under the name that the addon asks for, and the CUDA
 * half under the names that the library asks for.
 */
async function putTogether(
  prefix: string,
  { version, folder: module }: Installed,
  addon: string,
  libraries: boolean,
): Promise<OnnxCudaInstallation> {
  const bytes = await Deno.readFile(addon);
  const key = [module, version, await sha256Hex(bytes)].join("\n");
  const hash = (await sha256Hex(new TextEncoder().encode(key))).slice(0, 12);
  const folder = join(prefix, `library-${hash}`);
  const packages = libraries ? join(module, "..") : "";
  const installation: OnnxCudaInstallation = { version, folder, packages, prefix };
  await makeWhole(folder, async (partial) => {
    // A copy: a link would be followed, and the addon looks for the library next to itself.
    await Deno.writeFile(join(partial, "onnxruntime_binding.node"), bytes);
    const links = [["libonnxruntime.so.1", libraryIn(version)]];
    for (const file of MODULE_FILES) links.push([file.slice("capi/".length), file]);
    for (const [name, target] of links) {
      await Deno.symlink(join(module, target), join(partial, name));
    }
    await Deno.writeFile(join(partial, "installation.json"), encodeJson(installation));
  });
  return installation;
}

/**
 * Lets onnxruntime compute, on the CPU and if possible on a GPU.
 *
 * @throws {SetupError} If it does not even compute on the CPU, or ends the process.
 */
async function tryInstallation(
  { folder }: OnnxCudaInstallation,
  signal: AbortSignal,
): Promise<Check> {
  const env = { TINY_DIFFUSION_ONNX_CUDA: folder };
  const check = await tryInProcess<Check>("onnxruntime", "check_onnx_cuda.ts", { signal, env });
  if (check.failure) throw checkFailed(check.failure);
  note("A product on the CPU is right");
  return check;
}
