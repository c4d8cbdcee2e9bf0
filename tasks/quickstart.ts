/** From nothing to a page that compares the two models: runs the other tasks one after the other. */
import { format as duration } from "@std/fmt/duration";
import { fromFileUrl, join, relative, resolve } from "@std/path";
import { commandLine, commonFlags, Interrupted, interruption, note, outputFlags } from "./cli.ts";
import { parseFlags, print, printJson, runTask } from "./cli.ts";

const task = {
  name: "quickstart",
  summary:
    "Fetch the text, train a small GPT and a small diffusion model, sample from both, score both, " +
    "and write reports/index.html. Some 5 minutes on 2 cores.",
  examples: ["deno task quickstart", "deno task quickstart --file my-book.txt"],
} as const;

const flags = {
  file: { type: "path", help: "your own text instead of Tiny Shakespeare" },
  engine: commonFlags.engine,
  seed: commonFlags.seed,
  threads: commonFlags.threads,
  ...outputFlags,
} as const;

/** One task, as the user would type it after `deno task`. */
export type Step = [name: string, ...args: string[]];

/** `deno task` runs in this folder, wherever it is typed. */
const root = fromFileUrl(new URL("..", import.meta.url));

export async function main(args: string[]): Promise<void> {
  const { json, file, ...settings } = parseFlags(task, flags, args);
  const start = performance.now();
  const weights = { gpt: weightsOf("gpt"), diffusion: weightsOf("diffusion") };
  const steps = stepsFor({ ...settings, file: file && relative(root, resolve(file)) });
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
  { file, engine, seed, threads }: {
    file?: string;
    engine: string;
    seed: number;
    threads?: number;
  },
): Step[] {
  const compute = ["--engine", engine, "--seed", `${seed}`];
  if (threads !== undefined) compute.push("--threads", `${threads}`);
  const each = (step: (model: "gpt" | "diffusion") => Step) => [step("gpt"), step("diffusion")];
  const of = (model: "gpt" | "diffusion") => ["--model", model, "--weights", weightsOf(model)];
  return [
    file === undefined ? ["fetch-data"] : ["fetch-data", "--file", file],
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
