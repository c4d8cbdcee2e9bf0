/**
 * What every setup does around its work: a folder, one setup at a time in it, what a killed one has
 * left cleared away, and the record that the engine looks at written last. And the way back.
 */
import { join, resolve } from "@std/path";
import {
  installationFile,
  installationFolder,
  readRecord,
  type SetUp,
} from "../../engines/installation.ts";
import { lockFile } from "../../core/files/lock.ts";
import { writeFileAtomically } from "../../core/files/write.ts";
import { print, printJson } from "../shared/cli.ts";
import { SetupError } from "./commands.ts";

/** What a setup makes in its prefix. */
export interface Folders {
  what: SetUp;
  /** The names of its folders. */
  own: RegExp;
  /** Whether one of them is not whole. */
  isIncomplete(path: string, prefix: string): Promise<boolean>;
}

/** What every setup asks: where, or to take it away. */
export const folderFlags = {
  prefix: {
    type: "path",
    placeholder: "DIR",
    help: "where to put it; without it, the user's cache folder, for all checkouts",
  },
  uninstall: { type: "boolean", help: "remove it again" },
} as const;

/**
 * Does `work` in a folder, and writes down what it gives.
 *
 * @param prefix Folder for all but the record. Default: the record's own.
 * @throws {SetupError} If the folder can't be made.
 */
export async function setUpIn<Installation>(
  folders: Folders,
  prefix: string | undefined,
  work: (folder: string) => Promise<Installation>,
): Promise<Installation> {
  const home = installationFolder(folders.what), folder = resolve(prefix ?? home);
  for (const path of [folder, home]) await makeFolder(path);
  using _lock = await lockFile(join(folder, "setup"));
  for (const path of await ownFolders(folders, folder)) {
    const incomplete = path.includes(".partial-") || await folders.isIncomplete(path, folder);
    // Its pip may still run and write there; the next setup tries again.
    if (incomplete) await Deno.remove(path, { recursive: true }).catch(() => {});
  }
  const installation = await work(folder);
  const record = JSON.stringify(installation, null, 2) + "\n";
  await writeFileAtomically(installationFile(folders.what), new TextEncoder().encode(record));
  return installation;
}

/**
 * Removes what `setUpIn` has put into a folder: the record first, so that nothing uses what is half
 * gone.
 *
 * @param prefix Default: the one that the record names, or the record's own folder.
 * @returns The folder.
 */
async function removeFrom(folders: Folders, prefix?: string): Promise<string> {
  const { what } = folders;
  const recorded = await readRecord<{ prefix: string }>(what, ["prefix"])
    .then(({ prefix }) => prefix, () => undefined);
  const folder = resolve(prefix ?? recorded ?? installationFolder(what));
  if (!await exists(folder)) return folder;
  {
    using _lock = await lockFile(join(folder, "setup"));
    if (recorded === undefined || resolve(recorded) === folder) {
      if (await exists(installationFile(what))) await Deno.remove(installationFile(what));
    }
    for (const path of await ownFolders(folders, folder)) {
      await Deno.remove(path, { recursive: true });
    }
  }
  // Where others have put something, the folder stays.
  for (const path of [folder, installationFolder(what)]) await Deno.remove(path).catch(() => {});
  return folder;
}

/** What `--uninstall` does: removes, and says what. */
export async function uninstallFrom(
  folders: Folders,
  { prefix, json }: { prefix?: string; json: boolean },
): Promise<void> {
  const path = await removeFrom(folders, prefix);
  if (json) printJson({ version: null, path });
  else print(`${path}: removed`);
}

async function ownFolders({ own }: Folders, folder: string): Promise<string[]> {
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
    const reason = (error as Error).message.split(/\n|: mkdir/)[0];
    throw new SetupError(`the folder ${path} can't be made: ${reason}; try another --prefix`, {
      cause: error,
    });
  }
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
