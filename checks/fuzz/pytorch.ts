/** The targets `zip`, `pickle` and `pt`: the parts of a `.pt` file, and such a file as a whole. */
import {
  Call,
  Global,
  Persistent,
  type Pickled,
  readPickle,
  writePickle,
} from "../../files/pickle.ts";
import { readPt, writePt } from "../../files/pt.ts";
import { readZip, writeZip, type ZipEntry } from "../../files/zip.ts";
import { sizeOf } from "../../engines/tensors.ts";
import { type Choices, mutateBytes, textBytes } from "./mutate.ts";
import { isSame } from "./safetensors.ts";
import { isSameData, promise, roundTrip, type Target } from "./target.ts";

const rebuild = "torch._utils _rebuild_tensor_v2";
const storages = ["FloatStorage", "HalfStorage", "BFloat16Storage", "DoubleStorage"];
const allowed = new Set([
  rebuild,
  "torch._utils _rebuild_parameter",
  ...[...storages, "LongStorage"].map((name) => `torch ${name}`),
]);

const testdata = new URL("../../core/testing/data/", import.meta.url);
const realPt = () => Deno.readFileSync(new URL("gpt.pt", testdata));

/** What PyTorch wrote by protocol 4, of parameters, and of checkpoints with more than weights. */
const realPickles = () =>
  ["proto4", "parameters", "lightning", "nanogpt_ckpt", "module_orig_mod"]
    .map((name) => Deno.readFileSync(new URL(`${name}.pkl`, testdata)));

/** 30 MB of zeros that the directory says are 10 bytes. */
function bomb(): Uint8Array {
  const archive = writeZip([{ name: "a", data: new Uint8Array(3e7), deflate: true }]);
  new DataView(archive.buffer).setUint32(archive.length - 22 - 47 + 24, 10, true);
  return archive;
}

export const zip: Target = {
  readers: ["files/zip.ts", "engines/errors.ts"],

  starts: () => [
    writeZip([]),
    writeZip([{ name: "a", data: textBytes("to be or not") }]),
    writeZip([
      { name: "x/a", data: textBytes("to be ".repeat(20)), deflate: true },
      { name: "x/é", data: new Uint8Array(0) },
      { name: "x/c", data: Uint8Array.from({ length: 70 }, (_, i) => i) },
    ]),
    writeZip([{ name: "zeros", data: new Uint8Array(20_000), deflate: true }]),
    bomb(),
    writePt({ w: { shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) } }),
    realPt(),
  ],

  mutate(bytes, other, random) {
    if (random.chance(0.7)) return mutateBytes(bytes, other, random);
    return writeZip(mutateEntries(entriesOf(bytes), random));
  },

  async check(bytes) {
    const entries = readZip(bytes);
    let total = 0;
    for (const data of entries.values()) {
      const start = data.byteOffset - bytes.byteOffset;
      const isInside = start >= 0 && start + data.length <= bytes.length;
      promise(data.buffer !== bytes.buffer || isInside, "an entry is inside the archive");
      total += data.length;
    }
    const isSmall = (archive: Uint8Array) => total <= Math.max(2 ** 20, 10 * archive.length);
    promise(isSmall(bytes), "entries have at most 10 times the size of the file");
    const again = writeZip([...entries].map(([name, data]) => ({ name, data, deflate: true })));
    // Names of 64 KiB and more, which U+FFFD can make of shorter ones, can't be written.
    const isLong = [...entries.keys()].some((name) => textBytes(name).length > 0xffff);
    // Zeros pack so well that writing them again makes the bomb that reading refuses.
    if (!isLong && isSmall(again)) {
      const back = await roundTrip("it", () => readZip(again));
      const isSame = [...entries].every(([name, data]) => isSameData(back.get(name)!, data));
      promise(isSame && back.size === entries.size, "entries come back as they were");
    }
    return `read ${entries.size} entries`;
  },
};

function entriesOf(archive: Uint8Array): ZipEntry[] {
  try {
    return [...readZip(archive)].map(([name, data]) => ({ name, data }));
  } catch {
    return [{ name: "x/data.pkl", data: archive }];
  }
}

