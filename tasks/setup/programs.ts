/** Programs that setup calls. Ctrl-C ends them. */
import { note, writeAll } from "../shared/run.ts";
import { type ProgramResult, runProgram, spawnProgram } from "../shared/process.ts";

/** The characters of a program's output that are kept to find the reason of its failure. */
const TAIL = 20_000;

/**
 * Runs a program in front of the user: prints the command and, on stderr, its output.
 *
 * @returns Whether it succeeded, and the last lines that it wrote.
 */
export async function runVisibly(
  program: string,
  args: string[],
  signal: AbortSignal,
): Promise<{ success: boolean; output: string }> {
  note(`$ ${[program, ...args].join(" ")}`);
  const child = spawnProgram(program, args, { signal });
  let output = "";
  const show = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>) => {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      writeAll(Deno.stderr, text);
      output = (output + text).slice(-TAIL);
    }
  };
  const [{ success }] = await Promise.all([child.status, show(child.stdout), show(child.stderr)]);
  signal.throwIfAborted();
  return { success, output };
}

/** Finds the first of some programs that starts and whose answer fits. */
export async function findProgram(
  programs: string[],
  args: string[],
  signal: AbortSignal,
  fits: (result: ProgramResult) => boolean = ({ code }) => code === 0,
): Promise<{ program: string; stdout: string } | undefined> {
  for (const program of programs) {
    try {
      const result = await runProgram(program, args, { signal });
      if (fits(result)) return { program, stdout: result.stdout };
    } catch (error) {
      const isMissing = error instanceof Deno.errors.NotFound ||
        error instanceof Deno.errors.PermissionDenied;
      if (!isMissing) throw error;
    }
  }
  return undefined;
}

/** Finds the last line of a program's output that mentions an error, or else its last line. */
export function findErrorLine(output: string): string {
  const lines = output.split("\n").map((line) => line.trim()).filter((line) => line !== "");
  const line = lines.findLast((line) => /\berror\b/i.test(line)) ?? lines.at(-1);
  return (line ?? "it gives no reason").replace(/^error:\s*/i, "");
}
