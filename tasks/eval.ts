/** Scores trained weights on the validation text, in bits per character. */
import type { ModelKind } from "../core/config.ts";
import { type Corpus, defaultCorpus, loadCorpus } from "../core/corpus.ts";
import type { Engine } from "../core/engines/engine.ts";
import { evaluate, type Evaluation, validationBlocks } from "../core/evaluate.ts";
import { models } from "../core/models.ts";
import { targetNats } from "../core/programs.ts";
import { seededRandom } from "../core/random.ts";
import type { Estimator, EvaluationRow } from "../core/results.ts";
import { tokenizer } from "../core/tokenizer.ts";
import { scorerOf } from "../core/trainer.ts";
import { commandLine, commonFlags, note, parseFlags, print, printJson, runTask } from "./cli.ts";
import { chosenEngine } from "./engine.ts";
import { UsageError } from "./cli.ts";
import { type Progress, startProgress } from "./progress.ts";
import { keepResult, provenance, requireResultsFolder } from "./provenance.ts";
import { chosenWeights, defaultWeights, weightsFlags } from "./weights.ts";

const estimators: Record<ModelKind, Estimator[]> = {
  gpt: ["exact"],
  diffusion: ["nelbo", "left-to-right", "masked-mean"],
};

const task = {
  name: "eval",
  summary: "Score trained weights on the validation text (its last 10 %), in bits per character. " +
    "Without --model, everything that can be scored.",
  examples: [
    "deno task eval",
    "deno task eval --model gpt --weights weights/gpt-small.safetensors",
    "deno task eval --model diffusion --estimator nelbo --passes 32 --json",
  ],
} as const;

