/**
 * Decides what the page shows of all that was read: which two samples open the race, which runs,
 * which figures are stale or of other weights, and which command makes what is missing. Computes
 * hashes of present files, and nothing else.
 */
import { resolve } from "@std/path";
import type { ModelKind } from "../../core/config.ts";
import { readBytes, sha256Hex } from "../../files/read.ts";
import { estimators } from "../../core/scoring/estimators.ts";
import type { EvaluationRow, Provenance, RunHeader } from "../shared/results.ts";
import { findMissing } from "./missing.ts";
import type { Results } from "./read_results.ts";
import type {
  BaselineEntry,
  ComparisonEntry,
  DecoderEntry,
  EvaluationEntry,
  Marked,
  Pair,
  QualityEntry,
  ReportData,
  RunEntry,
  SampleEntry,
} from "./report_data.ts";
import { isModel, MODELS } from "./words.ts";

/** SHA-256 of a file as it is now, or why there is none. */
export type Hash = (path: string) => Promise<{ sha256: string } | { reason: string }>;

/** Hashes of files on disk, each computed once. Relative paths start at `root`. */
export function makeHash(root: string): Hash {
  const known = new Map<string, ReturnType<Hash>>();
  return (path) => {
    if (!known.has(path)) known.set(path, hashFile(resolve(root, path)));
    return known.get(path)!;
  };
}

const hashFile: Hash = async (path) => {
  try {
    return { sha256: await sha256Hex(await readBytes(path)) };
  } catch (error) {
    return (error as Error).cause instanceof Deno.errors.NotFound
      ? { reason: "is no longer there" }
      : { reason: "can't be read now" };
  }
};

/**
 * Picks and marks what the page shows. `results` is sorted newest first; of equal figures the first
 * is taken.
 */
export async function gather(results: Results, hash: Hash): Promise<ReportData> {
  // A sample may have been drawn where there was no text.
  const checkText = async ({ corpus, corpusSha256 }: RunHeader | Provenance) =>
    corpus === "" ? [] : await checkFile(corpus, corpusSha256, hash);
  const check = async (from: Provenance) => [
    ...await checkFile(from.weights, from.weightsSha256, hash),
    ...await checkText(from),
  ];

  const samples = await Promise.all(results.samples.map(async (result): Promise<SampleEntry> => ({
    result,
    stale: await check(result.provenance),
    other: [],
  })));
  const newest = findNewestText(results);
  const isNewest = ({ result }: SampleEntry) =>
    result.provenance.corpusSha256 === newest?.corpusSha256;
  const race = pairUp(
    samples,
    ({ result }) => result.model,
    (a, b) => likenessOfSamples(a, b) + 16 * Number(isNewest(a) && isNewest(b)),
  );
  const pageText = [race.gpt, race.diffusion].map((entry) => entry?.result.provenance)
    .find((from) => from && from.corpus !== "") ?? newest;
  const compareText = ({ corpus, corpusSha256 }: RunHeader | Provenance) =>
    corpus === "" || !pageText || corpusSha256 === pageText.corpusSha256
      ? []
      : [`made with another text ("${corpus}") than the race ("${pageText.corpus}")`];
  const compare = (model: ModelKind, from: Provenance): string[] => {
    const shown = race[model]?.result.provenance;
    const ofText = compareText(from);
    if (ofText.length > 0) return ofText;
    if (!shown || shown.weightsSha256 === from.weightsSha256) return [];
    return [`made with other weights ("${from.weights}") than the race ("${shown.weights}")`];
  };
  const mark = async (model: ModelKind, from: Provenance): Promise<Marked> => ({
    stale: await check(from),
    other: compare(model, from),
  });
  for (const entry of samples) entry.other = compare(entry.result.model, entry.result.provenance);

  const runs = await Promise.all(results.runs.map(async (run): Promise<RunEntry> => {
    const { model, name } = run.header;
    const shown = race[model]?.result.provenance.weights ?? name;
    return {
      run,
      stale: await checkText(run.header),
      other: name === shown || compareText(run.header).length > 0
        ? compareText(run.header)
        : [`the training of other weights ("${name}") than those of the race ("${shown}")`],
    };
  }));
  // Among equals, the runs of what the race shows, or of the same preset, are taken for newer.
  const nearness = ({ run: { header }, other }: RunEntry) =>
    2 * Number(other.length === 0) +
    Number(header.config.preset === race[header.model]?.result.provenance.config.preset);
  runs.sort((a, b) => nearness(b) - nearness(a));

  const evaluations: EvaluationEntry[] = [];
  const baselines: BaselineEntry[] = [];
  const comparisons: ComparisonEntry[] = [];
  const decoders: DecoderEntry[] = [];
  // Of the same figure on two texts, the page shows the one on the race's.
  const isOwn = ({ provenance }: { provenance: Provenance }) =>
    Number(compareText(provenance).length === 0);
  for (const result of results.evaluations.toSorted((a, b) => isOwn(b) - isOwn(a))) {
    const { provenance } = result;
    const marked = await mark(result.rows[0]?.model ?? provenance.config.kind, provenance);
    const ofText = { stale: await checkText(provenance), other: compareText(provenance) };
    evaluations.push(...result.rows.map((row) => ({ row, provenance, ...marked })));
    baselines.push(...(result.baselines ?? []).map((row) => ({ row, provenance, ...ofText })));
    if (result.decoders) decoders.push({ prices: result.decoders, provenance, ...marked });
    comparisons.push(
      ...(result.comparisons ?? []).map((comparison) => ({ comparison, provenance, ...marked })),
    );
  }
  const quality: QualityEntry[] = [];
  for (const result of results.quality) {
    const marked = await mark(result.model, result.provenance);
    quality.push(...result.rows.map((row) => ({ row, result, ...marked })));
  }

  const data = {
    evaluations: firstOfEach(evaluations, ({ row }) => [figureOf(row), row.context])
      .sort((a, b) => b.row.context - a.row.context || rank(a.row) - rank(b.row)),
    baselines: firstOfEach(
      baselines,
      ({ row, provenance }) => [figureOf(row), row.context, provenance.corpusSha256],
    ),
    comparisons: firstOfEach(
      comparisons,
      ({ comparison: { a, b, context } }) => [figureOf(a), figureOf(b), context],
    ),
    decoders: firstOfEach(decoders, ({ prices: { weights, context } }) => [weights, context]),
    samples,
    race,
    runs: pairUp(runs, ({ run }) => run.header.model, likenessOfRuns),
    quality: firstOfEach(quality, measurementOf),
    problems: results.problems,
  };
  return { ...data, missing: findMissing(data) };
}

