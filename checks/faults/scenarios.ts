/**
 * Each task that writes, as small as it gets, once where nothing is and once where there is
 * something to lose.
 */
import { join } from "@std/path";
import { loadTraining, loadWeights, trainingPath } from "../../core/checkpoint.ts";
import { fakeOnnxruntimePython } from "../../tasks/testing/fake_tools.ts";
import {
  denoArguments,
  exampleText,
  jsonOf as run, // prepares a folder
  writeWeights,
} from "../../tasks/testing/task_process.ts";
import type { Ended } from "./oracle.ts";
import type { Scenario } from "./sweep.ts";

const engine = ["--engine", "onnx", "--threads", "1"];
const data = ["--data", "text.txt"];
const smoke = ["--preset", "smoke", "--eval-every", "2", ...engine, ...data];

/** A task, run as `deno task` does. */
const task = (name: string, ...args: string[]) => denoArguments(name, [...args, "--json"]);

const writeText = (folder: string) => Deno.writeTextFile(join(folder, "text.txt"), exampleText());

/** Old files with contents of the right kind, to be replaced. */
const writeOld = async (folder: string) => {
  await writeWeights(folder);
  const names = ["out.safetensors", "out.pt", "out.onnx", "film.svg"];
  const from = await Deno.readFile(join(folder, "weights/gpt-smoke.safetensors"));
  for (const name of names) await Deno.writeFile(join(folder, name), from);
  await Deno.writeTextFile(join(folder, "film.svg"), "<svg></svg>\n");
  await run(folder, "convert", "weights/diffusion-smoke.safetensors", "out.pt", ...data);
};

/**
 * A run's weights and its state belong together: resuming at any moment must not mix two runs.
 */
const resuming = (args: string[], out: string): Scenario["goOn"] => ({
  args: args.includes("--resume") ? args : [...args, "--resume"],
  async wrong(folder: string, { code, stderr }: Ended) {
    if (
      code === 1 &&
      /\nerror: Cannot load [^\n]+no such file; leave out --resume[^\n]+\n$/.test("\n" + stderr)
    ) {
      return []; // killed before the first checkpoint
    }
    if (code !== 0) return [`--resume fails: ${stderr.slice(-300)}`];
    const path = join(folder, out);
    const { step, scores } = await loadWeights(path);
    const { counters, bestScore } = await loadTraining(trainingPath(path));
    return step === counters.bestStep && scores.val_bpc === bestScore ? [] : [
      `after --resume the weights are of step ${step} (${scores.val_bpc} bits), the state says that ` +
      `step ${counters.bestStep} was best (${bestScore})`,
    ];
  },
});

function training(
  name: string,
  model: string,
  out: string,
  args: string[],
  before: string[][],
): Scenario {
  const all = task(`train-${model}`, ...smoke, "--steps", "4", ...args);
  return {
    name,
    args: all,
    between: /\.(safetensors|jsonl)$/,
    secondary: /reports/,
    async prepare(folder) {
      await writeText(folder);
      for (const args of before) await run(folder, `train-${model}`, ...smoke, ...args);
    },
    goOn: resuming(all, out),
  };
}

const sampled = ["sample", "--model", "gpt", "--length", "20", "--count", "2", ...data] as const;
const evaluated = ["--blocks", "4", "--passes", "2", ...engine, ...data];
const quality = ["--model", "gpt", "--length", "50", "--temperature", "0.5", "--temperature", "1"];

/** Leaves results of both models, and a page without them. */
async function writeResults(folder: string): Promise<void> {
  await run(folder, "report", "--no-model");
  await writeWeights(folder);
  for (const model of ["gpt", "diffusion"]) {
    await run(folder, "sample", "--model", model, "--length", "20", ...engine, ...data);
  }
}

