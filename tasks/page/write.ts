/**
 * Writes the page as a folder that works from any static host: scripts, onnxruntime-web, and the
 * texts and weights that are here.
 *
 * Heavy modules are imported when they are needed: a report without the page loads no renderer of it.
 */
import { join } from "@std/path";
import { readBytes } from "../../files/read.ts";
import { lockFile } from "../../files/lock.ts";
import { makeFolder, writeFileAtomically } from "../../files/write.ts";
import { isNgramFile, ngramFileName } from "../../core/ngrams/file.ts";
import { UserError } from "../../engines/errors.ts";
import { DenoError } from "../shared/process.ts";
import { bundle, fetchOnnxruntime, onnxruntimeNames, onnxruntimeWeb, scripts } from "./bundle.ts";
import type { PageFacts } from "./facts.ts";

/** A folder with the page, and what is in it. */
export interface WrittenPage {
  /** The path of the page. */
  path: string;
  /** The size of all files together. */
  bytes: number;
  /** What a browser loads before it can train: all but WebGPU's build, texts and weights. */
  startBytes: number;
}

export interface PageOptions {
  /** The folder of the project, with `data/` and `weights/`. @default {"."} */
  root?: string;
  /** Whether the folder is next to a report. */
  hasReport?: boolean;
  /** Told what can't be made, and what takes its time. */
  note?: (line: string) => void;
  signal?: AbortSignal;
  /** Added to the environment of the processes that bundle and fetch. */
  env?: Record<string, string>;
  /** The time to wait for another process that writes the folder. @default {10_000} */
  patienceMs?: number;
}

/** The description of the folder, written last: a folder that lacks it is incomplete. */
interface Contents extends Omit<WrittenPage, "path"> {
  onnxruntime: string;
  /** Names of the texts. */
  texts: string[];
}
const CONTENTS = "contents.json";

/**
 * Reads what `writePage` has written into a folder; undefined if it has not, or not to its end, or
 * with other texts than there are now.
 */
export async function readPage(folder: string, root = "."): Promise<WrittenPage | undefined> {
  const { bytes, startBytes, texts = [] } = await readContents(folder) ?? {};
  if (bytes === undefined || startBytes === undefined) return undefined;
  if (`${texts}` !== `${await listTexts(root)}`) return undefined;
  return { path: join(folder, "index.html"), bytes, startBytes };
}

async function readContents(folder: string): Promise<Partial<Contents> | undefined> {
  try {
    return JSON.parse(await Deno.readTextFile(join(folder, CONTENTS)));
  } catch {
    return undefined;
  }
}

/**
 * Writes the page into a folder. An onnxruntime that is there already and still right stays.
 *
 * @returns undefined where npm is not reached; `note` says so.
 * @throws {Error} If the folder can't be written, or another process writes it.
 */
export async function writePage(
  folder: string,
  options: PageOptions = {},
): Promise<WrittenPage | undefined> {
  const { note = () => {}, signal } = options;
  try {
    return await makePage(folder, options);
  } catch (error) {
    signal?.throwIfAborted();
    if (!(error instanceof DenoError)) throw error;
    note(`No page that trains in the browser: ${error.found}; check the network and try again`);
    return undefined;
  }
}

/**
 * Writes the page as `writePage` does.
 *
 * @throws {DenoError} If npm is not reached.
 */
