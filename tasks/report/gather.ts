/**
 * Decides what the page shows of all that was read: which two samples stand beside each other at
 * first, which runs, which figures are stale or of other weights, and which command makes what is
 * missing. Computes hashes of present files, and nothing else.
 */
import { resolve } from "@std/path";
import type { ModelKind } from "../../core/config.ts";
import { readBytes, sha256Hex } from "../../core/files/read.ts";
import {
  type BaselineRow,
  type Estimator,
  estimators,
  type EvaluationRow,
  type ModelComparison,
  type Provenance,
  type QualityResult,
  type QualityRow,
  type SampleResult,
} from "../../core/scoring/results.ts";
import { commandLine } from "../shared/cli.ts";
import type { Results, Run } from "./read_results.ts";
import { isModel, MODELS } from "./words.ts";

/**
 * Something shown, and what to know before it is held against the rest: one phrase for each reason.
 */
export interface Marked {
  /** Why it may no longer hold: its weights or its text have changed since. */
  stale: string[];
  /** How it differs from what the race shows: other weights. */
  other: string[];
}

export interface EvaluationEntry extends Marked {
  row: EvaluationRow;
  provenance: Provenance;
}

export interface BaselineEntry extends Marked {
  row: BaselineRow;
  provenance: Provenance;
}

export interface ComparisonEntry extends Marked {
  comparison: ModelComparison;
  provenance: Provenance;
}

export interface SampleEntry extends Marked {
  result: SampleResult;
}

export interface QualityEntry extends Marked {
  row: QualityRow;
  result: QualityResult;
}

export interface RunEntry extends Marked {
  run: Run;
}

export type Pair<T> = { [Model in ModelKind]?: T };

export interface ReportData {
  evaluations: EvaluationEntry[];
  baselines: BaselineEntry[];
  comparisons: ComparisonEntry[];
  /** All of them, newest first. */
  samples: SampleEntry[];
  /**
   * The two that stand beside each other at first. Their weights are the ones that the page is
   * about.
   */
  race: Pair<SampleEntry>;
  runs: Pair<RunEntry>;
  /** What models wrote, and the texts it is held against; each measurement once, the newest. */
  quality: QualityEntry[];
  /** What to type for what is not there, in the order in which to type it. */
  missing: { what: string; command: string }[];
  problems: string[];
}

/** SHA-256 of a file as it is now, or why there is none. */
export type Hash = (path: string) => Promise<{ sha256: string } | { reason: string }>;

const NAMES = { gpt: "GPT", diffusion: "diffusion model" };

/** Hashes of files on disk, each computed once. Relative paths start at `root`. */
export function hashOfFiles(root: string): Hash {
  const known = new Map<string, ReturnType<Hash>>();
  return (path) => {
    if (!known.has(path)) known.set(path, hashOfFile(resolve(root, path)));
    return known.get(path)!;
  };
}

async function hashOfFile(path: string): Promise<{ sha256: string } | { reason: string }> {
  try {
    return { sha256: await sha256Hex(await readBytes(path)) };
  } catch (error) {
    return (error as Error).cause instanceof Deno.errors.NotFound
      ? { reason: "is no longer there" }
      : { reason: "can't be read now" };
  }
}

