/**
 * Changes to bytes and to JSON of the kinds that break readers. All of them draw from a seeded
 * generator.
 */
import type { Random } from "../../core/random.ts";
import { textBytes } from "./target.ts";

export const pick = <T>(items: readonly T[], random: Random): T =>
  items[random.integer(items.length)];

const chance = (share: number, random: Random) => random.uniform() < share;

/** Numbers at the edges of what sizes, offsets and counts are read as. */
const edges = [
  ...[0, 1, 2, 3, 4, 7, 8, 16, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 1e6, 2 ** 24],
  ...[2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, 2 ** 53, 2 ** 63, 2 ** 64 - 1, -1],
];

/** Texts that mean something to JSON, zip, pickle, HTML, terminals or JavaScript. */
const tokens = [
  ...['"', "\\", "{", "}", "[", "]", ":", ",", "null", "NaN", "-Infinity", "1e999", "-0", "\n"],
  ...["__proto__", "constructor", "PK\x01\x02", "PK\x03\x04", "PK\x05\x06", "PK\x06\x06"],
  ...["PK\x06\x07", "\x80\x02", "cos\nsystem\n", "</script>", "\x1b[2J", "\ufeff", "\u2028", "\0"],
  ...["é", "🌊", "\u202e", "../", "/dev/zero"],
].map(textBytes).concat([
  Uint8Array.of(0xff), // no UTF-8
  Uint8Array.of(0xed, 0xa0, 0x80), // a surrogate in UTF-8
  Uint8Array.of(0xc0, 0x80), // NUL, too long
  Uint8Array.of(0xf0, 0x9f), // half an emoji
  Uint8Array.of(0xef, 0xbf, 0xbd), // U+FFFD itself
]);

/**
 * A few changes at random places: bits, numbers, pieces cut out, doubled, moved or taken from
 * `other`.
 */
export function mutateBytes(bytes: Uint8Array, other: Uint8Array, random: Random): Uint8Array {
  let changed = bytes;
  do changed = mutateOnce(changed, other, random); while (chance(0.5, random));
  return changed;
}

function mutateOnce(bytes: Uint8Array, other: Uint8Array, random: Random): Uint8Array {
  const at = random.integer(bytes.length + 1), left = bytes.length - at;
  const length = Math.min(left, 1 + random.integer(pick([2, 8, 64, 1 + bytes.length], random)));
  const piece = bytes.subarray(at, at + length);
  const replaced = (by: Uint8Array, count = by.length) =>
    joined(bytes.subarray(0, at), by, bytes.subarray(Math.min(bytes.length, at + count)));
  switch (random.integer(11)) {
    case 0:
      return replaced(piece.slice(0, 1).map((byte) => byte ^ (1 << random.integer(8))));
    case 1:
      return replaced(Uint8Array.of(random.integer(256)));
    case 2:
      return replaced(numberBytes(pick(edges, random), pick([1, 2, 4, 8], random), random));
    case 3: // a little more or less
      return replaced(piece.slice(0, 1).map((byte) => byte + random.integer(9) - 4));
    case 4:
      return bytes.slice(0, at);
    case 5:
      return replaced(new Uint8Array(), length);
    case 6:
      return replaced(piece, 0);
    case 7:
      return replaced(pick(tokens, random), chance(0.5, random) ? 0 : undefined);
    case 8: { // goes on as the other one, from there or from elsewhere
      const from = chance(0.5, random) ? at : random.integer(other.length + 1);
      return joined(bytes.subarray(0, at), other.subarray(from));
    }
    case 9: {
      const from = random.integer(other.length + 1);
      return replaced(other.slice(from, from + length));
    }
    default:
      return replaced(new Uint8Array(length).fill(pick([0, 0x20, 0x30, 0xff], random)));
  }
}

/** `value` in so many bytes, little-endian or, now and then, big-endian. */
function numberBytes(value: number, size: number, random: Random): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, BigInt(value)), true);
  const low = bytes.subarray(0, size);
  return chance(0.1, random) ? low.toReversed() : low;
}