export async function makePage(
  folder: string,
  { root = ".", hasReport = false, note = () => {}, patienceMs = 10_000, ...options }: PageOptions,
): Promise<WrittenPage> {
  const names = Object.keys(scripts) as (keyof typeof scripts)[];
  const bundled = await Promise.all(names.map((name) => bundle(name, options)));
  await makeFolder(folder);
  // `report` and `serve` at once must not mix their files.
  using _lock = await lockFile(join(folder, CONTENTS), { patienceMs });
  const before = await readContents(folder);
  const put = (name: string, content: string | Uint8Array<ArrayBuffer>) =>
    writeFileAtomically(
      join(folder, name),
      typeof content === "string" ? new TextEncoder().encode(content) : content,
    );
  await put(CONTENTS, "{}\n"); // until the end, the folder is not whole

  const isThere = (await readSizes(folder, onnxruntimeNames)).every((size) => size > 0);
  if (!isThere || before?.onnxruntime !== onnxruntimeWeb) {
    note(`Getting ${onnxruntimeWeb} from npm or Deno's cache (33 MB to fetch the first time)`);
    for (const name of onnxruntimeNames) await put(name, await fetchOnnxruntime(name, options));
  }
  for (const [i, name] of names.entries()) await put(name, bundled[i]);
  const facts = await copyFiles(root, folder);
  await put("page.css", await readStyles());
  const { renderShell } = await import("./shell.tsx");
  await put("index.html", renderShell(facts, { hasReport }));

  const start = ["index.html", "page.css", ...names, "ort.wasm.mjs", "ort-wasm-simd-threaded.wasm"];
  const startBytes = sum(await readSizes(folder, start));
  const others = onnxruntimeNames.filter((name) => !start.includes(name));
  const copies = [...facts.texts, ...facts.weights, ...facts.ngrams ? [facts.ngrams] : []];
  const copied = sum(copies.map(({ bytes }) => bytes));
  const bytes = startBytes + sum(await readSizes(folder, others)) + copied;
  const texts = facts.texts.map(({ name }) => name);
  const contents: Contents = { bytes, startBytes, texts, onnxruntime: onnxruntimeWeb };
  await put(CONTENTS, JSON.stringify(contents, null, 2) + "\n");
  return { bytes, startBytes, path: join(folder, "index.html") };
}

/**
 * Copies the texts that were fetched, and the weights that come with the project with their table of
 * n-grams, where there are any.
 */
async function copyFiles(root: string, folder: string): Promise<PageFacts> {
  const copy = async (from: string, to: string) => {
    const bytes = await readBytes(from);
    const [size] = await readSizes(folder, [to]);
    if (size !== bytes.length) await writeFileAtomically(join(folder, to), bytes);
    return bytes.length;
  };
  const texts: PageFacts["texts"] = [];
  await makeFolder(join(folder, "texts"));
  for (const file of await listTexts(root)) {
    const bytes = await copy(join(root, "data", file), join("texts", file));
    texts.push({ name: file, file: `texts/${encodeURIComponent(file)}`, bytes });
  }
  const weights: PageFacts["weights"] = [];
  await makeFolder(join(folder, "weights"));
  const present = await listNames(join(root, "weights"), ".safetensors");
  for (const kind of ["gpt", "diffusion"] as const) {
    const file = `${kind}.safetensors`;
    if (!present.includes(file)) continue;
    weights.push({ kind, bytes: await copy(join(root, "weights", file), join("weights", file)) });
  }
  if (weights.length < 2) return { texts, weights: [] };
  const table = await findNgrams(join(root, "weights"));
  if (table === undefined) return { texts, weights };
  const file = `weights/${table}`;
  return { texts, weights, ngrams: { file, bytes: await copy(join(root, file), file) } };
}

/** Finds the stored table of the text on which the diffusion model was trained. */
async function findNgrams(weights: string): Promise<string | undefined> {
  const tables = (await listNames(weights, ".gz")).filter(isNgramFile);
  if (tables.length === 0) return undefined;
  const name = "diffusion.safetensors";
  const { decodeWeights } = await import("../../core/checkpoint_format.ts");
  try {
    const { corpusSha256 } = decodeWeights(name, await readBytes(join(weights, name)));
    return tables.find((table) => corpusSha256 && table === ngramFileName(corpusSha256));
  } catch (error) {
    if (error instanceof UserError) return undefined; // the page says so when it loads them
    throw error;
  }
}

const listTexts = (root: string) => listNames(join(root, "data"), ".txt");

async function listNames(folder: string, extension: string): Promise<string[]> {
  try {
    const entries = await Array.fromAsync(Deno.readDir(folder));
    const files = entries.filter(({ isFile, name }) => isFile && name.endsWith(extension));
    return files.map(({ name }) => name).sort();
  } catch {
    return [];
  }
}

async function readStyles(): Promise<string> {
  const names = ["../report/client/styles.css", "client/page.css"];
  const read = (name: string) => Deno.readTextFile(new URL(name, import.meta.url));
  return (await Promise.all(names.map(read))).join("");
}

/** Sizes of files; 0 for one that is not there. */
function readSizes(folder: string, names: string[]): Promise<number[]> {
  return Promise.all(
    names.map((name) => Deno.stat(join(folder, name)).then(({ size }) => size, () => 0)),
  );
}

const sum = (numbers: number[]) => numbers.reduce((total, number) => total + number, 0);
