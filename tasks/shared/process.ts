/** Runs other programs and keeps what they write. */
import { UserError } from "../../engines/errors.ts";

/** The permissions of everything that starts engines. */
export const enginePermissions: readonly string[] = ["read", "write", "env", "ffi", "sys"]
  .map((what) => `--allow-${what}`);

export interface ProgramOptions {
  /** Ends the program when it is aborted. */
  signal?: AbortSignal;
  /** Variables added to its environment. */
  env?: Record<string, string>;
  /** @default {the working directory of this process} */
  cwd?: string;
  /** Text for its standard input. */
  stdin?: string;
}

export interface ProgramResult {
  code: number;
  /** The signal that ended the program, if it did not end by itself. */
  signal: Deno.Signal | null;
  /** Standard output as bytes, and as text. */
  bytes: Uint8Array<ArrayBuffer>;
  stdout: string;
  stderr: string;
}

/** Starts a program with both output streams piped. Colours are off. */
export function spawnProgram(
  program: string,
  args: string[],
  { signal, env, cwd, stdin }: ProgramOptions = {},
): Deno.ChildProcess {
  signal?.throwIfAborted();
  return new Deno.Command(program, {
    args,
    cwd,
    env: { NO_COLOR: "1", ...env },
    stdin: stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
    signal,
  }).spawn();
}

/** Runs a program to its end, whatever its exit code. */
export async function runProgram(
  program: string,
  args: string[],
  options: ProgramOptions = {},
): Promise<ProgramResult> {
  const child = spawnProgram(program, args, options);
  if (options.stdin !== undefined) {
    const writer = child.stdin.getWriter();
    // A child that ends early closes the pipe; its exit code and stderr say why.
    await writer.write(new TextEncoder().encode(options.stdin)).then(() => writer.close())
      .catch(() => {});
  }
  const { code, signal, stdout, stderr } = await child.output();
  options.signal?.throwIfAborted();
  const decoder = new TextDecoder();
  return {
    code,
    signal,
    bytes: stdout,
    get stdout() {
      return decoder.decode(stdout);
    },
    stderr: decoder.decode(stderr),
  };
}

/** Another `deno` failed; `found` is its reason. */
export class DenoError extends UserError {
  override name = "DenoError";
  constructor(reason: string) {
    super({ action: "run deno", found: reason });
  }
}

/**
 * Runs `deno`, with a separate lock file where `args` name one: for packages that this project does
 * not install for everybody.
 *
 * @returns Its standard output.
 * @throws {DenoError} If it fails.
 */
export async function runDeno(
  args: string[],
  options: ProgramOptions,
): Promise<Uint8Array<ArrayBuffer>> {
  const { code, bytes, stderr } = await runProgram(Deno.execPath(), args, options);
  if (code !== 0) throw new DenoError(findReason(stderr));
  return bytes;
}

/** Finds the line of Deno's output that says what went wrong. */
function findReason(stderr: string): string {
  const [report] = stderr.split(/^Stack backtrace/m); // printed with RUST_BACKTRACE=1
  const lines = report.split("\n").map((line) => line.trim()).filter((line) => line !== "");
  const innermost = lines.filter((line) => /^\d+: /.test(line)).at(-1);
  const error = lines.find((line) => line.startsWith("error: "));
  const reason = innermost ?? error ?? lines[0] ?? "deno failed without a message";
  return reason.replace(/^(\d+|error): |\.$/g, "");
}
