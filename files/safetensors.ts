/**
 * Reads and writes safetensors: eight bytes of header length, a JSON header, then the tensors'
 * bytes, little-endian, row-major. Source: https://github.com/huggingface/safetensors#format.
 *
 * A file comes from outside, so nothing in it is believed before it is checked. Numbers keep their
 * order of bytes in memory: every machine that Deno runs on is little-endian.
 */
import { type HostTensor, sizeOf } from "@tiny-diffusion/engines/tensors";
import { quoted, UserError } from "@tiny-diffusion/engines/errors";

/** A tensor from a file. F16, BF16 and F64 have become float32. Row-major. */
export interface StoredTensor extends HostTensor {
  /** The type in the file. */
  dtype: StoredDType;
}

/** The types of numbers that are read. */
export type StoredDType = "F32" | "F16" | "BF16" | "F64" | "I32";

/** Everything in a safetensors file. */
export interface Safetensors {
  /** The tensors by name, in the order of their bytes. */
  tensors: Record<string, StoredTensor>;
  /** The texts of its header. */
  metadata: Record<string, string>;
}

const bytesPerElement: Record<StoredDType, number> = { F64: 8, F32: 4, F16: 2, BF16: 2, I32: 4 };

const maxHeaderBytes = 100_000_000; // the limit of the reference implementation
const maxRank = 8; // far more than weights have; a shape in a message stays short

/**
 * Parses a whole safetensors file.
 *
 * @param options.name What the errors call the file. Default "the file".
 * @returns Tensors that share no memory with `bytes`. Values may be anything, NaN included.
 * @throws {UserError} If the file is cut short, damaged, or not a safetensors file, or a tensor has
 * a dtype other than F32, F16, BF16, F64 and I32.
 */