/** Changes an entry, under a directory that is right; others may go, or come twice. */
function mutateEntries(entries: ZipEntry[], random: Choices): ZipEntry[] {
  const names = ["", "x/data.pkl", "x/data/0", "x/byteorder", "../a", "é", "a".repeat(300)];
  const at = random.integer(entries.length);
  const entry = entries[at] ?? { name: "a", data: new Uint8Array(3) };
  const changed = random.pick<ZipEntry>([
    { ...entry, deflate: !entry.deflate },
    { ...entry, name: random.pick(names) },
    { ...entry, data: mutateBytes(entry.data, entry.data, random) },
    { ...entry, data: new Uint8Array(random.pick([0, 1, 5000, 400_000])), deflate: true },
  ]);
  return entries.toSpliced(random.integer(entries.length), random.integer(3), changed);
}

const call = (storage: string, key: string, elements: number, ...view: Pickled[]) =>
  new Call(rebuild, [
    new Persistent(["storage", new Global(`torch ${storage}`), key, "cpu", elements]),
    ...view,
    false,
    new Map(),
  ]);

const latin1 = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));

/**
 * Instructions to put somewhere: every one that is read, what is not, calls, and ones that double
 * what is there.
 */
// deno-fmt-ignore
const snippets = [
  ...".(N\x88\x89)\x85\x86\x87t}subRQ]\x81\x93i\x94G",
  "K\x01", "M\x01\x02", "J\xff\xff\xff\xff", "\x8a\x00", "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f",
  "q\x00", "h\x00", "r\x00\x00\x00\x01", "j\x00\x00\x00\x01", "q\x00h\x00\x86".repeat(50),
  "X\x01\x00\x00\x00a", "X\x09\x00\x00\x00__proto__", "X\xff\xff\xff\x7f", "cos\nsystem\n",
  "ctorch\nFloatStorage\n", "ctorch._utils\n_rebuild_tensor_v2\n", "ccollections\nOrderedDict\n",
  "\x80\x02", "\x80\x04", "(".repeat(3000), ")".repeat(3000), "}".repeat(3000) + "(", "Nt",
  "\x8c\x01a", "\x8c\xffa", "\x8d\x01\x00\x00\x00\x00\x00\x00\x00a", "\x8d" + "\xff".repeat(8),
  "\x95" + "\x00".repeat(8), "]", "a", "e", "(NNe", "]q\x00h\x00a", "G\x7f\xf8\x00\x00\x00\x00\x00\x00",
  "\x8c\x02os\x8c\x06system\x93", "\x8c\x05torch\x8c\x0cFloatStorage\x93", "}K\x01Ns",
  "ctorch._utils\n_rebuild_parameter\n", "\x94".repeat(300),
  "c" + "a".repeat(5000) + "\nb\n", "X\x02\x00\x00\x00\xff\xff", "ca\x1b[2J\nb\r\n",
].map(latin1);

export const pickle: Target = {
  readers: ["files/pickle.ts", "engines/errors.ts"],

  starts: () => [
    writePickle(null),
    writePickle(new Map<string, Pickled>([["a", [1, 2 ** 40, "é", true, null, new Map()]]])),
    writePickle(
      new Map([
        ["w", call("FloatStorage", "0", 6, 0, [2, 3], [3, 1])],
        ["v", call("HalfStorage", "1", 6, 2, [2], [2])],
      ]),
    ),
    readZip(realPt()).get("gpt/data.pkl")!.slice(),
    ...realPickles(),
  ],

  mutate: (bytes, other, random) => mutateBytes(bytes, other, random, snippets),

  async check(bytes) {
    const value = readPickle(bytes, allowed);
    const parts = listParts(value);
    if (parts === undefined) return "read something that is not a small tree";
    const back = await roundTrip("it", () => readPickle(writePickle(value), allowed));
    promise(String(listParts(back)) === String(parts), "a value comes back as it was");
    return `read ${parts.length === 1 ? "a scalar" : parts[0]}`;
  },
};

/**
 * Lists the parts of a tree from the root on, checked on the way; undefined if it is too large or
 * deep to write out, or has a number that is no integer. -0, which pickles do not tell from 0, is 0.
 */
