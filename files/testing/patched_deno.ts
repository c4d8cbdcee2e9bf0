/** For tests: calls of Deno that fail, or do something else, for a while. */

/** Functions of `Deno`, and methods of its open files, to use instead of the real ones. */
export interface Patches {
  deno?: Partial<typeof Deno>;
  file?: Partial<Deno.FsFile>;
}

/** Runs `body` while parts of Deno are replaced. */
export async function withPatchedDeno<T>(
  { deno = {}, file = {} }: Patches,
  body: () => Promise<T>,
): Promise<T> {
  const originals = {
    deno: Object.fromEntries(Object.keys(deno).map((key) => [key, Deno[key as keyof typeof Deno]])),
    file: Object.fromEntries(
      Object.keys(file).map((key) => [key, Deno.FsFile.prototype[key as keyof Deno.FsFile]]),
    ),
  };
  Object.assign(Deno, deno);
  Object.assign(Deno.FsFile.prototype, file);
  try {
    return await body();
  } finally {
    Object.assign(Deno, originals.deno);
    Object.assign(Deno.FsFile.prototype, originals.file);
  }
}
