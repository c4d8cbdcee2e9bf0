/**
 * The file of a table of n-grams: `ngrams-HASH.gz` next to the weights of the models that were
 * trained on the same text, HASH being the first 12 digits of the text's SHA-256. So a model can use
 * the table where its text is not at hand.
 *
 * It is one gzip member: a line of JSON, see `NgramFacts`, then whole numbers in LEB128 (seven bits a
 * byte, low ones first, the highest bit set in all bytes but the last). For each length of n-grams
 * from 1 to `order`, the n-grams being sorted:
 *   how many of this length continue each n-gram that is one shorter;
 *   the last character of each, as its index in `vocabulary`;
 *   how often each occurs.
 * All else follows from these: 459,000 n-grams of Tiny Shakespeare take 0.7 MB.
 */
import { quoted, UserError } from "@tiny-diffusion/engines/errors";
import { findChild, type NgramCounts, type NgramLevel } from "./kneser_ney.ts";

const FORMAT = "tiny-diffusion-ngrams/1";

/** Most bytes of a file, packed; a larger table is built from its text instead. */
export const MAX_NGRAM_BYTES = 2_000_000;

/** Most bytes of the contents; gzip shrinks those of a text by a half. */
const MAX_UNPACKED_BYTES = 16 * MAX_NGRAM_BYTES;

const MAX_ORDER = 16;

/** Facts about a stored table. */
export interface NgramFacts {
  /** SHA-256 of the file of the text, in hexadecimal. */
  corpusSha256: string;
  /** The characters, without a mask, in the order of their tokens. */
  vocabulary: string[];
}

/** Returns the name of the file with the n-grams of a text. */
export function ngramFileName(corpusSha256: string): string {
  return `ngrams-${corpusSha256.slice(0, 12)}.gz`;
}

/** Whether a stored table is that of a text, over just the characters of a model. */
export function isTableOf(
  table: NgramFacts,
  corpusSha256: string | undefined,
  characters: readonly string[],
): boolean {
  return table.corpusSha256 === corpusSha256 &&
    table.vocabulary.join("") === characters.join("");
}

/** Whether a file has such a name. */
export function isNgramFile(name: string): boolean {
  return /^ngrams-[0-9a-f]{12}\.gz$/.test(name);
}

/** Packs counted n-grams into the bytes of a file. */
export async function packNgrams(
  { levels }: NgramCounts,
  { corpusSha256, vocabulary }: NgramFacts,
): Promise<Uint8Array<ArrayBuffer>> {
  const header = { format: FORMAT, corpusSha256, vocabulary, order: levels.length };
  const numbers = levels.flatMap(({ firstChild, characters, occurrences }) => [
    encodeNumbers(firstChild.subarray(1).map((end, i) => end - firstChild[i])),
    encodeNumbers(characters),
    encodeNumbers(occurrences),
  ]);
  const text = new TextEncoder().encode(JSON.stringify(header) + "\n");
  const file = new Blob([text, ...numbers]).stream();
  return await new Response(file.pipeThrough(new CompressionStream("gzip"))).bytes();
}

/**
 * Unpacks the bytes of a file.
 *
 * @param name What the errors call the file.
 * @throws {UserError} If the file is damaged or of another kind.
 */
export async function unpackNgrams(
  bytes: Uint8Array<ArrayBuffer>,
  name = "the file",
): Promise<NgramFacts & { counts: NgramCounts }> {
  const refuse = (found: string): never => {
    throw new UserError({
      action: `read ${quoted(name)} as a table of n-grams`,
      found,
      advice: 'the file is damaged or of another kind, write it again with "deno task ngrams"',
    });
  };
  const content = await unpack(bytes) ?? refuse("it is not gzip data, or not all of it");
  const end = content.indexOf(10);
  const header = readHeader(content.subarray(0, end)) ??
    refuse(`it does not begin with the header of "${FORMAT}"`);
  const { corpusSha256, vocabulary, order } = header;
  const vocab = vocabulary.length;
  const read = numberReader(content.subarray(end + 1));
  const levels: NgramLevel[] = [];
  while (levels.length < order) {
    const level = readLevel(read, vocab, levels.at(-1));
    levels.push(level ?? refuse(`its n-grams of ${levels.length + 1} characters do not fit`));
  }
  if (read(1)) refuse("there is more after its n-grams");
  return { corpusSha256, vocabulary, counts: { vocab, levels } };
}

