/**
 * A text to train on, checked once, where it is read. Characters are Unicode code points
 * throughout.
 *
 * The text is used as it is in the file, line ends included: "\r\n" stays two characters. Only a
 * byte order mark at the start is removed, as it marks the encoding. Weights of the original saw the
 * text as Python reads it, see `readLikePython`.
 *
 * Next to `data/NAME.txt`, `fetch-data` writes a `data/NAME.json` that says where the text comes
 * from.
 */
import { basename, dirname, extname, join } from "@std/path";
import type { ModelKind } from "../config.ts";
import { readBytes, sha256Hex } from "@tiny-diffusion/files/read";
import { listCharacters, type Tokenizer } from "./tokenizer.ts";
import { quoted, UserError } from "@tiny-diffusion/engines/errors";

/** Far above what such a model can learn from, and far below what a JavaScript string can hold. */
export const MAX_BYTES = 2 ** 28;

/** The contents of `data/NAME.json`: where `data/NAME.txt` comes from. */
export interface CorpusInfo {
  /** The URL, package or path that it was fetched from. */
  source: string;
  /** Size of the file. */
  bytes: number;
  /** Number of Unicode code points. */
  characters: number;
  /** SHA-256 of the file in hexadecimal. */
  sha256: string;
  /** The licence under which the text may be used. */
  licence: string;
  /** When it was fetched, in ISO 8601, by a clock that may go back. */
  fetched: string;
  /** Counts the fetches into this folder; the text fetched last has the largest. */
  fetch?: number;
}

/** A text to train on, with its two parts. */
export interface Corpus {
  /** Where the file is. */
  path: string;
  /** The file's name without folder and extension. */
  name: string;
  /** All of it. */
  text: string;
  /** Whether the file starts with a byte order mark, which `text` lacks. */
  hasMark: boolean;
  /** SHA-256 of the file in hexadecimal. */
  sha256: string;
  /** Size of the file. */
  bytes: number;
  /** Number of Unicode code points. */
  characters: number;
  /** The first 90 % of the characters, `int(0.9 * n)` as in the original. */
  train: string;
  /** The rest. */
  validation: string;
  /** Where it comes from, if `fetch-data` fetched it. */
  info?: CorpusInfo;
}

/**
 * Reads a text and checks that a model can be trained on it.
 *
 * @throws {UserError} If the file cannot be read, differs from what the JSON next to it says, is not
 * UTF-8 text, or has fewer than two different characters.
 */
export async function loadCorpus(path: string): Promise<Corpus> {
  const bytes = await readBytes(path, {
    action: "read the text",
    advice: `run "deno task fetch-data" to get one, or check the path`,
    maxBytes: MAX_BYTES,
  });
  const corpus = await makeCorpus(bytes, path);
  const infoPath = corpusInfoPath(path);
  const info = await readCorpusInfo(infoPath);
  if (info && info.sha256 !== corpus.sha256) {
    const [found, expected] = [corpus.sha256, info.sha256].map((hash) => `${hash.slice(0, 12)}…`);
    throw new UserError({
      action: `use ${JSON.stringify(path)}`,
      found: `its SHA-256 is ${found}, but ${JSON.stringify(infoPath)} says ${expected}, ` +
        "so it changed since it was fetched",
      advice: 'fetch it again with "deno task fetch-data --force", ' +
        "or delete the JSON file to use the text as it is",
    });
  }
  return { ...corpus, info };
}

/**
 * Makes a corpus of a text, or of the bytes of a file.
 *
 * @param path Where it comes from, as errors name it.
 * @throws {UserError} If it is not UTF-8 text, or has fewer than two different characters.
 */
export async function makeCorpus(
  source: string | Uint8Array<ArrayBuffer>,
  path = "text.txt",
): Promise<Corpus> {
  const bytes = typeof source === "string" ? new TextEncoder().encode(source) : source;
  return {
    path,
    name: basename(path, extname(path)),
    ...split(decodeText(bytes, JSON.stringify(path))),
    hasMark: bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf,
    sha256: await sha256Hex(bytes),
    bytes: bytes.length,
  };
}

