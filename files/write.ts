/**
 * Writes files whole or not at all.
 *
 * A file is written under a temporary name in the same folder, synced and renamed, so that a
 * reader, a crash or a full disk never leaves half of it.
 */
import { basename, dirname, join } from "@std/path";
import { UserError } from "@tiny-diffusion/engines/errors";
import { describeIoError } from "./errors.ts";
import { followLinks, isStillAt, openExclusively, resolveTarget } from "./lock.ts";

const PATIENCE_MS = 10_000;

/** Options of writing a file. */
export interface WriteOptions {
  /** How long to wait for another process that is writing the same file. @default {10 s} */
  patienceMs?: number;
  /**
   * Whether it is the state of a training run, which alone may be named
   * `NAME.training.safetensors`: nothing else replaces it. @default {false}
   */
  isTrainingState?: boolean;
}

/**
 * Writes a file whole or not at all: when this fails, a file that was there before is untouched and
 * nothing else is left. A symbolic link stays one, and its target is replaced or made.
 *
 * @param content The bytes, or pieces of them in order.
 * @throws {UserError} If the folder is missing or not writable, the disk is full, another process is
 * writing the file, or its name is that of a training state; the system's error is the `cause`.
 */
export async function writeFileAtomically(
  path: string,
  content: Uint8Array | Iterable<Uint8Array>,
  options: WriteOptions = {},
): Promise<void> {
  try {
    const { target, temporary, file } = await openTemporary(path, options);
    try {
      await file.truncate(0); // a killed writer may have left something
      for (const chunk of content instanceof Uint8Array ? [content] : content) {
        for (let rest = chunk; rest.length > 0;) {
          rest = rest.subarray(await file.write(rest));
        }
      }
      await file.sync();
      await renameWhenFree(temporary, target, options.patienceMs ?? PATIENCE_MS);
    } catch (error) {
      await Deno.remove(temporary).catch(() => {});
      throw error;
    } finally {
      file.close();
    }
    await syncFolder(dirname(target));
  } catch (error) {
    throw describeIoError("write", path, error);
  }
}

/**
 * Checks that `writeFileAtomically` could write `path` now, so that a long task fails at its start
 * instead of its end.
 *
 * @throws {UserError} As `writeFileAtomically` would.
 */
export async function requireWritable(path: string, options: WriteOptions = {}): Promise<void> {
  try {
    const { temporary, file } = await openTemporary(path, options);
    try {
      await Deno.remove(temporary);
    } finally {
      file.close();
    }
  } catch (error) {
    throw describeIoError("write", path, error);
  }
}

/**
 * Makes a folder and its missing parents, unless it exists.
 *
 * @throws {UserError} If a file is in the way, or the system refuses.
 */
export async function makeFolder(path: string): Promise<void> {
  try {
    await Deno.mkdir(await followLinks(path), { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) {
      throw describeIoError("make the folder", path, error);
    }
    throw new UserError({
      action: `make the folder ${JSON.stringify(path)}`,
      found: "there is a file of that name",
      advice: "move or delete it",
    }, { cause: error });
  }
}

/**
 * Removes temporary files that killed writers have left in a folder, under names that may never be
 * written again. Those that are being written stay, and so does what can't be removed.
 */
export async function removeLeftovers(folder: string): Promise<void> {
  for await (const { name, isFile } of Deno.readDir(folder)) {
    if (!isFile || !/^\..+\.tmp$/.test(name)) continue;
    const path = join(folder, name);
    try {
      using file = await Deno.open(path, { read: true, write: true });
      // Where there are no locks, this throws: nobody knows whether the file is being written.
      if (await file.tryLock(true) && await isStillAt(path, file)) await Deno.remove(path);
    } catch {
      // It was renamed in the meantime, or is not ours.
    }
  }
}

/** Opens the temporary file in which a new `target` is written; links in `path` are followed. */
async function openTemporary(
  path: string,
  { patienceMs = PATIENCE_MS, isTrainingState = false }: WriteOptions,
) {
  const target = await resolveTarget(path);
  if (!isTrainingState && [path, target].some((name) => /\.training\.safetensors$/i.test(name))) {
    throw new UserError({
      action: "write it",
      found: "the name ends in .training.safetensors, which is for the state of a training run",
      advice: "choose another name",
    });
  }
  const temporary = join(dirname(target), `.${basename(target)}.tmp`);
  const file = await openExclusively(temporary, patienceMs);
  if (file) return { target, temporary, file };
  throw new UserError({
    action: "write it",
    found: "another process is writing it",
    advice: "wait until it ends or stop it",
  });
}

/**
 * Replaces a file by another. On Windows that fails while a program such as a virus scanner has the
 * file open, so there it is tried again.
 */
async function renameWhenFree(from: string, to: string, patienceMs: number): Promise<void> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    try {
      return await Deno.rename(from, to);
    } catch (error) {
      const isInUse = error instanceof Deno.errors.PermissionDenied ||
        error instanceof Deno.errors.Busy;
      if (Deno.build.os !== "windows" || !isInUse || performance.now() > deadline) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Makes a rename durable. Not every system allows it, and the file is whole either way. */
async function syncFolder(folder: string): Promise<void> {
  try {
    using handle = await Deno.open(folder);
    await handle.sync();
  } catch {
    // see above
  }
}
