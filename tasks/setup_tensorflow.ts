/**
 * Sets TensorFlow up for the engines `tensorflow` and `eager:tensorflow`: its wheel by pip into a virtual environment of its
 * own, for the C library and headers in it; then the addon of `@tensorflow/tfjs-node-gpu`, built against them.
 *
 * All of it is made under names that nothing uses yet, tried in a process of its own, and only then written down in
 * `installation.json`, which is all that the engines look at. So a run that fails or is killed changes nothing, and the next
 * one goes on from what is whole.
 */
import { join, resolve } from "@std/path";
import {
  type Installation,
  installationFile,
  installationFolder,
  readInstallation,
} from "../core/engines/tensorflow_binding.ts";
import { lockFile, writeFileAtomically } from "../core/files.ts";
import { interruption, outputFlags, parseFlags, print, printJson } from "./cli.ts";
import { runTask, UsageError } from "./cli.ts";
import { buildAddon, fetchSources, packagedAddon, tryInstallation } from "./tensorflow/addon.ts";
import { SetupError } from "./tensorflow/commands.ts";
import { completeWheel, type Flavour, installWheel } from "./tensorflow/wheel.ts";

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
  prefix: {
    type: "path",
    placeholder: "DIR",
    help: "where to put it; without it, the user's cache folder, for all checkouts",
  },
  uninstall: { type: "boolean", help: "remove it again" },
  ...outputFlags,
} as const;

export async function main(args: string[]): Promise<void> {
  const { cuda, prefix, uninstall, json } = parseFlags(task, flags, args);
  if (uninstall && cuda) {
    throw new UsageError("Cannot use --uninstall and --cuda together: it removes every build");
  }
  if (uninstall) {
    const path = await removeTensorflow(prefix);
    if (json) printJson({ version: null, path });
    else print(`${path}: removed`);
    return;
  }
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
export async function setUpTensorflow(
  flavour: Flavour,
  signal: AbortSignal,
  prefix = installationFolder(),
): Promise<Installation> {
  if (Deno.build.os !== "linux") {
    throw new SetupError(
      `this is ${Deno.build.os}, expected Linux, whose wheels are the ones with the C library; use ` +
        `--engine onnx, which needs no setup`,
    );
  }
  const folder = resolve(prefix);
  for (const path of [folder, installationFolder()]) await makeFolder(path);
  using _lock = await lockFile(join(folder, "setup"));
  await removeIncomplete(folder);

  const options = { signal };
  const sources = await fetchSources(options);
  const build = async () =>
    await buildAddon(folder, await installWheel(folder, flavour, options), sources, options);
  // What the package's installer puts there is for CUDA 11, so --cuda passes it by.
  const packaged = flavour === "cpu" && await packagedAddon(folder, sources, options);
  const installation = packaged || await build();
  await tryInstallation(installation, options);
  const record = JSON.stringify(installation, null, 2) + "\n";
  await writeFileAtomically(installationFile(), new TextEncoder().encode(record));
  return installation;
}

/**
 * Removes what `setUpTensorflow` has put into a folder: the record first, so that nothing uses what is half gone.
 *
 * @param prefix Default: the one that the record names, or the record's own folder.
 * @returns The folder.
 */
export async function removeTensorflow(prefix?: string): Promise<string> {
  const recorded = await readInstallation().then(({ prefix }) => prefix, () => undefined);
  const folder = resolve(prefix ?? recorded ?? installationFolder());
  if (!await exists(folder)) return folder;
  {
    using _lock = await lockFile(join(folder, "setup"));
    if (recorded === undefined || resolve(recorded) === folder) {
      if (await exists(installationFile())) await Deno.remove(installationFile());
    }
    for (const path of await ownFolders(folder)) await Deno.remove(path, { recursive: true });
  }
  // Where others have put something, the folder stays.
  for (const path of [folder, installationFolder()]) await Deno.remove(path).catch(() => {});
  return folder;
}

/** What a killed run has left. */
async function removeIncomplete(folder: string): Promise<void> {
  for (const path of await ownFolders(folder)) {
    const incomplete = path.includes(".partial-") ||
      (path.startsWith(join(folder, "tensorflow-")) && !await completeWheel(path));
    // Its pip may still run and write there; the next setup tries again.
    if (incomplete) await Deno.remove(path, { recursive: true }).catch(() => {});
  }
}

/** The folders that setup makes in its prefix. */
async function ownFolders(folder: string): Promise<string[]> {
  const paths: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (isDirectory && /^(tensorflow-[\d.]+-(cpu|cuda)-|addon-)[0-9a-f]/.test(name)) {
      paths.push(join(folder, name));
    }
  }
  return paths;
}

async function makeFolder(path: string): Promise<void> {
  try {
    await Deno.mkdir(path, { recursive: true });
  } catch (error) {
    const reason = (error as Error).message.split(/\n|: mkdir/)[0];
    throw new SetupError(`the folder ${path} can't be made: ${reason}; try another --prefix`, {
      cause: error,
    });
  }
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

if (import.meta.main) await runTask(main, Deno.args);
