/**
 * Times one training step of several engines, and of PyTorch where a Python that has it is named.
 * Each runs in its own process. They take turns, in reversed order every other round, so that a
 * change in the machine's speed affects all of them. One more process multiplies large matrices:
 * its speed is called the peak.
 */
import {
  checkModelConfig,
  makeConfig,
  type ModelKind,
  type PresetName,
  presets,
} from "../core/config.ts";
import { loadCorpus } from "../core/data/corpus.ts";
import { median } from "../core/scoring/statistics.ts";
import { listCharacters } from "../core/data/tokenizer.ts";
import { Contestant, inTurns, ratio } from "./bench/contestant.ts";
import { UserError } from "../engines/errors.ts";
import { commonFlags, parseFlags } from "./shared/flags.ts";
import { startProgress } from "./shared/progress.ts";
import { note, print, printJson, runTask } from "./shared/run.ts";
import { parseSettings, setFlag } from "./shared/settings.ts";

const ROUNDS = 5;
/** The size of the matrices whose product gives the peak: on a CPU larger ones are not faster. */
const PEAK_SIZE = 1536;

const task = {
  name: "bench",
  summary: "Time one training step of every engine asked for, in turns.",
  examples: [
    "deno task bench --preset full --batch 8 --steps 10",
    "deno task bench --engine onnx --engine tensorflow --precision f32 --precision bf16",
    "deno task bench --preset small --pytorch python3",
  ],
} as const;

const flags = {
  preset: {
    choices: Object.keys(presets) as PresetName[],
    default: "small",
    help: "which network",
  },
  model: { choices: ["gpt", "diffusion"], default: "diffusion", help: "model to use" },
  engine: {
    choices: commonFlags.engine.choices,
    multiple: true,
    help: "what computes",
    defaultHelp: "auto",
  },
  batch: {
    type: "integer",
    min: 1,
    max: 65536,
    help: "windows per step",
    defaultHelp: "the preset's",
  },
  set: setFlag,
  steps: { type: "integer", min: 5, default: 50, help: "timed steps of each, in 5 rounds" },
  pytorch: { type: "path", help: "a Python that has PyTorch, to be timed as well" },
  precision: { ...commonFlags.precision, default: ["f32"] as const, multiple: true },
  threads: commonFlags.threads,
  seed: commonFlags.seed,
  data: {
    type: "path",
    help: "text whose number of different characters is used; the steps read random ones",
    defaultHelp: "65 characters, as in Tiny Shakespeare",
  },
  json: commonFlags.json,
} as const;

export interface BenchRow {
  model: ModelKind;
  preset: PresetName;
  engine: string;
  precision: string;
  ms_per_step_median: number;
  ms_per_step_min: number;
  /** The speed of the matrix products at the median time. */
  gflops: number;
  /** `gflops` divided by the best speed that products of large float32 matrices reached. */
  peak_share: number;
  /** The largest resident size of the process after a round. */
  peak_rss_mb: number;
  /** The size after the first and the last round shows growth. */
  first_rss_mb: number;
  last_rss_mb: number;
  /** The median of the rounds' ratios of median time to PyTorch's. */
  pytorch_ratio?: number;
}

export async function main(args: string[]): Promise<void> {
  const values = parseFlags(task, flags, args);
  const threads = values.threads ?? navigator.hardwareConcurrency;
  const characters = values.data ? listCharacters((await loadCorpus(values.data)).text).length : 65;
  const vocab = characters + (values.model === "gpt" ? 0 : 1); // the mask
  const config = makeConfig(values.model, values.preset, vocab, {
    ...parseSettings(values.set, values.model),
    batch: values.batch,
    seed: values.seed,
  });
  checkModelConfig(config);
  const perRound = Math.ceil(values.steps / ROUNDS);
  const engines = values.engine.length ? values.engine : ["auto"];
  const precisions = values.precision.length ? values.precision : ["f32" as const];

  using stack = new DisposableStack();
  const contestants: Contestant[] = [];
  for (const engine of engines) {
    for (const precision of precisions) {
      const started = Contestant.startEngine({ engine, precision, threads, work: config });
      try {
        contestants.push(stack.use(await started));
      } catch (error) {
        // An engine may lack one of several precisions.
        if (precisions.length === 1 || !(error instanceof UserError)) throw error;
        note(`left out: ${error.message}`);
      }
    }
  }
  if (contestants.length === 0) {
    throw new UserError({ action: "compare", found: "no engine has such a precision" });
  }
  if (values.pytorch) {
    const started = Contestant.startPytorch(values.pytorch, { work: config, threads });
    contestants.push(stack.use(await started));
  }
  const peak = stack.use(
    await Contestant.startEngine({ engine: "auto", precision: "f32", threads, work: PEAK_SIZE }),
  );

  using progress = startProgress({ total: ROUNDS * contestants.length, unit: "round" });
  for (const contestant of [...contestants, peak]) await contestant.run(2); // warm-up, not counted
  let done = 0;
  for (let round = 0; round < ROUNDS; round++) {
    for (const contestant of inTurns(contestants, round)) {
      contestant.rounds.push(await contestant.run(perRound));
      done++;
      progress.update({ done, fields: { engine: contestant.name } });
    }
    peak.rounds.push(await peak.run(5));
  }
  progress.finish();

  const flops = contestants.find((c) => c.flops !== undefined)!.flops!;
  const peakGflops = peak.flops! / Math.min(...peak.rounds.flatMap(({ ms }) => ms)) / 1e6;
  const pytorch = values.pytorch ? contestants.at(-1)! : undefined;
  const rows = contestants.map((contestant): BenchRow => {
    const ms = contestant.rounds.flatMap((round) => round.ms);
    const rss = contestant.rounds.map((round) => round.rssBytes / 1e6);
    return {
      model: values.model,
      preset: values.preset,
      engine: contestant.name,
      precision: contestant.precision,
      ms_per_step_median: median(ms),
      ms_per_step_min: Math.min(...ms),
      gflops: flops / median(ms) / 1e6,
      peak_share: flops / median(ms) / 1e6 / peakGflops,
      peak_rss_mb: Math.max(...rss),
      first_rss_mb: rss[0],
      last_rss_mb: rss.at(-1)!,
      ...pytorch && pytorch !== contestant && { pytorch_ratio: ratio(contestant, pytorch) },
    };
  });
  if (values.json) return printJson({ rows, peak_gflops: peakGflops });
  print(
    `${values.model}, ${values.preset}, batch ${config.batch}, ${threads} threads, ` +
      `${ROUNDS} rounds of ${perRound} steps in turns; ` +
      `peak ${peakGflops.toFixed(0)} GFLOPS (float32)`,
  );
  for (const row of rows) print(describeRow(row));
}

function describeRow(row: BenchRow): string {
  const facts = [
    `${row.engine.padEnd(20)} ${row.precision}`,
    `${row.ms_per_step_median.toFixed(1)} ms/step (min ${row.ms_per_step_min.toFixed(1)})`,
    `${row.gflops.toFixed(0)} GFLOPS, ${(100 * row.peak_share).toFixed(0)} % of the peak`,
    `${row.peak_rss_mb.toFixed(0)} MB (first round ${row.first_rss_mb.toFixed(0)}, ` +
    `last ${row.last_rss_mb.toFixed(0)})`,
  ];
  if (row.pytorch_ratio) facts.push(`${row.pytorch_ratio.toFixed(2)} of PyTorch's time`);
  return facts.join("  ");
}

if (import.meta.main) await runTask(main, Deno.args);
