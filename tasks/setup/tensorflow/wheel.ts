/** TensorFlow's wheel from PyPI: for the C library and headers in it. */
import { join } from "@std/path";
import type { CommandOptions } from "../commands.ts";
import { completePackages, type Installed, installPackages } from "../packages.ts";

export type Flavour = "cpu" | "cuda";
/** The version, and the Python package's folder with the C library and its headers. */
export type Wheel = Installed;

const TENSORFLOW = "2.21";
/** The library itself. */
export const LIBRARIES = ["libtensorflow_cc.so.2", "libtensorflow_framework.so.2"];

const BYTES: Record<Flavour, number> = { cpu: 2.2e9, cuda: 12e9 };

/**
 * Installs the wheel under `prefix`, or finds it there.
 *
 * @throws {SetupError} If Python, venv, pip, disk space or the network is missing.
 */
export function installWheel(
  prefix: string,
  flavour: Flavour,
  options: CommandOptions,
): Promise<Wheel> {
  // The smaller build is for this CPU only; elsewhere the plain one has no CUDA in it either.
  const forCpu = `tensorflow${Deno.build.arch === "x86_64" ? "-cpu" : ""}==${TENSORFLOW}.*`;
  return installPackages(prefix, {
    title: `TensorFlow ${TENSORFLOW}`,
    name: `tensorflow-${TENSORFLOW}-${flavour}-`,
    // The C library needs none of the Python packages that the wheel asks for; CUDA's libraries
    // come as such packages.
    requirements: flavour === "cuda"
      ? [`tensorflow[and-cuda]==${TENSORFLOW}.*`]
      : ["--no-deps", forCpu],
    distributions: ["tensorflow", "tensorflow-cpu"],
    module: "tensorflow",
    files: LIBRARIES,
    pythons: ["3.12", "3.13", "3.11", "3.10"],
    bytes: BYTES[flavour],
    otherwise: "set up on Linux, or use --engine onnx",
  }, options);
}

/** Whether a folder that `installWheel` makes is left from a run that did not come to its end. */
export async function isIncomplete(path: string, prefix: string): Promise<boolean> {
  return path.startsWith(join(prefix, "tensorflow-")) && !await completePackages(path, LIBRARIES);
}
