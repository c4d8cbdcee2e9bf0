/**
 * Times one training step, side by side: every engine asked for, and PyTorch where a Python that has it is named. Each runs in
 * a process of its own; they take turns, in reversed order every other round, so that a change in the machine's speed meets
 * all of them.
 */
import { makeConfig, type ModelKind, type PresetName, presets } from "../core/config.ts";
import { linesOf, type Measured, type Ready } from "./bench_step.ts";
import { commonFlags, parseFlags, print, printJson, runTask } from "./cli.ts";
import { startProgress } from "./progress.ts";

const ROUNDS = 5;

const task = {
  name: "bench",
  summary: "Time one training step of every engine asked for, in turns.",
  examples: [
    "deno task bench --preset full --batch 8 --steps 10",
    "deno task bench --engine onnx --engine eager:wasm",
    "deno task bench --preset small --pytorch python3",
  ],
} as const;

const flags = {
  preset: {
    choices: Object.keys(presets) as PresetName[],
    default: "small",
    help: "which network",
  },
  model: { choices: ["gpt", "diffusion"], default: "diffusion", help: "which of the two" },
  engine: {
    choices: commonFlags.engine.choices,
    multiple: true,
    help: "what computes; may be repeated",
  },
  batch: { type: "integer", min: 1, max: 65536, help: "windows a step; without it, the preset's" },
  steps: { type: "integer", min: 5, default: 50, help: "counted steps of each, in 5 rounds" },
  pytorch: { type: "path", help: "a Python that has PyTorch, to be timed beside" },
  precision: commonFlags.precision,
  threads: commonFlags.threads,
  seed: commonFlags.seed,
  json: commonFlags.json,
} as const;

export interface BenchRow {
  model: ModelKind;
  preset: PresetName;
  engine: string;
  precision: string;
  ms_per_step_median: number;
  ms_per_step_min: number;
  /** Of the matrix products, at the median. */
  gflops: number;
  /** Highest resident size of the process after a round; after the first and the last round, to see growth. */
  peak_rss_mb: number;
  first_rss_mb: number;
  last_rss_mb: number;
  /** Its median time over PyTorch's in the same round, median of the rounds; absent without PyTorch. */
  pytorch_ratio?: number;
}

export async function main(args: string[]): Promise<void> {
  const values = parseFlags(task, flags, args);
  const threads = values.threads ?? navigator.hardwareConcurrency;
  const vocab = values.model === "gpt" ? 65 : 66;
  const config = makeConfig(values.model, values.preset, vocab, {
    batch: values.batch,
    seed: values.seed,
  });
  const perRound = Math.ceil(values.steps / ROUNDS);
  const engines = values.engine?.length ? values.engine : ["auto"];

  using stack = new DisposableStack();
  const contestants: Contestant[] = [];
  for (const engine of engines) {
    const settings = JSON.stringify({ engine, precision: values.precision, threads, config });
    const script = new URL("bench_step.ts", import.meta.url).pathname;
    const command = [Deno.execPath(), "run", "--allow-all", script, settings];
    contestants.push(stack.use(await Contestant.start(command, values.precision)));
  }
  if (values.pytorch) {
    const script = new URL("pytorch/step.py", import.meta.url).pathname;
    const command = [values.pytorch, script, JSON.stringify({ ...config, threads })];
    contestants.push(stack.use(await Contestant.start(command, "f32")));
  }

  using progress = startProgress({ total: ROUNDS * contestants.length, unit: "round" });
  for (const contestant of contestants) await contestant.run(2); // warm-up, not counted
  for (let round = 0, done = 0; round < ROUNDS; round++) {
    for (const contestant of round % 2 === 0 ? contestants : contestants.toReversed()) {
      contestant.rounds.push(await contestant.run(perRound));
      progress.update({ done: ++done, fields: { engine: contestant.name } });
    }
  }
  progress.finish();

  const flops = contestants.find((c) => c.flops !== undefined)!.flops!;
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
      peak_rss_mb: Math.max(...rss),
      first_rss_mb: rss[0],
      last_rss_mb: rss.at(-1)!,
      ...pytorch && pytorch !== contestant && { pytorch_ratio: ratio(contestant, pytorch) },
    };
  });
  if (values.json) return printJson({ rows });
  print(
    `${values.model}, ${values.preset}, batch ${config.batch}, ${threads} threads, ` +
      `${ROUNDS} rounds of ${perRound} steps in turns`,
  );
  for (const row of rows) {
    print(
      `${row.engine.padEnd(20)} ${row.precision}  ${row.ms_per_step_median.toFixed(1)} ms/step ` +
        `(min ${row.ms_per_step_min.toFixed(1)})  ${row.gflops.toFixed(0)} GFLOPS  ` +
        `${row.peak_rss_mb.toFixed(0)} MB (first round ${row.first_rss_mb.toFixed(0)}, last ${
          row.last_rss_mb.toFixed(0)
        })` +
        (row.pytorch_ratio ? `  ${row.pytorch_ratio.toFixed(2)} of PyTorch's time` : ""),
    );
  }
}

/** A process that trains when told to. */
class Contestant implements Disposable {
  readonly rounds: Measured[] = [];
  name = "";
  flops?: number;

  private constructor(
    readonly process: Deno.ChildProcess,
    readonly writer: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>,
    readonly reader: ReadableStreamDefaultReader<string>,
    readonly precision: string,
  ) {}

  static async start([command, ...args]: string[], precision: string): Promise<Contestant> {
    const process = new Deno.Command(command, {
      args,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const lines = linesOf(process.stdout);
    const contestant = new Contestant(
      process,
      process.stdin.getWriter(),
      lines.getReader(),
      precision,
    );
    const ready = await contestant.#answer() as Ready;
    contestant.name = ready.name;
    contestant.flops = ready.flops;
    return contestant;
  }

  async run(steps: number): Promise<Measured> {
    await this.writer.write(new TextEncoder().encode(`${steps}\n`));
    return await this.#answer() as Measured;
  }

  async #answer(): Promise<Ready | Measured> {
    const { value, done } = await this.reader.read();
    if (!done) return JSON.parse(value);
    const complaint = (await this.process.stderr.text()).trim().split("\n").at(-1);
    throw new Error(`Cannot time a step: ${complaint?.replace(/^error: /, "")}`);
  }

  [Symbol.dispose](): void {
    this.process.kill();
  }
}

/** Median over the rounds of a's median step over b's. */
function ratio(a: Contestant, b: Contestant): number {
  return median(a.rounds.map(({ ms }, round) => median(ms) / median(b.rounds[round].ms)));
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b), middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

if (import.meta.main) await runTask(main, Deno.args);
