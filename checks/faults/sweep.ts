/** Runs a command again and again, each time with another of its calls going wrong. */
import { join } from "@std/path";
import type { Call, How } from "./inject.ts";
import { different, type Ended, type Expected, wrongAfter, wrongAfterAll } from "./oracle.ts";
import { lasting, snapshot, steadyName } from "./snapshot.ts";

/** A command, and the folder that it finds. */
export interface Scenario {
  name: string;
  /** All after `deno`; the first is `run`. */
  args: string[];
  /** Makes the folder. */
  prepare?(folder: string): Promise<void>;
  env?(folder: string): Record<string, string>;
  /** As in `Expected`. */
  between?: RegExp;
  /**
   * Another command that may follow a kill, and the conditions that must hold then: a line for each
   * thing that does not.
   */
  goOn?: { args: string[]; wrong(folder: string, ended: Ended): Promise<string[]> };
  /** Programs of others write too. */
  hasOthers?: boolean;
  /** Why it can't be tried here. */
  whyNot?(): string | undefined;
}

/** One call that goes wrong. */
export interface Fault extends Call {
  how: How;
}

const ERRORS = ["ENOSPC", "EACCES", "EIO"] as const;

/**
 * Faults for all calls: the process killed before the first, after each (which is before the next),
 * and within each write; and errors of each kind at each place (a call and a file), in turns where
 * a place is come to more than once.
 */
export function faultsOf(calls: Call[]): Fault[] {
  const kills = calls.flatMap((call, i) => {
    const moments: How[] = i === 0 ? ["before", "after"] : ["after"];
    if (call.call.startsWith("write")) moments.push("half");
    return moments.map((how) => ({ ...call, how }));
  });
  const places = Object.values(
    Object.groupBy(
      calls,
      ({ call, path }) => `${call} ${steadyName(path)}`,
    ),
  );
  const errors = places.flatMap((place) =>
    Array.from(
      { length: Math.max(ERRORS.length, place!.length) },
      (_, i) => ({ ...place![i % place!.length], how: ERRORS[i % ERRORS.length] }),
    )
  );
  return [...errors, ...kills];
}

/** A scenario in its own folder under `root`, which is the same for all of its runs. */
export async function stage(scenario: Scenario, root: string) {
  const folder = join(root, "run"), template = join(root, "template");
  await remove(template);
  await Deno.mkdir(join(template, "tmp"), { recursive: true });
  await scenario.prepare?.(template);

  const reset = async () => {
    await remove(folder);
    await copy(template, folder);
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
    const { code, stdout, stderr } = await new Deno.Command(program, {
      args: [...first, verb, ...injected, ...rest],
      cwd: folder,
      env: { NO_COLOR: "1", TMPDIR: join(folder, "tmp"), ...scenario.env?.(folder) },
      stdin: "null",
    }).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    const left = await snapshot(folder).catch((error) => error.message as string);
    return { code, stdout: text(stdout), stderr: text(stderr), left };
  };
  return { scenario, root, folder, reset, run };
}
export type Stage = Awaited<ReturnType<typeof stage>>;

/** The calls of an undisturbed run, and what it leaves. */
export async function recorded({ scenario, root, folder, reset, run }: Stage) {
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
  const differing = typeof left === "string" ? [left] : different(left, first.left);
  if (lasting(stdout) !== lasting(first.stdout)) differing.push(`${stdout}\n${first.stdout}`);
  if (differing.length > 0) {
    throw new Error(`Cannot sweep ${scenario.name}: two runs differ: ${differing.join(", ")}`);
  }
  const expected: Expected = { old, undisturbed: first.left, between: scenario.between };
  return { calls, expected, stdout: lasting(stdout) };
}

/**
 * Does a fault to a run of a scenario, and runs it again. `endured`: it was an error, and the
 * command did its work all the same.
 */
export async function findingsOf(
  { scenario, folder, reset, run }: Stage,
  fault: Fault,
  { expected, stdout }: Awaited<ReturnType<typeof recorded>>,
): Promise<{ wrong: string[]; endured: boolean }> {
  const { at, how } = fault, { goOn } = scenario;
  const broken = async () => {
    await reset();
    return await run(scenario.args, { at, how });
  };
  const ended = await broken(), wrong = wrongAfter(fault, ended, expected);
  const again = await run();
  wrong.push(...wrongAfterAll(again, expected));
  if (again.code === 0 && lasting(again.stdout) !== stdout) {
    wrong.push("the next run tells other results");
  }
  if (goOn && /^(before|after|half)$/.test(how)) {
    await broken();
    wrong.push(...await goOn.wrong(folder, await run(goOn.args)));
  }
  return { wrong, endured: ended.code === 0 };
}

const remove = (path: string) => Deno.remove(path, { recursive: true }).catch(() => {});

async function copy(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for (const { name, isDirectory, isSymlink } of Deno.readDirSync(from)) {
    const [a, b] = [join(from, name), join(to, name)];
    if (isDirectory) await copy(a, b);
    else if (isSymlink) await Deno.symlink(await Deno.readLink(a), b);
    else await Deno.copyFile(a, b);
  }
}
