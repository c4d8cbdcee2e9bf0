/**
 * Runs tasks as a user does, for tests: in a process, in its own folder, with the permissions that
 * `deno.json` gives.
 */
import { assert, assertEquals } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { saveWeights } from "../../core/checkpoint.ts";
import { makeConfig } from "../../core/config.ts";
import { sha256Hex } from "../../files/read.ts";
import { initialWeights } from "../../core/model.ts";
import { models } from "../../core/models.ts";
import { seededRandom } from "../../core/random.ts";
import type { HostTensors } from "../../engines/tensors.ts";
import { runProgram, spawnProgram } from "../shared/process.ts";
import { inFolder } from "../../files/testing/temporary_folder.ts";

const root = fromFileUrl(new URL("../..", import.meta.url));

export { inFolder };

/** The result of a task that has ended. */
export interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

/** The arguments with which `deno` runs a task as `deno task` would, in whatever folder. */
export function denoArguments(task: string, args: string[]): string[] {
  const { tasks } = JSON.parse(Deno.readTextFileSync(join(root, "deno.json")));
  const [, run, ...rest]: string[] = tasks[task].command.split(" ");
  const script = rest.pop()!;
  // Frozen: what a test happens to import must not end up in the project's lock file.
  const config = ["--config", join(root, "deno.json"), "--frozen"];
  return [run, ...config, ...rest, join(root, script), ...args];
}

/** Runs a task to its end, as `deno task` would, but with `folder` as the working directory. */
export async function runTaskIn(folder: string, task: string, ...args: string[]): Promise<Ended> {
  const all = denoArguments(task, args);
  const { code, stdout, stderr } = await runProgram(Deno.execPath(), all, { cwd: folder });
  return { code, stdout, stderr };
}

/** Runs a task that must succeed with `--json`, and gives what it printed. */
export async function jsonOf(folder: string, task: string, ...args: string[]) {
  const ended = await runTaskIn(folder, task, ...args, "--json");
  assertEquals(ended.code, 0, ended.stderr);
  assertEquals(ended.stdout.trimEnd().split("\n").length, 1, ended.stdout);
  return JSON.parse(ended.stdout);
}

/**
 * Starts a task, sends it a signal, and waits for its end.
 *
 * @param when The words on stderr after which the signal is sent, or milliseconds after the start.
 * It may have ended by then.
 */
export async function signalled(
  signal: Deno.Signal,
  when: string | number,
  folder: string,
  task: string,
  ...args: string[]
): Promise<Ended> {
  const process = spawnProgram(Deno.execPath(), denoArguments(task, args), { cwd: folder });
  const stdout = process.stdout.text();
  let stderr = "";
  let due = false;
  const send = () => {
    due = true;
    try {
      process.kill(signal);
    } catch {
      // it has ended
    }
  };
  const timer = typeof when === "number" ? setTimeout(send, when) : undefined;
  for await (const text of process.stderr.pipeThrough(new TextDecoderStream())) {
    stderr += text;
    if (!due && typeof when === "string" && stderr.includes(when)) send();
  }
  const { code } = await process.status;
  clearTimeout(timer);
  if (typeof when === "string") assert(due, `it ended without ${JSON.stringify(when)}: ${stderr}`);
  return { code, stdout: await stdout, stderr };
}

/**
 * Asserts that a task failed as users should see it: its exit code, nothing on stdout, and one line
 * that starts with "error:".
 */
export function assertFailed(
  { code, stdout, stderr }: Ended,
  expected: number,
  says: string,
): void {
  const errors = stderr.split("\n").filter((line) => line.startsWith("error: "));
  assertEquals([code, errors.length, stdout], [expected, 1, ""], stderr);
  assert(errors[0].includes(says), `${errors[0]}\ndoes not say: ${says}`);
  assert(stderr.endsWith(errors[0] + "\n"), `something follows the error: ${stderr}`);
  assert(!/^\s+at /m.test(stderr), `a stack trace: ${stderr}`);
}

/** Names of all files and folders below `folder`, sorted. */
export function namesIn(folder: string): string[] {
  const names: string[] = [];
  const visit = (below: string) => {
    for (const { name, isDirectory } of Deno.readDirSync(join(folder, below))) {
      names.push(join(below, name));
      if (isDirectory) visit(join(below, name));
    }
  };
  visit("");
  return names.sort();
}

/**
 * A text with the 65 characters of Tiny Shakespeare, and so with those of the models in
 * `core/testdata/`.
 *
 * @param lines About 45 characters each.
 */
export function exampleText(lines = 40): string {
  const all = "!$&',-.3:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz\n";
  const verse = "First Citizen:\nSpeak softly, or be silent. Who goes there?\n";
  const rest = "The moon is up, my lord, and all the house asleep!\n";
  return verse + all + (verse + rest).repeat(lines / 2) + all;
}

/**
 * Leaves `text.txt` and untrained weights of both models, of preset `smoke`, in `weights/` of a
 * folder: all that most tests of `sample` and `eval` need.
 *
 * @param change What else to do to the weights before they are written.
 */
export async function writeWeights(
  folder: string,
  { text = exampleText(), change = (_: HostTensors) => {} } = {},
): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  await Deno.writeFile(join(folder, "text.txt"), bytes);
  await Deno.mkdir(join(folder, "weights"), { recursive: true });
  for (const model of Object.values(models)) {
    const vocabulary = model.vocabulary(text);
    const config = makeConfig(model.kind, "smoke", vocabulary.length);
    const weights = initialWeights(config, seededRandom(7));
    change(weights);
    await saveWeights(join(folder, `weights/${model.kind}-smoke.safetensors`), {
      config,
      vocabulary,
      weights,
      scores: {},
      prompt: [...text].slice(0, 16).join(""),
      corpusSha256: await sha256Hex(bytes),
    });
  }
}

/** A folder with what `writeWeights` leaves there. */
export const inTrainedFolder = (
  test: (folder: string) => Promise<void>,
  options?: Parameters<typeof writeWeights>[1],
): Promise<void> =>
  inFolder(async (folder) => {
    await writeWeights(folder, options);
    await test(folder);
  });
