/**
 * Reads what the other tasks left under `reports/`: results (one JSON file each) and training logs
 * (JSON lines). Nothing read is trusted: a file that doesn't hold what it should becomes a line in
 * `problems`, and the rest goes on.
 */
import { join } from "@std/path";
import { readBytes } from "../../core/files/read.ts";
import {
  type BaselineName,
  estimators,
  type EvaluationResult,
  type Provenance,
  qualityFigures,
  type QualityResult,
  type RunHeader,
  type RunLine,
  type Sample,
  type SampleResult,
} from "../../core/scoring/results.ts";
import * as is from "./shape.ts";

export type TrainLine = Extract<RunLine, { kind: "train" }>;
export type ValidationLine = Extract<RunLine, { kind: "validation" }>;

/** One training run as its log tells it. */
export interface Run {
  file: string;
  header: RunHeader;
  train: TrainLine[];
  validation: ValidationLine[];
}

/** All that could be read, newest first. */
export interface Results {
  samples: SampleResult[];
  evaluations: EvaluationResult[];
  quality: QualityResult[];
  runs: Run[];
  /** One line for each file that could not be used. */
  problems: string[];
}

const MODELS = is.oneOf("gpt", "diffusion");

/**
 * The settings vary with the version that wrote them; what the page needs of them is checked here,
 * the rest is kept.
 */
function config(value: unknown, path = ""): Provenance["config"] {
  is.object({
    kind: MODELS,
    preset: is.text,
    layers: is.count,
    heads: is.count,
    width: is.count,
    context: is.count,
  })(value, path);
  return is.dictionary(is.either(is.either(is.number, is.text), is.truth))(
    value,
    path,
  ) as unknown as Provenance[
    "config"
  ];
}

const provenance: is.Shape<Provenance> = is.object({
  date: is.date,
  command: is.text,
  engine: is.text,
  precision: is.text,
  threads: is.count,
  seed: is.number,
  weights: is.text,
  weightsSha256: is.text,
  corpus: is.text,
  corpusSha256: is.text,
  machine: is.text,
  versions: is.dictionary(is.text),
  commit: is.optional(is.text),
  config,
});

const sampleResult: is.Shape<SampleResult> = is.object({
  kind: is.oneOf("sample"),
  model: MODELS,
  prompt: is.text,
  sampler: is.text,
  settings: is.dictionary(is.either(is.number, is.text)),
  samples: is.list(is.object({
    text: is.text,
    seed: is.number,
    forwards: is.count,
    seconds: is.number,
    steps: is.list(is.object({
      seconds: is.number,
      changes: is.list(is.tuple<[number, string, number]>(is.count, is.text, is.number)),
    })),
    realWords: is.nullable(is.number),
  })),
  realWordsHeldOut: is.nullable(is.number),
  provenance,
});

const ESTIMATOR = is.oneOf(...estimators.gpt, ...estimators.diffusion);

function baselineName(value: unknown, path = ""): BaselineName {
  if (/^kneser-ney-\d+$/.test(is.text(value, path))) return value as BaselineName;
  return is.oneOf("uniform", "unigram")(value, path);
}

const rowOf = <Model extends string>(model: is.Shape<Model>) =>
  is.object({
    model,
    weights: is.text,
    estimator: ESTIMATOR,
    bpc: is.nullable(is.number),
    nats: is.number,
    se_passes: is.nullable(is.number),
    se_blocks: is.number,
    context: is.count,
    blocks: is.count,
    chars: is.count,
    passes: is.count,
    by_mask_share: is.list(
      is.object({ from: is.number, to: is.number, bits: is.number, blocks: is.number }),
    ),
  });

const compared = is.object({
  model: is.either(MODELS, baselineName),
  weights: is.text,
  estimator: ESTIMATOR,
});

const comparison = is.object({
  a: compared,
  b: compared,
  difference: is.number,
  se_blocks: is.number,
  interval: is.tuple<[number, number]>(is.number, is.number),
  excludes_zero: is.truth,
  context: is.count,
  blocks: is.count,
});

const evaluationResult: is.Shape<EvaluationResult> = is.object({
  kind: is.oneOf("evaluation"),
  rows: is.list(rowOf(MODELS)),
  baselines: is.optional(is.list(rowOf(baselineName))),
  comparisons: is.optional(is.list(comparison)),
  provenance,
});

const spread = is.object({ mean: is.number, sd: is.nullable(is.number) });

const qualityResult: is.Shape<QualityResult> = is.object({
  kind: is.oneOf("quality"),
  model: MODELS,
  prompt: is.text,
  rows: is.list(is.object({
    source: is.either(MODELS, is.oneOf("held-out", "shuffled-words", "shuffled-characters")),
    sampler: is.nullable(is.text),
    temperature: is.nullable(is.number),
    settings: is.dictionary(is.either(is.number, is.text)),
    texts: is.count,
    length: is.count,
    figures: figures,
    cost: is.nullable(is.object({ forwards: spread, seconds: spread })),
  })),
  judges: is.object({
    gpt: is.nullable(is.object({ weights: is.text, weightsSha256: is.text, context: is.count })),
    ngram: is.object({ name: baselineName, context: is.count }),
  }),
  halves: is.list(is.number),
  provenance,
});

function figures(value: unknown, path = ""): QualityResult["rows"][number]["figures"] {
  const each = Object.fromEntries(qualityFigures.map((name) => [name, is.nullable(spread)]));
  return is.object(each)(value, path) as QualityResult["rows"][number]["figures"];
}

