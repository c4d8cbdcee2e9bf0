/**
 * Files that are written whole or not at all, and one writer at a time.
 *
 * A file is written under a temporary name in the same folder, synced and renamed, so that a
 * reader, a crash or a full disk never meets half of it. Locks are the system's own (`flock`): they
 * end with their process, even one that is killed. Nothing here knows what is in a file.
 */
import { basename, dirname, join } from "@std/path";

/** What is asked of an open file. `Deno.FsFile` has it. */
export type OpenFile = Pick<
  Deno.FsFile,
  "write" | "truncate" | "sync" | "close" | "stat" | "tryLock"
>;

/** What is asked of the system, so that tests can make each call fail. */
export interface Filesystem {
  /** Opens a file, as `Deno.open`. */
  open(path: string, options: Deno.OpenOptions): Promise<OpenFile>;
  /** What there is of that name, as `Deno.stat`. */
  stat(path: string): Promise<Deno.FileInfo>;
  /** The path without symbolic links, as `Deno.realPath`. */
  realPath(path: string): Promise<string>;
  /** Moves a file in place of another, as `Deno.rename`. */
  rename(from: string, to: string): Promise<void>;
  /** Deletes a file, as `Deno.remove`. */
  remove(path: string): Promise<void>;
  /** The same at once, for the end of a process. */
  removeSync(path: string): void;
  /** Which system it is: `windows` has files that can't be replaced for a moment. */
  readonly build?: { readonly os: string };
}

/** Options of everything that writes. */
export interface WriteOptions {
  /** What carries out the calls. @default {Deno} */
  files?: Filesystem;
  /** How long to wait for another process that is writing the same file. @default {10_000} */
  patienceMs?: number;
}

/**
 * Writes a file whole or not at all: when this fails, a file that was there before is untouched and
 * nothing else is left. A symbolic link stays one, and what it points at is replaced.
 *
 * @param content The bytes, or pieces of them in order.
 * @throws {Error} If the folder is missing or closed to us, the disk is full, or another process
 * writes it; the system's error is the `cause`.
 */
export async function writeFileAtomically(
  path: string,
  content: Uint8Array | Iterable<Uint8Array>,
  { files = Deno, patienceMs = 10_000 }: WriteOptions = {},
): Promise<void> {
  try {
    const { target, temporary, file } = await openTemporary(path, files, patienceMs);
    try {
      await file.truncate(0); // a killed writer may have left something
      for (const chunk of content instanceof Uint8Array ? [content] : content) {
        for (let rest = chunk; rest.length > 0;) {
          rest = rest.subarray(await file.write(rest));
        }
      }
      await file.sync();
      await renameWhenFree(temporary, target, files, patienceMs);
    } catch (error) {
      await files.remove(temporary).catch(() => {});
      throw error;
    } finally {
      file.close();
    }
    await syncFolder(dirname(target), files);
  } catch (error) {
    throw explained("write", path, error);
  }
}

/**
 * Checks that `writeFileAtomically` could write `path` now, to find out before the long part of a
 * task and not after it.
 *
 * @throws {Error} As `writeFileAtomically` would.
 */
export async function requireWritable(
  path: string,
  { files = Deno, patienceMs = 10_000 }: WriteOptions = {},
): Promise<void> {
  try {
    const { temporary, file } = await openTemporary(path, files, patienceMs);
    try {
      await files.remove(temporary);
    } finally {
      file.close();
    }
  } catch (error) {
    throw explained("write", path, error);
  }
}

/**
 * Makes a folder, and those above it, unless they are there.
 *
 * @throws {Error} In one line, if a file is in the way, or the system refuses.
 */
export async function makeFolder(path: string): Promise<void> {
  try {
    await Deno.mkdir(path, { recursive: true });
  } catch (error) {
    const isInTheWay = error instanceof Deno.errors.AlreadyExists;
    throw explained(
      "make the folder",
      path,
      isInTheWay ? new Refusal("there is a file of that name", "move or delete it") : error,
    );
  }
}

/**
 * Takes away what killed writers have left in a folder: temporary files under names that may never
 * be written again. Those that are being written stay, and so does what can't be removed.
 */
export async function removeLeftovers(folder: string): Promise<void> {
  for await (const { name, isFile } of Deno.readDir(folder)) {
    if (!isFile || !/^\..+\.tmp$/.test(name)) continue;
    const path = join(folder, name);
    try {
      using file = await Deno.open(path, { read: true, write: true });
      // Not `tryLock` below: where there are no locks, nobody knows whether it is being written.
      if (await file.tryLock(true) && await isStillAt(path, file, Deno)) await Deno.remove(path);
    } catch {
      // it has its name by now, or is not ours
    }
  }
}

