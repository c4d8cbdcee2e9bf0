import { assert, assertEquals, assertThrows } from "@std/assert";
import * as fc from "fast-check";
import { UserError } from "@tiny-diffusion/engines/errors";
import type { HostTensor } from "@tiny-diffusion/engines/tensors";
import { readPt } from "./pt.ts";
import { readSafetensors, writeSafetensors } from "./safetensors.ts";

const testdata = new URL("../core/testing/data/", import.meta.url);

/** A file with this header, padded with nothing, and this many bytes of data. */
function file(header: unknown, data: Uint8Array | number = 0): Uint8Array<ArrayBuffer> {
  const text = typeof header === "string" ? header : JSON.stringify(header);
  const json = new TextEncoder().encode(text);
  const body = typeof data === "number" ? new Uint8Array(data) : data;
  const bytes = new Uint8Array(8 + json.length + body.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  bytes.set(body, 8 + json.length);
  return bytes;
}

const f32 = (shape: unknown, begin: number, end: number) => ({
  dtype: "F32",
  shape,
  data_offsets: [begin, end],
});

for (const kind of ["gpt", "diffusion"] as const) {
  Deno.test(`the reference implementation's ${kind}.safetensors holds the weights of PyTorch's ${kind}.pt`, () => {
    const { tensors, metadata } = readSafetensors(
      Deno.readFileSync(new URL(`${kind}.safetensors`, testdata)),
    );
    const weights = readPt(Deno.readFileSync(new URL(`${kind}.pt`, testdata)));
    assertEquals(Object.keys(weights).length, 14);
    for (const [name, { shape, data }] of Object.entries(weights)) {
      assertEquals(tensors[`weights.${name}`], { dtype: "F32", shape, data });
    }
    assertEquals(tensors["batch0.x"].dtype, "I32");
    assertEquals(tensors["batch0.x"].shape, [3, 24]);
    assertEquals(metadata.layers, "2");
  });
}

Deno.test("a file has the bytes of the format's description", () => {
  const bytes = writeSafetensors({ a: { shape: [2], data: Float32Array.of(1, -2) } }, { b: "c" });
  const json = '{"__metadata__":{"b":"c"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}';
  const header = json.padEnd(Math.ceil(json.length / 8) * 8);
  assertEquals(bytes, file(header, Uint8Array.of(0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0)));
});

Deno.test("any tensors and metadata come back bit for bit, aligned in the file", () => {
  const shape = fc.array(fc.nat(4), { maxLength: 4 });
  const tensor: fc.Arbitrary<HostTensor> = shape.chain((shape) => {
    const length = shape.reduce((a, b) => a * b, 1);
    const array = { minLength: length, maxLength: length };
    return fc.oneof(
      fc.float32Array(array).map((data) => ({ shape, data: new Float32Array(data) })),
      fc.int32Array(array).map((data) => ({ shape, data: new Int32Array(data) })),
    );
  });
  const name = fc.string({ unit: "binary" }).filter((name) =>
    name !== "__proto__" && name !== "__metadata__"
  );
  fc.assert(
    fc.property(
      fc.dictionary(name, tensor, { noNullPrototype: true }),
      fc.dictionary(name, fc.string({ unit: "binary" }), { noNullPrototype: true }),
      (tensors, metadata) => {
        const bytes = writeSafetensors(tensors, metadata);
        assertEquals(Number(new DataView(bytes.buffer).getBigUint64(0, true)) % 8, 0);
        const back = readSafetensors(bytes);
        assertEquals(back.metadata, metadata);
        assertEquals(Object.keys(back.tensors).sort(), Object.keys(tensors).sort());
        for (const [name, { shape, data }] of Object.entries(tensors)) {
          assertEquals(back.tensors[name].shape, shape);
          assertEquals(
            new Uint8Array(back.tensors[name].data.buffer),
            new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
          );
        }
      },
    ),
  );
});

Deno.test("float16 rounds every midpoint between two neighbours to the even one", () => {
  // By the definition in IEEE 754, not by the platform's conversion: 5 bits of exponent, 10 of
  // fraction.
  const half = (bits: number) => {
    const exponent = bits >> 10, fraction = bits & 1023;
    return exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15);
  };
  const largest = 0x7bff;
  const midpoints = Float32Array.from(
    { length: largest },
    (_, bits) => (half(bits) + half(bits + 1)) / 2, // exact: it needs one bit more than a half has
  );
  const { data } = stored16({ shape: [largest], data: midpoints });
  data.forEach((value, bits) => assertEquals(value, half(bits % 2 === 0 ? bits : bits + 1)));
  const { data: same } = stored16({
    shape: [largest + 1],
    data: Float32Array.from({ length: largest + 1 }, (_, bits) => -half(bits)),
  });
  same.forEach((value, bits) => assertEquals(value, -half(bits)));
});

