/**
 * Scores trained weights on the validation text, in bits per character, beside baselines, and
 * compares them.
 */
import { baselines, scoreBaseline } from "../core/scoring/baselines.ts";
import { type BlockFigures, compareOnBlocks, isComparable } from "../core/scoring/comparison.ts";
import type { ModelKind } from "../core/config.ts";
import { type Corpus, findLatestCorpus, loadCorpus } from "../core/data/corpus.ts";
import { encodeCorpus } from "../core/data/dataset.ts";
import type { Engine } from "../engines/engine.ts";
import { productFlops } from "../engines/record/graph.ts";
import { productPeak } from "../engines/peak.ts";
import { record } from "../engines/record/recorder.ts";
import { evaluate, type Evaluation } from "../core/scoring/estimators.ts";
import { type Journal, openJournal } from "./shared/journal.ts";
import { models } from "../core/models.ts";
import { targetNats } from "../core/programs.ts";
import { seededRandom } from "../core/random.ts";
import {
  type BaselineRow,
  type Compared,
  type Estimator,
  estimators,
  type EvaluationRow,
  type ModelComparison,
} from "../core/scoring/results.ts";
import { type Scorer, scorerOf } from "../core/scoring/rows.ts";
import { listCharacters, makeTokenizer } from "../core/data/tokenizer.ts";
import { scoredIndices, validationBlocks } from "../core/scoring/validation_blocks.ts";
import {
  commandLine,
  commonFlags,
  Interrupted,
  interruption,
  note,
  parseFlags,
  print,
  printJson,
  runTask,
  UsageError,
} from "./shared/cli.ts";
import { chosenEngine } from "./shared/engine.ts";
import { comparisonTable, evaluationTable, maskShareTable, notesOn } from "./shared/eval_tables.ts";
import { type Progress, startProgress } from "./shared/progress.ts";
import { duration } from "./shared/text.ts";
import { keepResult, PARTIAL, provenance, requireResultsFolder } from "./shared/provenance.ts";
import { latestQuality, qualityTables } from "./shared/quality_table.ts";
import {
  type ChosenWeights,
  chosenWeights,
  isOfOtherText,
  namedWeights,
  tellingOfShipped,
  trainedKinds,
  weightsFlags,
} from "./shared/weights.ts";

const task = {
  name: "eval",
  summary: "Score trained weights on the validation text (its last 10 %), in bits per character, " +
    "beside three baselines, and compare them. Without --model, everything that can be scored.",
  examples: [
    "deno task eval",
    "deno task eval --model gpt --weights weights/gpt-small.safetensors",
    "deno task eval --model diffusion --estimator nelbo --passes 32 --json",
    "deno task eval --model diffusion --weights new.safetensors --against old.safetensors",
    "deno task eval --model diffusion --estimator left-to-right --blocks 435",
  ],
} as const;

const flags = {
  model: { choices: ["gpt", "diffusion"], help: "which of the two; without it, both" },
  ...weightsFlags,
  against: { type: "path", help: "other weights to compare with, on the same blocks and masks" },
  estimator: {
    choices: [...estimators.gpt, ...estimators.diffusion],
    help: "without it, all of the model's",
  },
  blocks: {
    type: "integer",
    min: 2,
    help: "evenly spaced blocks to score; without it, all, or 16 for left-to-right",
  },
  passes: {
    type: "integer",
    min: 2,
    max: 100_000,
    default: 16,
    help: "nelbo: passes over the blocks",
  },
  ...commonFlags,
} as const;

type EvalValues = ReturnType<typeof parse>;
const parse = (args: string[]) => parseFlags(task, flags, args);

export async function main(args: string[]): Promise<void> {
  const values = parse(args);
  const { estimator } = values;
  checkUsage(values);
  const kinds = values.model
    ? [values.model]
    : await trainedKinds(fitting(estimator), { purpose: "score" });
  const corpus = await loadCorpus(values.data ?? await findLatestCorpus());
  const candidates = await candidatesOf(kinds, corpus, values);
  await requireResultsFolder();
  const engine = await chosenEngine(values);
  const reference = baselineScorer(corpus, values);

  const figures: Figures[] = [], references: Reference[] = [];
  const comparisons: ModelComparison[] = [];
  for (const { saved, blocks } of candidates) {
    const { kind, context } = saved.config;
    const baselines = reference(context);
    if (!references.includes(baselines)) references.push(baselines);
    const names = estimators[kind].filter((name) => estimator === undefined || name === estimator);
    if (names.length === 0) {
      throw new UsageError(
        `Cannot compare with ${
          JSON.stringify(saved.path)
        }: --estimator ${estimator} does not fit ` +
          `a ${kind} model; leave it out`,
      );
    }
    const own = await score(engine, { saved, blocks }, names, corpus, values);
    const ownComparisons = own.flatMap((a) =>
      [baselines.best, ...figures]
        .filter((b) => isComparable(a, b))
        .map((b) => compareOnBlocks(a, b, { random: seededRandom(values.seed) }))
    );
    figures.push(...own);
    comparisons.push(...ownComparisons);
    await keepResult({
      kind: "evaluation",
      rows: own.map(({ row }) => row),
      baselines: baselines.rows,
      comparisons: ownComparisons,
      provenance: await provenance({
        command: commandLine("eval", args),
        engine,
        threads: values.threads,
        seed: values.seed,
        weights: saved,
        corpus,
      }),
    });
  }
  const rows = [...references.flatMap(({ rows }) => rows), ...figures.map(({ row }) => row)];
  const notes = notesOn(rows);
  const hashes = [...new Set(candidates.map(({ saved }) => saved.sha256))];
  const quality = (await Promise.all(hashes.map(latestQuality))).filter((result) => !!result);
  if (values.json) printJson({ rows, comparisons, notes, quality });
  else {
    print(
      [
        evaluationTable(rows),
        maskShareTable(rows),
        comparisonTable(comparisons),
        quality.length > 0 ? qualityTables(quality) : NO_QUALITY,
      ].filter((part) => part !== "").join("\n\n"),
    );
  }
}

