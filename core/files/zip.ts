/**
 * Reads the zip archives that PyTorch writes and checks all of it: lengths, sizes, checksums. Knows
 * stored and deflated entries below 4 GiB, no encryption and no parts. Source: PKWARE's
 * APPNOTE.TXT, sections 4.3 and 4.4.
 */
import { crc32, inflateRawSync } from "node:zlib";
import { quoted } from "@tiny-diffusion/engines/errors";

const maxEntries = 10_000;

// PyTorch compresses nothing, and weights shrink by a tenth, or by half if they were bfloat16 once.
// Beyond this it is a zip bomb.
const maxRatio = 10;
const alwaysAllowed = 2 ** 20; // the same of a small file does no harm

/**
 * All entries of an archive. Stored ones are views of `bytes`.
 *
 * @throws {SyntaxError} If the archive is cut short, damaged, unpacks to more than ten times its
 * size and 1 MiB, or uses a feature named above.
 */
export function readZip(bytes: Uint8Array): Map<string, Uint8Array> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const u16 = (at: number) => view.getUint16(at, true);
  const u32 = (at: number) => view.getUint32(at, true);
  const requireRange = (start: number, size: number, end: number, what: string) => {
    if (start + size > end) throw damaged(`${what} lies outside`);
  };

  const trailer = findTrailer(bytes, u16, u32);
  const count = u16(trailer + 10), directory = u32(trailer + 16);
  if (count === 0xffff || directory === 0xffffffff) throw damaged("it is larger than 4 GiB");
  if (count > maxEntries) throw damaged(`${count} entries, expected at most ${maxEntries}`);

  const unpackedLimit = Math.max(alwaysAllowed, maxRatio * bytes.length);
  const entries = new Map<string, Uint8Array>();
  let at = directory, packedTotal = 0, unpackedTotal = 0;
  for (let i = 0; i < count; i++) {
    requireRange(at, 46, trailer, "its directory");
    if (u32(at) !== 0x02014b50) throw damaged("its directory is not where it should be");
    const flags = u16(at + 8), method = u16(at + 10), crc = u32(at + 16);
    const packed = u32(at + 20), unpacked = u32(at + 24), local = u32(at + 42);
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
    if (u32(local) !== 0x04034b50) throw damaged(`${entry} is not where it should be`);
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
 * Where the end-of-directory record starts: its comment, of up to 65,535 bytes, must end with the
 * file.
 */
function findTrailer(
  bytes: Uint8Array,
  u16: (at: number) => number,
  u32: (at: number) => number,
): number {
  const earliest = Math.max(0, bytes.length - 22 - 0xffff);
  for (let at = bytes.length - 22; at >= earliest; at--) {
    if (u32(at) === 0x06054b50 && at + 22 + u16(at + 20) === bytes.length) return at;
  }
  throw damaged("it has no end, or is no zip archive");
}

function damaged(found: string): SyntaxError {
  return new SyntaxError(
    `Cannot read the zip archive: ${found}; the file is damaged or of another kind, get it again`,
  );
}
