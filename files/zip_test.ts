import { assert, assertEquals, assertThrows } from "@std/assert";
import * as fc from "fast-check";
import { UserError } from "@tiny-diffusion/engines/errors";
import { readZip, writeZip } from "./zip.ts";

/** An archive of entries by name. */
const zip = (entries: Record<string, Uint8Array>, { deflate = false } = {}) =>
  writeZip(Object.entries(entries).map(([name, data]) => ({ name, data, deflate })));

/** One with a stored and a deflated entry. */
const zipBoth = () =>
  writeZip([
    { name: "a", data: text("aaaa") },
    { name: "b", data: text("bbbbbbbbbbbbbbbbbb"), deflate: true },
  ]);

const text = (value: string) => new TextEncoder().encode(value);
const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Where the directory of an archive without a comment starts. */
const directory = (bytes: Uint8Array) => view(bytes).getUint32(bytes.length - 6, true);

for (const deflate of [false, true]) {
  Deno.test(`any entries come back from an archive where they are ${deflate ? "deflated" : "stored"}`, () => {
    const name = fc.string({ minLength: 1, unit: "grapheme" }).map((name) => `x/${name}`);
    fc.assert(
      fc.property(fc.dictionary(name, fc.uint8Array()), (entries) => {
        const back = readZip(zip(entries, { deflate }));
        assertEquals(back, new Map(Object.entries(entries)));
      }),
      { numRuns: 50 },
    );
  });
}

Deno.test("an archive by PyTorch is read whole", () => {
  const entries = readZip(
    Deno.readFileSync(new URL("../core/testing/data/gpt.pt", import.meta.url)),
  );
  assertEquals(entries.size, 20);
  assertEquals(entries.get("gpt/byteorder"), text("little"));
  assertEquals(entries.get("gpt/data/0")!.length, 8320);
});

Deno.test("an archive cut short anywhere is refused", () => {
  const whole = zipBoth();
  for (let length = 0; length < whole.length; length++) {
    assertThrows(() => readZip(whole.subarray(0, length)), UserError, "Cannot read the zip");
  }
});

Deno.test("a changed bit in the data of an entry is noticed by its checksum", () => {
  for (const deflate of [false, true]) {
    const archive = zip({ a: text("to be or not to be or to be") }, { deflate });
    for (let at = 31; at < directory(archive); at++) {
      const damaged = archive.slice();
      damaged[at] ^= 4;
      assertThrows(() => readZip(damaged), UserError, 'the entry "a" does not match');
    }
  }
});

Deno.test("a zip bomb is refused before it is unpacked", () => {
  const bomb = zip({ a: new Uint8Array(50e6) }, { deflate: true });
  assert(bomb.length < 100_000);
  assertThrows(() => readZip(bomb), UserError, "unpack to more than 10 times its size");
});

Deno.test("an entry that holds a thousand times what it declares is not unpacked further than that", () => {
  // 30 MB of zeros called 10 bytes: unpacking all of it in JavaScript took a second and more.
  const archive = zip({ a: new Uint8Array(3e7) }, { deflate: true });
  view(archive).setUint32(directory(archive) + 24, 10, true);
  const start = performance.now();
  assertThrows(() => readZip(archive), UserError, 'the entry "a" does not match its size');
  assert(performance.now() - start < 300);
});

Deno.test("an entry that unpacks to more than it declares is refused", () => {
  const archive = zip({ a: new Uint8Array(5000) }, { deflate: true });
  view(archive).setUint32(directory(archive) + 24, 4000, true);
  assertThrows(() => readZip(archive), UserError, 'the entry "a" does not match its size');
});

Deno.test("entries that share bytes are refused", () => {
  // Both directory entries point at the same ten kilobytes.
  const archive = zip({ a: new Uint8Array(10_000), b: new Uint8Array(10) });
  const second = directory(archive) + 46 + 1;
  archive.copyWithin(second + 16, directory(archive) + 16, directory(archive) + 28);
  view(archive).setUint32(second + 42, 0, true);
  assertThrows(() => readZip(archive), UserError, "share bytes");
});

for (
  const [what, change, message] of [
    ["encrypted", (v: DataView, d: number) => v.setUint16(d + 8, 1, true), "is encrypted"],
    ["compressed by bzip2", (v: DataView, d: number) => v.setUint16(d + 10, 12, true), "method 12"],
    ["outside", (v: DataView, d: number) => v.setUint32(d + 42, 1e9, true), "is outside"],
    ["elsewhere", (v: DataView, d: number) => v.setUint32(d + 42, 1, true), "is not where"],
    ["of the same name as another", (v: DataView, d: number) => v.setUint8(d + 46, 98), "twice"],
  ] as const
) {
  Deno.test(`an entry that is ${what} is refused`, () => {
    const archive = zip({ a: text("a"), b: text("b") });
    change(view(archive), directory(archive));
    assertThrows(() => readZip(archive), UserError, message);
  });
}

Deno.test("an archive with random damage is read or refused in one line", () => {
  const valid = zipBoth();
  const damage = fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { minLength: 1 });
  fc.assert(
    fc.property(damage, (changes) => {
      const bytes = valid.slice();
      for (const [at, byte] of changes) bytes[at] = byte;
      try {
        readZip(bytes);
      } catch (error) {
        assert(error instanceof UserError);
        assert(/^Cannot read the zip archive: [^\n]+$/.test(error.message), error.message);
      }
    }),
    { numRuns: 3000 },
  );
});
