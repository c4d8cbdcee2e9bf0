/**
 * Sets TensorFlow up for the engines `tensorflow` and `eager:tensorflow`: the wheel of TensorFlow by pip into a virtual
 * environment of its own, for its C library and headers; then the addon of `@tensorflow/tfjs-node-gpu` built against it.
 *
 * Everything is made under names that nobody uses yet, tried in a process of its own, and only then written down in
 * `installation.json`, which is all that the engines look at. So a run that fails or is killed changes nothing, and the next
 * one takes over what is complete.
 */
import { statfs } from "node:fs/promises";
import { basename, dirname, fromFileUrl, join, resolve } from "@std/path";
import {
  type Installation,
  installationFile,
  installationFolder,
  readInstallation,
} from "../core/engines/tensorflow_binding.ts";
import { lockFile, sha256Hex, writeFileAtomically } from "../core/files.ts";
import {
  interruption,
  note,
  outputFlags,
  parseFlags,
  print,
  printJson,
  runTask,
  UsageError,
} from "./cli.ts";

const TENSORFLOW = "2.21";
/** What its wheels are built for: the second part of the version, as in 3.10. */
const PYTHON_MINOR = { first: 10, last: 13 };
/** Bytes on disk while it is being installed: the archive, pip's cache of it, and what is in it. Measured for the CPU. */
const SPACE = { cpu: 2.0e9, cuda: 10e9 };

const task = {
  name: "setup-tensorflow",
  summary:
    "Set up the engine tensorflow: TensorFlow by pip into a folder of its own, and an addon built for it. " +
    "Needs Python, a C++ compiler and 2 GB; safe to repeat.",
  examples: [
    "deno task setup-tensorflow",
    "deno task setup-tensorflow --cuda",
    "deno task setup-tensorflow --uninstall",
  ],
} as const;

const flags = {
  cuda: { type: "boolean", help: "take the build for NVIDIA GPUs, with CUDA 12 (10 GB)" },
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
    throw new UsageError("Cannot use --uninstall and --cuda together: it removes either build");
  }
  if (uninstall) {
    const path = await removeTensorflow({ prefix });
    if (json) printJson({ version: null, path });
    else print(path ? `${path}: removed` : "TensorFlow is not set up: nothing to remove");
    return;
  }
  const { version, addon } = await setUpTensorflow({ flavour: cuda ? "cuda" : "cpu", prefix });
  if (json) printJson({ version, path: addon });
  else print(`TensorFlow ${version} is ready: ${addon}`);
}

type Flavour = "cpu" | "cuda";

/** A mistake of the surroundings, not ours: told in one line. */
class SetupError extends Error {
  constructor(found: string, options?: ErrorOptions) {
    super(`Cannot set up TensorFlow: ${found}`, options);
  }
}

/**
 * Sets TensorFlow up, or finds it set up, and writes that down.
 *
 * @throws {Error} If something is missing, saying what and how to get it.
 */
export async function setUpTensorflow(
  { flavour, prefix = installationFolder() }: { flavour: Flavour; prefix?: string },
): Promise<Installation> {
  if (Deno.build.os !== "linux") {
    throw new SetupError(
      `this is ${Deno.build.os}, expected Linux, whose wheels have the C library; ` +
        `use --engine onnx, which needs no setup`,
    );
  }
  const folder = resolve(prefix);
  await makeFolder(folder);
  await makeFolder(installationFolder());
  using _lock = await lockFile(join(folder, "setup"));
  await removeIncomplete(folder);

  const sources = await fetchSources();
  const packaged = flavour === "cpu" ? undefined : undefined;
  const ready = packaged ?? await useWheel(folder, flavour, sources);
  await writeFileAtomically(installationFile(), encode(ready));
  await removeOthers(folder, [ready.addon, ready.package]);
  return ready;
}
