import { assert, assertEquals, assertThrows } from "@std/assert";
import * as fc from "fast-check";
import { UserError } from "@tiny-diffusion/engines/errors";
import type { HostTensors } from "@tiny-diffusion/engines/tensors";
import { Call, Global, Persistent, type Pickled, readPickle, writePickle } from "./pickle.ts";
import { readPt, writePt } from "./pt.ts";
import { readSafetensors } from "./safetensors.ts";
import { sha256Hex } from "./read.ts";
import { readZip, writeZip } from "./zip.ts";

const testdata = new URL("../core/testing/data/", import.meta.url);

const tensors = fc.dictionary(
  fc.string({ unit: "binary" }).filter((name) => name !== "__proto__"),
  fc.array(fc.nat(4), { maxLength: 4 }).chain((shape) => {
    const length = shape.reduce((a, b) => a * b, 1);
    return fc.float32Array({ minLength: length, maxLength: length })
      .map((data) => ({ shape, data: new Float32Array(data) }));
  }),
  { noNullPrototype: true, maxKeys: 5 },
);

/** A `.pt` file with one tensor over one storage, and what is to be different about it. */
function onePt({
  storage = "FloatStorage",
  data = new Uint8Array(24) as Uint8Array,
  elements = 6,
  offset = 0,
  shape = [2, 3] as Pickled,
  strides = [3, 1],
  order = "little",
  key = "0",
} = {}): Uint8Array {
  const id = ["storage", new Global(`torch ${storage}`), key, "cpu", elements];
  const call = new Call("torch._utils _rebuild_tensor_v2", [
    new Persistent(id),
    offset,
    shape,
    strides,
    false,
    new Map(),
  ]);
  return archive(new Map([["w", call]]), { "x/data/0": data }, order);
}

function archive(value: Pickled, data: Record<string, Uint8Array> = {}, order = "little") {
  return zip({
    "x/data.pkl": writePickle(value),
    "x/byteorder": new TextEncoder().encode(order),
    ...data,
  });
}

function zip(entries: Record<string, Uint8Array>): Uint8Array {
  return writeZip(Object.entries(entries).map(([name, data]) => ({ name, data })));
}

const bytesOf = (data: ArrayBufferView) => new Uint8Array(data.buffer);
const oneToSix = bytesOf(Float32Array.of(1, 2, 3, 4, 5, 6));

Deno.test("any tensors come back bit for bit, in their order", () => {
  fc.assert(
    fc.property(tensors, (tensors) => {
      const back = readPt(writePt(tensors));
      assertEquals(Object.keys(back), Object.keys(tensors));
      for (const [name, { shape, data }] of Object.entries(tensors)) {
        assertEquals(back[name].shape, shape);
        assertEquals(bytesOf(back[name].data), bytesOf(data));
      }
    }),
    { numRuns: 50 },
  );
});

Deno.test("each storage starts at a multiple of 64 bytes of the file, as PyTorch's do", () => {
  const bytes = writePt(Object.fromEntries(
    [1, 2, 30, 31].map((n) => [`w${n}`, { shape: [n], data: new Float32Array(n) }]),
  ));
  for (const entry of readZip(bytes).values()) assertEquals(entry.byteOffset % 64, 0);
});

Deno.test("the same tensors give the same bytes, those of version 1.0.0", async () => {
  const tensors = readPt(Deno.readFileSync(new URL("gpt.pt", testdata)));
  assertEquals(
    await sha256Hex(writePt(tensors)),
    "b74e79954ead8a581973ea51fab6506a9e0fcf703e1081bdcc18a2798e93d6c7",
  );
  const others = {
    "é": { shape: [2], data: Float32Array.of(1, 2) },
    s: { shape: [], data: Float32Array.of(3) },
  };
  assertEquals(
    await sha256Hex(writePt(others)),
    "b1bd1bd7b48c178bfe690e4b5c343e94fcfba2ba38bbb850fe8a4f22bc2124e9",
  );
});

