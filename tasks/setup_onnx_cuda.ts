/**
 * Sets onnxruntime up for NVIDIA's GPUs: the CUDA half and the library that it fits, from the PyPI
 * wheel `onnxruntime-gpu`, put together with the addon of the npm package;
 * `engines/onnx/runtime.ts` says why like this.
 *
 * As in `setup_tensorflow.ts`, all of it is made under names that nothing uses yet, tried in a
 * process of its own, and only then written down, so that a run that fails or is killed changes
 * nothing, and the next one goes on from what is whole.
 */
import { fromFileUrl, join } from "@std/path";
import { npmOnnxruntime, type OnnxCudaInstallation } from "../engines/onnx/runtime.ts";
import { sha256Hex } from "../core/files/read.ts";
import { writeFileAtomically } from "../core/files/write.ts";
import {
  interruption,
  note,
  outputFlags,
  parseFlags,
  print,
  printJson,
  runTask,
  UsageError,
} from "./shared/cli.ts";
import type { Check } from "./setup/onnx_cuda/check.ts";
import { type CommandOptions, errorLine, run, settingUp, SetupError } from "./setup/commands.ts";
import { folderFlags, type Folders, setUpIn, uninstallFrom } from "./setup/folders.ts";
import { completePackages, type Installed, installPackages } from "./setup/packages.ts";

const task = {
  name: "setup-onnx-cuda",
  summary:
    "Set up the engine onnx:cuda: the CUDA half of onnxruntime, by pip into a folder of its " +
    "own (247 MB to fetch, 0.4 GB on disk). Needs Python; safe to repeat.",
  examples: [
    "deno task setup-onnx-cuda",
    "deno task setup-onnx-cuda --libraries",
    "deno task setup-onnx-cuda --uninstall",
  ],
} as const;

const flags = {
  libraries: {
    type: "boolean",
    help: "with NVIDIA's CUDA 13 and cuDNN 9 from PyPI, where the system has none " +
      "(1.3 GB more to fetch, 2.2 GB on disk)",
  },
  ...folderFlags,
  ...outputFlags,
} as const;

const MODULE_FILES = [
  "capi/libonnxruntime_providers_cuda.so",
  "capi/libonnxruntime_providers_shared.so",
];

const folders: Folders = {
  what: "onnx-cuda",
  own: /^(onnxruntime-[\d.]+-(bare|full)-|library-)[0-9a-f]/,
  isIncomplete: async (path, prefix) =>
    path.startsWith(join(prefix, "onnxruntime-")) && !await completePackages(path, MODULE_FILES),
};

export async function main(args: string[]): Promise<void> {
  const { libraries, prefix, uninstall, json } = parseFlags(task, flags, args);
  if (uninstall && libraries) {
    throw new UsageError("Cannot use --uninstall and --libraries together: it removes all of it");
  }
  if (uninstall) return await uninstallFrom(folders, { prefix, json });
  const { installation: { version, folder: path }, check } = await setUpOnnxCuda(
    libraries,
    interruption(),
    prefix,
  );
  const { available, reason, missing, advice } = check;
  if (json) return printJson({ version, path, available, reason, missing });
  print(`onnxruntime ${version} with CUDA is in ${path}`);
  if (available) print("onnx:cuda runs on this machine");
  else print(`onnx:cuda does not run on this machine yet: ${reason}`);
  if (advice && advice !== reason) print(`also: ${advice}`);
}

/**
 * Sets onnxruntime up for CUDA, or finds it set up, and writes that down: also where there is no
 * GPU, or some of NVIDIA's libraries are missing, which the result then says.
 *
 * @param libraries Whether to get NVIDIA's libraries too.
 * @param prefix Folder for all but the record. Default: the record's own.
 * @throws {Error} If something for the setup itself is missing, saying what and how to get it.
 */
