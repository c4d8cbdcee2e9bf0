/** Writes a bundle: an archive by tar and xz, whole or in pieces, and the script that starts it. */
import { dirname, fromFileUrl, join, resolve } from "@std/path";
import { findPieces, writePieces } from "../../files/pieces.ts";
import { readBytes, sha256Hex } from "../../files/read.ts";
import { makeFolder, writeFileAtomically } from "../../files/write.ts";
import { UserError } from "../../engines/errors.ts";
import type { Part } from "./contents.ts";

const ARCHIVE = "tiny-diffusion.tar.xz";
const STARTER = "tiny-diffusion.sh";
const FOLDER = "tiny-diffusion";

export interface BundleFile {
  path: string;
  bytes: number;
}

/**
 * Writes a bundle into a folder, in place of one that is there.
 *
 * @param size Most bytes of a file; more become pieces.
 * @returns Its files, the starter first.
 * @throws {UserError} If tar or xz is missing or fails; a bundle that was there is gone then.
 */
export async function writeBundle(
  parts: Part[],
  out: string,
  size: number,
  signal: AbortSignal,
): Promise<BundleFile[]> {
  await makeFolder(out);
  const archive = join(out, ARCHIVE);
  const starter = join(out, STARTER);
  const old = [starter, archive, ...await findPieces(archive)];
  await Promise.all(old.map((path) => Deno.remove(path).catch(() => {})));

  const id = crypto.randomUUID();
  const stage = await Deno.makeTempDir();
  const partial = join(out, `.${ARCHIVE}.tmp`);
  try {
    const idPart = { name: "id", links: {}, texts: { ".offline/bundle": id + "\n" } };
    await stageParts([...parts, idPart], join(stage, FOLDER));
    await pack(stage, partial, signal);
    await Deno.rename(partial, archive);
  } finally {
    await Deno.remove(stage, { recursive: true });
    await Deno.remove(partial).catch(() => {});
  }
  const paths = await cut(archive, size);
  const sums = await Promise.all(paths.map(async (path) => {
    return `${await sha256Hex(await readBytes(path))} ${path.slice(out.length + 1)}`;
  }));
  await writeFileAtomically(starter, new TextEncoder().encode(await makeStarter(id, sums)));
  return [starter, ...paths].map((path) => ({ path, bytes: Deno.statSync(path).size }));
}

/** Lays out the archive as symbolic links, which tar follows: nothing is copied. */
async function stageParts(parts: Part[], folder: string): Promise<void> {
  for (const { links, texts = {} } of parts) {
    for (const [place, target] of Object.entries(links)) {
      await Deno.mkdir(dirname(join(folder, place)), { recursive: true });
      await Deno.symlink(resolve(target), join(folder, place));
    }
    for (const [place, text] of Object.entries(texts)) {
      await Deno.mkdir(dirname(join(folder, place)), { recursive: true });
      await Deno.writeTextFile(join(folder, place), text);
    }
  }
}

/** Runs `tar | xz`. Source maps are left out: nothing reads them there. */
async function pack(stage: string, path: string, signal: AbortSignal): Promise<void> {
  const tar = start("tar", ["-chf", "-", "--exclude=*.map", "-C", stage, FOLDER], signal);
  const xz = start("xz", ["-c"], signal, "piped");
  const ended = Promise.all([tar.status, xz.status, tar.stderr.text(), xz.stderr.text()]);
  const file = await Deno.open(path, { write: true, create: true, truncate: true });
  // A program that ends early closes its pipe; its exit code and stderr say why.
  await Promise.all([
    tar.stdout.pipeTo(xz.stdin).catch(() => {}),
    xz.stdout.pipeTo(file.writable),
  ]);
  const [tarred, packed, ...errors] = await ended;
  signal.throwIfAborted();
  if (tarred.success && packed.success) return;
  const [found = "tar or xz failed without a message"] = errors.join("\n").trim().split("\n");
  throw new UserError({ action: "pack the bundle", found, advice: "check the disk" });
}

/** Starts a program; xz uses all cores, and the level of `XZ_OPT` or its own, 6. */
function start(program: string, args: string[], signal: AbortSignal, stdin?: "piped") {
  try {
    return new Deno.Command(program, {
      args,
      signal,
      env: { XZ_DEFAULTS: "-T0" },
      stdin: stdin ?? "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new UserError({
      action: "pack the bundle",
      found: `there is no ${program} here`,
      advice: "install it",
    }, { cause: error });
  }
}

/** Cuts a file that is larger than `size` into pieces. */
async function cut(path: string, size: number): Promise<string[]> {
  if ((await Deno.stat(path)).size <= size) return [path];
  const pieces = await writePieces(path, await readBytes(path), size);
  await Deno.remove(path);
  return pieces;
}

async function makeStarter(id: string, sums: string[]): Promise<string> {
  const template = await Deno.readTextFile(fromFileUrl(new URL("starter.sh", import.meta.url)));
  return template.replace("'SYSTEM'", `'${systemName()}'`).replace("'BUNDLE'", `'${id}'`)
    .replace("'SUMS'", `'${sums.join("\n")}'`);
}

/** What `uname -sm` prints on this system. */
function systemName(): string {
  const { os, arch } = Deno.build;
  return os === "darwin" ? `Darwin ${arch === "aarch64" ? "arm64" : arch}` : `Linux ${arch}`;
}
