/**
 * From nothing to a page that compares the two models: runs the other tasks one after the other.
 */
import { format as duration } from "@std/fmt/duration";
import { fromFileUrl, join, relative, resolve } from "@std/path";
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
    help:
      "your own text, copied to data/ first: later tasks then use it unless they are given another",
  },
  ...commonFlags,
  data: {
    type: "path",
    help: "your own text, used where it is: later tasks have to be given it, too, with --data",
  },
} as const;

/** One task, as the user would type it after `deno task`. */
export type Step = [name: string, ...args: string[]];

/** `deno task` runs in this folder, wherever it is typed. */
const root = fromFileUrl(new URL("..", import.meta.url));

export async function main(args: string[]): Promise<void> {
  const { json, file, data, ...settings } = parseFlags(task, flags, args);
  if (file !== undefined && data !== undefined) {
    throw new UsageError("Cannot use --file with --data: expected one of them");
  }
  const start = performance.now();
  const weights = { gpt: weightsOf("gpt"), diffusion: weightsOf("diffusion") };
  const fromRoot = (path?: string) => path && relative(root, resolve(path));
  const steps = stepsFor({ ...settings, file: fromRoot(file), data: fromRoot(data) });
  for (const step of steps) {
    const code = await runStep(step, { json });
    if (code !== 0) Deno.exit(code); // the step has said why
  }
  const seconds = (performance.now() - start) / 1000;
  if (json) {
    printJson({ seconds, page: "reports/index.html", weights: Object.values(weights) });
  } else {
    const time = duration(Math.round(seconds) * 1000, { ignoreZero: true });
    print(`\nDone in ${time}. Open ${join(root, "reports/index.html")} in a browser.`);
  }
}

/** The tasks in order. What each leaves behind is what the next one looks for. */
export function stepsFor(
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
  const fetch = ["fetch-data", ...file === undefined ? [] : ["--file", file]] as Step;
  const each = (step: (model: "gpt" | "diffusion") => Step) => [step("gpt"), step("diffusion")];
  const of = (model: "gpt" | "diffusion") => ["--model", model, "--weights", weightsOf(model)];
  return [
    ...data === undefined ? [fetch] : [],
    ...each((model) => [`train-${model}`, "--preset", "quickstart", ...compute]),
    ...each((model) => ["sample", ...of(model), "--length", "600", "--count", "2", ...compute]),
    ["eval", ...of("diffusion"), "--against", weightsOf("gpt"), "--passes", "4", ...compute],
    ["report", "--no-model"], // `serve` builds that page when it is asked for
  ];
}

function weightsOf(model: "gpt" | "diffusion"): string {
  return `weights/${model}-quickstart.safetensors`;
}

/**
 * Runs one task. Ctrl-C and SIGTERM are handed on, and waited for, so that it saves.
 *
 * @param options.json Keeps stdout free: what the task prints there goes to stderr.
 * @returns Its exit code.
 */
export async function runStep([name, ...args]: Step, { json = false } = {}): Promise<number> {
  note(`\n$ ${commandLine(name, args)}`);
  const child = new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "--config", join(root, "deno.json"), name, ...args],
    stdout: json ? "piped" : "inherit",
    stderr: "inherit",
  }).spawn();
  const handOn = ({ signal }: Interrupted) => {
    // There, Ctrl-C goes to every process of the console, and `kill` would end this one before it
    // has saved.
    if (Deno.build.os === "windows") return;
    try {
      child.kill(signal);
    } catch {
      // it has ended already: a terminal sends Ctrl-C to both
    }
  };
  const stop = interruption();
  const onAbort = () => handOn(stop.reason);
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