Deno.test("a transposed view, as after w.T in PyTorch, is read in row-major order", () => {
  const bytes = onePt({ data: oneToSix, shape: [3, 2], strides: [1, 3] });
  assertEquals(readPt(bytes).w, { shape: [3, 2], data: Float32Array.of(1, 4, 2, 5, 3, 6) });
});

Deno.test("a part of a storage is read from its offset", () => {
  const bytes = onePt({ data: oneToSix, offset: 1, shape: [2, 1, 2], strides: [2, 77, 1] });
  assertEquals(readPt(bytes).w, { shape: [2, 1, 2], data: Float32Array.of(2, 3, 4, 5) });
});

for (
  const [storage, data] of [
    ["HalfStorage", bytesOf(Uint16Array.of(0x3e00, 0xc000, 0, 0x0001, 0x7bff, 0x8000))],
    ["BFloat16Storage", bytesOf(Uint16Array.of(0x3fc0, 0xc000, 0, 0x3380, 0x4780, 0x8000))],
    ["DoubleStorage", bytesOf(Float64Array.of(1.5, -2, 0, 2 ** -24, 65504, -0))],
  ] as const
) {
  Deno.test(`${storage} becomes float32`, () => {
    const top = storage === "BFloat16Storage" ? 65536 : 65504; // bfloat16 has no 65504
    assertEquals(
      readPt(onePt({ storage, data })).w.data,
      Float32Array.of(1.5, -2, 0, 2 ** -24, top, -0),
    );
  });
}

Deno.test("of a checkpoint whose weights could be this or that, the keys are named", () => {
  const part = () => new Map([["w", new Call("torch._utils _rebuild_tensor_v2", [])]]);
  const refused = (keys: string[]) => {
    const value = new Map<string, Pickled>([["epoch", 3]]);
    for (const key of keys) value.set(key, part());
    return assertThrows(() => readPt(archive(value)), UserError).message;
  };
  assert(
    refused(["ema"]).includes(
      'it is a checkpoint with tensors in "ema"; save the weights alone: ' +
        'torch.save(checkpoint["ema"], path)',
    ),
  );
  assert(refused(["exp_avg", "model", "state_dict"]).includes('in "exp_avg" and "model" and "st'));
});

Deno.test("integers beside the weights of a checkpoint are no reason to refuse them", () => {
  const id = ["storage", new Global("torch LongStorage"), "7", "cpu", 1];
  const step = new Call("torch._utils _rebuild_tensor_v2", [
    new Persistent(id),
    0,
    [],
    [],
    false,
    new Map(),
  ]);
  const bytes = archive(new Map<string, Pickled>([["step", step], ["model", new Map()]]));
  assertThrows(() => readPt(bytes), UserError, 'it asks for "torch.LongStorage" for "step"');
  const torch = new Set(["torch._utils _rebuild_tensor_v2", "torch FloatStorage"]);
  const weights = readPickle(readZip(onePt()).get("x/data.pkl")!, torch);
  const checkpoint = archive(new Map<string, Pickled>([["step", step], ["model", weights]]), {
    "x/data/0": oneToSix,
  });
  assertEquals(readPt(checkpoint).w.shape, [2, 3]);
});