function stored16(tensor: HostTensor) {
  const { tensors } = readSafetensors(writeSafetensors({ x: tensor }, {}, { dtype: "float16" }));
  assertEquals(tensors.x.dtype, "F16");
  return tensors.x;
}

Deno.test("what does not fit float16 is refused, not made infinite", () => {
  const write = (value: number) => stored16({ shape: [1], data: Float32Array.of(value) }).data[0];
  assertEquals(write(65519), 65504); // the largest half; 65520 is the midpoint to the next power
  assertEquals(write(-Infinity), -Infinity);
  assertThrows(() => write(65520), UserError, `Cannot write "x" as float16: 65520 at position 0`);
  assertThrows(() => write(-1e30), UserError, "write float32");
});

Deno.test("integers stay integers and aligned in a float16 file", () => {
  const { tensors } = readSafetensors(writeSafetensors(
    {
      odd: { shape: [1], data: Float32Array.of(0.5) },
      tokens: { shape: [2], data: Int32Array.of(-1, 2 ** 31 - 1) },
    },
    {},
    { dtype: "float16" },
  ));
  assertEquals(tensors.tokens, { shape: [2], dtype: "I32", data: Int32Array.of(-1, 2 ** 31 - 1) });
  assertEquals(Object.keys(tensors), ["tokens", "odd"]);
});

Deno.test("float64 is rounded to float32, and metadata that is null is none, as in the reference reader", () => {
  const data = Float64Array.of(0.1, 2 ** -24, 1e300);
  const header = { __metadata__: null, x: { dtype: "F64", shape: [3], data_offsets: [0, 24] } };
  const bytes = file(header, 24);
  bytes.set(new Uint8Array(data.buffer), bytes.length - 24);
  const { tensors, metadata } = readSafetensors(bytes);
  assertEquals(tensors.x, { shape: [3], dtype: "F64", data: new Float32Array(data) });
  assertEquals(metadata, {});
});

Deno.test("bfloat16 is widened exactly", () => {
  const header = { x: { dtype: "BF16", shape: [3], data_offsets: [0, 6] } };
  const { tensors } = readSafetensors(
    file(header, new Uint8Array(Uint16Array.of(0x3fc0, 0xc2f7, 0x7f80).buffer)),
  );
  assertEquals(tensors.x.data, Float32Array.of(1.5, -123.5, Infinity));
});