/** Opens the temporary file in which a new `target` is written; links in `path` are followed. */
async function openTemporary(path: string, files: Filesystem, patienceMs: number) {
  const target = await targetOf(path, files);
  const temporary = join(dirname(target), `.${basename(target)}.tmp`);
  return { target, temporary, file: await openWhenFree(temporary, files, patienceMs) };
}

/** The right to write a file, until released or disposed. */
export interface FileLock extends Disposable {
  release(): void;
}

/**
 * Takes the right to write `path` (and whatever else a run derives from that name), by a lock on
 * `.NAME.lock` beside it, or beside what a symbolic link leads to. The lock of a process that is
 * gone, even by kill -9, counts for nothing.
 *
 * @param options.patienceMs How long to wait for another process to release it. Default 0, as most
 * hold it for hours.
 * @throws {Error} If another process holds it; the message says which one and since when.
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
  { files = Deno, patienceMs = 0 }: WriteOptions = {},
): Promise<FileLock> {
  const deadline = performance.now() + patienceMs;
  let lockPath: string | undefined, file: OpenFile | null = null;
  try {
    const target = await targetOf(path, files);
    lockPath = join(dirname(target), `.${basename(target)}.lock`);
    file = await openUntil(deadline, lockPath, files);
    if (file) {
      const holder = { pid: Deno.pid, since: new Date().toISOString() };
      await file.truncate(0);
      await file.write(new TextEncoder().encode(JSON.stringify(holder)));
    }
  } catch (error) {
    if (file) await files.remove(lockPath!).catch(() => {}); // it is ours
    file?.close();
    throw explained("lock", path, error);
  }
  if (!file) {
    throw new Error(
      `Cannot lock ${JSON.stringify(path)}: ${await holderOf(lockPath!)} is writing it; ` +
        `wait until it ends, stop it, or write to another name`,
    );
  }
  const release = () => {
    if (!file) return;
    try {
      files.removeSync(lockPath!); // before the lock ends, or we could remove the next holder's
    } catch {
      // what stays is an empty claim: the lock itself ends with the file
    }
    file.close();
    file = null;
  };
  return { release, [Symbol.dispose]: release };
}

/** How to read a file, and what to tell the user if that fails. */
export interface ReadOptions {
  /** The verb after "Cannot". @default {"read"} */
  action?: string;
  /** What to do if there is no such file. @default {"check the path"} */
  advice?: string;
  /** @default {4 GiB} */
  maxBytes?: number;
}

/**
 * The bytes of a regular file.
 *
 * @throws {Error} In one line, if the file is missing, not a regular file, unreadable or larger
 * than `maxBytes`.
 */
export async function readBytes(
  path: string,
  { action = "read", advice = "check the path", maxBytes = 2 ** 32 }: ReadOptions = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const cannot = `Cannot ${action} ${JSON.stringify(path)}`;
  try {
    const { isFile, isDirectory, size } = await Deno.stat(path);
    if (isDirectory) throw new Error(`${cannot}: it is a folder; give the path of a file`);
    // Such a thing (a device, a pipe) may never end.
    if (!isFile) throw new Error(`${cannot}: it is not a regular file; give the path of one`);
    if (size > maxBytes) {
      throw new RangeError(
        `${cannot}: ${size} bytes, expected at most ${maxBytes}; check that it is the right file`,
      );
    }
    return await Deno.readFile(path);
  } catch (error) {
    if (error instanceof Error && error.message.startsWith(cannot)) throw error;
    if (error instanceof Deno.errors.NotFound) {
      throw new Error(`${cannot}: no such file; ${advice}`, { cause: error });
    }
    throw explained(action, path, error);
  }
}

/** SHA-256 in hexadecimal. */
export async function sha256Hex(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

/** Where `path` leads; refuses what a rename must not replace, such as a device. */
async function targetOf(path: string, files: Filesystem): Promise<string> {
  const target = await files.realPath(path).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  });
  if (target === null) return path;
  const { isFile, isDirectory } = await files.stat(target);
  if (isDirectory) throw new Refusal("it is a folder", "add the name of a file");
  if (!isFile) throw new Refusal("it is not a regular file", "give the path of one");
  return target;
}

/**
 * Opens a file under an exclusive lock, or returns null if another process has that lock. Between
 * our opening and our locking the last holder may have renamed or removed the file that we opened,
 * hence the second look.
 */
async function openLocked(path: string, files: Filesystem): Promise<OpenFile | null> {
  for (;;) {
    const file = await files.open(path, { read: true, write: true, create: true });
    try {
      if (!await tryLock(file)) {
        file.close();
        return null;
      }
      if (await isStillAt(path, file, files)) return file;
    } catch (error) {
      file.close();
      throw error;
    }
    file.close();
  }
}

