/** Sets up the engine `tensorflow`; `setup/tensorflow.ts` does the work. */
import { outputFlags, parseFlags, UsageError } from "./shared/flags.ts";
import { interruption, print, printJson, runTask } from "./shared/run.ts";
import { folderFlags, uninstallFrom } from "./setup/folders.ts";
import { setUpTensorflow, tensorflowFolders } from "./setup/tensorflow.ts";

const task = {
  name: "setup-tensorflow",
  summary:
    "Set up the engine tensorflow: pip installs TensorFlow into its own folder, and the addon of " +
    "@tensorflow/tfjs-node-gpu is built for it. Needs Python, a C++ compiler and 2 GB; safe to " +
    "repeat.",
  examples: [
    "deno task setup-tensorflow",
    "deno task setup-tensorflow --cuda",
    "deno task setup-tensorflow --uninstall",
  ],
} as const;

const flags = {
  cuda: { type: "boolean", help: "the build for NVIDIA GPUs, with CUDA 12 (12 GB)" },
  ...folderFlags,
  ...outputFlags,
} as const;

export async function main(args: string[]): Promise<void> {
  const { cuda, prefix, uninstall, json } = parseFlags(task, flags, args);
  if (uninstall && cuda) {
    throw new UsageError("Cannot use --uninstall and --cuda together: it removes every build");
  }
  if (uninstall) return await uninstallFrom(tensorflowFolders, { prefix, json });
  const flavour = cuda ? "cuda" : "cpu";
  const { version, addon } = await setUpTensorflow(flavour, interruption(), prefix);
  if (json) printJson({ version, path: addon });
  else print(`TensorFlow ${version} is ready: ${addon}`);
}

if (import.meta.main) await runTask(main, Deno.args);