export function setUpOnnxCuda(
  libraries: boolean,
  signal: AbortSignal,
  prefix?: string,
): Promise<{ installation: OnnxCudaInstallation; check: Check }> {
  return settingUp("onnxruntime for CUDA", async () => {
    if (Deno.build.os !== "linux" || Deno.build.arch !== "x86_64") {
      throw new SetupError(
        `this is ${Deno.build.os} on ${Deno.build.arch}, expected Linux on x86_64, for which there ` +
          "are a wheel and an addon; use --engine onnx:webgpu",
      );
    }
    const npm = npmOnnxruntime(), options = { signal };
    let check: Check | undefined;
    const installation = await setUpIn(folders, prefix, async (folder) => {
      const wheel = await installWheel(folder, npm.version, libraries, options);
      const installation = await putTogether(folder, wheel, npm.addon, libraries);
      check = await tryInstallation(installation, options);
      return installation;
    });
    return { installation, check: check! };
  });
}

function installWheel(
  prefix: string,
  version: string,
  libraries: boolean,
  options: CommandOptions,
): Promise<Installed> {
  return installPackages(prefix, {
    title: `onnxruntime-gpu ${version}`,
    name: `onnxruntime-${version}-${libraries ? "full" : "bare"}-`,
    // The libraries need none of the Python packages that the wheel asks for; NVIDIA's come as such
    // packages.
    requirements: libraries
      ? [`onnxruntime-gpu[cuda,cudnn]==${version}`]
      : ["--no-deps", `onnxruntime-gpu==${version}`],
    distributions: ["onnxruntime-gpu"],
    module: "onnxruntime",
    files: [...MODULE_FILES, libraryIn(version)],
    pythons: ["3.12", "3.13", "3.11", "3.14"],
    bytes: libraries ? 5e9 : 1e9,
    otherwise: "use --engine onnx",
  }, options);
}

/** onnxruntime's own library. */
const libraryIn = (version: string) => `capi/libonnxruntime.so.${version}`;

/**
 * A folder with the addon, the library under the name that it asks for, and the CUDA half under the
 * names that that asks for.
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
  const installation: OnnxCudaInstallation = {
    version,
    folder,
    packages: libraries ? join(module, "..") : "",
    prefix,
  };
  const partial = `${folder}.partial-${crypto.randomUUID().slice(0, 8)}`;
  try {
    await Deno.mkdir(partial);
    // A copy, since a link would be followed, and it looks beside itself.
    await Deno.writeFile(join(partial, "onnxruntime_binding.node"), bytes);
    const links = [["libonnxruntime.so.1", libraryIn(version)]];
    for (const file of MODULE_FILES) links.push([file.slice("capi/".length), file]);
    for (const [name, target] of links) {
      await Deno.symlink(join(module, target), join(partial, name));
    }
    const record = new TextEncoder().encode(JSON.stringify(installation));
    await writeFileAtomically(join(partial, "installation.json"), record);
    // One that is there is the same, or broken.
    await Deno.remove(folder, { recursive: true }).catch(() => {});
    await Deno.rename(partial, folder);
  } catch (error) {
    await Deno.remove(partial, { recursive: true }).catch(() => {});
    throw error;
  }
  return installation;
}

/**
 * Has onnxruntime compute, on the CPU and if possible on a GPU, in a process of its own.
 *
 * @throws {SetupError} If it does not even compute on the CPU, or ends the process.
 */
async function tryInstallation(
  { folder }: OnnxCudaInstallation,
  options: CommandOptions,
): Promise<Check> {
  const permissions = ["read", "write", "env", "ffi", "sys"].map((name) => `--allow-${name}`);
  const script = fromFileUrl(new URL("setup/onnx_cuda/check.ts", import.meta.url));
  const args = ["run", ...permissions, "--no-prompt", "--quiet", script];
  const env = { TINY_DIFFUSION_ONNX_CUDA: folder };
  const { stdout, stderr, signal } = await run(Deno.execPath(), args, { ...options, env });
  if (signal) {
    throw new SetupError(
      `onnxruntime ends the process with ${signal} on this machine (${errorLine(stderr)}); use ` +
        "--engine onnx",
    );
  }
  let check: Check;
  try {
    check = JSON.parse(stdout);
  } catch {
    throw new SetupError(`the check of it failed: ${errorLine(stderr)}`);
  }
  if (check.failure) throw new SetupError(`the check of it failed: ${check.failure}`);
  note("A product on the CPU is right");
  return check;
}

if (import.meta.main) await runTask(main, Deno.args);
