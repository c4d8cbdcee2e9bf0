/**
 * Reads and writes the `.pt` files of PyTorch: a zip archive with a pickle, `data.pkl`, that
 * describes the tensors, and one entry for each storage, `data/0`, `data/1`, ... The pickle is not
 * run, see `pickle.ts`. Source: torch/serialization.py and torch/_utils.py (`_rebuild_tensor_v2`)
 * in PyTorch.
 */
import { type HostTensor, type HostTensors, sizeOf } from "@tiny-diffusion/engines/tensors";
import { Call, Global, Persistent, type Pickled, readPickle, writePickle } from "./pickle.ts";
import { quoted, UserError } from "@tiny-diffusion/engines/errors";
import { isSize, isSizes, type StoredDType, widenBfloat16 } from "./safetensors.ts";
import { readZip, writeZip, type ZipEntry } from "./zip.ts";

const rebuildTensor = "torch._utils _rebuild_tensor_v2";
const rebuildParameter = "torch._utils _rebuild_parameter";

/**
 * For each kind of storage, its type, the size of an element, and its conversion to float32. The
 * bytes are copied before, so that they are aligned.
 */
const decoders: Record<
  string,
  { dtype: StoredDType; size: number; decode(bytes: ArrayBuffer): Float32Array }
> = {
  "torch FloatStorage": { dtype: "F32", size: 4, decode: (bytes) => new Float32Array(bytes) },
  "torch HalfStorage": {
    dtype: "F16",
    size: 2,
    decode: (bytes) => new Float32Array(new Float16Array(bytes)),
  },
  "torch BFloat16Storage": {
    dtype: "BF16",
    size: 2,
    decode: (bytes) => widenBfloat16(new Uint16Array(bytes)),
  },
  "torch DoubleStorage": {
    dtype: "F64",
    size: 8,
    decode: (bytes) => new Float32Array(new Float64Array(bytes)),
  },
};

/** Storages that a checkpoint may have next to its weights, such as the buffers of nanoGPT. */
const otherStorages = ["Long", "Int", "Short", "Char", "Byte", "Bool"]
  .map((type) => `torch ${type}Storage`);

const allowed = new Set([
  rebuildTensor,
  rebuildParameter,
  ...Object.keys(decoders),
  ...otherStorages,
]);

/** The keys by which training scripts store the state dict, such as nanoGPT's and Lightning's. */
const stateDictKeys = ["model", "state_dict", "model_state_dict"];

const maxRank = 8;

/** The tensors of a `.pt` file. */
export interface PtFile {
  /** The tensors by name. */
  tensors: HostTensors;
  /** The types of their storages. */
  dtypes: Set<StoredDType>;
}

/** Reads the tensors of a file as `readPtFile` does, without their types. */
export function readPt(bytes: Uint8Array, options: { name?: string } = {}): HostTensors {
  return readPtFile(bytes, options).tensors;
}

/**
 * Reads the tensors of a state dict (`torch.save(model.state_dict(), path)`), or of the one in a
 * checkpoint, in its order, as float32. Values may be anything.
 *
 * @param options.name What the errors call the file. Default "the file".
 * @throws {UserError} If the file is damaged, or holds no dict of float tensors.
 */
export function readPtFile(
  bytes: Uint8Array,
  { name = "the file" }: { name?: string } = {},
): PtFile {
  try {
    return readStateDict(bytes);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const action = `read ${quoted(name)} as PyTorch weights`;
    throw new UserError({ ...error, action }, { cause: error });
  }
}

/**
 * Writes a `.pt` file that `torch.load(path, weights_only=True)` reads as a dict of float32 tensors.
 *
 * @returns The same bytes for the same tensors.
 */
export function writePt(tensors: HostTensors): Uint8Array<ArrayBuffer> {
  const storages: ZipEntry[] = [];
  const stateDict = new Map<string, Pickled>();
  Object.entries(tensors).forEach(([name, { shape, data }], i) => {
    if (sizeOf(shape) !== data.length) {
      throw new TypeError(
        `Cannot write ${quoted(name)}: ${data.length} values for [${shape.join(", ")}]`,
      );
    }
    const storage = [
      "storage",
      new Global("torch FloatStorage"),
      String(i),
      "cpu",
      data.length,
    ];
    const noHooks = new Map();
    stateDict.set(
      name,
      new Call(rebuildTensor, [
        new Persistent(storage),
        0,
        shape,
        rowMajorStrides(shape),
        false,
        noHooks,
      ]),
    );
    storages.push({
      name: `archive/data/${i}`,
      data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    });
  });
  const encode = (text: string) => new TextEncoder().encode(text);
  return writeZip([
    { name: "archive/data.pkl", data: writePickle(stateDict) },
    { name: "archive/byteorder", data: encode("little") },
    ...storages,
    { name: "archive/version", data: encode("3\n") },
  ], { align: 64 });
}

