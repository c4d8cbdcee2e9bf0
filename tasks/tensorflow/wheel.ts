/** TensorFlow's wheel from PyPI, by pip, in a virtual environment of its own. */
import { statfs } from "node:fs/promises";
import { join } from "@std/path";
import { writeFileAtomically } from "../../core/files.ts";
import { note } from "../cli.ts";
import {
  type CommandOptions,
  errorLine,
  firstThatRuns,
  run,
  runVisibly,
  SetupError,
} from "./commands.ts";

export type Flavour = "cpu" | "cuda";

export interface Wheel {
  /** Of TensorFlow, such as 2.21.0. */
  version: string;
  /** The Python package's folder, with the C library and its headers. */
  folder: string;
}

const TENSORFLOW = "2.21";
/** Versions of Python that this TensorFlow has wheels for, best known first. */
const PYTHONS = ["3.12", "3.13", "3.11", "3.10"];
/** Bytes taken at the worst moment: the archives, pip's copy of them, and what is in them. */
const SPACE: Record<Flavour, number> = { cpu: 2.2e9, cuda: 12e9 };

/** The library itself, whose name tells that a wheel is whole. */
export const LIBRARIES = ["libtensorflow_cc.so.2", "libtensorflow_framework.so.2"];

/**
 * Installs the wheel under `prefix`, or finds it there.
 *
 * @throws {SetupError} If Python, venv, pip, disk space or the network is missing.
 */
export async function installWheel(
  prefix: string,
  flavour: Flavour,
  options: CommandOptions,
): Promise<Wheel> {
  const name = `tensorflow-${TENSORFLOW}-${flavour}-`;
  for await (const entry of Deno.readDir(prefix)) {
    const wheel = entry.name.startsWith(name) && await completeWheel(join(prefix, entry.name));
    if (wheel) {
      note(`TensorFlow ${wheel.version} is already in ${wheel.folder}`);
      return wheel;
    }
  }

  const python = await findPython(options);
  await requireSpace(prefix, SPACE[flavour]);
  // A name of its own each time: what a killed run has left may still be written to by its pip.
  const folder = join(prefix, name + crypto.randomUUID().slice(0, 8));
  try {
    return await install(python, folder, flavour, options);
  } catch (error) {
    await Deno.remove(folder, { recursive: true }).catch(() => {});
    throw error;
  }
}

async function install(
  python: string,
  folder: string,
  flavour: Flavour,
  options: CommandOptions,
): Promise<Wheel> {
  const environment = await runVisibly(python, ["-m", "venv", folder], options);
  if (!environment.success) throw new SetupError(reasonOfPip(environment.stderr, "venv failed"));

  const own = join(folder, "bin", "python");
  const requirement = flavour === "cuda"
    ? `tensorflow[and-cuda]==${TENSORFLOW}.*`
    // The smaller build is for this CPU only; elsewhere the plain one has no CUDA in it either.
    : `tensorflow${Deno.build.arch === "x86_64" ? "-cpu" : ""}==${TENSORFLOW}.*`;
  // The C library needs none of the Python packages that the wheel asks for; CUDA's libraries come as such packages.
  const what = flavour === "cuda" ? [requirement] : ["--no-deps", requirement];
  const pip = ["-m", "pip", "install", "--disable-pip-version-check", "--only-binary=:all:"];
  const installed = await runVisibly(own, [...pip, ...what], options);
  if (!installed.success) throw new SetupError(reasonOfPip(installed.stderr, "pip failed"));

  const query = "import importlib.metadata as m, json, sysconfig; " +
    "d = [x for x in m.distributions() if x.metadata['Name'].replace('_', '-') in ('tensorflow', 'tensorflow-cpu')][0]; " +
    "print(json.dumps({'version': d.version, 'folder': sysconfig.get_path('platlib') + '/tensorflow'}))";
  const { success, stdout, stderr } = await run(own, ["-c", query], options);
  if (!success) throw new SetupError(`pip's work can't be found again: ${errorLine(stderr)}`);
  await writeFileAtomically(markOf(folder), new TextEncoder().encode(stdout));
  const wheel = await completeWheel(folder);
  if (!wheel) {
    throw new SetupError(
      `the wheel has no ${LIBRARIES.join(" or ")}, expected both; set up on Linux, or use ` +
        `--engine onnx`,
    );
  }
  return wheel;
}

/** Written last into a folder with a wheel: one without it is not whole. */
const markOf = (folder: string) => join(folder, "complete.json");

/** The wheel in a folder, if pip came to its end there. */
export async function completeWheel(folder: string): Promise<Wheel | undefined> {
  try {
    const wheel = JSON.parse(await Deno.readTextFile(markOf(folder))) as Wheel;
    for (const library of LIBRARIES) await Deno.stat(join(wheel.folder, library));
    return wheel;
  } catch {
    return undefined;
  }
}

async function findPython(options: CommandOptions): Promise<string> {
  const names = ["python3", ...PYTHONS.map((version) => `python${version}`), "python"];
  const script = "import sys; print('%d.%d' % sys.version_info[:2])";
  const found: string[] = [];
  const python = await firstThatRuns(names, ["-c", script], options, ({ success, stdout }) => {
    if (success) found.push(stdout.trim());
    return success && PYTHONS.includes(stdout.trim());
  });
  if (!python) {
    const there = found.length === 0 ? "no Python" : `Python ${[...new Set(found)].join(", ")}`;
    throw new SetupError(
      `${there} is in the PATH, expected ${
        PYTHONS.join(", ")
      }; install one (Debian, Ubuntu: apt install ` +
        `python3 python3-venv)`,
    );
  }
  note(`Python ${python.result.stdout.trim()}: ${python.program}`);
  const modules = await run(python.program, ["-c", "import venv, ensurepip"], options);
  if (modules.success) return python.program;
  throw new SetupError(
    `${python.program} has no venv with pip in it (${errorLine(modules.stderr)}); install it ` +
      `(Debian, Ubuntu: apt install python3-venv)`,
  );
}

async function requireSpace(folder: string, needed: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  if (bavail * bsize >= needed) return;
  const gigabytes = (bytes: number) => (bytes / 1e9).toFixed(1);
  throw new SetupError(
    `${folder} has ${gigabytes(bavail * bsize)} GB free, expected ${gigabytes(needed)} GB; make ` +
      `room, or choose another disk with --prefix`,
  );
}

/** What pip's output means. Its own last line seldom says it. */
function reasonOfPip(output: string, otherwise: string): string {
  if (/No space left on device|Errno 28/.test(output)) {
    return "the disk is full; make room, choose another one with --prefix, or another folder for " +
      "pip's temporary files with TMPDIR";
  }
  const network =
    /NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|ProxyError|SSLError|Connection (?:refused|reset|broken|aborted)|IncompleteRead|Network is unreachable|Temporary failure in name resolution/
      .exec(output);
  if (network) {
    return `pip does not reach PyPI (${network[0]}); check the network, or name a mirror with ` +
      `PIP_INDEX_URL`;
  }
  if (/No matching distribution found/.test(output)) {
    return `PyPI has no TensorFlow ${TENSORFLOW} for this Python on ${Deno.build.arch}; try ` +
      `another Python (${PYTHONS.join(", ")}) first in the PATH`;
  }
  return `${otherwise}: ${errorLine(output)}`;
}
