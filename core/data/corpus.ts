/**
 * A text to train on, checked once, where it is read. Characters are Unicode code points
 * throughout.
 *
 * The text is used as it is in the file, line ends included: "\r\n" stays two characters. Only a
 * byte order mark at the start goes, as it marks the encoding and is no character of the text.
 *
 * Beside `data/NAME.txt`, `fetch-data` leaves a `data/NAME.json` that says where the text comes
 * from.
 */
import { basename, dirname, extname, join } from "@std/path";
import { readBytes, sha256Hex } from "../files/read.ts";
import { quoted as shown } from "@tiny-diffusion/engines/errors";

/** Far above what such a model can learn from, and far below what a JavaScript string can hold. */
export const MAX_BYTES = 2 ** 28;

/** What `data/NAME.json` says about `data/NAME.txt`. */
export interface CorpusInfo {
  /** A URL, a package or a path. */
  source: string;
  /** Size of the file. */
  bytes: number;
  /** Number of Unicode code points. */
  characters: number;
  /** Of the file's bytes, in hexadecimal. */
  sha256: string;
  /** Under which the text may be used. */
  licence: string;
  /** ISO 8601. */
  fetched: string;
}

/** A text to train on, with its two parts. */
export interface Corpus {
  /** Where the file is. */
  path: string;
  /** The file's name without folder and extension. */
  name: string;
  /** All of it. */
  text: string;
  /** Of the file's bytes, in hexadecimal. */
  sha256: string;
  /** Size of the file. */
  bytes: number;
  /** Number of Unicode code points. */
  characters: number;
  /** The first 90 % of the characters, `int(0.9 * n)` as in the original. */
  train: string;
  /** The rest. */
  validation: string;
  /** What is known of where it comes from; a text that was not fetched has none. */
  info?: CorpusInfo;
}

/**
 * Reads a text and checks that it is one.
 *
 * @throws {Error} If there is no such file, it can't be read, or it differs from what the JSON
 * beside it says.
 * @throws {TypeError} If it is not UTF-8 text.
 * @throws {RangeError} If it is empty, or one character again and again.
 */
export async function loadCorpus(path: string): Promise<Corpus> {
  const bytes = await readBytes(path, {
    action: "read the text",
    advice: `run "deno task fetch-data" to get one, or check the path`,
    maxBytes: MAX_BYTES,
  });
  const quoted = JSON.stringify(path);
  const text = decodeText(bytes, quoted);
  const sha256 = await sha256Hex(bytes);
  const infoPath = infoPathOf(path);
  const info = await readInfo(infoPath);
  if (info && info.sha256 !== sha256) {
    throw new Error(
      `Cannot use ${quoted}: its SHA-256 is ${sha256.slice(0, 12)}…, but ${
        JSON.stringify(infoPath)
      } says ${info.sha256.slice(0, 12)}…, so it changed since it was fetched; fetch it again ` +
        `with "deno task fetch-data --force", or delete the JSON file to use the text as it is`,
    );
  }
  const characters = countCharacters(text);
  const cut = indexOfCharacter(text, Math.trunc(0.9 * characters));
  return {
    path,
    name: basename(path, extname(path)),
    text,
    sha256,
    bytes: bytes.length,
    characters,
    train: text.slice(0, cut),
    validation: text.slice(cut),
    info,
  };
}

/**
 * The text of a file's bytes, checked to be one that a model can be trained on.
 *
 * @param what How an error names it, such as `"data/x.txt"` in quotes.
 * @throws {TypeError} If it is not UTF-8 text; the message says where.
 * @throws {RangeError} If it is empty, or has fewer than two different characters.
 */
export function decodeText(bytes: Uint8Array, what: string): string {
  const text = new TextDecoder().decode(bytes); // strips a byte order mark, replaces what is invalid
  const invalid = firstInvalidByte(bytes);
  if (invalid !== undefined) {
    const found =
      (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)
        ? "it starts like UTF-16"
        : `byte 0x${
          bytes[invalid].toString(16).padStart(2, "0")
        } at offset ${invalid} is not UTF-8`;
    throw new TypeError(
      `Cannot use ${what} as a text: ${found}, expected UTF-8; convert it, or give another file`,
    );
  }
  const nul = bytes.indexOf(0);
  if (nul !== -1) {
    throw new TypeError(
      `Cannot use ${what} as a text: it has a NUL byte at offset ${nul}, so it is binary or not ` +
        `UTF-8; give a plain text file`,
    );
  }
  const [first] = text;
  if (first === undefined) {
    throw new RangeError(
      `Cannot use ${what} as a text: it is empty, expected at least two different characters; ` +
        `give another file`,
    );
  }
  if (text === first.repeat(text.length / first.length)) {
    throw new RangeError(
      `Cannot use ${what} as a text: it is ${shown(first)} from start to end, expected ` +
        `at least two different characters; give another file`,
    );
  }
  return text;
}