/** Splits a text into the first 90 % of its characters and the rest. */
function split(text: string) {
  const characters = countCharacters(text);
  const cut = indexOfCharacter(text, Math.trunc(0.9 * characters));
  return { text, characters, train: text.slice(0, cut), validation: text.slice(cut) };
}

/**
 * Reads a corpus as the original does, in Python's text mode: "\r\n" and "\r" become "\n", and a byte
 * order mark is a character.
 */
export function readLikePython(corpus: Corpus): Corpus {
  const { text, hasMark } = corpus;
  if (!hasMark && !text.includes("\r")) return corpus;
  return { ...corpus, ...split((hasMark ? "\ufeff" : "") + text.replace(/\r\n?/g, "\n")) };
}

/**
 * Reads a corpus as the one did on which weights were trained: like Python, if that and not the text
 * as it is has just their characters.
 *
 * @param kind A diffusion model's vocabulary starts with the mask.
 */
export function readForModel(
  corpus: Corpus,
  kind: ModelKind,
  vocabulary: readonly string[],
): Corpus {
  const likePython = readLikePython(corpus);
  if (likePython === corpus) return corpus;
  const characters = vocabulary.slice(kind === "diffusion" ? 1 : 0).join("");
  const fits = ({ text }: Corpus) =>
    listCharacters(text, { limit: Infinity }).join("") === characters;
  return fits(likePython) && !fits(corpus) ? likePython : corpus;
}

/**
 * Cuts the training part down to some of its characters. The vocabulary and the validation part stay
 * those of the whole text, so that scores can be compared.
 *
 * @param slice From the first character of the training part; `to` is the first left out.
 * @throws {UserError} If the training part has fewer characters than `to`.
 */
export function sliceTraining(corpus: Corpus, { from, to }: { from: number; to: number }): Corpus {
  const characters = countCharacters(corpus.train);
  if (to > characters) {
    throw new UserError({
      action: `train on characters ${from} to ${to} of ${JSON.stringify(corpus.path)}`,
      found: `its training part has ${characters}`,
      advice: "take a slice within them",
    });
  }
  const [start, end] = [from, to].map((position) => indexOfCharacter(corpus.train, position));
  return { ...corpus, train: corpus.train.slice(start, end) };
}

/**
 * Decodes a file's bytes and checks that a model can be trained on the text.
 *
 * @param what How an error names it, such as `"data/x.txt"` in quotes.
 * @throws {UserError} If it is not UTF-8 text (the message says where), or has fewer than two
 * different characters.
 */
export function decodeText(bytes: Uint8Array, what: string): string {
  const refuse = (found: string, advice = "give another file") =>
    new UserError({ action: `use ${what} as a text`, found, advice });
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes); // without a byte order mark
  } catch {
    throw refuse(`${describeInvalid(bytes)}, expected UTF-8`, "convert it, or give another file");
  }
  const nul = bytes.indexOf(0);
  if (nul !== -1) {
    throw refuse(
      `it has a NUL byte at offset ${nul}, so it is binary or not UTF-8`,
      "give a plain text file",
    );
  }
  const [first] = text;
  if (first === undefined) {
    throw refuse("it is empty, expected at least two different characters");
  }
  if (text === first.repeat(text.length / first.length)) {
    throw refuse(
      `it is ${quoted(first)} from start to end, expected at least two different characters`,
    );
  }
  return text;
}

/** A corpus as a model sees it. */
export interface Dataset {
  /** Its windows are the training examples. */
  train: Int32Array;
  /** Its blocks are scored. */
  validation: Int32Array;
}

/**
 * Encodes both parts of a corpus.
 *
 * @throws {UserError} If the text has characters that the vocabulary lacks.
 */
