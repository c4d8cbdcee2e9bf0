/** Finds the texts that `fetch-data` has stored in a folder, by the JSON files next to them. */
import { basename, join } from "@std/path";
import { type CorpusInfo, readCorpusInfo } from "../../core/data/corpus.ts";
import { listFiles } from "../../files/read.ts";
import { UserError } from "../../engines/errors.ts";

/** Returns the number of the next fetch into a folder. */
export async function countNextFetch(folder: string): Promise<number> {
  const known = (await listFetched(folder)).map(({ fetch = 0 }) => fetch);
  return Math.max(0, ...known) + 1;
}

/**
 * Finds the text that was fetched last, by the JSON files of `folder`: by their numbers and, where
 * an older version left none, by their dates. Returns its path.
 *
 * @throws {UserError} If none was fetched.
 */
export async function findLatestCorpus(folder = "data"): Promise<string> {
  const path = await findCorpus({ folder });
  if (path !== undefined) return path;
  throw new UserError({
    action: `find a text in ${JSON.stringify(folder)}`,
    found: "none was fetched yet",
    advice: 'run "deno task fetch-data", or give a file with --data',
  });
}

/**
 * Finds the text that was fetched last, among those with a SHA-256 if one is given. Returns its
 * path, or undefined if there is none.
 */
export async function findCorpus(
  { sha256, folder = "data" }: { sha256?: string; folder?: string } = {},
): Promise<string | undefined> {
  const isLater = (a: CorpusInfo, b: CorpusInfo) =>
    a.fetch === b.fetch ? a.fetched > b.fetched : (a.fetch ?? 0) > (b.fetch ?? 0);
  let latest: CorpusInfo & { path: string } | undefined;
  for (const info of await listFetched(folder)) {
    if (sha256 !== undefined && info.sha256 !== sha256) continue;
    if (await isFile(info.path) && (!latest || isLater(info, latest))) latest = info;
  }
  return latest?.path;
}

/** Lists what the JSON files of a folder say of texts, by name. */
async function listFetched(folder: string): Promise<(CorpusInfo & { path: string })[]> {
  const fetched: (CorpusInfo & { path: string })[] = [];
  for (const name of await listFiles(folder)) {
    if (!name.endsWith(".json")) continue;
    const info = await readCorpusInfo(join(folder, name));
    if (info) fetched.push({ ...info, path: join(folder, basename(name, ".json") + ".txt") });
  }
  return fetched;
}

async function isFile(path: string): Promise<boolean> {
  return await Deno.stat(path).then((info) => info.isFile, () => false);
}
