/**
 * The frame of every setup: a folder that one setup at a time works in, leftovers of killed ones
 * removed, the result tried in a separate process, and the record that the engines read written
 * last. So a run that fails or is killed changes nothing, and the next one continues with what is
 * complete. Also the way back, `--uninstall`.
 */
import { fromFileUrl, join, resolve } from "@std/path";
import {
  installationFile,
  installationFolder,
  readRecord,
  type SetUp,
} from "../../engines/installation.ts";
import { UserError } from "../../engines/errors.ts";
import { lockFile } from "../../files/lock.ts";
import { exists } from "../../files/read.ts";
import { writeFileAtomically } from "../../files/write.ts";
import { enginePermissions, runProgram } from "../shared/process.ts";
import { print, printJson } from "../shared/run.ts";
import { findErrorLine } from "./programs.ts";

/** Something that a setup needs is missing or failed. */
export class SetupError extends UserError {
  override name = "SetupError";
  constructor(found: string, advice?: string, options?: ErrorOptions) {
    super({ action: "set it up", found, advice }, options);
  }
}

/** Runs a setup, and turns what is missing and what the system refuses into errors on `what`. */
export async function explainFailures<T>(what: string, setUp: () => Promise<T>): Promise<T> {
  try {
    return await setUp();
  } catch (error) {
    const action = `set up ${what}`;
    if (error instanceof SetupError) throw new UserError({ ...error, action }, { cause: error });
    const isFromSystem = typeof (error as { code?: unknown }).code === "string";
    if (error instanceof UserError || !isFromSystem) throw error;
    const [found] = (error as Error).message.split("\n");
    const advice = "check the folder and the disk, or choose another --prefix";
    throw new UserError({ action, found, advice }, { cause: error });
  }
}

/** The folders that a setup makes in its prefix. */
export interface Folders {
  what: SetUp;
  /** Matches their names. */
  own: RegExp;
  /** Tells whether one of them was left unfinished. */
  isIncomplete(path: string, prefix: string): Promise<boolean>;
}

/** The flags of every setup. */
export const folderFlags = {
  prefix: {
    type: "path",
    placeholder: "DIR",
    help: "where to put it",
    defaultHelp: "the user's cache folder, for all checkouts",
  },
  uninstall: { type: "boolean", help: "remove it again" },
} as const;

/**
 * Does `work` in a folder, and records the installation that it returns.
 *
 * @param prefix Folder for all but the record. Default: the record's own.
 * @throws {SetupError} If the folder can't be made.
 */
export async function setUpIn<Installation>(
  folders: Folders,
  prefix: string | undefined,
  work: (folder: string) => Promise<Installation>,
): Promise<Installation> {
  const home = installationFolder(folders.what);
  const folder = resolve(prefix ?? home);
  await makeFolder(folder);
  await makeFolder(home);
  using _lock = await lockFile(join(folder, "setup"));
  for (const path of await listOwnFolders(folders, folder)) {
    const incomplete = path.includes(PARTIAL) || await folders.isIncomplete(path, folder);
    // A pip may still run and write there; the next setup tries again.
    if (incomplete) await removeIfPossible(path);
  }
  const installation = await work(folder);
  await writeFileAtomically(installationFile(folders.what), encodeJson(installation));
  return installation;
}

export const encodeJson = (value: unknown): Uint8Array<ArrayBuffer> =>
  new TextEncoder().encode(JSON.stringify(value, null, 2) + "\n");

/** In the name of a folder that is being made. */
const PARTIAL = ".partial-";

/** Makes a folder that gets its name only when it is complete. */
export async function makeWhole(
  folder: string,
  fill: (partial: string) => Promise<void>,
): Promise<void> {
  const partial = `${folder}${PARTIAL}${crypto.randomUUID().slice(0, 8)}`;
  try {
    await Deno.mkdir(partial);
    await fill(partial);
    await removeIfPossible(folder); // if there is one, it is the same or broken
    await Deno.rename(partial, folder);
  } catch (error) {
    await removeIfPossible(partial);
    throw error;
  }
}

export async function removeIfPossible(folder: string): Promise<void> {
  await Deno.remove(folder, { recursive: true }).catch(() => {});
}

/**
 * Runs a script that prints a JSON object, in a separate process: libraries that do not fit this
 * machine may end it.
 *
 * @param what How errors name what is tried.
 * @param script File in this folder.
 * @throws {SetupError} If the process ends without such an object.
 */
export async function tryInProcess<Result>(
  what: string,
  script: string,
  options: { signal: AbortSignal; env: Record<string, string> },
): Promise<Result> {
  const path = fromFileUrl(new URL(script, import.meta.url));
  const args = ["run", ...enginePermissions, "--no-prompt", "--quiet", path];
  const { stdout, stderr, signal } = await runProgram(Deno.execPath(), args, options);
  const reason = findErrorLine(stderr);
  if (signal) {
    const found = `${what} ends the process with ${signal} on this machine (${reason})`;
    throw new SetupError(found, "use --engine onnx");
  }
  try {
    return JSON.parse(stdout);
  } catch (error) {
    throw checkFailed(reason, { cause: error });
  }
}

export const checkFailed = (reason: string, options?: ErrorOptions): SetupError =>
  new SetupError(`the check of it failed: ${reason}`, undefined, options);

/**
 * Removes what `setUpIn` has put into a folder, as `--uninstall` asks for, and prints that: the
 * record goes first, so that nothing uses what is half gone.
 *
 * @param options.prefix Default: the one in the record, or the record's own folder.
 */
export async function uninstallFrom(
  folders: Folders,
  { prefix, json }: { prefix?: string; json: boolean },
): Promise<void> {
  const { what } = folders;
  const recorded = await readRecord<{ prefix: string }>(what, [], ["prefix"])
    .then(({ prefix }) => prefix, () => undefined);
  const folder = resolve(prefix ?? recorded ?? installationFolder(what));
  if (await exists(folder)) {
    {
      using _lock = await lockFile(join(folder, "setup"));
      const isOwn = recorded === undefined || resolve(recorded) === folder;
      const record = installationFile(what);
      if (isOwn && await exists(record)) await Deno.remove(record);
      for (const path of await listOwnFolders(folders, folder)) {
        await Deno.remove(path, { recursive: true });
      }
    }
    // Where others have put something, the folder stays.
    for (const path of [folder, installationFolder(what)]) await Deno.remove(path).catch(() => {});
  }
  if (json) printJson({ version: null, path: folder });
  else print(`${folder}: removed`);
}

async function listOwnFolders({ own }: Folders, folder: string): Promise<string[]> {
  const paths: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (isDirectory && own.test(name)) paths.push(join(folder, name));
  }
  return paths;
}

async function makeFolder(path: string): Promise<void> {
  try {
    await Deno.mkdir(path, { recursive: true });
  } catch (error) {
    const [reason] = (error as Error).message.split(/\n|: mkdir/);
    const found = `the folder ${path} can't be made: ${reason}`;
    throw new SetupError(found, "try another --prefix", { cause: error });
  }
}
