/**
 * Scores trained weights on the validation text, in bits per character, next to baselines, and
 * compares them.
 */
import { hasCausalMode, takeCausalMode } from "../core/causal_mode.ts";
import type { ModelKind } from "../core/config.ts";
import { type Corpus, encodeCorpus } from "../core/data/corpus.ts";
import { listCharacters, makeTokenizer } from "../core/data/tokenizer.ts";
import { models } from "../core/models.ts";
import { seededRandom } from "../core/random.ts";
import { scoreBaseline, trainBaselines } from "../core/scoring/baselines.ts";
import {
  type BlockFigures,
  type Compared,
  compareOnBlocks,
  isComparable,
} from "../core/scoring/comparison.ts";
import {
  type Estimator,
  estimators,
  evaluate,
  type Evaluation,
  selectIndices,
} from "../core/scoring/estimators.ts";
import { cutIntoBlocks } from "../core/scoring/rows.ts";
import { loadScorer, type Scorer } from "../core/scoring/scorer.ts";
import type { Engine } from "../engines/engine.ts";
import { UserError } from "../engines/errors.ts";
import { decoderTable, priceDecodersOf } from "./eval/decoders.ts";
import { listBits, paintBits, readOwnText, scoreOwnText } from "./eval/own_text.ts";
import { commonFlags, parseFlags, reportsFlag, UsageError, writingFlags } from "./shared/flags.ts";
import {
  Interrupted,
  interruption,
  note,
  print,
  printJson,
  runTask,
  takesEscapeCodes,
} from "./shared/run.ts";
import { commandLine } from "./shared/text.ts";
import { startEngineFromFlags } from "./shared/engine.ts";
import { comparisonTable, evaluationTable, maskShareTable, notesOn } from "./eval/tables.ts";
import { type Journal, openPieces, sayWhatIsKept } from "./shared/journal.ts";
import { describeMissingText, findNgrams } from "./shared/ngrams.ts";
import { type Progress, showCounting, startProgress } from "./shared/progress.ts";
import { openResults, provenance } from "./shared/provenance.ts";
import { latestQuality, qualityTables } from "./quality/table.ts";
import {
  type BaselineRow,
  type ComparisonRow,
  type DecoderPrices,
  type EvaluationResult,
  type EvaluationRow,
  toComparisonRow,
  toEvaluationRow,
} from "./shared/results.ts";
import {
  type ChosenWeights,
  encodeFor,
  findTrainedKinds,
  loadChosenText,
  loadChosenWeights,
  loadNamedWeights,
  noteOtherText,
  readCorpusFor,
  weightsFlags,
} from "./shared/weights.ts";

const task = {
  name: "eval",
  summary: "Score trained weights on the validation text (its last 10 %), in bits per character, " +
    "next to three baselines, and compare them. Without --model, everything that can be scored.",
  examples: [
    "deno task eval",
    "deno task eval --weights weights/gpt-small.safetensors",
    "deno task eval --model diffusion --estimator nelbo --passes 32 --json",
    "deno task eval --model diffusion --weights new.safetensors --against old.safetensors",
    "deno task eval --model diffusion --estimator left-to-right --blocks 435",
    "deno task eval --text my-poem.txt",
  ],
} as const;

const flags = {
  model: {
    choices: ["gpt", "diffusion"],
    help: "model to use",
    defaultHelp: "both, or what --weights is",
  },
  ...weightsFlags,
  against: { type: "path", help: "other weights to compare with, on the same blocks and masks" },
  estimator: {
    choices: [...estimators.gpt, ...estimators.diffusion],
    help: "which estimator (default: all of the model's)",
  },
  blocks: {
    type: "integer",
    min: 2,
    help: "evenly spaced blocks to score (default: all, or 16 for left-to-right)",
  },
  passes: {
    type: "integer",
    min: 2,
    max: 100_000,
    default: 16,
    help: "nelbo: passes over the blocks",
  },
  decoders: {
    type: "integer",
    min: 0,
    help: "diffusion: blocks on which to price several characters a pass, 0 = none",
    defaultHelp: "8, none with --estimator",
  },
  text: {
    type: "path",
    placeholder: "FILE|-",
    help: "instead: show how many bits each character of this text costs, - reads stdin",
  },
  ...reportsFlag,
  ...commonFlags,
  precision: { ...commonFlags.precision, choices: writingFlags.precision.choices },
} as const;

type EvalValues = ReturnType<typeof parse>;
const parse = (args: string[]) => parseFlags(task, flags, args);

