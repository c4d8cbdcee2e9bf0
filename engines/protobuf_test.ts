import { assertEquals, assertThrows } from "@std/assert";
import * as fc from "fast-check";
import protobuf from "protobufjs";
import { encodeMessage, type Fields } from "./protobuf.ts";

const { root } = protobuf.parse(
  `
syntax = "proto3";
message Part { optional string name = 1; repeated int64 sizes = 2; }
message Whole {
  optional int64 count = 1;
  optional float share = 2;
  optional string text = 3;
  optional bytes content = 4;
  repeated int64 counts = 5;
  repeated bool flags = 6;
  repeated float shares = 7;
  repeated string texts = 20;
  repeated Part parts = 3000;
}
`,
  { keepCase: true },
);

const part: Fields = { name: [1, "string"], sizes: [2, "int"] };
const whole: Fields = {
  count: [1, "int"],
  share: [2, "float"],
  text: [3, "string"],
  content: [4, "bytes"],
  counts: [5, "int"],
  flags: [6, "int"],
  shares: [7, "float"],
  texts: [20, "string"],
  parts: [3000, part],
};

/** Decodes by another library. */
function decode(bytes: Uint8Array): Record<string, unknown> {
  const type = root.lookupType("Whole");
  return type.toObject(type.decode(bytes), { longs: Number });
}

/** The format has no empty lists. */
const withoutEmptyLists = (message: object) =>
  Object.fromEntries(
    Object.entries(message).filter(([, value]) => !Array.isArray(value) || value.length > 0),
  );

Deno.test("whatever is encoded, another library reads back", () => {
  const float = fc.float();
  const text = fc.string({ unit: "grapheme" });
  const safe = fc.maxSafeInteger();
  const message = fc.record({
    count: safe,
    share: float,
    text,
    content: fc.uint8Array(),
    counts: fc.array(safe),
    flags: fc.array(fc.boolean()),
    shares: fc.array(float),
    texts: fc.array(text),
    parts: fc.array(fc.record({ name: text, sizes: fc.array(safe) })),
  }, { requiredKeys: [] });
  fc.assert(fc.property(message, (message) => {
    const expected = withoutEmptyLists(message);
    if (expected.parts) expected.parts = message.parts!.map(withoutEmptyLists);
    assertEquals(decode(encodeMessage(message, whole)), expected);
  }));
});

Deno.test("what is no whole number is not encoded as one", () => {
  for (const count of [0.5, NaN, Infinity]) {
    assertThrows(() => encodeMessage({ count }, whole), RangeError);
  }
});
