import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { type Line, lineDiff } from "./line_diff.ts";

const texts = (lines: Line[]) => lines.map(({ text }) => text);

Deno.test("the diff of two texts finds what was changed, added and removed", () => {
  const hunks = lineDiff([..."abcdefg"], [..."abXdefYZg"]);
  assertEquals(hunks.map(({ removed, added }) => [texts(removed), texts(added)]), [
    [["c"], ["X"]],
    [[], ["Y", "Z"]],
  ]);
  assertEquals(hunks[1].added[0].number, 7);
  assertEquals(lineDiff(["a"], []), [{ removed: [{ number: 1, text: "a" }], added: [] }]);
});

Deno.test("without the lines of its hunks, one text is the other", () => {
  const text = fc.array(fc.constantFrom("a", "b", "c"), { maxLength: 12 });
  fc.assert(fc.property(text, text, (a, b) => {
    const hunks = lineDiff(a, b);
    const rest = (lines: string[], gone: Line[]) =>
      lines.filter((_, i) => !gone.some(({ number }) => number === i + 1));
    const removed = hunks.flatMap((hunk) => hunk.removed);
    const added = hunks.flatMap((hunk) => hunk.added);
    assertEquals(rest(a, removed), rest(b, added));
    for (const { number, text } of removed) assertEquals(a[number - 1], text);
    for (const { number, text } of added) assertEquals(b[number - 1], text);
  }));
});
