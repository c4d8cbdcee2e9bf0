/** Writes a file in pieces, for ways out of a machine that take only small files. */
import { basename, dirname, join } from "@std/path";
import { describeIoError } from "./errors.ts";
import { listFiles } from "./read.ts";
import { writeFileAtomically } from "./write.ts";

/** Matches the end of a piece's name. */
const ending = /\.part-\d+-of-\d+$/;

/**
 * Writes the bytes of a file next to it in pieces, `NAME.part-1-of-3` and so on, with as many digits
 * in each number that their names sort. Pieces of an older version of the file are removed first, so
 * that `cat NAME.part-*` never joins two versions.
 *
 * @param size Most bytes of a piece.
 * @returns The paths of the pieces.
 * @throws {UserError} If the system refuses.
 */
export async function writePieces(
  path: string,
  bytes: Uint8Array,
  size: number,
): Promise<string[]> {
  for (const old of await findPieces(path)) {
    await Deno.remove(old).catch((error) => {
      throw describeIoError("remove", old, error);
    });
  }
  const count = Math.max(1, Math.ceil(bytes.length / size));
  const paths: string[] = [];
  for (let i = 0; i < count; i++) {
    const number = `${i + 1}`.padStart(`${count}`.length, "0");
    const piece = `${path}.part-${number}-of-${count}`;
    await writeFileAtomically(piece, bytes.subarray(i * size, (i + 1) * size));
    paths.push(piece);
  }
  return paths;
}

/** Advises how to join the pieces of a file, given its path or that of one piece. */
export function adviseJoining(path: string): string {
  const whole = JSON.stringify(path.replace(ending, ""));
  return `join the pieces: cat ${whole}.part-* > ${whole}`;
}

/** Whether a path is that of a piece. */
export const isPiece = (path: string): boolean => ending.test(path);

/** Finds the pieces of a file, in order. */
export async function findPieces(path: string): Promise<string[]> {
  const folder = dirname(path);
  const names = await listFiles(folder).catch((error) => {
    throw describeIoError("read", folder, error);
  });
  return names.filter((name) => isPiece(name) && name.replace(ending, "") === basename(path))
    .map((name) => join(folder, name));
}
