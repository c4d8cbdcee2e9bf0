/** For the tests of files: a folder with a file in it, and calls of the system that fail. */
import { join } from "@std/path";
import { inFolder } from "./temporary_folder.ts";

/** Runs `body` with a new folder which holds "file" with "old". */
export function inFolderWithFile(
  body: (folder: string, path: string) => Promise<void>,
): Promise<void> {
  return inFolder(async (folder) => {
    const path = join(folder, "file");
    await Deno.writeTextFile(path, "old");
    await body(folder, path);
  });
}

export const encodeText = (value: string) => new TextEncoder().encode(value);

export function listNames(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
}

/** A call of the system that fails with a code such as ENOSPC. */
export function failWith(code: string): () => Promise<never> {
  return () => Promise.reject(Object.assign(new Error(`${code} (os error)`), { code }));
}
