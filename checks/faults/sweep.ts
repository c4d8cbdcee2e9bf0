/** Runs a command again and again, each time with another of its calls going wrong. */
import { join } from "@std/path";
import { cp } from "node:fs/promises";
import { runProgram } from "../../tasks/shared/process.ts";
import type { Call, Fault, How, Stream } from "./inject.ts";
import {
  compareFolders,
  type Ended,
  type Expected,
  judgeFault,
  judgeRepeat,
  judgeStream,
} from "./oracle.ts";
import { lasting, snapshot, steadyName } from "./snapshot.ts";

/** A command, and the folder that it finds. */
export interface Scenario {
  name: string;
  /** All after `deno`; the first is `run`. */
  args: string[];
  prepare?(folder: string): Promise<void>;
  env?(folder: string): Record<string, string>;
  /** As in `Expected`. */
  between?: RegExp;
  /**
   * Another command that may follow a kill, and the conditions that must hold then: a line for each
   * thing that does not.
   */
  goOn?: { args: string[]; wrong(folder: string, ended: Ended): Promise<string[]> };
  /** Files that the command can do without: if one can't be written, it says so and continues. */
  secondary?: RegExp;
  /** Programs of others write too. */
  hasOthers?: boolean;
  /** Why it can't be tried here. */
  whyNot?(): string | undefined;
}

const ERRORS = ["ENOSPC", "EACCES", "EIO"] as const;

/**
 * Faults for all calls: the process killed before the first, after each (which is before the next),
 * and within each write; and errors of each kind at each place (a call and a file), in turns where
 * a place is come to more than once.
 */
export function listFaults(calls: Call[]): Fault[] {
  const kills = calls.flatMap((call, i) => {
    const moments: How[] = i === 0 ? ["before", "after"] : ["after"];
    if (call.call.startsWith("write")) moments.push("half");
    return moments.map((how) => ({ ...call, how }));
  });
  const places = Map.groupBy(calls, ({ call, path }) => `${call} ${steadyName(path)}`);
  const errors = [...places.values()].flatMap((place) => {
    const length = Math.max(ERRORS.length, place.length);
    const fault = (i: number) => ({ ...place[i % place.length], how: ERRORS[i % ERRORS.length] });
    return Array.from({ length }, (_, i) => fault(i));
  });
  return [...errors, ...kills];
}

/** Prepares a scenario in a folder under `root`, which is the same for all of its runs. */
export async function stage(scenario: Scenario, root: string) {
  const folder = join(root, "run");
  const template = join(root, "template");
  await remove(template);
  await Deno.mkdir(join(template, "tmp"), { recursive: true });
  await scenario.prepare?.(template);

  const reset = async () => {
    await remove(folder);
    await cp(template, folder, { recursive: true, verbatimSymlinks: true });
  };
  const run = async (
    args = scenario.args,
    inject?: Record<string, unknown>,
    tracer: string[] = [],
  ) => {
    const [verb, ...rest] = args;
    const url = new URL("inject.ts", import.meta.url);
    for (const [key, value] of Object.entries(inject ?? {})) url.searchParams.set(key, `${value}`);
    const mayKill = rest.some((arg) => /^--allow-(all|run)$/.test(arg)); // to kill is to run something
    const injected = inject ? [`--preload=${url}`, ...(mayKill ? [] : ["--allow-run"])] : [];
    const [program, ...first] = [...tracer, Deno.execPath()];
    const { code, stdout, stderr } = await runProgram(
      program,
      [...first, verb, ...injected, ...rest],
      { cwd: folder, env: { TMPDIR: join(folder, "tmp"), ...scenario.env?.(folder) } },
    );
    const left = await snapshot(folder).catch((error) => error.message as string);
    return { code, stdout, stderr, left };
  };
  return { scenario, root, folder, reset, run };
}
export type Stage = Awaited<ReturnType<typeof stage>>;

/** Records the calls of an undisturbed run, and what it leaves. */
export async function record({ scenario, root, folder, reset, run }: Stage) {
  const log = join(root, "calls.jsonl");
  await Deno.writeTextFile(log, "");
  await reset();
  const old = await snapshot(folder);
  const first = await run(scenario.args, { log });
  if (first.code !== 0 || typeof first.left === "string") {
    throw new Error(`Cannot record ${scenario.name}: ${first.stderr}${first.left}`);
  }
  const lines = (await Deno.readTextFile(log)).split("\n").slice(0, -1);
  const calls: Call[] = lines.map((line) => JSON.parse(line));
  // Twice from the same folder: differences between the two are not faults.
  await reset();
  const { stdout, left } = await run();
  const differing = typeof left === "string" ? [left] : compareFolders(left, first.left);
  if (lasting(stdout) !== lasting(first.stdout)) differing.push(`${stdout}\n${first.stdout}`);
  if (differing.length > 0) {
    throw new Error(`Cannot sweep ${scenario.name}: two runs differ: ${differing.join(", ")}`);
  }
  const expected: Expected = {
    old,
    undisturbed: first.left,
    between: scenario.between,
    secondary: scenario.secondary,
  };
  return { calls, expected, stdout: lasting(stdout) };
}

/**
 * Runs a scenario with a fault, and then without one. `endured`: the fault was an error, and the
 * command still did its work.
 */
export async function tryFault(
  { scenario, folder, reset, run }: Stage,
  fault: Fault,
  { expected, stdout }: Awaited<ReturnType<typeof record>>,
): Promise<{ wrong: string[]; endured: boolean }> {
  const { at, how } = fault;
  const { goOn } = scenario;
  const broken = async () => {
    await reset();
    return await run(scenario.args, { at, how });
  };
  const ended = await broken();
  const wrong = judgeFault(fault, ended, expected);
  const again = await run();
  const isDone = ended.code === 0 && scenario.args.includes("--resume");
  wrong.push(...judgeRepeat(again, expected, isDone ? scenario.secondary : undefined));
  if (again.code === 0 && lasting(again.stdout) !== stdout) {
    wrong.push("the next run tells other results");
  }
  if (goOn && /^(before|after|half)$/.test(how)) {
    await broken();
    wrong.push(...await goOn.wrong(folder, await run(goOn.args)));
  }
  return { wrong, endured: ended.code === 0 };
}

/** Runs a scenario of which one stream can't be written, and lists what is wrong. */
export async function tryStream(
  { scenario, reset, run }: Stage,
  stream: Stream,
  how: "ENOSPC" | "EIO",
  { expected, stdout }: Awaited<ReturnType<typeof record>>,
): Promise<string[]> {
  await reset();
  const ended = await run(scenario.args, { stream, how });
  const wrong = judgeStream(stream, how, ended, expected);
  if (stream === "stderr" && ended.code === 0 && lasting(ended.stdout) !== stdout) {
    wrong.push("it tells other results");
  }
  return wrong;
}

const remove = (path: string) => Deno.remove(path, { recursive: true }).catch(() => {});