export function encodeCorpus(
  { train, validation }: Pick<Corpus, "train" | "validation">,
  { encode }: Tokenizer,
): Dataset {
  return { train: encode(train, "the text"), validation: encode(validation, "the text") };
}

/**
 * Checks that a corpus is long enough: the training part for a window, a context and the character
 * after it, and the validation part for two blocks of a context, as one has no standard error.
 *
 * @throws {UserError} If one is not.
 */
export function requireLength(corpus: Corpus, context: number): void {
  const needed = context + 1;
  const held = countCharacters(corpus.validation);
  const trained = countCharacters(corpus.train);
  if (trained < needed && trained < corpus.characters - held) {
    throw new UserError({
      action: `train on a slice of ${trained} characters with a context of ${context}`,
      found: `expected at least ${needed}`,
      advice: "take a longer slice, or a preset with a shorter context",
    });
  }
  const neededHeld = Math.max(needed, 2 * context);
  if (held >= neededHeld && trained >= needed) return;
  throw new UserError({
    action: `use ${JSON.stringify(corpus.path)} with a context of ${context}`,
    found: `the last 10 % of its ${corpus.characters} characters are ${held}, ` +
      `expected at least ${neededHeld}`,
    advice: `take a text of ${
      10 * neededHeld
    } characters or more, or a preset with a shorter context`,
  });
}

/**
 * Takes the first 16 characters of a text: the default prompt, as in the original.
 */
export function takeOpening(text: string): string {
  return [...text.slice(0, 32)].slice(0, 16).join(""); // 16 characters are at most 32 UTF-16 units
}

/** Returns the path of the JSON file about a text: `data/x.json` for `data/x.txt`. */
export function corpusInfoPath(path: string): string {
  return join(dirname(path), basename(path, extname(path)) + ".json");
}

/** Counts code points. */
export function countCharacters(text: string): number {
  let pairs = 0;
  for (let i = 0; i < text.length; i++) {
    if ((text.charCodeAt(i) & 0xfc00) === 0xdc00) pairs++; // the second half of a pair
  }
  return text.length - pairs;
}

/** Returns the index, in UTF-16 units, of the character number `position`. */
function indexOfCharacter(text: string, position: number): number {
  let index = 0;
  for (; position > 0; position--) index += text.codePointAt(index)! > 0xffff ? 2 : 1;
  return index;
}

/** Says where bytes stop being UTF-8. */
function describeInvalid(bytes: Uint8Array): string {
  const start = `${bytes.subarray(0, 2)}`;
  if (start === "255,254" || start === "254,255") return "it starts like UTF-16";
  // Invalid bytes come back as U+FFFD: the first difference from the file is where they start.
  const lossy = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  const again = new TextEncoder().encode(lossy);
  const offset = Math.min(again.findIndex((byte, i) => byte !== bytes[i]), bytes.length - 1);
  return `byte 0x${bytes[offset].toString(16).padStart(2, "0")} at offset ${offset} is not UTF-8`;
}

/** Reads the JSON file next to a text, if there is one and `fetch-data` wrote it. */
export async function readCorpusInfo(path: string): Promise<CorpusInfo | undefined> {
  try {
    const { isFile, size } = await Deno.stat(path);
    if (!isFile || size > 2 ** 20) return undefined;
    const info = JSON.parse(await Deno.readTextFile(path));
    const isOurs = typeof info?.sha256 === "string" && /^[0-9a-f]{64}$/.test(info.sha256) &&
      typeof info.fetched === "string" &&
      (info.fetch === undefined || Number.isSafeInteger(info.fetch));
    return isOurs ? info : undefined;
  } catch (error) {
    const isForeign = error instanceof SyntaxError || error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.IsADirectory || error instanceof Deno.errors.NotADirectory;
    if (isForeign) return undefined;
    throw error;
  }
}