const refusals: [what: string, bytes: Uint8Array, message: string][] = [
  ["no zip archive", new Uint8Array(100), "it has no end, or is not a zip archive"],
  ["a file from before PyTorch 1.6", Uint8Array.of(0x80, 2, 0x8a), "it is a bare pickle"],
  ["an archive without a pickle", zip({ "x/y": new Uint8Array() }), '0 entries "data.pkl"'],
  [
    "an archive with two pickles",
    zip({ "x/data.pkl": new Uint8Array(), "y/data.pkl": new Uint8Array() }),
    '2 entries "data.pkl"',
  ],
  ["big-endian numbers", onePt({ order: "big" }), "not little-endian"],
  ["a tuple", archive([]), "it holds something other than a dict"],
  ["a dict with a number", archive(new Map([["step", 7]])), '"step" is not a tensor'],
  ["a dict in a dict", archive(new Map([["model", new Map()]])), '"model" is not a tensor'],
  ["integers", onePt({ storage: "LongStorage" }), 'it asks for "torch.LongStorage"'],
  ["a storage that is not there", onePt({ key: "../../etc/passwd" }), '"w" has no data'],
  ["a storage that is too short", onePt({ data: new Uint8Array(20) }), '"w" has 20 bytes'],
  ["a storage that is too long", onePt({ data: new Uint8Array(28) }), '"w" has 28 bytes'],
  ["a view from an offset too far", onePt({ offset: 1 }), '"w" reaches beyond its data'],
  ["a view with strides too long", onePt({ strides: [4, 1] }), '"w" reaches beyond its data'],
  ["a view that repeats elements", onePt({ shape: [7], strides: [0] }), "reaches beyond its data"],
  ["a tensor of 2^60 elements", onePt({ shape: [2 ** 30, 2 ** 30], strides: [0, 0] }), "beyond"],
  ["a negative stride", onePt({ strides: [3, -1] }), '"w" is not described as PyTorch does'],
  ["a negative offset", onePt({ offset: -1 }), '"w" is not described as PyTorch does'],
  ["a stride too few", onePt({ strides: [1] }), '"w" is not described as PyTorch does'],
  ["a shape that is a text", onePt({ shape: "23" }), '"w" is not described as PyTorch does'],
  ["a negative number of elements", onePt({ elements: -6 }), "not described as PyTorch does"],
];
for (const [what, bytes, message] of refusals) {
  Deno.test(`a .pt file with ${what} is refused in one line`, () => {
    const error = assertThrows(() => readPt(bytes, { name: "w.pt" }), UserError, message);
    assert(
      /^Cannot read "w\.pt" as PyTorch weights: [^\n]+; [^\n]+$/.test(error.message),
      error.message,
    );
  });
}

Deno.test("a hostile pickle inside the archive is refused by the name of what it asks for", () => {
  const pickle = new TextEncoder().encode("\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.");
  const bytes = zip({ "x/data.pkl": Uint8Array.of(0x80, ...pickle) });
  assertThrows(() => readPt(bytes), UserError, 'it asks for "posix.system"');
});

Deno.test("a thousand tensors over one storage are refused, four are read", () => {
  const shared = (count: number) => {
    const id = ["storage", new Global("torch FloatStorage"), "0", "cpu", 250_000];
    const call = () =>
      new Call("torch._utils _rebuild_tensor_v2", [
        new Persistent(id),
        0,
        [250_000],
        [1],
        false,
        new Map(),
      ]);
    const dict = new Map(Array.from({ length: count }, (_, i) => [`w${i}`, call()]));
    return readPt(archive(dict, { "x/data/0": new Uint8Array(1_000_000) }));
  };
  assertEquals(Object.keys(shared(4)).length, 4);
  assertThrows(() => shared(1000), UserError, "its tensors share too much data");
});

Deno.test("a .pt file with random damage is read or refused in one line", () => {
  // Stored without compression and with the checksum left out of the way, so that damage reaches
  // the pickle.
  const pickle = writePickle(
    new Map([[
      "w",
      new Call("torch._utils _rebuild_tensor_v2", [
        new Persistent(["storage", new Global("torch FloatStorage"), "0", "cpu", 6]),
        0,
        [2, 3],
        [3, 1],
        false,
        new Map(),
      ]),
    ]]),
  );
  const damage = fc.array(fc.tuple(fc.nat(pickle.length - 1), fc.nat(255)), { maxLength: 3 });
  fc.assert(
    fc.property(damage, (changes) => {
      const damaged = pickle.slice();
      for (const [at, byte] of changes) damaged[at] = byte;
      const entries = { "x/data.pkl": damaged, "x/data/0": oneToSix };
      try {
        readPt(zip(entries));
      } catch (error) {
        assert(error instanceof UserError);
        assert(/^Cannot read [^\n]+; [^\n]+$/.test(error.message), error.message);
      }
    }),
    { numRuns: 2000 },
  );
});