function readStateDict(bytes: Uint8Array): PtFile {
  if (bytes[0] === 0x80) {
    throw refused("it is a bare pickle, as PyTorch wrote before version 1.6");
  }
  const entries = readZip(bytes);
  const pickles = [...entries.keys()].filter((name) => /^[^/]+\/data\.pkl$/.test(name));
  if (pickles.length !== 1) throw refused(`${pickles.length} entries "data.pkl", expected one`);
  const folder = pickles[0].slice(0, -"data.pkl".length);

  const order = entries.get(folder + "byteorder");
  if (order && new TextDecoder().decode(order).trim() !== "little") {
    throw refused("its numbers are not little-endian");
  }
  const stateDict = findStateDict(readPickle(entries.get(pickles[0])!, allowed));
  const floats = new Map<string, Float32Array>(); // storages by key, decoded once
  const tensors: HostTensors = {};
  const dtypes = new Set<StoredDType>();
  const storedBytes = [...entries.values()].reduce((sum, entry) => sum + entry.length, 0);
  const largest = Math.max(4 * bytes.length, 2 * storedBytes); // twice: float16 becomes float32
  let total = 0;
  for (const [key, value] of stateDict) {
    const name = String(key);
    if (name === "__proto__") throw refused(`a tensor has the reserved name "__proto__"`);
    const { type, storage, elements, ...view } = readTensor(name, value);
    dtypes.add(decoders[type].dtype);
    let data = floats.get(`${type} ${storage}`);
    if (!data) {
      const raw = entries.get(`${folder}data/${storage}`);
      if (raw?.length !== elements * decoders[type].size) {
        throw refused(
          `${quoted(name)} has ${raw ? `${raw.length} bytes` : "no data"}, ` +
            `expected ${elements} elements of ${decoders[type].size} bytes`,
        );
      }
      data = decoders[type].decode(raw.slice().buffer);
      floats.set(`${type} ${storage}`, data);
    }
    tensors[name] = gather(name, data, view);
    // Tensors may share a storage (float32 ones up to four), but a file must not multiply itself by
    // naming one often.
    total += tensors[name].data.byteLength;
    if (total > largest) throw refused("its tensors share too much data");
  }
  return { tensors, dtypes };
}

/**
 * Finds the dict of tensors: the whole, or the only part of a checkpoint that has the name of one.
 * Others are not guessed at: an optimizer's averages have the names and shapes of the weights, too.
 */
function findStateDict(value: Pickled): Map<string | number, Pickled> {
  if (!(value instanceof Map)) throw refused("it holds something other than a dict");
  const holdsTensor = (part: Pickled) =>
    part instanceof Map && part.values().next().value instanceof Call;
  const parts = [...value.keys()].filter((key) => holdsTensor(value.get(key)!));
  const named = parts.filter((key) => stateDictKeys.includes(`${key}`));
  if (named.length === 1) return value.get(named[0]) as Map<string, Pickled>;
  if (parts.length === 0) return value;
  throw refused(
    `it is a checkpoint with tensors in ${
      parts.slice(0, 3).map((key) => quoted(`${key}`)).join(" and ")
    }`,
    `save the weights alone: torch.save(checkpoint[${quoted(`${(named[0] ?? parts[0])}`)}], path)`,
  );
}

interface View {
  offset: number;
  shape: number[];
  strides: number[];
}

/** Checks the description of a pickled tensor. Its storage is named by type and key. */
function readTensor(name: string, value: Pickled) {
  if (value instanceof Call && value.callee === rebuildParameter) value = value.args[0];
  if (!(value instanceof Call) || value.callee !== rebuildTensor) {
    throw refused(`${quoted(name)} is not a tensor`);
  }
  const [place, offset, shape, strides] = value.args;
  const id = place instanceof Persistent ? place.id : null;
  const [tag, type, storage, , elements] = Array.isArray(id) ? id : [];
  if (type instanceof Global && otherStorages.includes(type.name)) {
    const asked = quoted(type.name.replace(" ", "."));
    throw refused(`it asks for ${asked} for ${quoted(name)}, expected floats`);
  }
  if (
    tag !== "storage" || !(type instanceof Global) || !Object.hasOwn(decoders, type.name) ||
    typeof storage !== "string" || !isSize(elements) || !isSize(offset) || !isSizes(shape) ||
    !isSizes(strides) || strides.length !== shape.length || shape.length > maxRank
  ) {
    throw refused(`${quoted(name)} is not described as PyTorch does`);
  }
  return { type: type.name, storage, elements, offset, shape, strides };
}

/** A row-major copy of a strided view of a storage. */
function gather(name: string, storage: Float32Array, view: View): HostTensor<Float32Array> {
  const { offset, shape, strides } = view;
  const size = sizeOf(shape);
  const last = shape.reduce((at, length, i) => at + (length - 1) * strides[i], offset);
  // A stride of 0 repeats elements, which no weight does and which could make a small file large.
  if (size > storage.length || (size > 0 && last >= storage.length)) {
    throw refused(`${quoted(name)} reaches beyond its data`);
  }
  if (rowMajorStrides(shape).every((stride, i) => stride === strides[i] || shape[i] === 1)) {
    return { shape, data: storage.slice(offset, offset + size) };
  }
  const data = new Float32Array(size);
  let next = 0;
  const copy = (axis: number, at: number) => {
    if (axis === shape.length) data[next++] = storage[at];
    else for (let i = 0; i < shape[axis]; i++) copy(axis + 1, at + i * strides[axis]);
  };
  if (size > 0) copy(0, offset);
  return { shape, data };
}

function rowMajorStrides(shape: number[]): number[] {
  return shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * Math.max(b, 1), 1));
}

function refused(
  found: string,
  advice = "save them in PyTorch with torch.save(model.state_dict(), path)",
): UserError {
  return new UserError({ action: "read the weights", found, advice });
}