/** Picks and marks what the page shows. */
export async function gather(results: Results, hash: Hash): Promise<ReportData> {
  const newestCorpus = newestOf(results)?.corpusSha256;
  const corpusNotes = async (from: { corpus: string; corpusSha256: string }) => {
    if (from.corpus === "") return []; // a sample drawn where there was no text
    const notes = await changed(from.corpus, from.corpusSha256, hash);
    if (notes.length === 0 && from.corpusSha256 !== newestCorpus) {
      notes.push(`made with another text ("${from.corpus}") than the newest result`);
    }
    return notes;
  };
  const staleNotes = async (from: Provenance) => [
    ...await changed(from.weights, from.weightsSha256, hash),
    ...await corpusNotes(from),
  ];

  const samples: SampleEntry[] = [];
  for (const result of results.samples) {
    samples.push({ result, stale: await staleNotes(result.provenance), other: [] });
  }
  const race = pairUp(samples, (entry) => entry.result.model, likenessOfSamples);
  const otherNotes = (model: ModelKind, { weights, weightsSha256 }: Provenance) => {
    const shown = race[model]?.result.provenance;
    return !shown || shown.weightsSha256 === weightsSha256
      ? []
      : [`made with other weights ("${weights}") than the race ("${shown.weights}")`];
  };
  for (const entry of samples) {
    entry.other = otherNotes(entry.result.model, entry.result.provenance);
  }
  const runs: RunEntry[] = [];
  for (const run of results.runs) {
    const { model, name } = run.header, shown = race[model]?.result.provenance.weights;
    const other = shown === undefined || shown === name
      ? []
      : [`the training of other weights ("${name}") than those of the race ("${shown}")`];
    runs.push({ run, stale: await corpusNotes(run.header), other });
  }
  // Among equals, the runs of what the race shows, or of the same preset, are taken for newer.
  const isOfRace = ({ run: { header }, other }: RunEntry) =>
    2 * Number(other.length === 0) +
    Number(header.config.preset === race[header.model]?.result.provenance.config.preset);
  runs.sort((a, b) => isOfRace(b) - isOfRace(a));

  const data: ReportData = {
    evaluations: [],
    baselines: [],
    comparisons: [],
    samples,
    race,
    runs: pairUp(runs, (entry) => entry.run.header.model, likenessOfRuns),
    quality: [],
    missing: [],
    problems: results.problems,
  };
  // Results are sorted newest first: an older figure for the same thing has been superseded.
  for (const { rows, baselines = [], comparisons = [], provenance } of results.evaluations) {
    const stale = await staleNotes(provenance), textStale = await corpusNotes(provenance);
    const model = rows[0]?.model ?? provenance.config.kind;
    const other = otherNotes(model, provenance);
    for (const row of rows) {
      if (data.evaluations.some((entry) => isSameFigure(entry.row, row))) continue;
      data.evaluations.push({ row, provenance, stale, other });
    }
    for (const row of baselines) { // of a text, not of weights
      const isSame = ({ row: present, provenance: from }: BaselineEntry) =>
        isSameFigure(present, row) && from.corpusSha256 === provenance.corpusSha256;
      if (data.baselines.some(isSame)) continue;
      data.baselines.push({ row, provenance, stale: textStale, other: [] });
    }
    for (const comparison of comparisons) {
      const isSame = ({ comparison: { a, b, context } }: ComparisonEntry) =>
        context === comparison.context && isSameSide(a, comparison.a) &&
        isSameSide(b, comparison.b);
      if (data.comparisons.some(isSame)) continue;
      data.comparisons.push({ comparison, provenance, stale, other });
    }
  }
  data.evaluations.sort((a, b) =>
    b.row.context - a.row.context ||
    MODELS.indexOf(a.row.model) - MODELS.indexOf(b.row.model) ||
    estimators[a.row.model].indexOf(a.row.estimator) -
      estimators[b.row.model].indexOf(b.row.estimator)
  );
  for (const result of results.quality) {
    const stale = await staleNotes(result.provenance);
    const other = otherNotes(result.model, result.provenance);
    for (const row of result.rows) {
      if (data.quality.some((entry) => isSameMeasurement(entry, { row, result }))) continue;
      data.quality.push({ row, result, stale, other });
    }
  }
  data.missing = missing(data);
  return data;
}

function likenessOfSamples(a: SampleEntry, b: SampleEntry): number {
  const [from, to] = [a.result.provenance, b.result.provenance];
  return 4 * Number(a.result.prompt === b.result.prompt) +
    2 * Number(from.corpusSha256 === to.corpusSha256) +
    Number(from.config.preset === to.config.preset);
}

function likenessOfRuns(a: RunEntry, b: RunEntry): number {
  return 2 * Number(a.run.header.corpusSha256 === b.run.header.corpusSha256) +
    Number(a.run.header.config.preset === b.run.header.config.preset);
}

async function changed(path: string, sha256: string, hash: Hash): Promise<string[]> {
  const now = await hash(path);
  if ("reason" in now) return [`"${path}" ${now.reason}`];
  return now.sha256 === sha256 ? [] : [`"${path}" has changed since`];
}

interface Figure {
  model: string;
  weights: string;
  estimator: Estimator;
}

function isSameSide(a: Figure, b: Figure): boolean {
  return a.model === b.model && a.weights === b.weights && a.estimator === b.estimator;
}

function isSameFigure(a: Figure & { context: number }, b: Figure & { context: number }): boolean {
  return isSameSide(a, b) && a.context === b.context;
}

type Measured = Pick<QualityEntry, "row" | "result">;

/**
 * Whether two rows measure the same: texts made in one way with the same weights, or the same
 * reference text, by one yardstick.
 */
function isSameMeasurement(a: Measured, b: Measured): boolean {
  return a.row.source === b.row.source && yardstick(a) === yardstick(b) &&
    (a.row.sampler === null ||
      a.result.provenance.weightsSha256 === b.result.provenance.weightsSha256 &&
        a.row.sampler === b.row.sampler && a.result.prompt === b.result.prompt &&
        JSON.stringify(a.row.settings) === JSON.stringify(b.row.settings));
}

/**
 * Figures of sample quality can only be compared if this is the same: the length of the texts, the
 * judges, the training text.
 */
export function yardstick({ row, result }: Measured): string {
  const { gpt, ngram } = result.judges;
  return JSON.stringify([
    row.length,
    gpt?.weightsSha256 ?? null,
    gpt?.context ?? null,
    ngram,
    result.provenance.corpusSha256,
  ]);
}

