/** Sets up the engine `onnx:cuda`; `setup/onnx_cuda.ts` does the work. */
import { outputFlags, parseFlags, UsageError } from "./shared/flags.ts";
import { interruption, print, printJson, runTask } from "./shared/run.ts";
import { folderFlags, uninstallFrom } from "./setup/folders.ts";
import { onnxCudaFolders, setUpOnnxCuda } from "./setup/onnx_cuda.ts";

const task = {
  name: "setup-onnx-cuda",
  summary:
    "Set up the engine onnx:cuda: pip installs the CUDA half of onnxruntime into its own folder " +
    "(247 MB to download, 0.4 GB on disk). Needs Python; safe to repeat.",
  examples: [
    "deno task setup-onnx-cuda",
    "deno task setup-onnx-cuda --libraries",
    "deno task setup-onnx-cuda --uninstall",
  ],
} as const;

const flags = {
  libraries: {
    type: "boolean",
    help: "also install NVIDIA's CUDA 13 and cuDNN 9 from PyPI, for systems without them " +
      "(1.3 GB more to download, 2.2 GB on disk)",
  },
  ...folderFlags,
  ...outputFlags,
} as const;

export async function main(args: string[]): Promise<void> {
  const { libraries, prefix, uninstall, json } = parseFlags(task, flags, args);
  if (uninstall && libraries) {
    throw new UsageError("Cannot use --uninstall and --libraries together: it removes all of it");
  }
  if (uninstall) return await uninstallFrom(onnxCudaFolders, { prefix, json });
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

if (import.meta.main) await runTask(main, Deno.args);
