/** The log of a training run for `report`, one JSON line an entry: `reports/runs/NAME.jsonl`. */
import { dirname, join } from "@std/path";
import { describeIoError } from "../../files/errors.ts";
import { lockFile } from "../../files/lock.ts";
import { makeFolder, writeFileAtomically } from "../../files/write.ts";
import type { RunHeader, RunLine } from "../shared/results.ts";
import { RUNS } from "../shared/provenance.ts";
import { note } from "../shared/run.ts";
import { openSideFile } from "../shared/side_file.ts";

export interface RunLog extends Disposable {
  append(line: RunLine): void;
}

/**
 * The path of the log of the weights at `path`: `weights/x` has `x.jsonl`, those elsewhere keep
 * their folder in the name.
 */
export function runLogPath(path: string, reports = "reports"): string {
  const name = path.replace(/^(\.[/\\])?weights[/\\]/, "").replace(/\.safetensors$/, "");
  return join(reports, RUNS, name.replace(/[/\\:]+/g, "-").slice(-60) + ".jsonl");
}

/**
 * Opens the log of a run. A resumed one keeps its lines up to the step that it continues from:
 * those after it, and a line cut off by kill -9, belong to steps that will be done again.
 *
 * @param tell Is told when lines can't be written. Default: stderr.
 * @throws {UserError} If it can't be written, or another run is writing it.
 */
export async function openRunLog(
  path: string,
  header: RunHeader,
  resumedAt: number,
  tell: (line: string) => void = note,
): Promise<RunLog> {
  await makeFolder(dirname(path));
  const lock = await lockFile(path);
  let file: Deno.FsFile;
  try {
    const kept = resumedAt > 0 ? await readLinesUntil(path, resumedAt) : [];
    const lines = [JSON.stringify(header), ...kept];
    await writeFileAtomically(path, new TextEncoder().encode(lines.join("\n") + "\n"));
    file = await Deno.open(path, { append: true }).catch((error) => {
      throw describeIoError("write", path, error);
    });
  } catch (error) {
    lock.release();
    throw error;
  }
  const lines = openSideFile(file, path, { tell });
  return {
    append: (line) => lines.append(JSON.stringify(line)),
    [Symbol.dispose]: () => {
      lines[Symbol.dispose]();
      lock.release();
    },
  };
}

async function readLinesUntil(path: string, step: number): Promise<string[]> {
  const text = await Deno.readTextFile(path).catch(() => "");
  return text.split("\n").slice(1).filter((line) => {
    try {
      return (JSON.parse(line) as RunLine).step <= step;
    } catch {
      return false;
    }
  });
}
