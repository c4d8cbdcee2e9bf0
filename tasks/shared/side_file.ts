/** Files of lines that the work at hand does not depend on: the log of a run, the pieces of a sum. */
import { describeIoError } from "../../files/errors.ts";
import { note } from "./run.ts";

/** A file to which lines are appended as long as it takes them. */
export interface SideFile extends Disposable {
  /** Appends a line; it does not throw. */
  append(line: string): void;
}

/**
 * Appends lines to an open file, from its current position, and closes it when disposed. When it
 * takes no more (no space left, a broken disk), the work continues: a note says so, lines wait in
 * memory, and another note says that they could be written or, at the end, that they are missing.
 *
 * @param options.synced Whether each line has to be on the disk when `append` returns.
 * @param options.tell Receives the notes. Default: stderr.
 */
export function openSideFile(
  file: Deno.FsFile,
  path: string,
  { synced = false, tell = note }: { synced?: boolean; tell?: (line: string) => void } = {},
): SideFile {
  let waiting = new Uint8Array();
  let fails = false;
  const name = JSON.stringify(path);
  const write = () => {
    try {
      while (waiting.length > 0) waiting = waiting.subarray(file.writeSync(waiting));
      if (synced) file.syncDataSync();
      if (fails) tell(`note: ${name} can be written again, nothing is missing in it`);
      fails = false;
    } catch (error) {
      if (!fails) tell(`warning: ${describeIoError("write", path, error).message}; continuing`);
      fails = true;
    }
  };
  return {
    append(line) {
      const added = new TextEncoder().encode(`${line}\n`);
      const all = new Uint8Array(waiting.length + added.length);
      all.set(waiting);
      all.set(added, waiting.length);
      waiting = all;
      write();
    },
    [Symbol.dispose]() {
      if (waiting.length > 0) write();
      if (waiting.length > 0) tell(`warning: ${name} lacks its last lines`);
      file.close();
    },
  };
}
