/** Changes to bytes and JSON of the kinds that break readers. */
import { Buffer } from "node:buffer";
import fc, { type GeneratorValue } from "fast-check";

/** Random choices that fast-check makes, and can make smaller for a shorter case. */
export class Choices {
  constructor(readonly draw: GeneratorValue) {}

  /** A whole number below `limit`; 0 is the simplest. */
  integer(limit: number): number {
    return this.draw(fc.nat, Math.max(0, limit - 1));
  }

  pick<T>(items: readonly T[]): T {
    return items[this.integer(items.length)];
  }

  /** True in so many cases of 1; false is the simplest. */
  chance(share: number): boolean {
    return this.integer(1000) >= 1000 * (1 - share);
  }
}

export const textBytes = (text: string) => new TextEncoder().encode(text);

/** Numbers at the edges of what sizes, offsets and counts are read as. */
// deno-fmt-ignore
const edges = [
  0, 1, 2, 3, 4, 7, 8, 16, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 1e6, 2 ** 24,
  2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, 2 ** 53, 2 ** 63, 2 ** 64 - 1, -1,
];

/** Texts that a careless reader passes on. */
// deno-fmt-ignore
const strings = [
  "", " ", "a", "_", "é", "🌊", "a\nb", "a\r\n", "\0", "\x1b[31m", "\x9b2J", "\x7f", "\u2028",
  "\ud800", "a\udc00", "\u202eabc", "\ufeff", "\ufffd", "__proto__", "constructor", "toString",
  "hasOwnProperty", "</script><script>", "<img src=x onerror=alert(1)>", '" onclick="x', "&lt;",
  "../../etc/passwd", "/dev/zero", "C:\\x", "; rm -rf /", "'$(id)'", "0", "1e3", "0x10", "NaN",
];
const longStrings = ["x".repeat(300), "🌊".repeat(5000), "1".repeat(50_000), "\n".repeat(5000)];

function oddString(random: Choices): string {
  return random.pick(random.chance(0.03) ? longStrings : strings); // what is long is slow to try
}

/** Pieces that mean something to JSON, zip, pickle, HTML, terminals, JavaScript or UTF-8. */
// deno-fmt-ignore
const usualTokens = [
  '"', "\\", "{", "}", "[", "]", ":", ",", "null", "-Infinity", "1e999", "-0", "\n",
  "PK\x01\x02", "PK\x03\x04", "PK\x05\x06", "PK\x06\x06", "PK\x06\x07", "cos\nsystem\n", ...strings,
].map(textBytes).concat([
  Uint8Array.of(0xff), // not UTF-8
  Uint8Array.of(0xed, 0xa0, 0x80), // a surrogate in UTF-8
  Uint8Array.of(0xc0, 0x80), // NUL, too long
  Uint8Array.of(0xf0, 0x9f), // half an emoji
]);

/**
 * A few changes at random places: pieces cut out, doubled, replaced or taken from `other`.
 *
 * @param tokens Pieces that mean something to the reader.
 */
export function mutateBytes(
  bytes: Uint8Array,
  other: Uint8Array,
  random: Choices,
  tokens = usualTokens,
): Uint8Array {
  let changed = bytes;
  do {
    const at = random.integer(changed.length + 1);
    const length = 1 + random.integer(random.pick([1, 2, 8, 64, changed.length]));
    const piece = changed.subarray(at, at + length);
    const from = random.chance(0.5) ? at : random.integer(other.length + 1);
    const number = edgeBytes(random);
    const [insert, dropped] = random.pick<[piece: Uint8Array, dropped: number]>([
      [new Uint8Array(), length],
      [new Uint8Array(), changed.length], // the end is missing
      [piece, 0],
      [piece.slice(0, 1).map((byte) => byte ^ (1 << random.integer(8))), 1],
      [new Uint8Array(length).fill(random.pick([0, 0x20, 0x30, 0xff])), length],
      [random.pick(tokens), random.integer(5)],
      [number, number.length],
      [other.subarray(from), changed.length], // from here on it is the other one
      [other.subarray(from, from + length), length],
    ]);
    changed = concatenate(changed.subarray(0, at), insert, changed.subarray(at + dropped));
  } while (random.chance(0.5));
  return changed;
}

/** One of `edges`, little-endian or, now and then, big-endian. */
function edgeBytes(random: Choices): Uint8Array {
  const bytes = new Uint8Array(8);
  const value = BigInt.asUintN(64, BigInt(random.pick(edges)));
  new DataView(bytes.buffer).setBigUint64(0, value, true);
  const low = bytes.subarray(0, random.pick([1, 2, 4, 8]));
  return random.chance(0.1) ? low.toReversed() : low;
}

export const concatenate = (...pieces: Uint8Array[]) => new Uint8Array(Buffer.concat(pieces));

/** In a string of JSON: the rest goes into the text as it is, so that it need not be JSON. */
const RAW = "\ue000";

const leaves: ((random: Choices) => unknown)[] = [
  oddString,
  (random) => RAW + random.pick(edges),
  (random) => RAW + random.pick(["-0", "0.5", "-1.5", "1e999", "-1e999", "1e308", "5e-324"]),
  (random) => RAW + random.pick(["null", "true", "[]", "{}", "NaN", "Infinity", "undefined"]),
  (random) => RAW + JSON.stringify(oddString(random)) + oddString(random),
  (random) => {
    const [open, inside, close] = random.pick([["[", "", "]"], [`{"a":`, "1", "}"]]);
    const depth = random.chance(0.03) ? 20_000 : 1 + random.integer(40);
    return RAW + open.repeat(depth) + inside + close.repeat(depth);
  },
];

/** JSON with changes to its values, names and structure; other texts are changed as bytes. */
export function mutateJson(text: string, other: string, random: Choices): string {
  const asBytes = (text: string) =>
    new TextDecoder().decode(mutateBytes(textBytes(text), textBytes(other), random));
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return asBytes(text);
  }
  do value = mutateValue(value, random); while (random.chance(0.4));
  const raw = new RegExp(`"${RAW}((?:\\\\.|[^"\\\\])*)"`, "g");
  const written = JSON.stringify(value).replace(raw, (_, text) => JSON.parse(`"${text}"`))
    .replaceAll(RAW, "");
  return random.chance(0.1) ? asBytes(written) : written;
}

/** A change at one node, found by going down at random. */
function mutateValue(value: unknown, random: Choices): unknown {
  const makeLeaf = () => random.pick(leaves)(random);
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value);
    const make = (entries: [string, unknown][]) =>
      Array.isArray(value) ? entries.map(([, item]) => item) : Object.fromEntries(entries);
    const at = random.integer(entries.length);
    if (entries.length > 0 && random.chance(0.85)) {
      const [name, item] = entries[at];
      return make(entries.with(at, [name, mutateValue(item, random)]));
    }
    if (random.chance(0.7)) {
      // With RAW at its end, a name comes twice.
      const twice = entries.map(([name, item]): [string, unknown] => [name + RAW, item]);
      const odd: [string, unknown] = [oddString(random), makeLeaf()];
      const added = random.pick([[], twice.slice(at, at + 6), [odd]]);
      return make(entries.toSpliced(random.integer(entries.length), random.integer(3), ...added));
    }
  }
  if (typeof value === "number" && random.chance(0.5)) {
    return random.pick([value + 1, value - 1, -value, 2 * value, value / 2, 1e9 * value]);
  }
  return makeLeaf();
}
