/** From nothing to a page that compares the two models: runs the other tasks one after the other. */
import { format as duration } from "@std/fmt/duration";
import { note, outputFlags, parseFlags, print, printJson, runTask } from "./cli.ts";
import { commonFlags } from "./cli.ts";

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

export async function main(args: string[]): Promise<void> {
  const { file, engine, seed, threads, json } = parseFlags(task, flags, args);
  const start = performance.now();
  const compute = ["--engine", engine, "--seed", `${seed}`];
  if (threads !== undefined) compute.push("--threads", `${threads}`);

  await step("fetch-data", file === undefined ? [] : ["--file", file]);
  const models = ["gpt", "diffusion"].map((model) => ({
    model,
    weights: `weights/${model}-quickstart.safetensors`,
  }));
  for (const { model } of models) {
    await step(`train-${model}`, ["--preset", "quickstart", ...compute]);
  }
  for (const { model, weights } of models) {
    await step("sample", [
      "--model",
      model,
      "--weights",
      weights,
      "--length",
      "600",
      "--count",
      "2",
      ...compute,
    ]);
  }
  for (const { model, weights } of models) {
    await step("eval", ["--model", model, "--weights", weights, "--passes", "4", ...compute]);
  }
  await step("report", []);

  const seconds = (performance.now() - start) / 1000;
  if (json) {
    printJson({
      seconds,
      page: "reports/index.html",
      weights: models.map(({ weights }) => weights),
    });
  } else {print(
      `\nDone in ${
        duration(seconds * 1000, { ignoreZero: true })
      }. Open reports/index.html in a browser.`,
    );}
}

/** Runs one task as the user would, its output to our stderr; a task that fails ends this one with its exit code. */
async function step(name: string, args: string[]): Promise<void> {
  note(`\n$ deno task ${[name, ...args].join(" ")}`);
  const { code, signal } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", name, ...args],
    stdout: "inherit",
    stderr: "inherit",
  }).output();
  if (code !== 0) Deno.exit(signal === null ? code : 1);
}

if (import.meta.main) await runTask(main, Deno.args);
