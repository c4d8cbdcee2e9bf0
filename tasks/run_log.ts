/** The log of a training run, one JSON line an entry, for `report`: `reports/runs/NAME.jsonl`. */
import { basename, join } from "@std/path";
import { writeFileAtomically } from "../core/files.ts";
import type { RunHeader, RunLine } from "../core/results.ts";
import { RUNS } from "./provenance.ts";

export interface RunLog extends Disposable {
  append(line: RunLine): void;
}

/** Where the log of the weights at `path` lies. */
export function runLogPath(path: string): string {
  return join(RUNS, basename(path, ".safetensors") + ".jsonl");
}

/**
 * Opens the log of a run. A resumed one keeps its lines up to the step that it goes on from: those after it, and a line cut
 * off by kill -9, belong to steps that will be done again.
 */
export async function openRunLog(
  path: string,
  header: RunHeader,
  resumedAt: number,
): Promise<RunLog> {
  await Deno.mkdir(RUNS, { recursive: true });
  const kept = resumedAt > 0 ? await linesUntil(path, resumedAt) : [];
  const lines = [JSON.stringify(header), ...kept];
  await writeFileAtomically(path, new TextEncoder().encode(lines.join("\n") + "\n"));
  const file = await Deno.open(path, { append: true });
  return {
    append: (line) => {
      file.writeSync(new TextEncoder().encode(JSON.stringify(line) + "\n"));
    },
    [Symbol.dispose]: () => file.close(),
  };
}

async function linesUntil(path: string, step: number): Promise<string[]> {
  const text = await Deno.readTextFile(path).catch(() => "");
  return text.split("\n").slice(1).filter((line) => {
    try {
      return (JSON.parse(line) as RunLine).step <= step;
    } catch {
      return false;
    }
  });
}