export function joined(...pieces: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/**
 * JSON as it is written: a leaf is its text, so that it may be no JSON at all; an object may have a
 * name twice.
 */
type Json = string | Json[] | Fields;
class Fields {
  constructor(readonly entries: [name: string, value: Json][]) {}
}

function parsed(value: unknown): Json {
  if (Array.isArray(value)) return value.map(parsed);
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  return new Fields(Object.entries(value).map(([name, value]) => [name, parsed(value)]));
}

function written(json: Json): string {
  if (typeof json === "string") return json;
  if (Array.isArray(json)) return `[${json.map(written).join(",")}]`;
  const entries = json.entries.map(([name, value]) => `${JSON.stringify(name)}:${written(value)}`);
  return `{${entries.join(",")}}`;
}

const leaves: ((random: Random) => string)[] = [
  (random) => String(pick(edges, random)),
  (random) => pick(["-0", "0.5", "-1.5", "1e999", "-1e999", "1e308", "5e-324", "1e21"], random),
  (random) =>
    pick(["null", "true", "false", "[]", "{}", '""', "NaN", "Infinity", "undefined"], random),
  (random) => JSON.stringify(oddString(random)),
  (random) => JSON.stringify(oddString(random)) + oddString(random),
  (random) => "[".repeat(oddLength(random)).replace(/$/, (_, at) => "]".repeat(at)),
  (random) => `{"a":`.repeat(oddLength(random)).replace(/$/, (_, at) => `1${"}".repeat(at / 5)}`),
  (random) => `[${"1,".repeat(oddLength(random))}1]`,
];

/** Mostly short, since what is long is slow to try. */
const oddLength = (random: Random) => chance(0.03, random) ? 20_000 : 1 + random.integer(40);

/** Texts that a careless reader passes on. */
const strings = [
  ...["", " ", "a", "_", "é", "🌊", "a\nb", "a\r\n", "\0", "\x1b[31m", "\x9b2J", "\x7f", "\u2028"],
  ...["\ud800", "a\udc00", "\u202eabc", "\ufeff", "\ufffd", "__proto__", "constructor", "toString"],
  ...[
    "hasOwnProperty",
    "</script><script>",
    "<img src=x onerror=alert(1)>",
    '" onclick="x',
    "&lt;",
  ],
  ...["../../etc/passwd", "/dev/zero", "C:\\x", "; rm -rf /", "'$(id)'", "0", "1e3", "0x10", "NaN"],
];
const longStrings = ["x".repeat(300), "🌊".repeat(5000), "1".repeat(50_000), "\n".repeat(5000)];

export function oddString(random: Random): string {
  return pick(chance(0.03, random) ? longStrings : strings, random);
}

/**
 * JSON text with changes to its values, names and structure; what is no JSON is changed as bytes.
 */
export function mutateJson(text: string, other: string, random: Random): string {
  let json: Json;
  try {
    json = parsed(JSON.parse(text));
  } catch {
    return decoded(mutateBytes(textBytes(text), textBytes(other), random));
  }
  do json = changed(json, random); while (chance(0.4, random));
  const result = written(json);
  if (chance(0.03, random)) return pick(["\ufeff", " ", "\n", "[", "//"], random) + result;
  if (chance(0.03, random)) return result + pick([" ", "\n", "]", "x", "\0"], random);
  return chance(0.05, random)
    ? decoded(mutateBytes(textBytes(result), textBytes(other), random))
    : result;
}

/** What is no UTF-8 becomes U+FFFD. */
const decoded = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** A change at one node, found by going down at random. */
function changed(json: Json, random: Random): Json {
  const items = typeof json === "string" ? [] : Array.isArray(json) ? json : json.entries;
  if (items.length > 0 && chance(0.85, random)) {
    const at = random.integer(items.length);
    if (Array.isArray(json)) return json.with(at, changed(json[at], random));
    const { entries } = json as Fields, [name, value] = entries[at];
    return new Fields(entries.with(at, [name, changed(value, random)]));
  }
  if (items.length > 0 && chance(0.6, random)) return restructured(json, random);
  const number = typeof json === "string" ? Number(json) : NaN;
  if (Number.isFinite(number) && chance(0.5, random)) {
    return String(
      pick([number + 1, number - 1, -number, 2 * number, number / 2, 1e9 * number], random),
    );
  }
  return pick(leaves, random)(random);
}

/** An item left out, doubled, moved, or, in an object, given another name. */
function restructured(json: Json, random: Random): Json {
  const isList = Array.isArray(json);
  const items: unknown[] = isList ? json : (json as Fields).entries;
  const at = random.integer(items.length), to = random.integer(items.length + 1);
  const make = (items: unknown[]) =>
    isList ? items as Json[] : new Fields(items as [string, Json][]);
  switch (random.integer(isList ? 3 : 5)) {
    case 0:
      return make(items.toSpliced(at, 1));
    case 1:
      return make(items.toSpliced(to, 0, items[at]));
    case 2:
      return make(items.toSpliced(at, 1).toSpliced(to, 0, items[at]));
    case 3:
      return make(items.with(at, [oddString(random), (items[at] as [string, Json])[1]]));
    default:
      return make(items.toSpliced(to, 0, [
        oddString(random),
        chance(0.5, random) ? (items[at] as [string, Json])[1] : pick(leaves, random)(random),
      ]));
  }
}
