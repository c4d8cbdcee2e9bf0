/**
 * Keeps the results of a long computation piece by piece, so that a run that was stopped at any
 * moment resumes where it was.
 *
 * A file of JSON lines: the first says what all pieces belong to, each other one is a key and its
 * value. Lines are only ever added. One that a killed process left torn is cut off and its piece
 * computed again.
 */
import { join } from "@std/path";
import { describeIoError } from "../../files/errors.ts";
import { lockFile } from "../../files/lock.ts";
import { sha256Hex } from "../../files/read.ts";
import { makeFolder } from "../../files/write.ts";
import type { Engine } from "../../engines/engine.ts";
import { PARTIAL, tryTo } from "./provenance.ts";
import { Interrupted, note } from "./run.ts";
import { openSideFile } from "./side_file.ts";

/** One file of pieces, for one writer at a time, until disposed. */
export interface Journal<Value> extends Disposable {
  readonly path: string;
  /** Returns the value stored under a key, by this run or an earlier one. */
  get(key: string): Value | undefined;
  /** Keeps a piece, on the disk if the disk takes it. */
  add(key: string, value: Value): void;
}

/**
 * Opens the journal of one computation, `NAME-HASH.jsonl` in a folder, the hash being that of
 * `subject`: other weights, another text or another precision have their own journal.
 *
 * @param subject Everything that the pieces depend on, except for their key.
 * @param isValue Distinguishes values from whatever else may be in the file; what it refuses is
 * computed again.
 * @throws {UserError} If the file can't be made, or another process is writing it.
 */
export async function openJournal<Value>(
  folder: string,
  name: string,
  subject: Record<string, unknown>,
  isValue: (value: unknown) => value is Value,
): Promise<Journal<Value>> {
  await makeFolder(folder);
  const header = JSON.stringify(subject);
  const hash = (await sha256Hex(new TextEncoder().encode(header))).slice(0, 12);
  const path = join(folder, `${name}-${hash}.jsonl`);
  const lock = await lockFile(path);
  let file: Deno.FsFile | undefined;
  try {
    file = await Deno.open(path, { write: true, create: true });
    const entries = new Map<string, Value>();
    const end = readLines(await Deno.readFile(path), header, (key, value) => {
      if (isValue(value)) entries.set(key, value);
    });
    await file.truncate(end);
    await file.seek(end, Deno.SeekMode.Start);
    const lines = openSideFile(file, path, { synced: true });
    if (end === 0) lines.append(header);
    return {
      path,
      get: (key) => entries.get(key),
      add(key, value) {
        lines.append(JSON.stringify({ key, value }));
        entries.set(key, value);
      },
      [Symbol.dispose]() {
        lines[Symbol.dispose]();
        lock.release();
      },
    };
  } catch (error) {
    file?.close();
    lock.release();
    throw describeIoError("keep results in", path, error);
  }
}

/**
 * Opens the journal of what an engine computes, in the folder of reports, and tells where it is;
 * undefined where nothing can be kept, which a note says then.
 *
 * @param piece What each piece is called, such as "block".
 */
export async function openPieces<Value>(
  name: string,
  piece: string,
  { name: engine, precision }: Engine,
  { threads = null, reports }: { threads?: number | null; reports: string },
  subject: Record<string, unknown>,
  isValue: (value: unknown) => value is Value,
): Promise<Journal<Value> | undefined> {
  const whole = { ...subject, engine, precision, threads };
  const journal = await tryTo(
    `${name}: ${piece}s are not kept`,
    reports,
    () => openJournal(join(reports, PARTIAL), name, whole, isValue),
  );
  if (journal) {
    note(`${name}: each ${piece} is kept in ${journal.path}, from where a later run resumes`);
  }
  return journal;
}

/**
 * Makes an interruption say what is kept of the computation, and returns any other error as it is.
 *
 * @param name The computation.
 * @param pieces What is kept, such as "the blocks scored so far".
 */
export function sayWhatIsKept(
  error: unknown,
  name: string,
  pieces: string,
  journal: Pick<Journal<unknown>, "path"> | undefined,
): unknown {
  if (!(error instanceof Interrupted)) return error;
  const kept = journal
    ? `${pieces} are kept in ${journal.path}, from where a later run resumes`
    : `nothing is kept of ${name}, which starts anew`;
  return new Interrupted(error.signal, `Interrupted: ${kept}`);
}

/** Reads the whole lines; the result is where they end, 0 if the first is not `header`. */
function readLines(
  bytes: Uint8Array,
  header: string,
  entry: (key: string, value: unknown) => void,
): number {
  const end = bytes.lastIndexOf(10) + 1; // after the last line end
  const [first, ...lines] = new TextDecoder().decode(bytes.subarray(0, end)).split("\n");
  if (first !== header) return 0;
  for (const line of lines) {
    try {
      const { key, value } = JSON.parse(line);
      if (typeof key === "string") entry(key, value);
    } catch {
      // the last one is empty; any other is damaged, and its piece is computed again
    }
  }
  return end;
}