export async function main(args: string[]): Promise<void> {
  const values = parse(args);
  checkUsage(values);
  const kinds = values.model || values.weights
    ? [values.model] // without one, the file says it
    : await findTrainedKinds(listFittingModels(values.estimator), { purpose: "score" });
  if (values.text !== undefined) return await showOwnText(values.text, kinds, values);
  const text = await loadChosenText(values.data);
  const candidates = await loadCandidates(kinds, text, values);
  const corpus = readCorpusFor(text, candidates.map(({ saved }) => saved));
  const keepResult = await openResults(values.reports);
  const engine = await startEngineFromFlags(values);
  const scoreBaselines = trainBaselineScorer(corpus, values);

  const scored: Scored<EvaluationRow>[] = [];
  const baselines = new Map<number, BaselineRow[]>(); // by context
  const comparisons: ComparisonRow[] = [];
  const decoders: DecoderPrices[] = [];
  const show = async () => {
    const rows = [...baselines.values(), scored.map(({ row }) => row)].flat();
    const hashes = [...new Set(candidates.map(({ saved }) => saved.sha256))];
    const found = await Promise.all(hashes.map((hash) => latestQuality(hash, values.reports)));
    const quality = found.filter((result) => !!result);
    if (values.json) {
      return printJson({ rows, comparisons, notes: notesOn(rows), decoders, quality });
    }
    print(
      [
        evaluationTable(rows),
        maskShareTable(rows),
        comparisonTable(comparisons),
        decoderTable(decoders),
        quality.length > 0 ? qualityTables(quality) : NO_QUALITY,
      ].filter((part) => part !== "").join("\n\n"),
    );
  };
  try {
    for (const candidate of candidates) await scoreCandidate(candidate);
  } catch (error) {
    // An interruption keeps stdout free: its rows are in the results.
    if (scored.length > 0 && !(error instanceof Interrupted)) await show();
    throw error;
  }
  await show();

  async function scoreCandidate(candidate: Candidate): Promise<void> {
    const { saved, blocks } = candidate;
    const { context, kind } = saved.config;
    // Before anything is computed: the table may be damaged.
    const count = kind === "gpt" || values.estimator ? 0 : values.decoders ?? 8;
    const ngrams = count > 0 ? await findNgrams(saved, values.data) : undefined;
    if (count > 0 && !ngrams) {
      note(
        "note: several characters a pass are not priced: that takes a table of n-grams, and " +
          describeMissingText(saved),
      );
    }
    const references = scoreBaselines(context).map(({ name, evaluation, indices }) =>
      toScored(name, "", evaluation, indices)
    );
    baselines.set(context, references.map(({ row }) => row));
    const best = references.reduce((a, b) => b.row.nats < a.row.nats ? b : a);
    const others = [best, ...scored];
    const result: EvaluationResult = {
      kind: "evaluation",
      rows: [],
      baselines: baselines.get(context),
      comparisons: [],
      provenance: await provenance({
        command: commandLine("eval", args),
        engine,
        threads: values.threads,
        seed: values.seed,
        weights: candidate.saved,
        corpus,
      }),
    };
    let file: string | undefined;
    for await (const a of score(engine, candidate, corpus, values)) {
      const own = others.filter((b) => isComparable(a, b))
        .map((b) => toComparisonRow(compareOnBlocks(a, b, { random: seededRandom(values.seed) })));
      scored.push(a);
      comparisons.push(...own);
      result.rows.push(a.row);
      result.comparisons!.push(...own);
      file = await keepResult(result, file) ?? file; // already now, as the next estimator may fail
    }
    if (ngrams === undefined) return;
    result.decoders = await priceDecodersOf(
      engine,
      saved,
      ngrams,
      blocks,
      [best, ...scored.filter(({ estimator }) => estimator === "exact")],
      { count, corpus: corpus.sha256, ...values },
    );
    decoders.push(result.decoders);
    await keepResult(result, file);
  }
}

const NO_QUALITY =
  'Sample quality of these weights was not measured yet: "deno task quality" does that.';