const runHeader: is.Shape<RunHeader> = is.object({
  kind: is.oneOf("run"),
  name: is.text,
  model: MODELS,
  config,
  engine: is.text,
  precision: is.text,
  threads: is.count,
  corpus: is.text,
  corpusSha256: is.text,
  charsPerStep: is.number,
  date: is.date,
  command: is.text,
});

const trainLine = is.object({
  kind: is.oneOf("train"),
  step: is.count,
  chars: is.count,
  seconds: is.number,
  lossNats: is.nullable(is.number),
  learningRate: is.number,
});

const validationLine = is.object({
  kind: is.oneOf("validation"),
  step: is.count,
  chars: is.count,
  seconds: is.number,
  bpc: is.nullable(is.number),
  best: is.truth,
});

/**
 * Reads `folder/results/*.json` and `folder/runs/*.jsonl`. Folders that are not there count as
 * empty.
 */
export async function readResults(folder: string): Promise<Results> {
  const results: Results = { samples: [], evaluations: [], quality: [], runs: [], problems: [] };
  for (const file of await filesIn(join(folder, "results"), ".json")) {
    await noting(results, file, async () => {
      const result = parseResult(await textOf(file));
      if (result.kind === "sample") results.samples.push(result);
      else if (result.kind === "evaluation") results.evaluations.push(result);
      else results.quality.push(result);
    });
  }
  for (const file of await filesIn(join(folder, "runs"), ".jsonl")) {
    await noting(results, file, async () => {
      results.runs.push(parseRun(file, await textOf(file)));
    });
  }
  results.samples.sort(newestFirst((result) => result.provenance.date));
  results.evaluations.sort(newestFirst((result) => result.provenance.date));
  results.quality.sort(newestFirst((result) => result.provenance.date));
  results.runs.sort(newestFirst((run) => run.header.date));
  return results;
}

/**
 * A result from its JSON.
 *
 * @throws {SyntaxError} If it is not JSON.
 * @throws {TypeError} If it is not a result, or a sample's steps go back in time or don't lead to
 * its text.
 */
export function parseResult(json: string): SampleResult | EvaluationResult | QualityResult {
  const value: unknown = JSON.parse(json);
  const { kind } = is.object({ kind: is.oneOf("sample", "evaluation", "quality") })(value);
  if (kind === "evaluation") return evaluationResult(value);
  if (kind === "quality") return qualityResult(value);
  const result = sampleResult(value);
  if (result.samples.length === 0) throw new TypeError("it holds no sample");
  result.samples.forEach((sample, i) => {
    if (textAfterSteps(sample) !== sample.text) {
      throw new TypeError(`samples[${i}] has steps that don't lead to its text`);
    }
    if (sample.steps.some(({ seconds }, j) => j > 0 && seconds < sample.steps[j - 1].seconds)) {
      throw new TypeError(`samples[${i}] has steps that go back in time`);
    }
  });
  return result;
}

/**
 * The text that the steps leave, where positions that no step touched (the prompt) are as in the
 * final text.
 */
function textAfterSteps(sample: Sample): string {
  const characters = [...sample.text];
  for (const { changes } of sample.steps) {
    for (const [position, character] of changes) {
      if (position >= characters.length) return "";
      characters[position] = character;
    }
  }
  return characters.join("");
}

/**
 * A training log. A line that a killed process left torn is skipped, and so is one without a number
 * where the loss should be (a run that diverged writes null). A run that was resumed from a
 * checkpoint wrote some steps twice: the later lines hold.
 *
 * @throws {TypeError} If it does not start with a run's header, or a whole line is not what it
 * should be.
 */
export function parseRun(file: string, log: string): Run {
  const values = log.split("\n").map(parseLine);
  const run: Run = { file, header: runHeader(values[0], "line 1"), train: [], validation: [] };
  values.forEach((value, i) => {
    if (value === undefined) return;
    const path = `line ${i + 1}`;
    const { kind } = is.object({ kind: is.oneOf("run", "train", "validation") })(value, path);
    if (kind === "train") {
      const line = trainLine(value, path);
      if (line.lossNats !== null) add(run.train, line as TrainLine);
    } else if (kind === "validation") {
      const line = validationLine(value, path);
      if (line.bpc !== null) add(run.validation, line as ValidationLine);
    }
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

function add<Line extends { step: number }>(lines: Line[], line: Line): void {
  while (lines.length > 0 && lines[lines.length - 1].step >= line.step) lines.pop();
  lines.push(line);
}

function newestFirst<T>(date: (item: T) => string): (a: T, b: T) => number {
  return (a, b) => Date.parse(date(b)) - Date.parse(date(a));
}

/** Far above what a task leaves: minutes of reading. */
const maxBytes = 2 ** 28;

async function textOf(file: string): Promise<string> {
  return new TextDecoder().decode(await readBytes(file, { action: "use", maxBytes }));
}

async function filesIn(folder: string, extension: string): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const entry of Deno.readDir(folder)) {
      if (entry.isFile && entry.name.endsWith(extension)) names.push(entry.name);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return names.sort().map((name) => join(folder, name));
}

async function noting(results: Results, file: string, read: () => Promise<void>): Promise<void> {
  try {
    await read();
  } catch (error) {
    const { message } = error as Error;
    const reason = error instanceof SyntaxError ? "it is not JSON" : message;
    results.problems.push(
      message.startsWith("Cannot use ")
        ? message // of the file itself
        : `Cannot use "${file}": ${reason}; delete it or make it again`,
    );
  }
}
