/** Installs packages from PyPI with pip, into a separate virtual environment. */
import { join } from "@std/path";
import { statfs } from "node:fs/promises";
import { writeFileAtomically } from "../../files/write.ts";
import { runProgram } from "../shared/process.ts";
import { note } from "../shared/run.ts";
import { listed } from "../shared/text.ts";
import { encodeJson, removeIfPossible, SetupError } from "./folders.ts";
import { findErrorLine, findProgram, runVisibly } from "./programs.ts";

/** The packages to install, and their size. */
export interface Packages {
  /** The name and version that messages use. */
  title: string;
  /** The start of its folder's name; the rest is random. */
  name: string;
  /** The arguments of `pip install`. */
  requirements: string[];
  /** Names of the distribution whose version counts; the first one found is taken. */
  distributions: string[];
  /** Its Python module. */
  module: string;
  /** Files of that module that show that it is complete. */
  files: string[];
  /** Versions of Python that there are wheels for, best tested first. */
  pythons: string[];
  /** Peak disk use: the archives, pip's copy of them, and their content. */
  bytes: number;
  /** Advice on how to do without the package. */
  otherwise: string;
}

/** A package that pip has installed. */
export interface Installed {
  /** The version of the distribution, such as 2.21.0. */
  version: string;
  /** The Python module's folder; the packages that it needs are next to it. */
  folder: string;
}

/**
 * Installs packages under `prefix`, or finds them there.
 *
 * @throws {SetupError} If Python, venv, pip, disk space or the network is missing.
 */
export async function installPackages(
  prefix: string,
  packages: Packages,
  signal: AbortSignal,
): Promise<Installed> {
  for await (const { name } of Deno.readDir(prefix)) {
    if (!name.startsWith(packages.name)) continue;
    const found = await findComplete(join(prefix, name), packages.files);
    if (!found) continue;
    note(`${packages.title} is already in ${found.folder}`);
    return found;
  }

  const python = await findPython(packages.pythons, signal);
  await requireSpace(prefix, packages.bytes);
  // A new name each time: the pip of a killed run may still write to the folder of that run.
  const folder = join(prefix, packages.name + crypto.randomUUID().slice(0, 8));
  try {
    return await install(python, folder, packages, signal);
  } catch (error) {
    await removeIfPossible(folder);
    throw error;
  }
}

async function install(
  python: string,
  folder: string,
  packages: Packages,
  signal: AbortSignal,
): Promise<Installed> {
  const { requirements, distributions, module, files, otherwise } = packages;
  const environment = await runVisibly(python, ["-m", "venv", folder], signal);
  if (!environment.success) throw explainFailure(environment.output, packages, "venv");

  const own = join(folder, "bin", "python");
  const pip = ["-m", "pip", "install", "--disable-pip-version-check", "--only-binary=:all:"];
  const installed = await runVisibly(own, [...pip, ...requirements], signal);
  if (!installed.success) throw explainFailure(installed.output, packages, "pip");

  const query = [
    "import importlib.metadata as m, json, sysconfig",
    `names = ${JSON.stringify(distributions)}`,
    "d = [x for x in m.distributions() if x.metadata['Name'].replace('_', '-') in names][0]",
    `folder = sysconfig.get_path('platlib') + '/${module}'`,
    "print(json.dumps({'version': d.version, 'folder': folder}))",
  ].join("; ");
  const { code, stdout, stderr } = await runProgram(own, ["-c", query], { signal });
  if (code !== 0) {
    throw new SetupError(`what pip installed can't be found: ${findErrorLine(stderr)}`);
  }
  await writeFileAtomically(markOf(folder), encodeJson(JSON.parse(stdout)));
  const found = await findComplete(folder, files);
  if (!found) throw new SetupError(`the wheel lacks one of ${listed(files)}`, otherwise);
  return found;
}

/** The file that is written last: a folder with packages that lacks it is incomplete. */
const markOf = (folder: string) => join(folder, "complete.json");

/** Reads what pip has installed into a folder, if it finished there. */
export async function findComplete(
  folder: string,
  files: string[],
): Promise<Installed | undefined> {
  try {
    const installed = JSON.parse(await Deno.readTextFile(markOf(folder))) as Installed;
    for (const file of files) await Deno.stat(join(installed.folder, file));
    return installed;
  } catch {
    return undefined;
  }
}

async function findPython(pythons: string[], signal: AbortSignal): Promise<string> {
  const names = ["python3", ...pythons.map((version) => `python${version}`), "python"];
  const script = "import sys; print('%d.%d' % sys.version_info[:2])";
  const versions = new Set<string>();
  const python = await findProgram(names, ["-c", script], signal, ({ code, stdout }) => {
    if (code !== 0) return false;
    versions.add(stdout.trim());
    return pythons.includes(stdout.trim());
  });
  if (!python) {
    const found = versions.size === 0 ? "no Python" : `Python ${[...versions].join(", ")}`;
    throw new SetupError(
      `${found} is in the PATH, expected ${pythons.join(", ")}`,
      "install one (Debian, Ubuntu: apt install python3 python3-venv)",
    );
  }
  note(`Python ${python.stdout.trim()}: ${python.program}`);
  const modules = await runProgram(python.program, ["-c", "import venv, ensurepip"], { signal });
  if (modules.code === 0) return python.program;
  throw new SetupError(
    `${python.program} has no venv with pip in it (${findErrorLine(modules.stderr)})`,
    "install it (Debian, Ubuntu: apt install python3-venv)",
  );
}

async function requireSpace(folder: string, needed: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  if (bavail * bsize >= needed) return;
  const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;
  throw new SetupError(
    `${folder} has ${gigabytes(bavail * bsize)} free, expected ${gigabytes(needed)}`,
    "make room, or choose another disk with --prefix",
  );
}

const NETWORK_ERRORS = new RegExp(
  "NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|ProxyError|SSLError|" +
    "Connection (?:refused|reset|broken|aborted)|IncompleteRead|Network is unreachable|" +
    "Temporary failure in name resolution",
);

/** Explains a failure by the output of pip or venv, whose own last line seldom names the cause. */
function explainFailure(output: string, { title, pythons }: Packages, tool: string): SetupError {
  if (/No space left on device|Errno 28/.test(output)) {
    return new SetupError(
      "the disk is full",
      "make room, choose another one with --prefix, or another folder for pip's temporary files " +
        "with TMPDIR",
    );
  }
  const network = NETWORK_ERRORS.exec(output);
  if (network) {
    return new SetupError(
      `pip does not reach PyPI (${network[0]})`,
      "check the network, or name a mirror with PIP_INDEX_URL",
    );
  }
  if (/No matching distribution found/.test(output)) {
    return new SetupError(
      `PyPI has no ${title} for this Python on ${Deno.build.arch}`,
      `try another Python (${pythons.join(", ")}) first in the PATH`,
    );
  }
  return new SetupError(`${tool} failed: ${findErrorLine(output)}`);
}
