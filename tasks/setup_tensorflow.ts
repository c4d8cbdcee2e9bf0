/**
 * Sets TensorFlow up for the engines `tensorflow` and `eager:tensorflow`: its wheel by pip into a
 * virtual environment of its own, for the C library and headers in it; then the addon of
 * `@tensorflow/tfjs-node-gpu`, built against them.
 *
 * All of it is made under names that nothing uses yet, tried in a process of its own, and only then
 * written down in `installation.json`, which is all that the engines look at. So a run that fails
 * or is killed changes nothing, and the next one goes on from what is whole.
 */
import type { Installation } from "../engines/tensorflow/binding.ts";
import {
  interruption,
  outputFlags,
  parseFlags,
  print,
  printJson,
  runTask,
  UsageError,
} from "./shared/cli.ts";
import { settingUp, SetupError } from "./setup/commands.ts";
import { folderFlags, type Folders, setUpIn, uninstallFrom } from "./setup/folders.ts";
import {
  buildAddon,
  fetchSources,
  packagedAddon,
  tryInstallation,
} from "./setup/tensorflow/addon.ts";
import { type Flavour, installWheel, isIncomplete } from "./setup/tensorflow/wheel.ts";

const folders: Folders = {
  what: "tensorflow",
  own: /^(tensorflow-[\d.]+-(cpu|cuda)-|addon-)[0-9a-f]/,
  isIncomplete,
};

const task = {
  name: "setup-tensorflow",
  summary:
    "Set up the engine tensorflow: TensorFlow by pip into a folder of its own, and the addon of " +
    "@tensorflow/tfjs-node-gpu built for it. Needs Python, a C++ compiler and 2 GB; safe to repeat.",
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
  if (uninstall) return await uninstallFrom(folders, { prefix, json });
  const flavour = cuda ? "cuda" : "cpu";
  const { version, addon } = await setUpTensorflow(flavour, interruption(), prefix);
  if (json) printJson({ version, path: addon });
  else print(`TensorFlow ${version} is ready: ${addon}`);
}

/**
 * Sets TensorFlow up, or finds it set up, and writes that down.
 *
 * @param prefix Folder for all but the record. Default: the record's own.
 * @throws {Error} If something is missing, saying what and how to get it.
 */
export function setUpTensorflow(
  flavour: Flavour,
  signal: AbortSignal,
  prefix?: string,
): Promise<Installation> {
  return settingUp("TensorFlow", () => {
    if (Deno.build.os !== "linux") {
      throw new SetupError(
        `this is ${Deno.build.os}, expected Linux, whose wheels are the ones with the C library; ` +
          `use --engine onnx, which needs no setup`,
      );
    }
    return setUpIn(folders, prefix, async (folder) => {
      const options = { signal };
      const sources = await fetchSources(options);
      const build = async () =>
        await buildAddon(
          folder,
          await installWheel(folder, flavour, options),
          flavour,
          sources,
          options,
        );
      // What the package's installer puts there is for CUDA 11, so --cuda passes it by.
      const packaged = flavour === "cpu" && await packagedAddon(folder, sources, options);
      const installation = packaged || await build();
      await tryInstallation(installation, options);
      return installation;
    });
  });
}

if (import.meta.main) await runTask(main, Deno.args);
