/** Another `deno`, with a lock file of its own: for what this project does not install for all. */

/** What it lacks or could not do; the message is the reason only. */
export class DenoError extends Error {
  override name = "DenoError";
}

/** How a process of our own is called. */
export interface ChildOptions {
  signal?: AbortSignal;
  /** Added to its environment. */
  env?: Record<string, string>;
}

/**
 * What `deno` writes to stdout.
 *
 * @param stdin What it is given to read.
 * @throws {DenoError} If it fails.
 */
export async function denoOutput(
  args: string[],
  stdin: string,
  { signal, env }: ChildOptions,
): Promise<Uint8Array<ArrayBuffer>> {
  signal?.throwIfAborted();
  const child = new Deno.Command(Deno.execPath(), {
    args,
    env: { NO_COLOR: "1", ...env },
    ...{ stdin: "piped", stdout: "piped", stderr: "piped", signal },
  }).spawn();
  const writer = child.stdin.getWriter();
  // A child that ends early closes the pipe; its exit code and stderr say why.
  await writer.write(new TextEncoder().encode(stdin)).then(() => writer.close()).catch(() => {});
  const { success, stdout, stderr } = await child.output();
  signal?.throwIfAborted();
  if (!success) throw new DenoError(reasonIn(new TextDecoder().decode(stderr)));
  return stdout;
}

/** The line of Deno's output that says what went wrong. */
function reasonIn(stderr: string): string {
  const [report] = stderr.split(/^Stack backtrace/m); // there with RUST_BACKTRACE=1
  const lines = report.split("\n").map((line) => line.trim()).filter((line) => line !== "");
  const numbered = lines.filter((line) => /^\d+: /.test(line)).at(-1); // the innermost cause
  const error = lines.find((line) => line.startsWith("error: "));
  const reason = numbered ?? error ?? lines[0] ?? "deno failed without a word";
  return reason.replace(/^(\d+|error): |\.$/g, "");
}