export function readSafetensors(
  bytes: Uint8Array,
  { name = "the file" }: { name?: string } = {},
): Safetensors {
  const bad = (found: string) =>
    new UserError({
      action: `read ${quoted(name)} as safetensors`,
      found,
      advice: "the file is damaged or of another kind, get or write it again",
    });

  if (bytes.length < 8) throw bad(`${bytes.length} bytes, expected at least 8`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerBytes = view.getBigUint64(0, true);
  if (headerBytes > maxHeaderBytes || 8n + headerBytes > bytes.length) {
    throw bad(`a header of ${headerBytes} bytes in a file of ${bytes.length} bytes`);
  }
  const dataStart = 8 + Number(headerBytes);
  const { metadata, entries } = readHeader(bytes.subarray(8, dataStart), bad);

  // The tensors must tile the rest of the file: no gap, no overlap, nothing outside, nothing left
  // over.
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let expected = 0;
  for (const { tensor, begin, end } of entries) {
    if (begin !== expected) {
      throw bad(`${quoted(tensor)} starts at byte ${begin}, expected ${expected}`);
    }
    expected = end;
  }
  const dataBytes = bytes.length - dataStart;
  if (expected !== dataBytes) {
    throw bad(`${dataBytes} bytes of tensors, expected ${expected}`);
  }

  const tensors: Record<string, StoredTensor> = {};
  for (const { tensor, dtype, shape, begin, end } of entries) {
    if (!isStoredDType(dtype)) {
      throw new UserError({
        action: `read ${quoted(name)}`,
        found: `${quoted(tensor)} is ${quoted(dtype)}, expected F32, F16, BF16, F64 or I32`,
        advice: "convert it to float32",
      });
    }
    const size = sizeOf(shape) * bytesPerElement[dtype];
    if (size !== end - begin) {
      throw bad(
        `${quoted(tensor)} is ${dtype} [${shape.join(", ")}] in ${end - begin} bytes, ` +
          `expected ${size}`,
      );
    }
    const data = decode(dtype, bytes.slice(dataStart + begin, dataStart + end));
    tensors[tensor] = { shape, dtype, data };
  }
  return { tensors, metadata };
}

/**
 * Writes a safetensors file with these tensors, in their order (four-byte ones first where some are
 * float16, to keep all aligned).
 *
 * @param options.dtype How Float32Array data is stored; float16 rounds to nearest, ties to even.
 * Default "float32".
 * @throws {UserError} If a finite value does not fit float16.
 */
export function writeSafetensors(
  tensors: Record<string, HostTensor>,
  metadata: Record<string, string> = {},
  { dtype = "float32" }: { dtype?: "float32" | "float16" } = {},
): Uint8Array<ArrayBuffer> {
  const encoded = Object.entries(tensors).map(([tensor, { shape, data }]) => {
    if (tensor === "__metadata__" || tensor === "__proto__") {
      throw new TypeError(`Cannot write a tensor named ${quoted(tensor)}: it is reserved`);
    }
    if (sizeOf(shape) !== data.length) {
      throw new TypeError(
        `Cannot write ${quoted(tensor)}: ${data.length} values, ` +
          `expected ${sizeOf(shape)} for [${shape.join(", ")}]`,
      );
    }
    return { tensor, shape, ...encode(tensor, data, dtype) };
  });
  encoded.sort((a, b) => bytesPerElement[b.dtype] - bytesPerElement[a.dtype]);

  const header: Record<string, unknown> = {};
  if (Object.keys(metadata).length > 0) header.__metadata__ = metadata;
  let end = 0;
  for (const { tensor, shape, dtype, bytes } of encoded) {
    header[tensor] = { dtype, shape, data_offsets: [end, end += bytes.length] };
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const headerBytes = Math.ceil(json.length / 8) * 8; // so that the data is aligned
  const file = new Uint8Array(8 + headerBytes + end).fill(0x20, 8, 8 + headerBytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(headerBytes), true);
  file.set(json, 8);
  let at = 8 + headerBytes;
  for (const { bytes } of encoded) {
    file.set(bytes, at);
    at += bytes.length;
  }
  return file;
}

interface HeaderEntry {
  tensor: string;
  dtype: string;
  shape: number[];
  begin: number;
  end: number;
}

function readHeader(bytes: Uint8Array, bad: (found: string) => Error) {
  let text: string;
  let header: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    header = JSON.parse(text);
  } catch {
    throw bad("the header is not JSON");
  }
  if (!text.startsWith("{") || !isRecord(header)) throw bad("the header is not a JSON object");

  const metadata: Record<string, string> = {};
  const entries: HeaderEntry[] = [];
  let keys = Object.keys(header).length;
  for (const [tensor, value] of Object.entries(header)) {
    if (tensor === "__proto__") throw bad(`a tensor has the reserved name "__proto__"`);
    if (tensor === "__metadata__" && value === null) continue; // as the reference implementation does
    if (!isRecord(value)) throw bad(`the entry of ${quoted(tensor)} is not an object`);
    keys += Object.keys(value).length;
    if (tensor === "__metadata__") {
      for (const [key, text] of Object.entries(value)) {
        if (key === "__proto__") throw bad(`the metadata has the reserved key "__proto__"`);
        if (typeof text !== "string") throw bad(`the metadata ${quoted(key)} is not a string`);
        metadata[key] = text;
      }
    } else {
      entries.push({ tensor, ...readEntry(tensor, value, bad) });
    }
  }
  // JSON.parse keeps the last of two equal keys and does not tell.
  if (keys !== countKeys(text)) throw bad("a name appears twice in the header");
  return { metadata, entries };
}

function readEntry(tensor: string, value: object, bad: (found: string) => Error) {
  const entry = value as { dtype?: unknown; shape?: unknown; data_offsets?: unknown };
  const { dtype, shape, data_offsets: offsets } = entry;
  const named = quoted(tensor);
  if (typeof dtype !== "string" || Object.keys(entry).length !== 3) {
    throw bad(`${named} has other entries than dtype, shape and data_offsets`);
  }
  if (!isSizes(shape) || shape.length > maxRank || !Number.isSafeInteger(sizeOf(shape))) {
    throw bad(`${named} has no valid shape`);
  }
  if (!isSizes(offsets) || offsets.length !== 2 || offsets[0] > offsets[1]) {
    throw bad(`${named} has no valid data_offsets`);
  }
  return { dtype, shape, begin: offsets[0], end: offsets[1] };
}

/**
 * Counts the keys of valid JSON text, repeated ones too: there is a colon outside strings for each.
 */
function countKeys(json: string): number {
  let count = 0;
  let inString = false;
  for (let i = 0; i < json.length; i++) {
    const character = json[i];
    if (character === '"') inString = !inString;
    else if (inString && character === "\\") i++;
    else if (!inString && character === ":") count++;
  }
  return count;
}

function decode(dtype: StoredDType, bytes: Uint8Array<ArrayBuffer>) {
  switch (dtype) {
    case "F32":
      return new Float32Array(bytes.buffer);
    case "I32":
      return new Int32Array(bytes.buffer);
    case "F16":
      return new Float32Array(new Float16Array(bytes.buffer));
    case "BF16":
      return widenBfloat16(new Uint16Array(bytes.buffer));
    case "F64":
      return new Float32Array(new Float64Array(bytes.buffer));
  }
}

/** Converts bfloat16, which is the upper half of a float32. */
export function widenBfloat16(halves: Uint16Array): Float32Array<ArrayBuffer> {
  return new Float32Array(Uint32Array.from(halves, (half) => half << 16).buffer);
}

function encode(
  tensor: string,
  data: Float32Array | Int32Array,
  dtype: "float32" | "float16",
): { dtype: StoredDType; bytes: Uint8Array } {
  if (data instanceof Int32Array) return { dtype: "I32", bytes: bytesOf(data) };
  if (dtype === "float32") return { dtype: "F32", bytes: bytesOf(data) };
  const halves = new Float16Array(data);
  const lost = halves.findIndex((half, i) => Math.abs(half) === Infinity && isFinite(data[i]));
  if (lost >= 0) {
    throw new UserError({
      action: `write ${quoted(tensor)} as float16`,
      found: `${data[lost]} at position ${lost}, expected at most 65504 in size`,
      advice: "write float32",
    });
  }
  return { dtype: "F16", bytes: bytesOf(halves) };
}

const bytesOf = (data: ArrayBufferView) =>
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/** Whether a value from outside is a whole number of 0 or more. */
export const isSize = (value: unknown): value is number =>
  Number.isSafeInteger(value) && Number(value) >= 0 && !Object.is(value, -0);

/** Whether a value from outside is a list of such numbers. */
export const isSizes = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every(isSize);

/** Whether a value from outside is an object with keys, not a list. */
export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const isStoredDType = (dtype: string): dtype is StoredDType =>
  Object.hasOwn(bytesPerElement, dtype);