const NO_QUALITY =
  'Sample quality of these weights was not measured yet: "deno task quality" does that.';

function checkUsage({ model, estimator, weights, against }: EvalValues): void {
  if (model && estimator && !estimators[model].includes(estimator)) {
    throw new UsageError(
      `Cannot score the ${model} model with --estimator ${estimator}: expected ${
        estimators[model].join(", ")
      }`,
    );
  }
  for (const [flag, value] of Object.entries({ weights, against })) {
    if (value !== undefined && model === undefined) {
      throw new UsageError(
        `Cannot use --${flag} alone: expected --model gpt or --model diffusion beside it`,
      );
    }
  }
}

/** The models that the estimator fits; without one, both. */
function fitting(estimator: Estimator | undefined): ModelKind[] {
  const kinds = Object.keys(estimators) as ModelKind[];
  return kinds.filter((kind) => estimator === undefined || estimators[kind].includes(estimator));
}

// ---------------------------------------------------------------- what is scored

/** Weights, and the validation text as they read it. */
interface Candidate {
  saved: ChosenWeights;
  blocks: Int32Array[];
}

/**
 * The weights to score, in the order of the table: those of `--against` come first, to be compared
 * with.
 */
async function candidatesOf(
  kinds: ModelKind[],
  corpus: Corpus,
  values: EvalValues,
): Promise<Candidate[]> {
  const candidates: Candidate[] = [];
  if (values.against !== undefined) {
    candidates.push(
      await candidate(
        await namedWeights(values.against, { ...values, onlyComplete: true }),
        corpus,
      ),
    );
  }
  for (const kind of kinds) {
    try {
      candidates.push(await candidate(await chosenWeights(kind, values), corpus));
    } catch (error) {
      // Without --model, what can be scored is; the last one has to say why nothing can.
      if (values.model || (kind === kinds.at(-1) && candidates.length === 0)) throw error;
      note(`left out the ${kind} model: ${(error as Error).message}`);
    }
  }
  const [a, b] = candidates.map(({ saved }) => saved.config.context);
  if (values.against !== undefined && a !== b) {
    throw new Error(
      `Cannot compare "${values.against}" with "${candidates[1].saved.path}": their contexts are ` +
        `${a} and ${b}, expected the same, as figures of different contexts mean different things; ` +
        "leave out --against",
    );
  }
  return candidates;
}

/**
 * Checks that weights fit the text.
 *
 * @throws {Error} If the text has characters that they lack, or is too short for their context.
 */
async function candidate(saved: ChosenWeights, corpus: Corpus): Promise<Candidate> {
  const { config, vocabulary } = saved;
  await isOfOtherText(saved, corpus);
  const { encode } = makeTokenizer(config.kind, vocabulary);
  const encoded = () => encode(corpus.validation, "the validation text");
  const validation = await tellingOfShipped(saved, encoded);
  return { saved, blocks: validationBlocks(validation, config.context) };
}

/** A row of the table with its figures by block. */
interface Figures extends BlockFigures {
  row: EvaluationRow;
}

