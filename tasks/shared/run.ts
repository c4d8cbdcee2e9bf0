/**
 * Runs a task: output, Ctrl-C, and errors as one line and an exit code. The only file that ends the
 * process, and the only one that turns Ctrl-C into something other than an end.
 */
import { bold, red } from "@std/fmt/colors";
import { UserError } from "../../engines/errors.ts";
import { HelpRequest, UsageError } from "./flags.ts";
import { helpText } from "./help.ts";
import { withoutControls } from "./text.ts";

/**
 * Ctrl-C or SIGTERM (exit code 130 or 143). The message tells the user what was saved and how to
 * resume.
 */
export class Interrupted extends Error {
  override name = "Interrupted";
  constructor(readonly signal: "SIGINT" | "SIGTERM", message = "Interrupted") {
    super(message);
  }
  get exitCode(): number {
    return this.signal === "SIGINT" ? 130 : 143;
  }
}

/** Writes a result to stdout, with a line end if it has none. */
export function print(text: string): void {
  try {
    writeAll(Deno.stdout, text.endsWith("\n") ? text : text + "\n");
  } catch (error) {
    if (error instanceof Deno.errors.BrokenPipe) throw error; // `runTask` ends quietly
    const { message } = error as Error;
    const problem = { action: "write to stdout", found: message, advice: "check where it is sent" };
    throw new UserError(problem, { cause: error });
  }
}

/**
 * Writes text that a model wrote to stdout: as it is to a file or another program; for a terminal,
 * which would obey control characters, with "�" for each. Weights from elsewhere may have any
 * character in their vocabulary.
 */
export function printText(text: string): void {
  print(Deno.stdout.isTerminal() ? withoutControls(text) : text);
}

/** Writes the one object of `--json` to stdout. */
export function printJson(value: object): void {
  print(JSON.stringify(value));
}

/** Writes a line to stderr: anything that is not a result. */
export function note(line: string): void {
  writeAll(Deno.stderr, line + "\n");
}

/**
 * The signal that Ctrl-C and SIGTERM abort, with an `Interrupted` as its reason. A task that asks
 * for it promises to look at it between steps, to save, and to throw an `Interrupted`; a second
 * Ctrl-C ends the process at once. Without it, the first one does. One Ctrl-C may arrive twice,
 * from the terminal and from the task that started this one: what follows at once is not a second.
 *
 * Signals arrive as tasks of the event loop: a loop of engine steps has to let one pass now and
 * then (`setTimeout`).
 */
export function interruption(): AbortSignal {
  if (interrupt) return interrupt.signal;
  const controller = interrupt = new AbortController();
  let abortedAt = -Infinity;
  const listen = (signal: "SIGINT" | "SIGTERM") =>
    Deno.addSignalListener(signal, () => {
      const reason = new Interrupted(signal);
      const now = performance.now();
      if (!controller.signal.aborted) {
        abortedAt = now;
        controller.abort(reason);
      } else if (now - abortedAt > 300) Deno.exit(reason.exitCode);
    });
  listen("SIGINT");
  listen("SIGTERM"); // on Windows, the end of the session
  return controller.signal;
}
let interrupt: AbortController | undefined;

/**
 * Runs the main function of a task and ends the process: 0 done, 1 failed, 2 wrong usage, 130 or
 * 143 interrupted. An error that was made for the user is one line on stderr; any other is a bug of
 * ours and keeps its stack trace.
 */
export async function runTask(
  main: (args: string[]) => Promise<void>,
  args: string[],
): Promise<never> {
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    Deno.exit(reportError(event.reason));
  });
  try {
    await main(args);
  } catch (error) {
    Deno.exit(reportError(error));
  }
  const reason = interrupt?.signal.reason;
  Deno.exit(reason instanceof Interrupted ? reason.exitCode : 0);
}

/** Tells the user about an error, and returns the exit code. */
function reportError(error: unknown): number {
  // The reader of our output has gone (`| head`): nobody is left to tell.
  if (error instanceof Deno.errors.BrokenPipe) return 0;
  try {
    if (error instanceof HelpRequest) {
      print(helpText(error.task, error.table));
      return 0;
    }
    note(describeError(error));
  } catch (failure) {
    if (error instanceof HelpRequest) return reportError(failure);
    // stderr is gone as well: the exit code has to do
  }
  if (error instanceof Interrupted) return error.exitCode;
  return error instanceof UsageError ? 2 : 1;
}

/** Describes an error to the user: a line for each mistake, or a bug of ours with its stack trace. */
export function describeError(error: unknown): string {
  const label = Deno.stderr.isTerminal() ? bold(red("error:")) : "error:"; // std honours NO_COLOR
  if (error instanceof Interrupted) return error.message;
  if (error instanceof UsageError) {
    return error.message.split("\n").map((mistake) => `${label} ${mistake}`).join("\n");
  }
  if (error instanceof UserError || (error instanceof Error && isFromSystem(error))) {
    return `${label} ${error.message.trim().replace(/\s*\n\s*/g, " ")}`;
  }
  const detail = error instanceof Error ? error.stack ?? String(error) : String(error);
  return `${label} This is a bug in tiny-diffusion; please report it with the lines below\n${detail}`;
}

/** Tells whether the system refused something: no such file, no permission, no space left. */
function isFromSystem(error: Error): boolean {
  // Deno has no class for some of them, such as a full disk.
  return Object.values(Deno.errors).some((errorClass) => error instanceof errorClass) ||
    /\(os error \d+\)/.test(error.message);
}

/** Writes all of a text: one `writeSync` may write a part of it. */
export function writeAll(stream: { writeSync(bytes: Uint8Array): number }, text: string): void {
  let bytes = new TextEncoder().encode(text);
  while (bytes.length > 0) bytes = bytes.subarray(stream.writeSync(bytes));
}
