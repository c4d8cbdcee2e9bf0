/** Packages from PyPI, by pip, in a virtual environment of their own. */
import { join } from "@std/path";
import { statfs } from "node:fs/promises";
import { writeFileAtomically } from "../../core/files/write.ts";
import { note } from "../shared/cli.ts";
import {
  type CommandOptions,
  errorLine,
  firstThatRuns,
  run,
  runVisibly,
  SetupError,
} from "./commands.ts";

/** What to install, and what it takes. */
export interface Packages {
  /** How people call it, with the version. */
  title: string;
  /** The start of its folder's name; the rest is random. */
  name: string;
  /** What pip is asked for. */
  requirements: string[];
  /** The distribution whose version counts: one of these names, the first that is there. */
  distributions: string[];
  /** Its Python module. */
  module: string;
  /** Files in that module whose names tell that it is whole. */
  files: string[];
  /** Versions of Python that there are wheels for, best known first. */
  pythons: string[];
  /** Bytes taken at the worst moment: the archives, pip's copy of them, and what is in them. */
  bytes: number;
  /** How to do without. */
  otherwise: string;
}

/** What pip has installed. */
export interface Installed {
  /** Of the distribution, such as 2.21.0. */
  version: string;
  /** The Python module's folder; the packages that it needs lie beside it. */
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
  options: CommandOptions,
): Promise<Installed> {
  for await (const entry of Deno.readDir(prefix)) {
    const found = entry.name.startsWith(packages.name) &&
      await completePackages(join(prefix, entry.name), packages.files);
    if (found) {
      note(`${packages.title} is already in ${found.folder}`);
      return found;
    }
  }

  const python = await findPython(packages.pythons, options);
  await requireSpace(prefix, packages.bytes);
  // A name of its own each time: what a killed run has left may still be written to by its pip.
  const folder = join(prefix, packages.name + crypto.randomUUID().slice(0, 8));
  try {
    return await install(python, folder, packages, options);
  } catch (error) {
    await Deno.remove(folder, { recursive: true }).catch(() => {});
    throw error;
  }
}

async function install(
  python: string,
  folder: string,
  packages: Packages,
  options: CommandOptions,
): Promise<Installed> {
  const { requirements, distributions, module, files, otherwise } = packages;
  const environment = await runVisibly(python, ["-m", "venv", folder], options);
  if (!environment.success) throw new SetupError(whyFailed(environment.stderr, packages, "venv"));

  const own = join(folder, "bin", "python");
  const pip = ["-m", "pip", "install", "--disable-pip-version-check", "--only-binary=:all:"];
  const installed = await runVisibly(own, [...pip, ...requirements], options);
  if (!installed.success) throw new SetupError(whyFailed(installed.stderr, packages, "pip"));

  const query = `import importlib.metadata as m, json, sysconfig; ` +
    `d = [x for x in m.distributions() if x.metadata['Name'].replace('_', '-') in ${
      JSON.stringify(distributions)
    }][0]; ` +
    `print(json.dumps({'version': d.version, 'folder': sysconfig.get_path('platlib') + '/${module}'}))`;
  const { success, stdout, stderr } = await run(own, ["-c", query], options);
  if (!success) throw new SetupError(`pip's work can't be found again: ${errorLine(stderr)}`);
  await writeFileAtomically(markOf(folder), new TextEncoder().encode(stdout));
  const found = await completePackages(folder, files);
  if (!found) {
    throw new SetupError(
      `the wheel has no ${files.join(" or ")}, expected both; ${otherwise}`,
    );
  }
  return found;
}

/** Written last into a folder with packages: one without it is not whole. */
const markOf = (folder: string) => join(folder, "complete.json");

/** The packages in a folder, if pip came to its end there. */
export async function completePackages(
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

async function findPython(pythons: string[], options: CommandOptions): Promise<string> {
  const names = ["python3", ...pythons.map((version) => `python${version}`), "python"];
  const script = "import sys; print('%d.%d' % sys.version_info[:2])";
  const found: string[] = [];
  const python = await firstThatRuns(names, ["-c", script], options, ({ success, stdout }) => {
    if (success) found.push(stdout.trim());
    return success && pythons.includes(stdout.trim());
  });
  if (!python) {
    const there = found.length === 0 ? "no Python" : `Python ${[...new Set(found)].join(", ")}`;
    throw new SetupError(
      `${there} is in the PATH, expected ${
        pythons.join(", ")
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
function whyFailed(output: string, { title, pythons }: Packages, tool: string): string {
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
    return `PyPI has no ${title} for this Python on ${Deno.build.arch}; try another Python ` +
      `(${pythons.join(", ")}) first in the PATH`;
  }
  return `${tool} failed: ${errorLine(output)}`;
}
