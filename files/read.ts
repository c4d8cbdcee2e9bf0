/** Reads whole files, and hashes them. */
import { isAbsolute } from "@std/path";
import { UserError } from "@tiny-diffusion/engines/errors";
import { describeIoError } from "./errors.ts";

/** Options for reading a file, and the advice if that fails. */
export interface ReadOptions {
  /** The verb after "Cannot". @default {"read"} */
  action?: string;
  /** Advice if the file does not exist. @default {"check the path"} */
  advice?: string;
  /** The size of the largest file that is read. @default {4 GiB} */
  maxBytes?: number;
}

/**
 * Reads the bytes of a regular file.
 *
 * @throws {UserError} If the file is missing, not a regular file, unreadable or larger than
 * `maxBytes`.
 */
export async function readBytes(
  path: string,
  { action = "read", advice = "check the path", maxBytes = 2 ** 32 }: ReadOptions = {},
): Promise<Uint8Array<ArrayBuffer>> {
  try {
    requireReadable(await Deno.stat(path), maxBytes);
    return await Deno.readFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      const missing = {
        action: `${action} ${JSON.stringify(path)}`,
        found: "no such file",
        // `deno task` changes to the project's folder, whatever folder it is typed in.
        advice: advice + (isAbsolute(path) ? "" : ` (looked for in ${JSON.stringify(Deno.cwd())})`),
      };
      throw new UserError(missing, { cause: error });
    }
    throw describeIoError(action, path, error);
  }
}

function requireReadable({ isFile, isDirectory, size }: Deno.FileInfo, maxBytes: number): void {
  const action = "read the file";
  if (isDirectory) {
    throw new UserError({ action, found: "it is a folder", advice: "give the path of a file" });
  }
  if (!isFile) { // a device or a pipe may never end
    const found = "it is not a regular file";
    throw new UserError({ action, found, advice: "give the path of one" });
  }
  if (size > maxBytes) {
    const found = `${size} bytes, expected at most ${maxBytes}`;
    throw new UserError({ action, found, advice: "check that it is the right file" });
  }
}

/** Hashes bytes with SHA-256, in hexadecimal. */
export async function sha256Hex(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

/** Whether there is something at a path, as far as the system says. */
export async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

/** Lists the names of what is in a folder but folders, sorted; none where there is no such folder. */
export async function listFiles(folder: string): Promise<string[]> {
  try {
    const entries = await Array.fromAsync(Deno.readDir(folder));
    return entries.filter(({ isDirectory }) => !isDirectory).map(({ name }) => name).sort();
  } catch (error) {
    const isMissing = error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.NotADirectory;
    if (isMissing) return [];
    throw error;
  }
}
