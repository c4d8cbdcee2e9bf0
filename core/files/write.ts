/**
 * Writes files whole or not at all.
 *
 * A file is written under a temporary name in the same folder, synced and renamed, so that a
 * reader, a crash or a full disk never leaves half of it.
 */
import { basename, dirname, join } from "@std/path";
import { UserError } from "@tiny-diffusion/engines/errors";
import { describeIoError } from "./errors.ts";
import { isStillAt, openExclusively, resolveTarget } from "./lock.ts";

/** Options of waiting for another process that is writing the same file. */
const PATIENCE_MS = 10_000;

/**
 * Writes a file whole or not at all: when this fails, a file that was there before is untouched and
 * nothing else is left. A symbolic link stays one, and its target is replaced.
 *
 * @param content The bytes, or pieces of them in order.
 * @param options.patienceMs How long to wait for another process that is writing the same file.
 * @throws {UserError} If the folder is missing or not writable, the disk is full, or another process
 * is writing the file; the system's error is the `cause`.
 */
export async function writeFileAtomically(
  path: string,
  content: Uint8Array | Iterable<Uint8Array>,
  { patienceMs = PATIENCE_MS }: { patienceMs?: number } = {},
): Promise<void> {
  try {
    const { target, temporary, file } = await openTemporary(path, patienceMs);
    try {
      await file.truncate(0); // a killed writer may have left something
      for (const chunk of content instanceof Uint8Array ? [content] : content) {
        for (let rest = chunk; rest.length > 0;) {
          rest = rest.subarray(await file.write(rest));
        }
      }
      await file.sync();
      await renameWhenFree(temporary, target, patienceMs);
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
export async function requireWritable(path: string): Promise<void> {
  try {
    const { temporary, file } = await openTemporary(path, PATIENCE_MS);
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
    await Deno.mkdir(path, { recursive: true });
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
async function openTemporary(path: string, patienceMs: number) {
  const target = await resolveTarget(path);
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
