/**
 * Finds out in five minutes what the GPU of a machine is worth to this project: a table, row by row
 * as it comes, and one JSON file that has what the table has and the figures behind it.
 */
import { fromFileUrl, join } from "@std/path";
import { tmpdir } from "node:os";
import { type PresetName, presets } from "../core/config.ts";
import { describeIoError } from "../files/errors.ts";
import type { Precision } from "../engines/engine.ts";
import { type EngineName, engineNames, hasPrecision } from "../engines/names.ts";
import { type Job, runJob } from "./check_gpu/jobs.ts";
import { compareLosses } from "./check_gpu/losses.ts";
import type { Combination, PartRequest } from "./check_gpu/request.ts";
import { commonFlags, parseFlags, reportsFlag } from "./shared/flags.ts";
import { enginePermissions } from "./shared/process.ts";
import { describeSurroundings, GPU, openResults } from "./shared/provenance.ts";
import {
  type GpuCheckPart,
  gpuCheckParts,
  type GpuCheckResult,
  type GpuCheckRow,
} from "./shared/results.ts";
import { Interrupted, interruption, note, print, printJson, runTask } from "./shared/run.ts";
import { commandLine } from "./shared/text.ts";

const task = {
  name: "check-gpu",
  summary:
    "Check and time every engine that uses a GPU, in at most 5 minutes: which start, whether they " +
    "compute what the original and the CPU compute, how fast they train and sample, and whether a " +
    "killed run resumes. Prints a table and keeps it in reports/gpu/.",
  examples: [
    "deno task check-gpu",
    "deno task check-gpu --pytorch python3",
    "deno task check-gpu --engine onnx:webgpu --part parity --part losses",
    "deno task check-gpu --engine onnx --preset small        # without a GPU",
  ],
} as const;

const flags = {
  engine: {
    choices: engineNames,
    multiple: true,
    help: "engines to check",
    defaultHelp: "those that use a GPU",
  },
  precision: { ...commonFlags.precision, default: ["f32", "bf16"] as const, multiple: true },
  part: {
    choices: gpuCheckParts,
    multiple: true,
    help: "what to check; the engines are always started",
    defaultHelp: "all of it, in this order",
  },
  preset: {
    choices: Object.keys(presets) as PresetName[],
    default: "full",
    help: "the network to time and to train; with a small one a CPU is quick enough, too",
  },
  batch: {
    type: "integer",
    min: 1,
    max: 65536,
    help: "windows per step",
    defaultHelp: "the preset's, in full 64",
  },
  pytorch: { type: "path", help: "a Python that has PyTorch, to be timed as well" },
  threads: commonFlags.threads,
  ...reportsFlag,
  json: commonFlags.json,
} as const;

const LIMIT_SECONDS = 300;
/** The most seconds that one process of a part may take. A GPU needs far less for most of them. */
const limits: Record<GpuCheckPart, number> = {
  machine: 20,
  engines: 30,
  parity: 60,
  losses: 60,
  speed: 150,
  training: 90,
  sampling: 60,
};
/** The engine that losses are compared with. */
const reference: Combination = { engine: "onnx", precision: "f32" };
/** Switches TF32 off, whose products would be too far from the original's figures. */
const exactProducts = { NVIDIA_TF32_OVERRIDE: "0" };

