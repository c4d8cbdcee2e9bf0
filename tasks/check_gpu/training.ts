/**
 * The part `training`: `train-diffusion` as a user runs it. One run says how long the engine was
 * idle and how much of the GPU's memory it took; a second one is killed and resumed, and must end
 * with the same bits.
 */
import { join } from "@std/path";
import { trainingPath } from "../../core/checkpoint.ts";
import { exists } from "../../files/read.ts";
import { makeFolder } from "../../files/write.ts";
import { readSafetensors } from "../../files/safetensors.ts";
import { runProgram, spawnProgram } from "../shared/process.ts";
import type { Finding } from "../shared/results.ts";
import { percent } from "../shared/text.ts";
import { makeWords } from "./begin_run.ts";
import type { PartRequest } from "./request.ts";
import { lastWords, taskCommand } from "./tasks.ts";

/** A tenth of them is held out, of which a block of the largest context is a small part. */
const WORDS = 4000;

export async function* trainAndResume(request: PartRequest): AsyncGenerator<Finding> {
  const { combinations: [{ engine: subject, precision }], folder, preset } = request;
  await makeFolder(folder);
  const text = join(folder, "words.txt");
  await Deno.writeTextFile(text, makeWords(WORDS));
  const path = (name: string) => join(folder, `${name}.safetensors`);
  // The killed run has three quarters of its steps before it when it first saves.
  const every = preset === "full" ? 15 : 5;
  const steps = 4 * every;
  const command = (name: string, ...flags: string[]) =>
    taskCommand("train-diffusion", request, [
      ...["--preset", preset, "--batch", `${request.batch}`, "--data", text],
      ...["--out", path(name), "--steps", `${steps}`, "--eval-every", `${every}`, ...flags],
    ]);
  const finding = (outcome: Finding["outcome"], summary: string, figures: Finding["figures"]) => ({
    subject,
    precision,
    outcome,
    summary,
    figures,
  });

  const memory = watchMemory();
  const whole = await runProgram(Deno.execPath(), command("whole"));
  const gpuMb = await memory.stop();
  if (whole.code !== 0) throw new Error(lastWords(whole.stderr));
  const { idle_share, chars_per_second, seconds, loss } = JSON.parse(whole.stdout);
  yield finding(
    "ok",
    `${steps} steps and 4 validations in ${seconds.toFixed(1)} s: ` +
      `${chars_per_second.toLocaleString("en-US")} characters/s, ` +
      `${percent(idle_share)} of it idle and saving` +
      (gpuMb === undefined ? "" : `, ${gpuMb} MB of the GPU's memory`),
    { idle_share, chars_per_second, seconds, loss, ...gpuMb && { gpu_mb: gpuMb } },
  );

  const killed = spawnProgram(Deno.execPath(), command("killed"));
  const words = killed.stderr.text();
  let isOver = false;
  killed.status.then(() => isOver = true);
  while (!isOver && !await exists(trainingPath(path("killed")))) await pause(5);
  if (isOver) throw new Error(`the run to be killed ended: ${lastWords(await words)}`);
  killed.kill("SIGKILL");
  await Promise.all([killed.status, words, killed.stdout.cancel()]);
  const resumed = await runProgram(
    Deno.execPath(),
    command("killed", "--resume"),
  );
  if (resumed.code !== 0) throw new Error(`--resume fails: ${lastWords(resumed.stderr)}`);
  const [expected, found] = await Promise.all(
    ["whole", "killed"].map(async (name) =>
      readSafetensors(await Deno.readFile(trainingPath(path(name)))).tensors
    ),
  );
  const names = Object.keys(expected);
  const different = names.filter((name) => !hasSameBits(expected[name].data, found[name]?.data));
  yield finding(
    different.length === 0 ? "ok" : "differs",
    different.length === 0
      ? `killed and resumed: all ${names.length} tensors have the same bits`
      : `killed and resumed: ${different.length} of ${names.length} tensors differ from those of ` +
        `a run that never stopped, such as ${different[0]}`,
    { tensors: names.length, different: different.length },
  );
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

function hasSameBits(a: ArrayBufferView, b: ArrayBufferView | undefined): boolean {
  if (b === undefined || a.byteLength !== b.byteLength) return false;
  const [one, other] = [a, b].map((view) =>
    new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
  );
  return one.every((byte, i) => byte === other[i]);
}

/** Watches the memory that is used on the GPU, where nvidia-smi says it. */
function watchMemory(): { stop(): Promise<number | undefined> } {
  const readUsed = async () => {
    const args = ["--query-gpu=memory.used", "--format=csv,noheader,nounits"];
    const { stdout } = await runProgram("nvidia-smi", args);
    return Math.max(...stdout.trim().split("\n").map(Number));
  };
  let isStopped = false;
  const watch = async () => {
    const before = await readUsed();
    let most = before;
    while (!isStopped) {
      most = Math.max(most, await readUsed());
      await pause(200);
    }
    return most - before;
  };
  const watched = watch().catch(() => undefined);
  return {
    stop() {
      isStopped = true;
      return watched;
    },
  };
}