function listParts(root: Pickled): string[] | undefined {
  const all: string[] = [];
  const visit = (value: Pickled, depth: number): boolean => {
    const parts = partsOf(value);
    all.push(describe(value));
    const isWritten = typeof value !== "number" || Number.isSafeInteger(value);
    return isWritten && all.length < 20_000 && depth < 300 &&
      parts.every((part) => visit(part, depth + 1));
  };
  return visit(root, 0) ? all : undefined;
}

function partsOf(value: Pickled): Pickled[] {
  if (value instanceof Map) return [...value].flat();
  if (value instanceof Persistent) return [value.id];
  return value instanceof Call ? value.args : Array.isArray(value) ? value : [];
}

function describe(value: Pickled): string {
  if (value instanceof Global || value instanceof Call) {
    const name = value instanceof Global ? value.name : value.callee;
    promise(allowed.has(name) || name === "collections OrderedDict", `"${name}" is on the list`);
    return `${value.constructor.name} ${name}`;
  }
  if (value instanceof Map) {
    const isKey = (key: unknown) => typeof key === "string" || typeof key === "number";
    promise([...value.keys()].every(isKey), "a key is a text or a number");
  }
  if (typeof value === "object" && value) {
    return `${value.constructor.name} ${partsOf(value).length}`;
  }
  const isKnown = value === null || ["boolean", "string", "number"].includes(typeof value);
  promise(isKnown, `it builds no ${typeof value}`);
  return JSON.stringify(value);
}

export const pt: Target = {
  readers: ["files/pt.ts", "files/zip.ts", "files/pickle.ts"],

  starts: () => {
    const numbers = Uint8Array.from({ length: 48 }, (_, i) => 7 * i);
    const views = storages.map((storage, i): [string, Pickled] => {
      const elements = [12, 24, 24, 6][i];
      return [`w${i}`, call(storage, "0", elements, 1, [2, 2], [1, 2])];
    });
    const archive = (dict: Map<string, Pickled>, order = "little") =>
      writeZip([
        { name: "x/data.pkl", data: writePickle(dict) },
        { name: "x/byteorder", data: textBytes(order) },
        { name: "x/data/0", data: numbers },
      ]);
    return [
      writePt({}),
      writePt({ w: { shape: [2, 2], data: Float32Array.of(1, 2, 3, NaN) } }),
      archive(new Map(views)),
      archive(new Map([["w", call("FloatStorage", "0", 12, 0, [2, 1, 3, 1], [3, 77, 1, 0])]])),
      archive(new Map<string, Pickled>([["epoch", 3], ["model", new Map(views)]])),
      realPt(),
      ...realPickles().map((data) => {
        const entries = entriesOf(realPt());
        return writeZip(
          entries.map((entry) => entry.name.endsWith(".pkl") ? { ...entry, data } : entry),
        );
      }),
    ];
  },

  mutate(bytes, other, random) {
    if (random.chance(0.2)) return zip.mutate(bytes, other, random);
    const entries = entriesOf(bytes);
    const others = entriesOf(other);
    const at = entries.findIndex(({ name }) => name.endsWith("data.pkl"));
    if (at < 0 || random.chance(0.15)) return writeZip(mutateEntries(entries, random));
    const pickleOf = (list: ZipEntry[]) =>
      (list.find(({ name }) => name.endsWith("data.pkl")) ?? list[0])?.data ?? new Uint8Array();
    const data = mutateBytes(entries[at].data, pickleOf(others), random, snippets);
    return writeZip(entries.with(at, { ...entries[at], data }));
  },

  async check(bytes) {
    const tensors = readPt(bytes, { name: "x.pt" });
    let values = 0;
    for (const { shape, data } of Object.values(tensors)) {
      promise(data.length === sizeOf(shape), "a tensor has values for its shape");
      promise(data instanceof Float32Array, "a tensor is float32");
      values += data.length;
    }
    promise(
      4 * values <= Math.max(2 ** 21, 20 * bytes.length),
      "there are at most 20 bytes of values for each of the file",
    );
    const back = await roundTrip("it", () => readPt(writePt(tensors)));
    promise(isSame(tensors, back), "tensors come back bit for bit");
    return `read ${Object.keys(tensors).length} tensors`;
  },
};
