import { assert, assertEquals, assertRejects } from "@std/assert";
import { UserError } from "@tiny-diffusion/engines/errors";
import * as fc from "fast-check";
import { seededRandom } from "../random.ts";
import { isNgramFile, isTableOf, ngramFileName, packNgrams, unpackNgrams } from "./file.ts";
import { countNgrams, smooth } from "./kneser_ney.ts";

const corpusSha256 = "0123456789ab".padEnd(64, "c");

function example(vocab: number, length = 2000, order = 4) {
  const random = seededRandom(vocab);
  // Small characters are frequent, large ones rare.
  const text = Int32Array.from({ length }, () => Math.floor(vocab * random.uniform() ** 3));
  const vocabulary = Array.from({ length: vocab }, (_, i) => String.fromCodePoint(0x1f600 + i));
  return { text, counts: countNgrams(text, vocab, order), facts: { corpusSha256, vocabulary } };
}

for (const vocab of [2, 65, 1000]) {
  Deno.test(`a table of ${vocab} characters is the same after it was stored`, async () => {
    const { text, counts, facts } = example(vocab);
    const unpacked = await unpackNgrams(await packNgrams(counts, facts));
    assertEquals(unpacked, { ...facts, counts });
    const before = smooth(counts), after = smooth(unpacked.counts);
    for (let i = 0; i < 50; i++) {
      assertEquals(after.row(text.subarray(0, i)), before.row(text.subarray(0, i)));
    }
  });
}

Deno.test("a damaged file of n-grams is refused, unless its contents are whole", async () => {
  const { counts, facts } = example(5, 200);
  const whole = await packNgrams(counts, facts);
  const assertRefused = (bytes: Uint8Array<ArrayBuffer>) =>
    assertRejects(() => unpackNgrams(bytes, "x.gz"), UserError, 'Cannot read "x.gz" as a table');
  await assertRefused(new Uint8Array());
  await assertRefused(whole.subarray(0, -1));
  await assertRefused(Uint8Array.from([...whole, 0]));
  await fc.assert(
    fc.asyncProperty(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), async (at, by) => {
      const changed = whole.map((byte, i) => i === at ? byte ^ by : byte);
      // Some bits of gzip mean nothing, such as those of its date; a checksum covers the contents.
      const unpacked = await unpackNgrams(changed).catch(() => undefined);
      if (unpacked) assertEquals(unpacked, { ...facts, counts });
      else await assertRefused(changed);
    }),
    { numRuns: 200 },
  );
});

Deno.test("a table is that of a model with the same text and the same characters in the same order", () => {
  const table = { corpusSha256, vocabulary: ["a", "b"] };
  assert(isTableOf(table, corpusSha256, ["a", "b"]));
  assert(!isTableOf(table, undefined, ["a", "b"]));
  assert(!isTableOf(table, corpusSha256.replace("0", "1"), ["a", "b"]));
  assert(!isTableOf(table, corpusSha256, ["b", "a"]));
});

/** Packs what only claims to be n-grams. */
async function pack(header: unknown, numbers: number[]): Promise<Uint8Array<ArrayBuffer>> {
  const file = new Blob([`${JSON.stringify(header)}\n`, Uint8Array.from(numbers)]).stream();
  return await new Response(file.pipeThrough(new CompressionStream("gzip"))).bytes();
}

Deno.test("numbers that are no n-grams are refused", async () => {
  const header = {
    format: "tiny-diffusion-ngrams/1",
    corpusSha256,
    vocabulary: ["a", "b"],
    order: 2,
  };
  // Of "aab": a twice and b once; aa and ab after a, nothing after b.
  const whole = [2, 0, 1, 2, 1, /* pairs: */ 2, 0, 0, 1, 1, 1];
  const { counts } = await unpackNgrams(await pack(header, whole));
  assertEquals(counts, countNgrams(Int32Array.of(0, 0, 1), 2, 2));
  const refused: [numbers: number[], header?: unknown][] = [
    [whole.with(2, 0)], // a and a
    [whole.with(2, 2)], // a third character
    [whole.with(3, 0)], // never
    [whole.with(1, 200)], // a number without an end
    [whole.slice(0, -1)],
    [[...whole, 1]],
    [whole.with(0, 1)],
    [[0, 0, 0]], // no characters at all
    [[255, 255, 255, 127, 0]], // far more than there are
    [[1, 1, 1, 1, 0, 1]], // b alone, then a after b: a without b before it is not there
    [whole, { ...header, order: 1 }],
    [whole, { ...header, order: 3 }],
    [whole, { ...header, order: 99 }],
    [whole, { ...header, vocabulary: ["a"] }],
    [whole, { ...header, vocabulary: "ab" }],
    [whole, { ...header, corpusSha256: 7 }],
    [whole, { ...header, format: "tiny-diffusion/1" }],
    [whole, null],
  ];
  for (const [numbers, changed = header] of refused) {
    await assertRejects(async () => await unpackNgrams(await pack(changed, numbers)), UserError);
  }
});

Deno.test("a file that unpacks to a thousand times its size is refused before memory runs out", async () => {
  const zeros = new Uint8Array(2 ** 20);
  const stream = new Blob(Array.from({ length: 40 }, () => zeros)).stream();
  const bomb = await new Response(stream.pipeThrough(new CompressionStream("gzip"))).bytes();
  await assertRejects(() => unpackNgrams(bomb), UserError, "not all of it");
});

Deno.test("the name of a file of n-grams says which text", () => {
  assertEquals(ngramFileName(corpusSha256), "ngrams-0123456789ab.gz");
  assert(isNgramFile(ngramFileName(corpusSha256)) && !isNgramFile("ngrams-x.gz"));
});