const python = Deno.env.get("PYTHON_WITH_TORCH");

async function runPython(program: string, ...args: string[]) {
  const command = new Deno.Command(python!, { args: ["-c", program, ...args], stderr: "inherit" });
  const { success, stdout } = await command.output();
  assert(success, "python failed");
  return new TextDecoder().decode(stdout);
}

Deno.test({
  name: "PyTorch loads what we write, weights only (set PYTHON_WITH_TORCH to run)",
  ignore: !python,
  async fn() {
    const path = await Deno.makeTempFile({ suffix: ".pt" });
    const file = new URL("diffusion.safetensors", testdata);
    const { tensors } = readSafetensors(Deno.readFileSync(file));
    const floats = Object.entries(tensors).filter(([, { dtype }]) => dtype === "F32");
    const weights = Object.fromEntries(floats) as HostTensors;
    await Deno.writeFile(
      path,
      writePt({ ...weights, scalar: { shape: [], data: Float32Array.of(7) } }),
    );
    const program = `
import sys, json, torch
for mmap in (False, True):
    tensors = torch.load(sys.argv[1], weights_only=True, mmap=mmap)
print(json.dumps({k: [list(v.shape), v.double().sum().item(), v.flatten()[-1].item()] for k, v in tensors.items()}))`;
    const seen = JSON.parse(await runPython(program, path));
    assertEquals(seen.scalar, [[], 7, 7]);
    for (const [name, { shape, data }] of Object.entries(weights)) {
      // float32 values summed in float64 in another order: well below 1e-9 of these few thousand
      const sum = data.reduce((sum, value) => sum + value, 0);
      assertEquals([seen[name][0], seen[name][2]], [shape, data.at(-1)]);
      assert(Math.abs(seen[name][1] - sum) < 1e-9, `${name}: ${seen[name][1]} and ${sum}`);
    }
    await Deno.remove(path);
  },
});

Deno.test({
  name:
    "views, shared weights and other precisions by PyTorch are read (set PYTHON_WITH_TORCH to run)",
  ignore: !python,
  async fn() {
    const path = await Deno.makeTempFile({ suffix: ".pt" });
    const program = `
import sys, torch
w = torch.arange(24.).reshape(2, 3, 4)
torch.save({"w": w, "view": w.permute(2, 0, 1)[1:], "half": w[1].half(), "bf16": w[1].bfloat16(),
    "double": w[1].T.double(), "empty": w[:0], "scalar": torch.tensor(0.5)}, sys.argv[1])`;
    await runPython(program, path);
    const read = readPt(await Deno.readFile(path));
    const count = (length: number, from = 0) => Float32Array.from({ length }, (_, i) => i + from);
    assertEquals(read.w, { shape: [2, 3, 4], data: count(24) });
    const view = [1, 2, 3].flatMap((k) =>
      [0, 1].flatMap((i) => [0, 1, 2].map((j) => 12 * i + 4 * j + k))
    );
    assertEquals(read.view, { shape: [3, 2, 3], data: Float32Array.from(view) });
    assertEquals(read.half, { shape: [3, 4], data: count(12, 12) });
    assertEquals(read.bf16, { shape: [3, 4], data: count(12, 12) });
    const columns = [0, 1, 2, 3].flatMap((k) => [0, 1, 2].map((j) => 12 + 4 * j + k));
    assertEquals(read.double, { shape: [4, 3], data: Float32Array.from(columns) });
    assertEquals(read.empty, { shape: [0, 3, 4], data: count(0) });
    assertEquals(read.scalar, { shape: [], data: Float32Array.of(0.5) });
    await Deno.remove(path);
  },
});