/**
 * Checks that both parts of a corpus are long enough for one training window: a context and the
 * character after it.
 *
 * @throws {RangeError} If one is not.
 */
export function requireLength(corpus: Corpus, context: number): void {
  const needed = context + 1;
  const held = countCharacters(corpus.validation);
  if (Math.min(held, corpus.characters - held) >= needed) return;
  throw new RangeError(
    `Cannot use ${
      JSON.stringify(corpus.path)
    } with a context of ${context}: the last 10 % of its ` +
      `${corpus.characters} characters are ${held}, expected at least ${needed}; take a text of ` +
      `${10 * needed} characters or more, or a preset with a shorter context`,
  );
}

/**
 * The path of the text fetched last, by the dates in the JSON files of `folder`.
 *
 * @throws {Error} If none was fetched.
 */
export async function defaultCorpus(folder = "data"): Promise<string> {
  let latest: { path: string; fetched: string } | undefined;
  for (const name of (await namesIn(folder)).sort()) {
    if (!name.endsWith(".json")) continue;
    const path = join(folder, basename(name, ".json") + ".txt");
    const info = await readInfo(join(folder, name));
    if (!info || !await isFile(path)) continue;
    if (!latest || info.fetched > latest.fetched) latest = { path, fetched: info.fetched };
  }
  if (latest) return latest.path;
  throw new Error(
    `Cannot find a text in ${JSON.stringify(folder)}: none was fetched yet; ` +
      `run "deno task fetch-data", or give a file with --data`,
  );
}

/**
 * The first 16 characters of a text, from which generation starts unless told otherwise, as in the
 * original.
 */
export function openingOf(text: string): string {
  return [...text.slice(0, 32)].slice(0, 16).join(""); // 16 characters are at most 32 UTF-16 units
}

/** Where the facts about a text lie: `data/x.json` for `data/x.txt`. */
export function infoPathOf(path: string): string {
  return join(dirname(path), basename(path, extname(path)) + ".json");
}

/** Number of code points. */
export function countCharacters(text: string): number {
  let pairs = 0;
  for (let i = 0; i < text.length; i++) {
    if ((text.charCodeAt(i) & 0xfc00) === 0xdc00) pairs++; // the second half of a pair
  }
  return text.length - pairs;
}

/** Index in UTF-16 units of the character number `position`. */
function indexOfCharacter(text: string, position: number): number {
  let index = 0;
  for (; position > 0; position--) index += text.codePointAt(index)! > 0xffff ? 2 : 1;
  return index;
}

/** Offset of the first byte that is not UTF-8. */
function firstInvalidByte(bytes: Uint8Array): number | undefined {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return undefined;
  } catch {
    // What was invalid comes back as U+FFFD, so it differs from the file there for the first time.
    const again = new TextEncoder().encode(
      new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes),
    );
    return Math.min(again.findIndex((byte, i) => byte !== bytes[i]), bytes.length - 1);
  }
}

/** The facts beside a text, if there is a file and it is one of ours. */
async function readInfo(path: string): Promise<CorpusInfo | undefined> {
  try {
    const { isFile, size } = await Deno.stat(path);
    if (!isFile || size > 2 ** 20) return undefined;
    const info = JSON.parse(await Deno.readTextFile(path));
    const isOurs = typeof info?.sha256 === "string" && /^[0-9a-f]{64}$/.test(info.sha256) &&
      typeof info.fetched === "string";
    return isOurs ? info : undefined;
  } catch (error) {
    const isStranger = error instanceof SyntaxError || error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.IsADirectory || error instanceof Deno.errors.NotADirectory;
    if (isStranger) return undefined;
    throw error;
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await Array.fromAsync(Deno.readDir(folder))).map((entry) => entry.name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

async function isFile(path: string): Promise<boolean> {
  return await Deno.stat(path).then((info) => info.isFile, () => false);
}
