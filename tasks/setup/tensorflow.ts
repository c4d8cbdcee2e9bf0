/**
 * Sets TensorFlow up for the engines `tensorflow` and `eager:tensorflow`: pip installs its wheel,
 * for the C library and headers in it, and the addon of `@tensorflow/tfjs-node-gpu` is built against
 * them.
 */
import { join } from "@std/path";
import type { Installation } from "../../engines/tensorflow/binding.ts";
import {
  checkFailed,
  explainFailures,
  type Folders,
  SetupError,
  setUpIn,
  tryInProcess,
} from "./folders.ts";
import { findComplete, type Installed, installPackages } from "./python.ts";
import { note } from "../shared/run.ts";
import { buildAddon, fetchSources, findPackagedAddon, LIBRARIES } from "./tensorflow_addon.ts";

export type Flavour = "cpu" | "cuda";

const VERSION = "2.21";

export const tensorflowFolders: Folders = {
  what: "tensorflow",
  own: /^(tensorflow-[\d.]+-(cpu|cuda)-|addon-)[0-9a-f]/,
  isIncomplete: async (path, prefix) =>
    path.startsWith(join(prefix, "tensorflow-")) && !await findComplete(path, LIBRARIES),
};

/**
 * Sets TensorFlow up, or finds it set up, and records that.
 *
 * @param prefix Folder for all but the record. Default: the record's own.
 * @throws {UserError} If something is missing; the error says how to get it.
 */
export function setUpTensorflow(
  flavour: Flavour,
  signal: AbortSignal,
  prefix?: string,
): Promise<Installation> {
  return explainFailures("TensorFlow", () => {
    if (Deno.build.os !== "linux") {
      throw new SetupError(
        `this is ${Deno.build.os}, expected Linux, whose wheels are the ones with the C library`,
        "use --engine onnx, which needs no setup",
      );
    }
    return setUpIn(tensorflowFolders, prefix, async (folder) => {
      const sources = await fetchSources(signal);
      // What the package's installer downloads is for CUDA 11, so it is of no use for --cuda.
      const packaged = flavour === "cpu"
        ? await findPackagedAddon(folder, sources, signal)
        : undefined;
      const installation = packaged ?? await buildAddon(
        folder,
        { ...await installWheel(folder, flavour, signal), cuda: flavour === "cuda" },
        sources,
        signal,
      );
      await tryInstallation(installation, signal);
      return installation;
    });
  });
}

function installWheel(prefix: string, flavour: Flavour, signal: AbortSignal): Promise<Installed> {
  // The smaller build exists for this CPU only; elsewhere the plain one comes without CUDA, too.
  const cpuPackage = `tensorflow${Deno.build.arch === "x86_64" ? "-cpu" : ""}==${VERSION}.*`;
  return installPackages(prefix, {
    title: `TensorFlow ${VERSION}`,
    name: `tensorflow-${VERSION}-${flavour}-`,
    // The C library needs none of the Python packages that the wheel depends on. CUDA's libraries
    // are such packages.
    requirements: flavour === "cuda"
      ? [`tensorflow[and-cuda]==${VERSION}.*`]
      : ["--no-deps", cpuPackage],
    distributions: ["tensorflow", "tensorflow-cpu"],
    module: "tensorflow",
    files: LIBRARIES,
    pythons: ["3.12", "3.13", "3.11", "3.10"],
    bytes: flavour === "cuda" ? 12e9 : 2.2e9,
    otherwise: "set up on Linux, or use --engine onnx",
  }, signal);
}

/**
 * Runs a product and a gradient on an installation that is not yet in use.
 *
 * @throws {SetupError} If they fail, or the process ends.
 */
async function tryInstallation(installation: Installation, signal: AbortSignal): Promise<void> {
  const env = { TINY_DIFFUSION_TENSORFLOW: join(installation.package, "..") };
  const { available, reason } = await tryInProcess<{ available: boolean; reason: string }>(
    "TensorFlow",
    "check_tensorflow.ts",
    { signal, env },
  );
  if (!available) throw checkFailed(reason);
  note(`A product and a gradient are right: ${reason}`);
}
