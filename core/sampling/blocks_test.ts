import { assert, assertEquals } from "@std/assert";
import * as fc from "fast-check";
import { cutBlocks } from "./blocks.ts";

const MASK = 0;
/** A text of given characters (`x`) and masks (`_`). */
const tokensOf = (text: string) => Array.from(text, (character) => character === "_" ? MASK : 1);
const blocks = (text: string, context: number, overlap: number) =>
  cutBlocks(tokensOf(text), { context, overlap });

/** Each block as a line: the window, `?` for what is filled now. */
function drawn(text: string, context: number, overlap: number): string[] {
  let now = [...text];
  return blocks(text, context, overlap).map(({ start, masked }) => {
    const filled = masked.map((position) => start + position);
    const line = now.map((character, i) =>
      i < start || i >= start + context ? " " : filled.includes(i) ? "?" : character
    );
    now = now.map((character, i) => filled.includes(i) ? "w" : character);
    return line.join("");
  });
}

Deno.test("a short text is one window, with all its gaps", () => {
  assertEquals(drawn("x__xx_x", 8, 2), ["x??xx?x"]);
  assertEquals(drawn("____", 8, 2), ["????"]);
  assertEquals(drawn("xxx", 8, 2), []);
  assertEquals(drawn("", 8, 2), []);
});

Deno.test("after a prompt, each window sees the overlap of what was written, and the last one ends with the text", () => {
  assertEquals(drawn("xxx______________", 8, 2), [
    "xxx?????         ",
    "      ww??????   ",
    "         wwwww???",
  ]);
});

Deno.test("of a long prompt the first window sees half its length, or the overlap if that is more", () => {
  assertEquals(drawn("xxxxxxxxxxx____", 8, 2)[0], "       xxxx????");
  assertEquals(drawn("xxxxxxxxxxx_____________", 8, 6)[0], "     xxxxxx??           ");
  assertEquals(drawn("xxxxxxxxxxx_____________", 8, 100)[0], "    xxxxxxx?            ");
});

Deno.test("a gap far into a text is seen from both sides", () => {
  assertEquals(drawn("xxxxxxxxxx__xxxxxxxxxx", 8, 2), ["      xxxx??xx        "]);
});

Deno.test("where a window cuts a gap before given text, its last masks wait for a window that sees both sides", () => {
  assertEquals(drawn("xxxx______xxxx", 8, 2), [
    "xxxx??__      ",
    "    ww????xx  ",
  ]);
  assertEquals(drawn("xx______xx__xx", 8, 2), [
    "xx????__      ",
    "    ww??xx__  ",
    "      wwxx??xx",
  ]);
});

Deno.test("every mask is filled in exactly one block, in a window that lies within the text", () => {
  fc.assert(fc.property(
    fc.array(fc.constantFrom("x", "_", "____", "xxxx"), { maxLength: 40 }),
    fc.integer({ min: 2, max: 12 }),
    fc.nat(14),
    (parts, context, overlap) => {
      const text = parts.join(""), all = blocks(text, context, overlap);
      const filled = all.flatMap(({ start, masked }) => masked.map((position) => start + position));
      assertEquals(filled, [...text].flatMap((character, i) => character === "_" ? [i] : []));
      for (const { start, masked } of all) {
        assert(start >= 0 && (start === 0 || start + context <= text.length));
        assert(masked.length >= 1 && masked.every((position) => position < context));
        const first = start + masked[0]; // nothing before it is still hidden
        assert(!filled.slice(filled.indexOf(first)).some((position) => position < first));
      }
    },
  ));
});

Deno.test("a window sees at least the overlap before what it fills, as far as there is that much", () => {
  fc.assert(fc.property(
    fc.nat(20),
    fc.integer({ min: 1, max: 60 }),
    fc.integer({ min: 2, max: 12 }),
    fc.nat(14),
    (prompt, length, context, overlap) => {
      for (
        const { start, masked } of blocks("x".repeat(prompt) + "_".repeat(length), context, overlap)
      ) {
        assert(masked[0] >= Math.min(overlap, context - 1, start + masked[0]));
      }
    },
  ));
});