/** Whether a row measures texts of a model, not reference texts. */
export function isWritten({ row }: Measured): boolean {
  return isModel(row.source);
}

function newestOf(results: Results): { corpusSha256: string } | undefined {
  const dated = [
    ...[...results.samples, ...results.evaluations, ...results.quality].map((result) =>
      result.provenance
    ),
    ...results.runs.map((run) => run.header),
  ].filter(({ corpus }) => corpus !== "");
  return dated.sort((a, b) => Date.parse(b.date) - Date.parse(a.date))[0];
}

/**
 * One entry of each model, so that the two are as alike as can be and not stale; among equals the
 * newest. `entries` come newest first.
 */
function pairUp<T extends Marked>(
  entries: T[],
  modelOf: (entry: T) => ModelKind,
  likeness: (a: T, b: T) => number,
): Pair<T> {
  const gpts = entries.filter((entry) => modelOf(entry) === "gpt");
  const diffusions = entries.filter((entry) => modelOf(entry) === "diffusion");
  const freshest = (list: T[]) => list.find((entry) => entry.stale.length === 0) ?? list[0];
  if (gpts.length === 0 || diffusions.length === 0) {
    return omitMissing({ gpt: freshest(gpts), diffusion: freshest(diffusions) });
  }
  let best: { score: number; gpt: T; diffusion: T } | undefined;
  gpts.forEach((gpt, i) =>
    diffusions.forEach((diffusion, j) => {
      const fresh = Number(gpt.stale.length === 0) + Number(diffusion.stale.length === 0);
      const age = (i + j) / (gpts.length + diffusions.length); // below 1: only decides among equals
      const score = 8 * fresh + likeness(gpt, diffusion) - age;
      if (!best || score > best.score) best = { score, gpt, diffusion };
    })
  );
  return { gpt: best!.gpt, diffusion: best!.diffusion };
}

function omitMissing<T>(pair: { gpt?: T; diffusion?: T }): Pair<T> {
  return Object.fromEntries(Object.entries(pair).filter(([, entry]) => entry !== undefined));
}

function missing(data: ReportData): ReportData["missing"] {
  const { race, runs, evaluations, quality } = data;
  const isEmpty = [race, runs, evaluations, quality].every((found) =>
    Object.keys(found).length === 0
  );
  if (isEmpty) {
    return [{
      what: "everything, from the text to this page",
      command: commandLine("quickstart", []),
    }];
  }

  const list: ReportData["missing"] = [];
  for (const model of MODELS) {
    const weights = race[model]?.result.provenance.weights ??
      evaluations.find((entry) => entry.row.model === model)?.row.weights;
    const chosen = ["--model", model, ...(weights ? ["--weights", weights] : [])];
    if (!runs[model]) {
      list.push({
        what: `loss curve of the ${NAMES[model]}`,
        command: commandLine(`train-${model}`, []),
      });
    }
    const other = race[model === "gpt" ? "diffusion" : "gpt"]?.result;
    if (!race[model]) {
      const prompt = other && isPrompt(other) ? ["--prompt", other.prompt] : [];
      list.push({
        what: `sample of the ${NAMES[model]}`,
        command: commandLine("sample", [...chosen, ...prompt]),
      });
    }
    for (const estimator of estimators[model]) {
      const exists = evaluations.some(({ row }) =>
        row.model === model && row.estimator === estimator && (!weights || row.weights === weights)
      );
      if (exists) continue;
      const only = model === "gpt" ? [] : ["--estimator", estimator];
      list.push({
        what: `${estimator} figure of the ${NAMES[model]}`,
        command: commandLine("eval", [...chosen, ...only]),
      });
    }
  }
  const measured = MODELS.filter((model) => quality.some(({ row }) => row.source === model));
  if (measured.length < MODELS.length) {
    const lacking = MODELS.filter((model) => !measured.includes(model));
    list.push({
      what: `sample quality of the ${lacking.map((model) => NAMES[model]).join(" and the ")}`,
      command: commandLine("quality", lacking.length === 1 ? ["--model", lacking[0]] : []),
    });
  }
  const { gpt, diffusion } = race;
  const isApart = gpt?.result.prompt !== diffusion?.result.prompt;
  if (gpt && diffusion && isApart && isPrompt(diffusion.result)) {
    const { weights } = gpt.result.provenance;
    list.push({
      what: "sample of the GPT for the diffusion model's prompt",
      command: commandLine("sample", [
        ...["--model", "gpt", "--weights", weights],
        ...["--prompt", diffusion.result.prompt],
      ]),
    });
  }
  return list;
}

/**
 * Whether the text goes on from the prompt: a template, which only a diffusion model can fill, has
 * gaps in it instead.
 */
function isPrompt({ prompt, samples }: SampleResult): boolean {
  return samples[0].text.startsWith(prompt);
}
