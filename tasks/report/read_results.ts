/**
 * Reads what the other tasks left under `reports/`: results (one JSON file each) and training logs
 * (JSON lines). A file that can't be used becomes a line in `problems`, and the others are read.
 */
import { join } from "@std/path";
import { listFiles, readBytes } from "../../files/read.ts";
import { UserError } from "../../engines/errors.ts";
import {
  type EvaluationResult,
  parse,
  parseResult,
  type QualityResult,
  type RunHeader,
  runHeader,
  type RunLine,
  runLine,
  type SampleResult,
} from "../shared/results.ts";

export type TrainLine = Extract<RunLine, { kind: "train" }> & { lossNats: number };
export type SampleLine = Extract<RunLine, { kind: "sample" }>;
export type ValidationLine = Extract<RunLine, { kind: "validation" }> & { bpc: number };

/** One training run as its log tells it. */
export interface Run {
  file: string;
  header: RunHeader;
  train: TrainLine[];
  validation: ValidationLine[];
  samples: SampleLine[];
}

/** The results and logs that could be read, newest first. */
export interface Results {
  samples: SampleResult[];
  evaluations: EvaluationResult[];
  quality: QualityResult[];
  runs: Run[];
  /** One line for each file that could not be used. */
  problems: string[];
}

/**
 * Reads `folder/results/*.json` and `folder/runs/*.jsonl`. Folders that are not there count as
 * empty.
 */
export async function readResults(folder: string): Promise<Results> {
  const results: Results = { samples: [], evaluations: [], quality: [], runs: [], problems: [] };
  const add = (file: string, text: string) => {
    if (file.endsWith(".jsonl")) return results.runs.push(parseRun(file, text));
    const result = parseResult(text);
    if (result.kind === "sample") results.samples.push(result);
    else if (result.kind === "evaluation") results.evaluations.push(result);
    else results.quality.push(result);
  };
  const list = async (name: string, extension: string) =>
    (await listFiles(join(folder, name))).filter((file) => file.endsWith(extension))
      .map((file) => join(folder, name, file));
  for (const file of [...await list("results", ".json"), ...await list("runs", ".jsonl")]) {
    try {
      add(file, new TextDecoder().decode(await readBytes(file, { action: "use", maxBytes })));
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      const action = `use ${JSON.stringify(file)}`;
      results.problems.push(new UserError({ ...error, action }).message);
    }
  }
  for (const list of [results.samples, results.evaluations, results.quality]) {
    list.sort((a, b) => Date.parse(b.provenance.date) - Date.parse(a.provenance.date));
  }
  results.runs.sort((a, b) => Date.parse(b.header.date) - Date.parse(a.header.date));
  return results;
}

/**
 * Reads a training log. A line that a killed process left torn is skipped, and so is one without a
 * number where the loss should be (a run that diverged writes null). A run that was resumed from a
 * checkpoint wrote some steps twice: the later lines hold.
 *
 * @throws {UserError} If it does not start with a run's header, or a whole line is not what it
 * should be.
 */
export function parseRun(file: string, log: string): Run {
  const values = log.split("\n").map(parseLine);
  const header = parse(runHeader, values[0], "line 1");
  const run: Run = { file, header, train: [], validation: [], samples: [] };
  values.forEach((value, i) => {
    if (value === undefined) return;
    const line = parse(runLine, value, `line ${i + 1}`);
    if (line.kind === "train" && line.lossNats !== null) {
      addLine(run.train, { ...line, lossNats: line.lossNats });
    } else if (line.kind === "validation" && line.bpc !== null) {
      addLine(run.validation, { ...line, bpc: line.bpc });
    } else if (line.kind === "sample") addLine(run.samples, line);
  });
  return run;
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function addLine<Line extends { step: number }>(lines: Line[], line: Line): void {
  while (lines.length > 0 && lines[lines.length - 1].step >= line.step) lines.pop();
  lines.push(line);
}

/** Far above what a task leaves: minutes of reading. */
const maxBytes = 2 ** 28;