function checkUsage(
  { model, estimator, weights, against, blocks, decoders, text }: EvalValues,
): void {
  if (model && estimator && listEstimators(model, estimator).length === 0) {
    throw new UsageError(
      `Cannot score the ${model} model with --estimator ${estimator}: expected ${
        estimators[model].join(", ")
      }`,
    );
  }
  if (decoders !== undefined && estimator !== undefined) {
    throw new UsageError(
      "Cannot use --decoders with --estimator: decoders are priced after all estimators; leave " +
        "out one of the two",
    );
  }
  if (decoders === 1) {
    throw new UsageError(
      "Cannot price decoders on 1 block: expected 0 or at least 2, as one has no standard error",
    );
  }
  const others = { against, estimator, blocks, decoders };
  const [other] = Object.entries(others).find(([, value]) => value !== undefined) ?? [];
  if (text !== undefined && other !== undefined) {
    throw new UsageError(
      `Cannot use --${other} with --text: it is for scores of the validation text; leave it out`,
    );
  }
  if (against !== undefined && model === undefined && weights === undefined) {
    throw new UsageError(
      "Cannot use --against alone: expected --model gpt or --model diffusion with it, or --weights",
    );
  }
}

/** Scores a text of the user's own, character by character. */
async function showOwnText(
  path: string,
  kinds: (ModelKind | undefined)[],
  values: EvalValues,
): Promise<void> {
  const text = await readOwnText(path);
  const chosen: ChosenWeights[] = [];
  for (const kind of kinds) chosen.push(...await loadModels(kind, values));
  const engine = await startEngineFromFlags(values);
  const scored = [];
  for (const saved of chosen) scored.push(await scoreOwnText(engine, saved, text));
  if (values.json) printJson({ text, models: scored });
  else print((takesEscapeCodes(Deno.stdout) ? paintBits : listBits)(text, scored));
}

/** Lists the models that the estimator fits; without one, both. */
function listFittingModels(estimator: Estimator | undefined): ModelKind[] {
  const kinds = Object.keys(estimators) as ModelKind[];
  return kinds.filter((kind) => listEstimators(kind, estimator).length > 0);
}

/** Lists the estimators to run on a model: all that fit it, or the one that was asked for. */
function listEstimators(kind: ModelKind, asked: Estimator | undefined): Estimator[] {
  return estimators[kind].filter((name) => asked === undefined || name === asked);
}

// ---------------------------------------------------------------- what is scored

/** Weights, and the validation text as they read it. */
interface Candidate {
  saved: ChosenWeights;
  blocks: Int32Array[];
}

/** Loads the weights to score, in the order of the table: those of `--against` come first. */
async function loadCandidates(
  kinds: (ModelKind | undefined)[],
  corpus: Corpus,
  values: EvalValues,
): Promise<Candidate[]> {
  const candidates: Candidate[] = [];
  const add = async (saved: ChosenWeights) => {
    const models = [...candidates.map(({ saved }) => saved), saved];
    candidates.push(await encodeBlocks(saved, readCorpusFor(corpus, models)));
  };
  if (values.against !== undefined) {
    await add(await loadNamedWeights(values.against, { ...values, onlyComplete: true }));
  }
  for (const kind of kinds) {
    try {
      for (const saved of await loadModels(kind, values)) await add(saved);
    } catch (error) {
      // Without --model, what can be scored is; the last one has to say why nothing can.
      if (
        kind === undefined || values.model || (kind === kinds.at(-1) && candidates.length === 0)
      ) throw error;
      note(`left out the ${kind} model: ${(error as Error).message}`);
    }
  }
  const [a, b] = candidates.map(({ saved }) => saved.config.context);
  if (values.against !== undefined && a !== b) {
    throw new UserError({
      action: `compare "${values.against}" with "${candidates[1].saved.path}"`,
      found: `their contexts are ${a} and ${b}, expected the same, as figures of different ` +
        "contexts mean different things",
      advice: "leave out --against",
    });
  }
  for (const { saved: { path, config: { kind } } } of candidates) {
    if (listEstimators(kind, values.estimator).length > 0) continue;
    throw new UsageError(
      `Cannot ${path === values.against ? "compare with" : "score"} ${JSON.stringify(path)}: ` +
        `--estimator ${values.estimator} does not fit a ${kind} model; leave it out`,
    );
  }
  return candidates;
}

/**
 * Loads the weights of a model or, without one, those of `--weights`: as each model that they can be
 * read as, of which there are two if they have a causal mode.
 */
async function loadModels(
  kind: ModelKind | undefined,
  values: EvalValues,
): Promise<ChosenWeights[]> {
  if (kind !== undefined) return [await loadChosenWeights(kind, values)];
  const saved = await loadNamedWeights(values.weights!, values);
  if (!hasCausalMode(saved.config)) return [saved];
  return [saved, takeCausalMode(saved)]
    .filter(({ config }) => listEstimators(config.kind, values.estimator).length > 0);
}