export const scenarios: Scenario[] = [
  {
    name: "fetch-data",
    args: task("fetch-data", "--file", "text.txt"),
    prepare: writeText,
  },
  {
    name: "fetch-data over another text",
    args: task("fetch-data", "--file", "text.txt", "--force"),
    async prepare(folder) {
      const other = "another text, which is longer.\n".repeat(50);
      await Deno.writeTextFile(join(folder, "text.txt"), other);
      await run(folder, "fetch-data", "--file", "text.txt");
      await writeText(folder);
    },
  },
  training("train-gpt", "gpt", "weights/gpt-smoke.safetensors", [], []),
  training("train-gpt over another run", "gpt", "run.safetensors", ["--out", "run.safetensors"], [
    ["--out", "run.safetensors", "--seed", "1", "--steps", "6"],
  ]),
  training(
    "train-diffusion going on",
    "diffusion",
    "run.safetensors",
    ["--out", "run.safetensors", "--resume"],
    [["--out", "run.safetensors", "--steps", "2"]],
  ),
  {
    name: "sample",
    args: task(...sampled, ...engine),
    secondary: /reports/,
    prepare: writeWeights,
  },
  {
    name: "eval",
    args: task("eval", ...evaluated, "--decoders", "2"),
    prepare: writeWeights,
    between: /\.jsonl$|-evaluation\.json$/, // a result grows by the row
    secondary: /reports/,
  },
  {
    name: "eval from left to right, going on",
    args: task("eval", "--model", "diffusion", "--estimator", "left-to-right", ...evaluated),
    async prepare(folder) {
      await writeWeights(folder);
      const some = ["--model", "diffusion", "--estimator", "left-to-right", "--blocks", "2"];
      await run(folder, "eval", ...some, ...engine, ...data);
    },
    between: /\.jsonl$/,
    secondary: /reports/,
  },
  {
    name: "quality",
    args: task("quality", ...quality, ...engine, ...data),
    prepare: (folder) => writeWeights(folder, { text: exampleText(120) }),
    between: /\.jsonl$/,
    secondary: /reports/,
  },
  {
    name: "check-gpu",
    args: task("check-gpu", "--part", "losses", "--preset", "smoke", ...engine),
    between: /\.json$/,
    secondary: /reports/,
  },
  {
    name: "report over another page",
    args: task("report", "--no-model"),
    prepare: writeResults,
  },
  ...[".safetensors", ".pt", ".onnx"].map((format): Scenario => ({
    name: `convert to ${format}`,
    args: task("convert", "weights/gpt-smoke.safetensors", `out${format}`),
    prepare: writeOld,
  })),
  {
    name: "ngrams over another table",
    args: task("ngrams", ...data),
    async prepare(folder) {
      await writeWeights(folder);
      await run(folder, "ngrams", ...data);
    },
  },
  {
    name: "visualize --svg",
    args: task("visualize", "--svg", "film.svg", "--blocks", "1", ...engine),
    prepare: writeOld,
  },
  {
    name: "report with the page over those of other texts",
    args: task("report"),
    prepare: async (folder) => {
      await writeResults(folder);
      await run(folder, "report");
      await Deno.mkdir(join(folder, "data"), { recursive: true });
      await Deno.writeTextFile(join(folder, "data/another.txt"), "another text");
    },
    between: /contents\.json$/,
  },
  {
    name: "sample by TensorFlow",
    args: task(...sampled, "--engine", "tensorflow", "--threads", "1"),
    secondary: /reports|tmp.tiny-diffusion-/, // a disk that is full from there on
    prepare: writeWeights,
    whyNot() {
      const args = denoArguments("engines", ["--json"]);
      const { stdout } = new Deno.Command(Deno.execPath(), { args }).outputSync();
      const { engines } = JSON.parse(new TextDecoder().decode(stdout));
      return engines.find(({ name }: { name: string }) => name === "tensorflow").available
        ? undefined
        : "it is not set up";
    },
  },
  {
    name: "setup-onnx-cuda with a pip of ours",
    whyNot: () =>
      Deno.build.os === "linux" && Deno.build.arch === "x86_64"
        ? undefined
        : "Linux on x86_64 only",
    args: task("setup-onnx-cuda"),
    env: (folder) => ({
      TINY_DIFFUSION_ONNX_CUDA: join(folder, "home"),
      PATH: `${join(folder, "bin")}:${Deno.env.get("PATH")}`,
    }),
    async prepare(folder) {
      await Deno.mkdir(join(folder, "bin"));
      const python = join(folder, "bin/python3");
      await Deno.writeTextFile(python, `#!/bin/sh\n${fakeOnnxruntimePython()}`, { mode: 0o755 });
    },
    between: /./,
    hasOthers: true,
  },
];
