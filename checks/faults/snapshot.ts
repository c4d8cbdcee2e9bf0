/**
 * The contents of a folder, as far as undisturbed runs of the same command agree on it; and whether
 * each file is whole.
 */
import { join } from "@std/path";
import { loadTraining, loadWeights } from "../../core/checkpoint.ts";
import { sha256Hex } from "../../files/read.ts";
import { readPt } from "../../files/pt.ts";
import { namesIn } from "../../tasks/testing/task_process.ts";

/**
 * Contents by name. Names that differ by a date or a random part only are one name, which may have
 * several contents.
 */
export type Snapshot = Map<string, Set<string>>;

/** The fields that say when, how often and how fast something was done. */
const passing = new Set(
  ["date", "commit", "seconds", "fetched", "fetch", "chars_per_second", "idle_share"],
);

/** JSON without what passes. */
export function lasting(json: string): string {
  const value = JSON.parse(json, (key, value) => passing.has(key) ? undefined : value);
  return steadyName(JSON.stringify(value));
}

/**
 * A path, or a text with paths in it, without the parts that each run draws or reads from the
 * clock.
 */
export function steadyName(path: string): string {
  return path.replace(/\d{4}-\d\d-\d\dT[\d-]+Z-([\w-]+?)-[0-9a-f]{8}\b/g, "TIME-$1")
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, "UUID")
    .replace(/\.partial-[0-9a-f]{8}/g, ".partial-RANDOM")
    .replace(/(library|bare)-[0-9a-f]{8,12}\b/g, "$1-RANDOM") // folders of a setup
    .replace(/(^|\/)(tmp\/[\w-]*?)[0-9a-f]{8,16}\b/g, "$1$2RANDOM");
}

/**
 * Whether a name is one of those that are gone when all goes well: `.NAME.tmp`, `.NAME.lock`,
 * `NAME.partial-RANDOM`.
 */
export const isTemporary = (name: string) =>
  /(^|\/)\.[^/]+\.(tmp|lock)$|\.partial-\w+(\/|$)|^tmp\/./.test(name);

/** The line that follows the last whole one of a file of JSON lines. */
export const TORN = "\n(torn)";

/**
 * Reads a folder.
 *
 * @throws {Error} With all files that are not whole. The last line of a file of lines may be torn:
 * then `TORN` ends its content.
 */
export async function snapshot(folder: string): Promise<Snapshot> {
  const seen: Snapshot = new Map();
  const broken: string[] = [];
  for (const name of namesIn(folder)) {
    const path = name.replaceAll("\\", "/");
    const { isDirectory, isSymlink } = await Deno.lstat(join(folder, path));
    if (isDirectory) continue;
    try {
      const content = isSymlink
        ? steadyName(await Deno.readLink(join(folder, path)))
        : isTemporary(path)
        ? ""
        : await contentOf(join(folder, path));
      const key = steadyName(path);
      seen.set(key, (seen.get(key) ?? new Set()).add(content));
    } catch (error) {
      broken.push(`${path} is not whole: ${(error as Error).message}`);
    }
  }
  if (broken.length > 0) throw new Error(broken.join("\n"));
  return seen;
}

/** @throws {Error} If a file of this kind does not end where it should. */
async function contentOf(path: string): Promise<string> {
  const bytes = await Deno.readFile(path);
  const text = () => new TextDecoder().decode(bytes);
  if (path.endsWith(".training.safetensors")) {
    const { weights, moments, counters: { seconds: _, ...counters }, ...facts } =
      await loadTraining(path);
    const tensors = Object.entries({ ...weights, ...moments }).sort(([a], [b]) => a < b ? -1 : 1);
    const hashes = tensors.map(([name, { data }]) =>
      sha256Hex(new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice())
        .then((hash) => [name, hash])
    );
    return JSON.stringify([facts, counters, await Promise.all(hashes)]);
  }
  if (path.endsWith(".safetensors")) await loadWeights(path);
  if (path.endsWith(".pt")) readPt(bytes);
  if (path.endsWith(".json")) return lasting(text());
  if (path.endsWith(".jsonl")) {
    const lines = text().split("\n");
    const last = lines.pop();
    return lines.map(lasting).join("\n") + (last === "" ? "" : TORN);
  }
  const end = /\.(html|svg)$/.exec(path)?.[1];
  if (end && !text().trimEnd().endsWith(`</${end}>`)) throw new Error(`it lacks </${end}>`);
  return await sha256Hex(bytes);
}