/** Finds the text that the newest result was made with. */
function findNewestText(
  { samples, evaluations, quality, runs }: Results,
): RunHeader | Provenance | undefined {
  const origins = [
    ...[...samples, ...evaluations, ...quality].map(({ provenance }) => provenance),
    ...runs.map(({ header }) => header),
  ].filter(({ corpus }) => corpus !== "");
  return origins.sort((a, b) => Date.parse(b.date) - Date.parse(a.date))[0];
}

/** Says how a file differs from the one that a result was made with. */
async function checkFile(path: string, sha256: string, hash: Hash): Promise<string[]> {
  const now = await hash(path);
  if ("reason" in now) return [`"${path}" ${now.reason}`];
  return now.sha256 === sha256 ? [] : [`"${path}" has changed since`];
}

/** One entry for each key, the first. */
function firstOfEach<T>(entries: T[], keyOf: (entry: T) => unknown): T[] {
  return [...Map.groupBy(entries, (entry) => JSON.stringify(keyOf(entry))).values()]
    .map(([first]) => first);
}

const figureOf = (row: { model: string; weights: string; estimator: string }) => [
  row.model,
  row.weights,
  row.estimator,
];

/** The rank of a figure among those of one context. */
function rank({ model, estimator }: EvaluationRow): number {
  return 10 * MODELS.indexOf(model) + estimators[model].indexOf(estimator);
}

type Measured = Pick<QualityEntry, "row" | "result">;

/**
 * Equal for two rows that measure the same: texts made in one way with the same weights, or the
 * same reference text, by one yardstick.
 */
function measurementOf({ row, result }: Measured): unknown[] {
  const made = [result.provenance.weightsSha256, row.sampler, result.prompt, row.settings];
  const own = row.sampler === null ? [row.temperature] : made;
  return [row.source, yardstick({ row, result }), ...own];
}

/**
 * Figures of sample quality can only be compared if this is the same: the length of the texts, the
 * judges, the training text.
 */
export function yardstick({ row, result }: Measured): string {
  const { gpt, independent, ngram } = result.judges;
  return JSON.stringify([
    row.length,
    gpt?.weightsSha256 ?? null,
    gpt?.context ?? null,
    independent?.weightsSha256 ?? null,
    ngram,
    result.provenance.corpusSha256,
  ]);
}

/** Tells rows of a model's texts from those of reference texts and of the table of n-grams. */
export function isWritten({ row }: Measured): boolean {
  return isModel(row.source);
}

function likenessOfSamples(a: SampleEntry, b: SampleEntry): number {
  const [from, to] = [a.result.provenance, b.result.provenance];
  return 4 * Number(a.result.prompt === b.result.prompt) +
    32 * Number(from.corpusSha256 === to.corpusSha256) +
    Number(from.config.preset === to.config.preset);
}

function likenessOfRuns(a: RunEntry, b: RunEntry): number {
  return 2 * Number(a.run.header.corpusSha256 === b.run.header.corpusSha256) +
    Number(a.run.header.config.preset === b.run.header.config.preset);
}

const isFresh = ({ stale }: Marked) => stale.length === 0;

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
  const pairs = gpts.flatMap((gpt, i) =>
    diffusions.map((diffusion, j) => ({
      pair: { gpt, diffusion },
      score: 8 * [gpt, diffusion].filter(isFresh).length + likeness(gpt, diffusion),
      age: i + j,
    }))
  ).sort((a, b) => b.score - a.score || a.age - b.age);
  if (pairs.length > 0) return pairs[0].pair;
  const only = entries.find(isFresh) ?? entries[0];
  return only ? { [modelOf(only)]: only } : {};
}
