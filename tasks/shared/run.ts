/**
 * Runs a task: output, Ctrl-C, and errors as one line and an exit code. The only file that ends the
 * process, and the only one that turns Ctrl-C into something other than an end.
 */
import { bold, red } from "@std/fmt/colors";
import { UserError } from "../../engines/errors.ts";
import { HelpRequest, UsageError } from "./flags.ts";
import { helpText } from "./help.ts";
import { withoutControls } from "./text.ts";

/** The signals that a task may save before it ends, and its exit codes then. */
const exitCodes = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;
type StopSignal = keyof typeof exitCodes;

/**
 * Ctrl-C, SIGTERM, or SIGHUP, which says that the terminal was closed. The message tells the user
 * what was saved and how to resume.
 */
export class Interrupted extends Error {
  override name = "Interrupted";
  constructor(readonly signal: StopSignal, message = "Interrupted") {
    super(message);
  }
  get exitCode(): number {
    return exitCodes[this.signal];
  }
}

const startedOnTerminal = Deno.stdout.isTerminal();

/** Writes a result to stdout, with a line end if it has none. */
export function print(text: string): void {
  try {
    writeAll(Deno.stdout, text.endsWith("\n") ? text : text + "\n");
  } catch (error) {
    if (error instanceof Deno.errors.BrokenPipe) throw error; // `runTask` ends quietly
    const { message, code } = error as Error & { code?: string };
    if (startedOnTerminal && code === "EIO") throw new Deno.errors.BrokenPipe("terminal closed");
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
  tell(line + "\n");
}

/**
 * Writes to stderr. That it can't be written (the terminal was closed, the disk is full, the reader
 * has gone) ends nothing, and is said once it can be written again.
 */
export function tell(text: string): void {
  try {
    if (untold > 0) writeAll(Deno.stderr, `note: ${untold} messages could not be written here\n`);
    untold = 0;
    writeAll(Deno.stderr, text);
  } catch {
    untold++;
  }
}
let untold = 0;

/**
 * Whether a stream is a terminal on which lines can be redrawn. With `TERM=dumb` it has no cursor
 * to move; with `NO_COLOR` the user wants no escape codes.
 */
export function takesEscapeCodes(stream: { isTerminal(): boolean }): boolean {
  return stream.isTerminal() && !Deno.noColor && Deno.env.get("TERM") !== "dumb";
}

/**
 * The signal that Ctrl-C, SIGTERM and SIGHUP abort, with an `Interrupted` as its reason. A task that asks
 * for it promises to look at it between steps, to save, and to throw an `Interrupted`; a second
 * Ctrl-C ends the process at once. Without it, the first one does. One Ctrl-C may arrive twice,
 * from the terminal and from the task that started this one: what follows at once is not a second,
 * nor is a SIGHUP, which a shell repeats.
 *
 * Signals arrive as tasks of the event loop: a loop of engine steps has to let one pass now and
 * then (`setTimeout`).
 */
export function interruption(): AbortSignal {
  if (interrupt) return interrupt.signal;
  const controller = interrupt = new AbortController();
  let abortedAt = -Infinity;
  const listen = (signal: StopSignal) =>
    Deno.addSignalListener(signal, () => {
      const reason = new Interrupted(signal);
      const now = performance.now();
      if (!controller.signal.aborted) {
        abortedAt = now;
        controller.abort(reason);
      } else if (signal !== "SIGHUP" && now - abortedAt > 300) Deno.exit(reason.exitCode);
    });
  listen("SIGHUP");
  listen("SIGINT");
  listen("SIGTERM"); // on Windows, the end of the session
  return controller.signal;
}
let interrupt: AbortController | undefined;

/**
 * Runs the main function of a task and ends the process: 0 done, 1 failed, 2 wrong usage, 129, 130
 * or 143 interrupted. An error that was made for the user is one line on stderr; any other is a bug of
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
  if (error instanceof HelpRequest) {
    try {
      print(helpText(error.task, error.table));
      return 0;
    } catch (failure) {
      return reportError(failure);
    }
  }
  note(describeError(error));
  if (error instanceof Interrupted) return error.exitCode;
  return error instanceof UsageError ? 2 : 1;
}

/** Describes an error to the user: a line for each mistake, or a bug of ours with its stack trace. */
export function describeError(error: unknown): string {
  const label = takesEscapeCodes(Deno.stderr) ? bold(red("error:")) : "error:";
  if (error instanceof Interrupted) return error.message;
  if (error instanceof UsageError) {
    return error.message.split("\n").map((mistake) => `${label} ${mistake}`).join("\n");
  }
  if (error instanceof UserError || isFromSystem(error)) {
    return `${label} ${(error as Error).message.trim().replace(/\s*\n\s*/g, " ")}`;
  }
  const detail = error instanceof Error ? error.stack ?? String(error) : String(error);
  return `${label} This is a bug in tiny-diffusion; please report it with the lines below\n${detail}`;
}

/** Tells whether the system refused something: no such file, no permission, no space left. */
export function isFromSystem(error: unknown): boolean {
  // Deno has no class for some of them, such as a full disk.
  return Object.values(Deno.errors).some((errorClass) => error instanceof errorClass) ||
    error instanceof Error && /\(os error \d+\)/.test(error.message);
}

/** Writes all of a text: one `writeSync` may write a part of it. */
export function writeAll(stream: { writeSync(bytes: Uint8Array): number }, text: string): void {
  let bytes = new TextEncoder().encode(text);
  while (bytes.length > 0) bytes = bytes.subarray(stream.writeSync(bytes));
}