export async function main(args: string[]): Promise<void> {
  const values = parseFlags(task, flags, args);
  const start = performance.now();
  const secondsSpent = () => (performance.now() - start) / 1000;
  const surroundings = await describeSurroundings();
  const result: GpuCheckResult = {
    kind: "gpu-check",
    ...surroundings,
    command: commandLine(task.name, args),
    preset: values.preset,
    batch: values.batch ?? presets[values.preset].batch,
    rows: [],
    agrees: true,
    seconds: 0,
  };
  const keepResult = await openResults(values.reports, GPU);
  let file: string | undefined;
  const where = () => file === undefined ? "not kept" : `kept as ${file}`;
  const say = values.json ? note : print;
  say(`${surroundings.machine}; preset ${result.preset}, batch ${result.batch}\n${tableHead}`);

  const stop = interruption();
  const folder = await Deno.makeTempDir().catch((error) => {
    throw describeIoError("make a folder in", tmpdir(), error);
  });

  /** Runs a part in its own process; each row is printed and stored as it comes. */
  async function run(
    part: GpuCheckPart,
    combinations: Combination[] = [],
    complete = (row: GpuCheckRow) => row,
  ): Promise<GpuCheckRow[]> {
    const { preset, pytorch, threads = navigator.hardwareConcurrency } = values;
    const job = makeJob({
      ...{ part, combinations, preset, batch: result.batch, threads, pytorch },
      limitSeconds: Math.min(limits[part], LIMIT_SECONDS - secondsSpent()),
      folder: join(folder, `${result.rows.length}`),
    });
    const rows: GpuCheckRow[] = [];
    for await (const found of runJob(job, stop)) {
      const row = complete(found);
      rows.push(row);
      result.rows.push(row);
      result.agrees &&= isGood(row);
      result.seconds = secondsSpent();
      say(formatRow(row));
      file = await keepResult(result, file);
    }
    if (stop.aborted) {
      throw new Interrupted(stop.reason.signal, `Interrupted; ${where()}`);
    }
    return rows;
  }

  try {
    const parts = gpuCheckParts.filter((part) =>
      values.part.length === 0 || values.part.includes(part)
    );
    if (parts.includes("machine")) await run("machine");
    const engines = await startEngines(values.engine, run);
    const combinations = engines.flatMap((engine) =>
      values.precision.filter((precision) => hasPrecision(engine, precision))
        .map((precision: Precision): Combination => ({ engine, precision }))
    );
    if (combinations.length === 0) {
      note("note: no engine uses a GPU here; --engine NAME checks one that uses the processor");
    }
    for (const part of parts) {
      if (combinations.length === 0 || part === "machine" || part === "engines") continue;
      if (part === "speed") await run(part, combinations);
      else if (part === "losses") await compareAll(combinations, run);
      else for (const combination of combinations) await run(part, [combination]);
    }
  } finally {
    await Deno.remove(folder, { recursive: true }).catch((error) => {
      note(`warning: ${describeIoError("remove", folder, error).message}`);
    });
  }
  if (values.json) printJson(result);
  else print(`\n${summarize(result)}; ${where()}`);
  if (!result.agrees) Deno.exit(1);
}

/** Describes the process of a part. */
function makeJob(request: PartRequest): Job {
  const { part, combinations, limitSeconds } = request;
  const [only] = combinations.length === 1 ? combinations : [];
  const script = fromFileUrl(new URL("check_gpu/part.ts", import.meta.url));
  // Deno shows a file of /proc, such as the driver's version, only to a process with all of them.
  const allowed = part === "machine" ? ["--allow-all"] : [...enginePermissions, "--allow-run"];
  const command = [Deno.execPath(), "run", "--no-prompt", ...allowed, script];
  return {
    part,
    subject: only?.engine ?? "all",
    precision: only?.precision,
    command: [...command, JSON.stringify(request)],
    env: part === "parity" ? exactProducts : undefined,
    limitSeconds,
  };
}

type Run = (
  part: GpuCheckPart,
  combinations: Combination[],
  complete?: (row: GpuCheckRow) => GpuCheckRow,
) => Promise<GpuCheckRow[]>;

/** Starts the engines that were asked for, or all; gives those to check. */
async function startEngines(asked: EngineName[], run: Run): Promise<EngineName[]> {
  const started: EngineName[] = [];
  for (const engine of asked.length > 0 ? asked : engineNames) {
    const [{ outcome, figures }] = await run("engines", [{ engine, precision: "f32" }]);
    // Operation by operation even a GPU takes minutes.
    const isChosen = asked.length > 0 || figures.device !== "cpu" && !engine.startsWith("eager:");
    if (outcome === "ok" && isChosen) started.push(engine);
  }
  return started;
}

/** Lets the reference train first, and then each other engine, whose losses are compared with it. */
async function compareAll(combinations: Combination[], run: Run): Promise<void> {
  const [expected] = await run("losses", [reference]);
  const known = expected.outcome === "ok" ? expected : undefined;
  for (const combination of combinations) {
    if (combination.engine === reference.engine) continue;
    await run(
      "losses",
      [combination],
      (row) => row.outcome === "ok" ? { ...row, ...compareLosses(row, known) } : row,
    );
  }
}

const isGood = ({ outcome }: GpuCheckRow) => outcome === "ok" || outcome === "absent";

const columns = [["part", 8], ["subject", 19], ["precision", 9], ["outcome", 8], ["s", 5]] as const;
const tableHead = formatCells(columns.map(([title]) => title), "finding");

/** Formats a line of the table, whose columns are as wide as they may have to be. */
function formatRow(
  { part, subject, precision = "", outcome, seconds, summary }: GpuCheckRow,
): string {
  return formatCells([part, subject, precision, outcome, seconds.toFixed(1)], summary);
}

function formatCells(cells: string[], last: string): string {
  return [...cells.map((cell, i) => cell.padEnd(columns[i][1])), last].join("  ");
}

/** Counts the rows by outcome: "12 ok, 2 absent, 1 differs in 74 s". */
function summarize({ rows, seconds }: GpuCheckResult): string {
  const counts = Map.groupBy(rows, ({ outcome }) => outcome);
  const words = [...counts].map(([outcome, { length }]) => `${length} ${outcome}`);
  return `${words.join(", ")} in ${seconds.toFixed(0)} s`;
}

if (import.meta.main) await runTask(main, Deno.args);
