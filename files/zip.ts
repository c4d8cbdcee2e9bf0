/**
 * Reads and writes zip archives such as PyTorch's: stored and deflated entries below 4 GiB, no
 * encryption and no parts. Reading checks everything: lengths, sizes, checksums. Source: PKWARE's
 * APPNOTE.TXT, sections 4.3 and 4.4.
 */
import { crc32, deflateRawSync, inflateRawSync } from "node:zlib";
import { quoted, UserError } from "@tiny-diffusion/engines/errors";

const LOCAL_HEADER = 0x04034b50;
const DIRECTORY_HEADER = 0x02014b50;
const TRAILER = 0x06054b50;

const maxEntries = 10_000;

// PyTorch compresses nothing, and weights shrink by a tenth, or by half if they were bfloat16 once.
// Beyond this it is a zip bomb.
const maxRatio = 10;
const alwaysAllowed = 2 ** 20; // a small file may unpack to that much

/**
 * Reads all entries of an archive. Stored ones are views of `bytes`.
 *
 * @throws {UserError} If the archive is cut short, damaged, unpacks to more than ten times its
 * size and 1 MiB, or uses a feature named above.
 */
export function readZip(bytes: Uint8Array): Map<string, Uint8Array> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const u16 = (at: number) => view.getUint16(at, true);
  const u32 = (at: number) => view.getUint32(at, true);
  const requireRange = (start: number, size: number, end: number, what: string) => {
    if (start + size > end) throw damaged(`${what} is outside`);
  };

  const trailer = findTrailer(bytes, u16, u32);
  const count = u16(trailer + 10);
  const directory = u32(trailer + 16);
  if (count === 0xffff || directory === 0xffffffff) throw damaged("it is larger than 4 GiB");
  if (count > maxEntries) throw damaged(`${count} entries, expected at most ${maxEntries}`);

  const unpackedLimit = Math.max(alwaysAllowed, maxRatio * bytes.length);
  const entries = new Map<string, Uint8Array>();
  let at = directory;
  let packedTotal = 0;
  let unpackedTotal = 0;
  for (let i = 0; i < count; i++) {
    requireRange(at, 46, trailer, "its directory");
    if (u32(at) !== DIRECTORY_HEADER) throw damaged("its directory is not where it should be");
    const flags = u16(at + 8);
    const method = u16(at + 10);
    const crc = u32(at + 16);
    const packed = u32(at + 20);
    const unpacked = u32(at + 24);
    const local = u32(at + 42);
    const nameStart = at + 46;
    at = nameStart + u16(at + 28) + u16(at + 30) + u16(at + 32);
    requireRange(at, 0, trailer, "its directory");
    const name = new TextDecoder().decode(
      bytes.subarray(nameStart, nameStart + u16(nameStart - 18)),
    );
    const entry = `the entry ${quoted(name)}`;

    if (entries.has(name)) throw damaged(`${entry} appears twice`);
    if (flags & 1) throw damaged(`${entry} is encrypted`);
    if (method !== 0 && method !== 8) throw damaged(`${entry} has compression method ${method}`);
    packedTotal += packed;
    unpackedTotal += unpacked;
    if (packedTotal > bytes.length || unpackedTotal > unpackedLimit) {
      throw damaged(
        `its entries unpack to more than ${maxRatio} times its size or share bytes`,
      );
    }

    requireRange(local, 30, directory, entry);
    if (u32(local) !== LOCAL_HEADER) throw damaged(`${entry} is not where it should be`);
    const start = local + 30 + u16(local + 26) + u16(local + 28);
    requireRange(start, packed, directory, entry);
    const data = unpack(bytes.subarray(start, start + packed), method, unpacked);
    if (data?.length !== unpacked || crc32(data) !== crc) {
      throw damaged(`${entry} does not match its size and checksum`);
    }
    entries.set(name, data);
  }
  return entries;
}

