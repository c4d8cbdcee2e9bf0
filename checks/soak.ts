/**
 * Hours of training with samples and evaluations in between: nothing may fail, and the memory of
 * the training must stay flat (its minimum in the last tenth of the time at most 2 % above that in
 * the second tenth). Linux only, as it reads /proc.
 *
 *   deno task --cwd checks soak 2 train-diffusion --preset quickstart --steps 1000000 --out
 *   weights/soak.safetensors
 *
 * At the end the training is stopped as by Ctrl-C, and must then have saved; `--resume` continues
 * it.
 */
import { fromFileUrl } from "@std/path";
import { estimators } from "../core/scoring/estimators.ts";
import { denoArguments } from "../tasks/testing/task_process.ts";

const MINUTE = 60_000;
const [hours, task, ...args] = Deno.args;
if (!(Number(hours) > 0) || !/^train-/.test(task ?? "")) {
  console.error(
    "error: usage: deno task --cwd checks soak HOURS train-gpt|train-diffusion [FLAGS]",
  );
  Deno.exit(2);
}
const out = args[args.indexOf("--out") + 1];
if (!args.includes("--out") || out === undefined) {
  console.error("error: the training needs --out FILE, so that what it has learned can be sampled");
  Deno.exit(2);
}
const model = task === "train-gpt" ? "gpt" : "diffusion";
const end = Date.now() + Number(hours) * 60 * MINUTE;

/** Starts a task in the project's folder, as `deno task` does. */
function start(task: string, args: string[]): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: denoArguments(task, args),
    cwd: fromFileUrl(new URL("..", import.meta.url)),
    stdin: "null",
    stdout: "null",
  }).spawn();
}

const training = start(task, args);
let code: number | undefined;
const ended = training.status.then((status) => code = status.code);

/** Reads the resident memory of the training, in MiB. */
const readMemory = () =>
  Number(/VmRSS:\s*(\d+)/.exec(Deno.readTextFileSync(`/proc/${training.pid}/status`))![1]) / 1024;

// Once a minute the memory, and every ten minutes a sample or an evaluation, in turns.
const seen: number[] = [];
let failures = 0;
for (let minute = 1; Date.now() < end && code === undefined; minute++) {
  await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, MINUTE))]);
  if (code !== undefined) break;
  seen.push(readMemory());
  if (minute % 10 > 0) continue;
  console.log(`minute ${minute}: ${seen.at(-1)!.toFixed(0)} MiB`);
  if (!await Deno.stat(out).then(() => true, () => false)) continue;
  const [estimator] = estimators[model];
  const uses = [["sample", "--length", "100"], ["eval", "--blocks", "4", "--estimator", estimator]];
  const [use, ...flags] = uses[minute / 10 % 2];
  const status = await start(use, ["--model", model, "--weights", out, ...flags]).status;
  if (!status.success) failures++;
}
if (code === undefined) training.kill("SIGINT");
await ended;

const tenth = Math.max(1, Math.floor(seen.length / 10));
// The minimum of some minutes: memory held for a while around a checkpoint comes and goes, a leak
// stays.
const before = Math.min(...seen.slice(tenth, 2 * tenth));
const after = Math.min(...seen.slice(-tenth));
const growth = 100 * (after / before - 1);
console.log(
  `${seen.length} minutes, training ended with ${code}, ${failures} samples or evaluations failed, ` +
    `memory ${before.toFixed(0)} -> ${after.toFixed(0)} MiB (${growth.toFixed(2)} %), ` +
    `at most ${Math.max(...seen).toFixed(0)}`,
);
Deno.exit((code === 0 || code === 130) && failures === 0 && growth <= 2 ? 0 : 1);