/** Reads the n-grams one longer than those `above`; undefined where they are not such. */
function readLevel(read: NumberReader, vocab: number, above?: NgramLevel): NgramLevel | undefined {
  const parents = above?.characters.length ?? 1;
  const children = read(parents);
  if (!children) return undefined;
  const firstChild = new Uint32Array(parents + 1);
  for (let i = 0; i < parents; i++) firstChild[i + 1] = firstChild[i] + children[i];
  const count = firstChild[parents];
  const characters = read(count), occurrences = read(count);
  if (!characters || !occurrences || count === 0) return undefined;
  const suffixes = new Uint32Array(count);
  for (let parent = 0, node = 0; parent < parents; parent++) {
    for (let last = -1; node < firstChild[parent + 1]; last = characters[node++]) {
      if (characters[node] <= last || characters[node] >= vocab || occurrences[node] < 1) return;
      if (above === undefined) continue;
      // Without its first character, an n-gram is a child of what its parent is without it.
      const suffix = findChild(above, above.suffixes[parent], characters[node]);
      if (suffix < 0) return undefined;
      suffixes[node] = suffix;
      above.contexts[suffix]++;
    }
  }
  return {
    firstChild,
    characters: vocab > 2 ** 16 ? characters : Uint16Array.from(characters),
    occurrences,
    suffixes,
    contexts: new Uint32Array(count),
  };
}

/** Decompresses; undefined if the bytes are not whole, or unpack to far more than a table has. */
async function unpack(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array | undefined> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  try {
    for await (
      const part of new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))
    ) {
      parts.push(part);
      size += part.length;
      if (size > MAX_UNPACKED_BYTES) return undefined;
    }
  } catch {
    return undefined;
  }
  return await new Blob(parts).bytes();
}

function readHeader(line: Uint8Array): NgramFacts & { order: number } | undefined {
  try {
    const { format, corpusSha256, vocabulary, order } = JSON.parse(new TextDecoder().decode(line));
    const isTable = format === FORMAT && /^[0-9a-f]{64}$/.test(corpusSha256) &&
      Array.isArray(vocabulary) && vocabulary.every((entry) => typeof entry === "string") &&
      Number.isInteger(order) && order >= 1 && order <= MAX_ORDER;
    return isTable ? { corpusSha256, vocabulary, order } : undefined;
  } catch {
    return undefined;
  }
}

/** Reads the next `count` numbers; undefined if there are not as many. */
type NumberReader = (count: number) => Uint32Array | undefined;

function numberReader(bytes: Uint8Array): NumberReader {
  let at = 0;
  return (count) => {
    if (count > bytes.length - at) return undefined; // before memory for them is taken
    const numbers = new Uint32Array(count);
    for (let i = 0; i < count; i++) {
      let number = 0;
      let shift = 0;
      for (;; shift += 7) {
        if (at === bytes.length || shift > 21) return undefined; // 2^28 - 1 is the largest
        const byte = bytes[at++];
        number |= (byte & 127) << shift;
        if (byte < 128) break;
      }
      numbers[i] = number;
    }
    return numbers;
  };
}

function encodeNumbers(numbers: Uint16Array | Uint32Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(4 * numbers.length); // each is below 2^28, the size of a text
  let at = 0;
  for (let number of numbers) {
    for (; number > 127; number >>>= 7) bytes[at++] = number & 127 | 128;
    bytes[at++] = number;
  }
  return bytes.subarray(0, at);
}
