/** Runs the other tasks one after the other, from no data to a page that compares the two models. */
import { fromFileUrl, join, relative, resolve } from "@std/path";
import { commonFlags, parseFlags, UsageError } from "./shared/flags.ts";
import { Interrupted, interruption, note, print, printJson, runTask } from "./shared/run.ts";
import { commandLine, duration } from "./shared/text.ts";

const task = {
  name: "quickstart",
  summary:
    "Fetch the text, train a small GPT and a small diffusion model, sample from both, score both, " +
    "and write reports/index.html. Some 5 minutes on 2 cores.",
  examples: ["deno task quickstart", "deno task quickstart --data my-book.txt"],
} as const;

const flags = {
  file: {
    type: "path",
    help: "your own text, copied to data/, where later tasks find it",
  },
  ...commonFlags,
  data: {
    type: "path",
    help: "your own text, used where it is; later tasks need --data, too",
  },
} as const;

/** One task, as the user would type it after `deno task`. */
export type Step = [name: string, ...args: string[]];

/** The folder that `deno task` runs in, wherever it is typed. */
const root = fromFileUrl(new URL("..", import.meta.url));

export async function main(args: string[]): Promise<void> {
  const { json, file, data, ...settings } = parseFlags(task, flags, args);
  if (file !== undefined && data !== undefined) {
    throw new UsageError("Cannot use --file with --data: expected one of them");
  }
  const start = performance.now();
  const fromRoot = (path?: string) => path && relative(root, resolve(path));
  const steps = planSteps({ ...settings, file: fromRoot(file), data: fromRoot(data) });
  for (const step of steps) {
    const code = await runStep(step, { json });
    if (code !== 0) Deno.exit(code); // the step has said why
  }
  const seconds = (performance.now() - start) / 1000;
  if (json) {
    printJson({ seconds, page: "reports/index.html", weights: Object.values(weights) });
  } else {
    const time = duration(1000 * seconds);
    print(`\nDone in ${time}. Open ${join(root, "reports/index.html")} in a browser.`);
  }
}

/** Lists the tasks in order. Each finds what the ones before it have written. */
export function planSteps(
  { file, data, engine, precision, seed, threads }: {
    file?: string;
    data?: string;
    engine: string;
    precision: string;
    seed: number;
    threads?: number;
  },
): Step[] {
  const compute = ["--engine", engine, "--precision", precision, "--seed", `${seed}`];
  if (threads !== undefined) compute.push("--threads", `${threads}`);
  if (data !== undefined) compute.push("--data", data);
  const train = (model: string, ...more: string[]): Step => [
    `train-${model}`,
    "--preset",
    "quickstart",
    ...more,
    ...compute,
  ];
  const sample = (model: "gpt" | "diffusion"): Step => {
    const trained = ["--model", model, "--weights", weights[model]];
    return ["sample", ...trained, "--length", "600", "--count", "2", ...compute];
  };
  const both = ["--model", "diffusion", "--weights", weights.diffusion, "--against", weights.gpt];
  const steps: Step[] = [
    train("gpt"),
    // A step of the GPT is worth as much to it as one of its own (docs/lab-log.md, "A miniature").
    train("diffusion", "--from", weights.gpt),
    sample("gpt"),
    sample("diffusion"),
    ["eval", ...both, "--passes", "4", ...compute],
    ["report", "--no-model"], // `serve` builds the page with the model when it needs one
  ];
  if (data !== undefined) return steps;
  return [["fetch-data", ...(file === undefined ? [] : ["--file", file])], ...steps];
}

const weights = {
  gpt: "weights/gpt-quickstart.safetensors",
  diffusion: "weights/diffusion-quickstart.safetensors",
};

/**
 * Runs one task. Ctrl-C and SIGTERM are forwarded to it, and it gets the time to save.
 *
 * @param options.json Keeps stdout free: results of the task go to stderr.
 * @returns Its exit code.
 */
export async function runStep([name, ...args]: Step, { json = false } = {}): Promise<number> {
  note(`\n$ ${commandLine(name, args)}`);
  const child = new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "--config", join(root, "deno.json"), name, ...args],
    stdout: json ? "piped" : "inherit",
    stderr: "inherit",
  }).spawn();
  const stop = interruption();
  const onAbort = () => {
    // On Windows, Ctrl-C reaches every process of the console, and `kill` would end this one before
    // it has saved.
    if (Deno.build.os === "windows") return;
    try {
      child.kill(stop.reason.signal);
    } catch {
      // it has ended already: a terminal sends Ctrl-C to both
    }
  };
  stop.addEventListener("abort", onAbort);
  try {
    if (json) await child.stdout.pipeTo(Deno.stderr.writable, { preventClose: true });
    const { code } = await child.status;
    if (stop.aborted) throw new Interrupted(stop.reason.signal, `Interrupted during ${name}`);
    return code;
  } finally {
    stop.removeEventListener("abort", onAbort);
  }
}

if (import.meta.main) await runTask(main, Deno.args);