function unpack(packed: Uint8Array, method: number, size: number): Uint8Array | null {
  if (method === 0) return packed;
  try {
    // The limit stops an entry that holds more than it declares; it can't be 0.
    const { buffer, byteOffset, length } = inflateRawSync(packed, {
      maxOutputLength: Math.max(1, size),
    });
    return new Uint8Array(buffer, byteOffset, length); // Node's Buffer means other things by its methods
  } catch {
    return null;
  }
}

/**
 * Finds where the end-of-directory record starts: its comment, of up to 65,535 bytes, must end with
 * the file.
 */
function findTrailer(
  bytes: Uint8Array,
  u16: (at: number) => number,
  u32: (at: number) => number,
): number {
  const earliest = Math.max(0, bytes.length - 22 - 0xffff);
  for (let at = bytes.length - 22; at >= earliest; at--) {
    if (u32(at) === TRAILER && at + 22 + u16(at + 20) === bytes.length) return at;
  }
  throw damaged("it has no end, or is not a zip archive");
}

function damaged(found: string): UserError {
  const advice = "the file is damaged or of another kind, get it again";
  return new UserError({ action: "read the zip archive", found, advice });
}

/** A file in an archive that is to be written. */
export interface ZipEntry {
  name: string;
  data: Uint8Array;
  /** Compress it. @default {false} */
  deflate?: boolean;
}

/**
 * Writes an archive: local headers with the data, the directory, the end.
 *
 * @param options.align Start the data of each entry at a multiple of this many bytes, as PyTorch
 * does (64) by a padding field called "FB", so that the file can be mapped into memory. Default: no
 * padding.
 * @returns The same bytes for the same entries.
 */
export function writeZip(
  entries: ZipEntry[],
  { align }: { align?: number } = {},
): Uint8Array<ArrayBuffer> {
  const files: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let at = 0;
  for (const { name, data, deflate } of entries) {
    const path = new TextEncoder().encode(name);
    const packed = deflate ? deflateRawSync(data) : data;
    const padding = align === undefined
      ? new Uint8Array()
      : paddingField(at + 30 + path.length, align);
    const isUtf8 = path.length !== name.length;
    const facts = littleEndian(
      [2, 20], // the version that introduced deflate
      [2, isUtf8 ? 0x0800 : 0],
      [2, deflate ? 8 : 0],
      [4, 0x00210000], // 1980-01-01, the first date there is
      [4, crc32(data)],
      [4, packed.length],
      [4, data.length],
      [2, path.length],
      [2, padding.length],
    );
    const local = concat([littleEndian([4, LOCAL_HEADER]), facts, path, padding, packed]);
    const header = littleEndian([4, DIRECTORY_HEADER], [2, 20]);
    // no comment, the first disk, no attributes
    const place = littleEndian([2, 0], [2, 0], [2, 0], [4, 0], [4, at]);
    directory.push(concat([header, facts, place, path, padding]));
    files.push(local);
    at += local.length;
  }
  const size = directory.reduce((sum, { length }) => sum + length, 0);
  const count = entries.length;
  const trailer = littleEndian(
    [4, TRAILER],
    [4, 0],
    [2, count],
    [2, count],
    [4, size],
    [4, at],
    [2, 0],
  );
  return concat([...files, ...directory, trailer]);
}

/** An extra field at `at` whose zeros end at a multiple of `align`. */
function paddingField(at: number, align: number): Uint8Array {
  const zeros = (align - (at + 4) % align) % align;
  return concat([littleEndian([2, 0x4246], [2, zeros]), new Uint8Array(zeros)]);
}

function littleEndian(...numbers: [bytes: number, value: number][]): Uint8Array {
  return Uint8Array.from(
    numbers.flatMap(([bytes, value]) =>
      Array.from({ length: bytes }, (_, i) => value >>> (8 * i) & 255)
    ),
  );
}

function concat(parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
