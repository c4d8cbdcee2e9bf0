/**
 * Locks that let only one process at a time write a file. They are the system's own (`flock`), so
 * they end with their process, even if that is killed.
 */
import { basename, dirname, join, resolve } from "@std/path";
import { UserError } from "@tiny-diffusion/engines/errors";
import { describeIoError } from "./errors.ts";

/** Another process holds a lock. */
export class LockedError extends UserError {
  /** The class by name, as in all errors. */
  override name = "LockedError";
}

/** The right to write a file, until released or disposed. */
export interface FileLock extends Disposable {
  /** Lets others write. */
  release(): void;
}

/**
 * Takes the right to write `path` (and whatever else a run derives from that name), by a lock on
 * `.NAME.lock` next to it, or next to the target of a symbolic link. A lock whose process has ended,
 * even by kill -9, no longer counts.
 *
 * @param options.patienceMs How long to wait for another process to release it. Default 0, as most
 * hold it for hours.
 * @throws {LockedError} If another process holds it; the message says which one and since when.
 *
 * ```ts
 * import { assertRejects } from "@std/assert";
 *
 * const folder = await Deno.makeTempDir();
 * {
 *   using _lock = await lockFile(`${folder}/gpt.safetensors`);
 *   await assertRejects(() => lockFile(`${folder}/gpt.safetensors`), Error, "is writing");
 * }
 * await Deno.remove(folder, { recursive: true });
 * ```
 */
export async function lockFile(
  path: string,
  { patienceMs = 0 }: { patienceMs?: number } = {},
): Promise<FileLock> {
  let lockPath: string | undefined;
  let file: Deno.FsFile | null = null;
  try {
    const target = await resolveTarget(path);
    lockPath = join(dirname(target), `.${basename(target)}.lock`);
    file = await openExclusively(lockPath, patienceMs);
    if (file) {
      const holder = { pid: Deno.pid, since: new Date().toISOString() };
      await file.truncate(0);
      await file.write(new TextEncoder().encode(JSON.stringify(holder)));
    }
  } catch (error) {
    if (file) await Deno.remove(lockPath!).catch(() => {}); // it is ours
    file?.close();
    throw describeIoError("lock", path, error);
  }
  if (!file) {
    throw new LockedError({
      action: `lock ${JSON.stringify(path)}`,
      found: `${await nameHolder(lockPath!)} is writing it`,
      advice: "wait until it ends, stop it, or write to another name",
    });
  }
  const release = () => {
    if (!file) return;
    try {
      Deno.removeSync(lockPath!); // before the lock ends, or we could remove the next holder's
    } catch {
      // The file that remains claims nothing: the lock itself ends with `close`.
    }
    file.close();
    file = null;
  };
  return { release, [Symbol.dispose]: release };
}

async function nameHolder(lockPath: string): Promise<string> {
  try {
    const { pid, since } = JSON.parse(await Deno.readTextFile(lockPath));
    if (Number.isInteger(pid) && !Number.isNaN(Date.parse(since))) {
      return `process ${pid} (since ${new Date(since).toISOString()})`;
    }
  } catch {
    // The process holds the lock and has not written yet who it is.
  }
  return "another process";
}

/** Follows the symbolic links in `path`, also to what does not exist yet. */
export async function followLinks(path: string): Promise<string> {
  try {
    return await Deno.realPath(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const folder = await followLinks(dirname(path));
  const link = await Deno.readLink(path).catch(() => null);
  return link === null ? join(folder, basename(path)) : await followLinks(resolve(folder, link));
}

/** Follows the symbolic links in `path`, and refuses what a rename must not replace: a device. */
export async function resolveTarget(path: string): Promise<string> {
  const target = await followLinks(path);
  const action = "replace it";
  const statOf = (path: string) => Deno.stat(path).catch(() => null);
  const present = await statOf(target);
  if (present === null) {
    const folder = dirname(target);
    if (await statOf(folder) || !await statOf(dirname(path))) return target;
    const found = `it is a link into ${JSON.stringify(folder)}, which is not there`;
    throw new UserError({ action, found, advice: "make that folder or change the link" });
  }
  const { isFile, isDirectory } = present;
  if (isDirectory) {
    throw new UserError({ action, found: "it is a folder", advice: "add the name of a file" });
  }
  if (!isFile) {
    const found = "it is not a regular file";
    throw new UserError({ action, found, advice: "give the path of one" });
  }
  return target;
}

/**
 * Opens a file under an exclusive lock, creating it if necessary.
 *
 * @param patienceMs How long to wait while another process has that lock.
 * @returns null if it still has.
 */
export async function openExclusively(
  path: string,
  patienceMs: number,
): Promise<Deno.FsFile | null> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const file = await tryOpenExclusively(path);
    if (file || performance.now() >= deadline) return file;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function tryOpenExclusively(path: string): Promise<Deno.FsFile | null> {
  for (;;) {
    const file = await Deno.open(path, { read: true, write: true, create: true });
    try {
      if (!await tryLock(file)) {
        file.close();
        return null;
      }
      // The last holder may have renamed or removed the file between our opening and our locking.
      if (await isStillAt(path, file)) return file;
    } catch (error) {
      file.close();
      throw error;
    }
    file.close();
  }
}

async function tryLock(file: Deno.FsFile): Promise<boolean> {
  try {
    return await file.tryLock(true);
  } catch (error) {
    // Some cluster file systems have no locks; writing without them beats not training there at all.
    if (error instanceof Deno.errors.NotSupported) return true;
    throw error;
  }
}

/** Whether an open file is still the one that its path leads to. */
export async function isStillAt(path: string, file: Deno.FsFile): Promise<boolean> {
  try {
    const opened = await file.stat();
    const present = await Deno.stat(path);
    return opened.ino === present.ino && opened.dev === present.dev;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
