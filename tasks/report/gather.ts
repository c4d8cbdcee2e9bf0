/**
 * Decides what the page shows of all that was read: which two samples and runs stand beside each other, which figures are
 * stale, and which command makes what is missing. Computes hashes of present files, and nothing else.
 */
import { resolve } from "@std/path";
import type { ModelKind } from "../../core/config.ts";
import type { Estimator, EvaluationRow, Provenance, SampleResult } from "../../core/results.ts";
import { readBytes, sha256Hex } from "../../core/files.ts";
import { commandLine } from "../cli.ts";
import type { Results, Run } from "./read_results.ts";

/** Something shown, and why it may no longer hold: one phrase for each reason. */
export interface Marked {
  stale: string[];
}

export interface EvaluationEntry extends Marked {
  row: EvaluationRow;
  provenance: Provenance;
}

export interface SampleEntry extends Marked {
  result: SampleResult;
}

export interface RunEntry extends Marked {
  run: Run;
}

export type Pair<T> = { [Model in ModelKind]?: T };

export interface ReportData {
  evaluations: EvaluationEntry[];
  samples: Pair<SampleEntry>;
  runs: Pair<RunEntry>;
  /** What to type for what is not there, in the order in which to type it. */
  missing: { what: string; command: string }[];
  problems: string[];
}

/** SHA-256 of a file as it is now, or why there is none. */
export type Hash = (path: string) => Promise<{ sha256: string } | { reason: string }>;

const MODELS = ["diffusion", "gpt"] as const;
const NAMES = { gpt: "GPT", diffusion: "diffusion model" };
const ESTIMATORS: Record<ModelKind, Estimator[]> = {
  gpt: ["exact"],
  diffusion: ["nelbo", "left-to-right", "masked-mean"],
};

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
  const notesOn = async (from: Provenance) => [
    ...await changed(from.weights, from.weightsSha256, hash),
    ...await corpusNotes(from),
  ];

  const evaluations: EvaluationEntry[] = [];
  for (const { rows, provenance } of results.evaluations) {
    const stale = await notesOn(provenance);
    for (const row of rows) {
      // Results are sorted newest first: an older figure for the same thing has been superseded.
      if (!evaluations.some((entry) => isSameFigure(entry.row, row))) {
        evaluations.push({ row, provenance, stale });
      }
    }
  }
  evaluations.sort((a, b) =>
    b.row.context - a.row.context ||
    MODELS.indexOf(b.row.model) - MODELS.indexOf(a.row.model) ||
    ESTIMATORS[a.row.model].indexOf(a.row.estimator) -
      ESTIMATORS[b.row.model].indexOf(b.row.estimator)
  );

  const samples: SampleEntry[] = [];
  for (const result of results.samples) {
    samples.push({ result, stale: await notesOn(result.provenance) });
  }
  const runs: RunEntry[] = [];
  for (const run of results.runs) runs.push({ run, stale: await corpusNotes(run.header) });

  const data: ReportData = {
    evaluations,
    samples: pairUp(
      samples,
      (entry) => entry.result.model,
      (a, b) =>
        4 * Number(a.result.prompt === b.result.prompt) +
        2 * Number(a.result.provenance.corpusSha256 === b.result.provenance.corpusSha256) +
        Number(a.result.provenance.config.preset === b.result.provenance.config.preset),
    ),
    runs: pairUp(
      runs,
      (entry) => entry.run.header.model,
      (a, b) =>
        2 * Number(a.run.header.corpusSha256 === b.run.header.corpusSha256) +
        Number(a.run.header.config.preset === b.run.header.config.preset),
    ),
    missing: [],
    problems: results.problems,
  };
  data.missing = missing(data);
  return data;
}

async function changed(path: string, sha256: string, hash: Hash): Promise<string[]> {
  const now = await hash(path);
  if ("reason" in now) return [`"${path}" ${now.reason}`];
  return now.sha256 === sha256 ? [] : [`"${path}" has changed since`];
}

function isSameFigure(a: EvaluationRow, b: EvaluationRow): boolean {
  return a.model === b.model && a.weights === b.weights && a.estimator === b.estimator &&
    a.context === b.context;
}

function newestOf(results: Results): { corpusSha256: string } | undefined {
  const dated = [
    ...[...results.samples, ...results.evaluations].map((result) => result.provenance),
    ...results.runs.map((run) => run.header),
  ].filter(({ corpus }) => corpus !== "");
  return dated.sort((a, b) => Date.parse(b.date) - Date.parse(a.date))[0];
}

/**
 * One entry of each model, so that the two are as alike as can be and not stale; among equals the newest. `entries` come newest
 * first.
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
  const { samples, runs, evaluations } = data;
  const isEmpty = [samples, runs, evaluations].every((found) => Object.keys(found).length === 0);
  if (isEmpty) {
    return [{
      what: "everything, from the text to this page",
      command: commandLine("quickstart", []),
    }];
  }

  const list: ReportData["missing"] = [];
  for (const model of MODELS) {
    const weights = samples[model]?.result.provenance.weights ??
      evaluations.find((entry) => entry.row.model === model)?.row.weights;
    const chosen = ["--model", model, ...(weights ? ["--weights", weights] : [])];
    if (!runs[model]) {
      list.push({
        what: `loss curve of the ${NAMES[model]}`,
        command: commandLine(`train-${model}`, []),
      });
    }
    const other = samples[model === "gpt" ? "diffusion" : "gpt"]?.result;
    if (!samples[model]) {
      const prompt = other ? ["--prompt", other.prompt] : [];
      list.push({
        what: `sample of the ${NAMES[model]}`,
        command: commandLine("sample", [...chosen, ...prompt]),
      });
    }
    for (const estimator of ESTIMATORS[model]) {
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
  const { gpt, diffusion } = samples;
  if (gpt && diffusion && gpt.result.prompt !== diffusion.result.prompt) {
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