async function openWhenFree(
  path: string,
  files: Filesystem,
  patienceMs: number,
): Promise<OpenFile> {
  const file = await openUntil(performance.now() + patienceMs, path, files);
  if (file) return file;
  throw new Refusal("another process is writing it", "wait until it ends or stop it");
}

/** `openLocked` again and again, until it has the lock or the time has come. */
async function openUntil(
  deadline: number,
  path: string,
  files: Filesystem,
): Promise<OpenFile | null> {
  for (;;) {
    const file = await openLocked(path, files);
    if (file || performance.now() >= deadline) return file;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/**
 * Puts a file in the place of another. On Windows that fails while a program has the other one open
 * that does not share it, such as a virus scanner that looks at it, so there it is tried again.
 */
async function renameWhenFree(
  from: string,
  to: string,
  files: Filesystem,
  patienceMs: number,
): Promise<void> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    try {
      return await files.rename(from, to);
    } catch (error) {
      const isInUse = error instanceof Deno.errors.PermissionDenied ||
        error instanceof Deno.errors.Busy;
      if (files.build?.os !== "windows" || !isInUse || performance.now() > deadline) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function tryLock(file: OpenFile): Promise<boolean> {
  try {
    return await file.tryLock(true);
  } catch (error) {
    // Some cluster file systems have no locks. Going on without is better than not training there
    // at all.
    if (error instanceof Deno.errors.NotSupported) return true;
    throw error;
  }
}

async function isStillAt(path: string, file: OpenFile, files: Filesystem): Promise<boolean> {
  try {
    const [opened, present] = [await file.stat(), await files.stat(path)];
    return opened.ino === present.ino && opened.dev === present.dev;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

async function holderOf(lockPath: string): Promise<string> {
  try {
    const { pid, since } = JSON.parse(await Deno.readTextFile(lockPath));
    if (Number.isInteger(pid) && !Number.isNaN(Date.parse(since))) {
      return `process ${pid} (since ${new Date(since).toISOString()})`;
    }
  } catch {
    // it has the lock but has not said yet who it is
  }
  return "another process";
}

/**
 * Makes a rename durable. Not every system allows it, and the file is whole either way, so failing
 * is no error.
 */
async function syncFolder(folder: string, files: Filesystem): Promise<void> {
  try {
    const handle = await files.open(folder, { read: true });
    try {
      await handle.sync();
    } finally {
      handle.close();
    }
  } catch {
    // see above
  }
}

/** Something found and what to do about it; `explained` makes the line. */
class Refusal extends Error {
  constructor(readonly found: string, readonly advice: string) {
    super(found);
  }
}

const explanations: Record<string, [found: string, advice: string]> = {
  ENOSPC: ["no space left on the disk", "free some space or choose a folder on another disk"],
  EDQUOT: ["the disk quota is used up", "free some space or choose a folder on another disk"],
  EFBIG: ["the file would be larger than the system allows", "raise the limit (ulimit -f)"],
  EROFS: ["the disk is read-only", "choose a folder on another disk"],
  EACCES: ["no permission", "change the permissions or choose another folder"],
  EPERM: ["the system does not permit it", "change the permissions or choose another folder"],
  ENOTDIR: ["a part of the path is not a folder", "check the path"],
  ENAMETOOLONG: ["the name is too long", "choose a shorter one"],
  EIO: ["the disk reports an error", "check the disk or choose another one"],
};

/**
 * What the system says about a file in one line, with what to do about it.
 *
 * @param action The verb after "Cannot".
 * @param error What a call of Deno has thrown; the result's `cause`.
 */
export function explained(action: string, path: string, error: unknown): Error {
  const [found, advice] = explain(path, error);
  return new Error(`Cannot ${action} ${JSON.stringify(path)}: ${found}; ${advice}`, {
    cause: error,
  });
}

function isFolder(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}

function explain(path: string, error: unknown): [found: string, advice: string] {
  if (error instanceof Refusal) return [error.found, error.advice];
  if (error instanceof Deno.errors.NotFound) {
    const folder = JSON.stringify(dirname(path));
    // Some folders are none of a disk, such as /proc: they are there and take no file.
    return isFolder(dirname(path))
      ? [`the folder ${folder} takes no file`, "choose another one"]
      : [`there is no folder ${folder}`, "make it or check the path"];
  }
  if (error instanceof Deno.errors.NotCapable) {
    return ["Deno was not allowed to", `allow it (--allow-read, --allow-write) for this folder`];
  }
  const code = (error as { code?: string } | null)?.code ?? "";
  if (Object.hasOwn(explanations, code)) return explanations[code];
  if (error instanceof Deno.errors.PermissionDenied) return explanations.EACCES;
  const text = error instanceof Error ? error.message : String(error);
  return [text.split("\n")[0], "check the path and the disk"];
}