/** The rows of one set of weights. */
async function score(
  engine: Engine,
  { saved, blocks }: Candidate,
  names: Estimator[],
  corpus: Corpus,
  values: EvalValues,
): Promise<Figures[]> {
  const { config, weights, path } = saved, { kind, context } = config;
  const rows = rowsFor(context), model = models[kind];
  const nats = targetNats(model, config, rows);
  const flopsOfCall = productFlops(record("nats", nats, weights));
  const natsWithMask = targetNats(model, config, rows, { keepMask: true });
  // Before the rest is computed: should another process hold it, that is to be known now.
  using journal = names.includes("left-to-right")
    ? await blockJournal(engine, saved, corpus, values)
    : undefined;
  const session = await engine.load(
    weights,
    names.includes("masked-mean") ? { nats, natsWithMask } : { nats },
  );
  try {
    const scorer = scorerOf(session, config, rows), figures: Figures[] = [];
    for (const estimator of names) {
      const { evaluation, calls, seconds } = await timed(scorer, blocks, estimator, {
        label: `${kind} ${estimator}, row`,
        journal: estimator === "left-to-right" ? journal : undefined,
        ...values,
      });
      await noteSpeed(engine, `${kind} ${estimator}`, calls * flopsOfCall, seconds);
      const { perBlock, ...row } = evaluation;
      const indices = scoredIndices(estimator, blocks.length, values.blocks);
      const side: Compared = { model: kind, weights: path, estimator };
      const figure = { ...side, context, indices, perBlock };
      figures.push({ ...figure, row: { ...row, model: kind, weights: path } });
    }
    return figures;
  } finally {
    session.dispose();
  }
}

/** Blocks that an earlier run scored from left to right, and where to keep those of this one. */
async function blockJournal(
  engine: Engine,
  { sha256, config }: ChosenWeights,
  corpus: Corpus,
  { threads }: EvalValues,
): Promise<Journal<number>> {
  const journal = await openJournal(PARTIAL, "left-to-right", {
    weights: sha256,
    corpus: corpus.sha256,
    context: config.context,
    heads: config.heads,
    engine: engine.name,
    precision: engine.precision,
    threads: threads ?? null,
  }, (value): value is number => Number.isFinite(value));
  note(`left-to-right: each block is kept in ${journal.path}, from where a later run goes on`);
  return journal;
}

/** Runs an estimator with progress; says how many calls of the network it took, and how long. */
async function timed(
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
): Promise<{ evaluation: Evaluation; calls: number; seconds: number }> {
  const start = performance.now();
  let calls = 0, progress: Progress | undefined, before = 0;
  try {
    const evaluation = await evaluate(scorer, blocks, {
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
        calls++;
        progress ??= startProgress({ total, unit: label, done: before });
        progress.update({ done });
      },
    });
    return { evaluation, calls, seconds: (performance.now() - start) / 1000 };
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
    const kept = journal
      ? `the blocks scored so far are kept in ${journal.path}, from where a later run goes on`
      : `nothing is kept of ${estimator}, which starts anew`;
    throw new Interrupted(error.signal, `Interrupted: ${kept}`);
  } finally {
    progress?.finish();
  }
}

/** Below this many operations, a rate says more about the start than about the rest. */
const WORTH_TIMING = 2e12;

/**
 * Says how fast the network ran, and which share that is of what the engine reaches at best on this
 * machine.
 */
async function noteSpeed(
  engine: Engine,
  what: string,
  flops: number,
  seconds: number,
): Promise<void> {
  if (flops < WORTH_TIMING) return;
  const reached = flops / seconds, peak = await productPeak(engine);
  note(
    `${what}: ${(flops / 1e12).toFixed(1)} TFLOP in ${duration(1000 * seconds)}, ${
      (reached / 1e9).toFixed(0)
    } GFLOP/s; large matrix products alone reach ${(peak / 1e9).toFixed(0)} just now, so that is ${
      (100 * reached / peak).toFixed(0)
    } % of the peak`,
  );
}

/** Rows of one call: enough for the matrix kernels to be busy, few enough to see progress. */
function rowsFor(context: number): number {
  return Math.max(4, Math.min(64, context, Math.floor(2048 / context)));
}

// ---------------------------------------------------------------- baselines

/** The baselines on the blocks of one context, and the one that models are compared with. */
interface Reference {
  rows: BaselineRow[];
  best: BlockFigures;
}

/** A function that scores the baselines on the blocks of a context, once for each. */
function baselineScorer(corpus: Corpus, { blocks: count, seed }: EvalValues) {
  // An alphabet of their own: that of a model may lack characters of the training part.
  const characters = listCharacters(corpus.text, { limit: Infinity });
  const { train, validation } = encodeCorpus(corpus, makeTokenizer("gpt", characters));
  const trained = baselines(train, characters.length);
  const references = new Map<number, Reference>();
  return (context: number): Reference => {
    const known = references.get(context);
    if (known) return known;
    const all = validationBlocks(validation, context);
    const indices = scoredIndices("exact", all.length, count);
    const blocks = indices.map((index) => all[index]);
    const scored = trained.map((baseline) => {
      const { perBlock, ...row } = scoreBaseline(baseline, blocks, { random: seededRandom(seed) });
      const side = { model: baseline.name, weights: "", estimator: row.estimator };
      return { ...side, context, indices, perBlock, row: { ...row, ...side } };
    });
    const best = scored.reduce((a, b) => b.row.nats < a.row.nats ? b : a);
    const reference = { rows: scored.map(({ row }) => row), best };
    references.set(context, reference);
    return reference;
  };
}

if (import.meta.main) await runTask(main, Deno.args);