/**
 * Cuts the validation text into blocks of the network's tokens.
 *
 * @throws {UserError} If the text has characters that the weights lack, or is too short for their
 * context.
 */
async function encodeBlocks(saved: ChosenWeights, corpus: Corpus): Promise<Candidate> {
  const { config, vocabulary } = saved;
  await noteOtherText(saved, corpus);
  const { encode } = makeTokenizer(config.kind, vocabulary);
  const encoded = () => encode(corpus.validation, "the validation text");
  const validation = await encodeFor(saved, encoded);
  return { saved, blocks: cutIntoBlocks(validation, config.context) };
}

// ---------------------------------------------------------------- scoring

/** A row of the table with its figures by block. */
interface Scored<Row> extends BlockFigures {
  row: Row;
}

function toScored<Name extends Compared["model"]>(
  model: Name,
  weights: string,
  evaluation: Evaluation,
  indices: number[],
) {
  const { estimator, context, perBlock } = evaluation;
  const row = toEvaluationRow({ model, weights }, evaluation);
  return { model, weights, estimator, context, indices, perBlock, row };
}

/**
 * Trains the baselines on the text, with its alphabet (a model's may lack characters of it). Returns
 * a function that scores them on blocks of a context, once for each context.
 */
function trainBaselineScorer(corpus: Corpus, { blocks: count, seed }: EvalValues) {
  const characters = listCharacters(corpus.text, { limit: Infinity });
  const { train, validation } = encodeCorpus(corpus, makeTokenizer("gpt", characters));
  using progress = showCounting(corpus);
  const baselines = trainBaselines(train, characters.length, progress.onProgress);
  const score = (context: number) => {
    const all = cutIntoBlocks(validation, context);
    const indices = selectIndices("exact", all.length, count);
    const blocks = indices.map((index) => all[index]);
    return baselines.map((baseline) => {
      const evaluation = scoreBaseline(baseline, blocks, { random: seededRandom(seed) });
      return { name: baseline.name, indices, evaluation };
    });
  };
  const known = new Map<number, ReturnType<typeof score>>();
  return (context: number) => known.getOrInsertComputed(context, score);
}

const isNats = (value: unknown): value is number => Number.isFinite(value);

/** Scores one set of weights, estimator by estimator. */
async function* score(
  engine: Engine,
  { saved, blocks }: Candidate,
  corpus: Corpus,
  values: EvalValues,
): AsyncGenerator<Scored<EvaluationRow>> {
  const { config, weights, path } = saved;
  const { kind } = config;
  const names = listEstimators(kind, values.estimator);
  // Opened before anything is computed: should another process hold it, the user should know now.
  const { context, heads } = config;
  const subject = { weights: saved.sha256, corpus: corpus.sha256, context, heads };
  using journal = names.includes("left-to-right")
    ? await openPieces("left-to-right", "block", engine, values, subject, isNats)
    : undefined;
  using scorer = await loadScorer(engine, models[kind], config, weights, {
    keepMask: names.includes("masked-mean"),
  });
  for (const estimator of names) {
    const evaluation = await evaluateWithProgress(scorer, blocks, estimator, {
      label: `${kind} ${estimator}, row`,
      journal: estimator === "left-to-right" ? journal : undefined,
      ...values,
    });
    yield toScored(kind, path, evaluation, selectIndices(estimator, blocks.length, values.blocks));
  }
}

/** Runs an estimator and shows its progress. */
async function evaluateWithProgress(
  scorer: Scorer,
  blocks: Int32Array[],
  estimator: Estimator,
  { blocks: count, passes, seed, label, journal }: {
    blocks?: number;
    passes: number;
    seed: number;
    label: string;
    journal?: Journal<number>;
  },
): Promise<Evaluation> {
  let progress: Progress | undefined;
  let before = 0;
  try {
    return await evaluate(scorer, blocks, {
      estimator,
      blocks: count,
      passes,
      random: seededRandom(seed),
      signal: interruption(),
      known(block) {
        const nats = journal?.get(`${block}`);
        if (nats !== undefined) before += scorer.context - 1;
        return nats;
      },
      onBlock: (block, nats) => journal?.add(`${block}`, nats),
      onProgress(done, total) {
        progress ??= startProgress({ total, unit: label, done: before });
        progress.update({ done });
      },
    });
  } catch (error) {
    throw sayWhatIsKept(error, estimator, "the blocks scored so far", journal);
  } finally {
    progress?.finish();
  }
}

if (import.meta.main) await runTask(main, Deno.args);
