/**
 * Programs that setup calls: each is shown before it runs, its output goes to stderr, and Ctrl-C
 * ends it.
 */
import { note } from "../shared/cli.ts";

/**
 * Something is missing or failed around us: found and expected, and what to do. `settingUp` says of
 * what.
 */
export class SetupError extends Error {}

/** Does a setup's work; says what could not be set up, also where it is the system that refuses. */
export async function settingUp<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { message, code } = error as Error & { code?: string };
    const isSystems = typeof code === "string" && !message.startsWith("Cannot ");
    if (!(error instanceof SetupError || isSystems)) throw error;
    const reason = isSystems
      ? `${message.split("\n")[0]}; check the folder and the disk, or choose another --prefix`
      : message;
    throw new Error(`Cannot set up ${what}: ${reason}`, { cause: error });
  }
}

export interface CommandOptions {
  signal: AbortSignal;
  env?: Record<string, string>;
  stdin?: string;
}

export interface CommandResult {
  success: boolean;
  stdout: string;
  /** Of `runVisibly`: the last lines of both streams. */
  stderr: string;
  /** What ended the program, if it did not end by itself. */
  signal: Deno.Signal | null;
}

/** How many characters of a program's output are kept to find the reason of its failure. */
const TAIL = 20_000;

/** Runs a program in front of the user. */
export async function runVisibly(
  program: string,
  args: string[],
  options: CommandOptions,
): Promise<CommandResult> {
  note(`$ ${[program, ...args].join(" ")}`);
  const child = spawn(program, args, options);
  let tail = "";
  const show = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>) => {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      Deno.stderr.writeSync(new TextEncoder().encode(text));
      tail = (tail + text).slice(-TAIL);
    }
  };
  const [, , status] = await Promise.all([show(child.stdout), show(child.stderr), child.status]);
  options.signal.throwIfAborted();
  return { success: status.success, stdout: "", stderr: tail, signal: status.signal };
}

/** Runs a program and keeps what it writes. */
export async function run(
  program: string,
  args: string[],
  options: CommandOptions,
): Promise<CommandResult> {
  const child = spawn(program, args, options);
  if (options.stdin !== undefined) {
    const writer = child.stdin.getWriter();
    // A child that ends early closes the pipe; its exit code and stderr say why.
    await writer.write(new TextEncoder().encode(options.stdin)).then(() => writer.close())
      .catch(() => {});
  }
  const { success, stdout, stderr, signal } = await child.output();
  options.signal.throwIfAborted();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { success, stdout: text(stdout), stderr: text(stderr), signal };
}

function spawn(program: string, args: string[], { signal, env, stdin }: CommandOptions) {
  signal.throwIfAborted();
  return new Deno.Command(program, {
    args,
    env: { NO_COLOR: "1", ...env },
    stdin: stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
    signal,
  }).spawn();
}

/** The first of some programs that starts, with what it answers. */
export async function firstThatRuns(
  programs: string[],
  args: string[],
  options: CommandOptions,
  fits: (result: CommandResult) => boolean = (result) => result.success,
): Promise<{ program: string; result: CommandResult } | undefined> {
  for (const program of programs) {
    try {
      const result = await run(program, args, options);
      if (fits(result)) return { program, result };
    } catch (error) {
      const missing = error instanceof Deno.errors.NotFound ||
        error instanceof Deno.errors.PermissionDenied;
      if (!missing) throw error;
    }
  }
  return undefined;
}

/** The last line of a program's output that tells of an error, or its last line. */
export function errorLine(output: string): string {
  const lines = output.split("\n").map((line) => line.trim()).filter((line) => line !== "");
  const line = lines.findLast((line) => /\berror\b/i.test(line)) ?? lines.at(-1);
  return (line ?? "no word about why").replace(/^error:\s*/i, "");
}