const flags = {
  model: { choices: ["gpt", "diffusion"], help: "which of the two; without it, both" },
  ...weightsFlags,
  estimator: {
    choices: ["exact", "nelbo", "left-to-right", "masked-mean"],
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

export async function main(args: string[]): Promise<void> {
  const values = parseFlags(task, flags, args);
  const { model, estimator } = values;
  if (model && estimator && !estimators[model].includes(estimator)) {
    throw new UsageError(
      `Cannot score the ${model} model with --estimator ${estimator}: expected ${
        estimators[model].join(", ")
      }`,
    );
  }
  if (values.weights !== undefined && model === undefined) {
    throw new UsageError(
      "Cannot use --weights alone: expected --model gpt or --model diffusion beside it",
    );
  }
  const kinds = model ? [model] : await trainedKinds(estimator);
  const corpus = await loadCorpus(values.data ?? await defaultCorpus());
  const candidates: Candidate[] = [];
  for (const kind of kinds) {
    try {
      candidates.push(await candidate(kind, corpus, values));
    } catch (error) {
      // Without --model, what can be scored is; the last one has to say why nothing can.
      if (kind === kinds.at(-1) && candidates.length === 0) throw error;
      note(`left out the ${kind} model: ${(error as Error).message}`);
    }
  }
  await requireResultsFolder();
  const engine = await chosenEngine(values);

  const rows: EvaluationRow[] = [];
  for (const { saved, blocks } of candidates) {
    const { kind } = saved.config;
    const own: EvaluationRow[] = [];
    for (const name of estimator ? [estimator] : estimators[kind]) {
      const { perBlock: _, ...figures } = await score(engine, saved, blocks, name, values);
      own.push({ model: kind, weights: saved.path, ...figures });
    }
    rows.push(...own);
    await keepResult({
      kind: "evaluation",
      rows: own,
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
  if (values.json) printJson({ rows });
  else print(table(rows));
}

/** The models that there are weights of and that the estimator fits. */
async function trainedKinds(estimator: Estimator | undefined): Promise<ModelKind[]> {
  const fitting = (Object.keys(estimators) as ModelKind[])
    .filter((kind) => estimator === undefined || estimators[kind].includes(estimator));
  const kinds: ModelKind[] = [];
  for (const kind of fitting) if (await defaultWeights(kind)) kinds.push(kind);
  if (kinds.length === 0) {
    throw new Error(
      `Cannot find weights to score: nothing was trained yet; run "deno task train-${
        fitting[0]
      }", ` +
        "or name a file with --model and --weights",
    );
  }
  return kinds;
}

/** Weights, and the validation text as they read it. */
interface Candidate {
  saved: Awaited<ReturnType<typeof chosenWeights>>;
  blocks: Int32Array[];
}

/**
 * Loads weights, and checks that they fit the text.
 *
 * @throws {Error} If there are none, or the text has characters that they lack, or is too short for their context.
 */
async function candidate(
  kind: ModelKind,
  corpus: Corpus,
  values: Parameters<typeof chosenWeights>[1],
): Promise<Candidate> {
  const saved = await chosenWeights(kind, values);
  const { config, vocabulary, corpusSha256 } = saved;
  if (corpusSha256 !== undefined && corpusSha256 !== corpus.sha256) {
    note(`note: ${saved.path} was trained on another text than ${corpus.path}`);
  }
  const { encode } = tokenizer(vocabulary, { mask: models[kind].maskToken !== undefined });
  const validation = encode(corpus.validation, "the validation text");
  return { saved, blocks: validationBlocks(validation, config.context) };
}

async function score(
  engine: Engine,
  { config, weights }: Candidate["saved"],
  all: Int32Array[],
  estimator: Estimator,
  { blocks, passes, seed }: { blocks?: number; passes: number; seed: number },
): Promise<Evaluation> {
  const model = models[config.kind];
  const rows = rowsFor(config.context);
  const keepMask = estimator === "masked-mean";
  const session = await engine.load(weights, {
    [keepMask ? "natsWithMask" : "nats"]: targetNats(model, config, rows, { keepMask }),
  });
  let progress: Progress | undefined;
  try {
    return await evaluate(scorerOf(session, config, rows), all, {
      estimator,
      blocks,
      passes,
      random: seededRandom(seed),
      onProgress(done, total) {
        progress ??= startProgress({ total, unit: `${config.kind} ${estimator}, row` });
        progress.update({ done });
      },
    });
  } finally {
    progress?.finish();
    session.dispose();
  }
}

/** Rows of one call: enough for the matrix kernels to be busy, few enough to see progress. */
function rowsFor(context: number): number {
  return Math.max(4, Math.min(64, Math.floor(4096 / context)));
}

function table(rows: EvaluationRow[]): string {
  const cells = rows.map((row) => [
    row.model,
    row.estimator,
    row.bpc === null ? `${row.nats.toFixed(4)} nats` : row.bpc.toFixed(4),
    row.se_passes === null ? "-" : row.se_passes.toFixed(4),
    row.se_blocks.toFixed(4),
    `${row.context}`,
    `${row.blocks}`,
    row.chars.toLocaleString("en-US"),
    row.weights,
  ]);
  const head = [
    "model",
    "estimator",
    "bits/char",
    "± passes",
    "± blocks",
    "T",
    "blocks",
    "chars",
    "weights",
  ];
  const widths = head.map((title, i) =>
    Math.max(title.length, ...cells.map((row) => row[i].length))
  );
  const line = (row: string[]) => row.map((cell, i) => cell.padEnd(widths[i])).join("  ").trimEnd();
  const notes = [
    "exact: the GPT's likelihood. nelbo: an upper bound on the diffusion model's. Compare figures of the same T only.",
    "left-to-right: the likelihood of the left-to-right decoder built from the diffusion network, neither above nor",
    "below the nelbo by theory. masked-mean: the original's loss in nats, no likelihood; not to be set beside a GPT's.",
  ];
  return [line(head), ...cells.map(line), "", ...notes].join("\n");
}

if (import.meta.main) await runTask(main, Deno.args);