const refusals: [what: string, bytes: Uint8Array, message: string][] = [
  ["nothing", new Uint8Array(0), "0 bytes, expected at least 8"],
  ["a header longer than the file", file("{}").fill(9, 0, 1), "a header of 9 bytes in a file of"],
  ["a header of 2^63 bytes", file("{}").fill(0x80, 7, 8), "a header of 9223372036854775810 bytes"],
  ["a header cut short", file('{"a":'), "the header is not JSON"],
  ["a header that is not UTF-8", file("{}").fill(0xff, 9, 10), "the header is not JSON"],
  ["a header in an array", file("[]"), "the header is not a JSON object"],
  ["a header after a space", file(" {}"), "the header is not a JSON object"],
  ["an entry that is no object", file({ a: [] }), 'the entry of "a" is not an object'],
  ["an entry without offsets", file({ a: { dtype: "F32", shape: [] } }), "other entries than"],
  ["an entry with more", file({ a: { ...f32([], 0, 4), b: 1 } }, 4), "other entries than"],
  ["a negative size", file({ a: f32([-1], 0, 4) }, 4), '"a" has no valid shape'],
  ["half an element", file({ a: f32([0.5], 0, 4) }, 4), '"a" has no valid shape'],
  [
    "a size of -0",
    file('{"a":{"dtype":"F32","shape":[-0],"data_offsets":[0,0]}}'),
    "no valid shape",
  ],
  ["a size beyond 2^53", file({ a: f32([2 ** 27, 2 ** 27], 0, 4) }, 4), "no valid shape"],
  ["nine dimensions", file({ a: f32(Array(9).fill(1), 0, 4) }, 4), '"a" has no valid shape'],
  ["a shape that is a text", file({ a: f32("12", 0, 4) }, 4), '"a" has no valid shape'],
  ["three offsets", file({ a: { ...f32([1], 0, 4), data_offsets: [0, 4, 4] } }, 4), "data_offsets"],
  ["an end before its start", file({ a: f32([1], 4, 0) }, 4), '"a" has no valid data_offsets'],
  ["a tensor outside the file", file({ a: f32([2], 0, 8) }, 4), "4 bytes of tensors, expected 8"],
  ["bytes left over", file({ a: f32([1], 0, 4) }, 8), "8 bytes of tensors, expected 4"],
  [
    "a gap",
    file({ a: f32([1], 0, 4), b: f32([1], 8, 12) }, 12),
    '"b" starts at byte 8, expected 4',
  ],
  [
    "an overlap",
    file({ a: f32([2], 0, 8), b: f32([1], 4, 8) }, 8),
    '"b" starts at byte 4, expected 8',
  ],
  ["too few bytes for a shape", file({ a: f32([3], 0, 8) }, 8), '"a" is F32 [3] in 8 bytes'],
  [
    "metadata that is not a string",
    file({ __metadata__: { a: 1 } }),
    'the metadata "a" is not a string',
  ],
  [
    "a name that would change every object",
    file(`{"__proto__":${JSON.stringify(f32([1], 0, 4))}}`, 4),
    'a tensor has the reserved name "__proto__"',
  ],
  ["such a key in metadata", file('{"__metadata__":{"__proto__":"a"}}'), "the reserved key"],
  [
    "a tensor twice",
    file(`{"a":${JSON.stringify(f32([1], 0, 4))},"\\u0061":${JSON.stringify(f32([1], 0, 4))}}`, 4),
    "a name appears twice in the header",
  ],
  [
    "a shape twice",
    file(`{"a":{"dtype":"F32","shape":[9],"shape":[1],"data_offsets":[0,4]}}`, 4),
    "a name appears twice in the header",
  ],
];
for (const [what, bytes, message] of refusals) {
  Deno.test(`${what} is refused in one line`, () => {
    const error = assertThrows(() => readSafetensors(bytes, { name: "w" }), UserError, message);
    assert(error.message.startsWith('Cannot read "w" as safetensors: '));
    assert(!error.message.includes("\n"));
  });
}

for (const dtype of ["U32", "I64", "BOOL", "F8_E4M3", "toString"]) {
  Deno.test(`a tensor of ${dtype} is refused by name`, () => {
    const bytes = file({ a: { dtype, shape: [1], data_offsets: [0, 8] } }, 8);
    assertThrows(() => readSafetensors(bytes), UserError, `"a" is "${dtype}", expected F32, F16`);
  });
}

Deno.test("a hostile name is cut and escaped in the message", () => {
  const error = assertThrows(() => readSafetensors(file({ ["\n\x1b[31m".repeat(1e5)]: 1 })));
  assert((error as Error).message.length < 1000);
  // deno-lint-ignore no-control-regex
  assert(!/[\x00-\x1f]/.test((error as Error).message));
});

Deno.test("what a terminal obeys or hides is escaped in the message", () => {
  for (const character of ["\x7f", "\x9b", "\u202e", "\u2066", "\ufeff", "\u2028", "\u{e0041}"]) {
    const error = assertThrows(() => readSafetensors(file({ [`a${character}b`]: 1 }))) as Error;
    const code = character.codePointAt(0)!.toString(16);
    assert(error.message.includes(`"a\\u{${code}}b"`), error.message);
  }
});

Deno.test("a file with random damage is read or refused in one line", () => {
  const valid = writeSafetensors(
    {
      a: { shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) },
      b: { shape: [3], data: Int32Array.of(1, 2, 3) },
    },
    { note: "x" },
  );
  const damage = fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { maxLength: 4 });
  fc.assert(
    fc.property(damage, fc.nat(valid.length), fc.uint8Array(), (changes, keep, more) => {
      const bytes = Uint8Array.from([...valid.subarray(0, keep || valid.length), ...more]);
      for (const [at, byte] of changes) if (at < bytes.length) bytes[at] = byte;
      try {
        readSafetensors(bytes);
      } catch (error) {
        assert(error instanceof UserError);
        assert(/^Cannot read [^\n]+; [^\n]+$/.test(error.message), error.message);
      }
    }),
    { numRuns: 2000 },
  );
});
