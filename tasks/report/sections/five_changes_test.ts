/// <reference lib="dom" />
import { assert, assertEquals, assertThrows } from "@std/assert";
import { UserError } from "../../../engines/errors.ts";
import { rendered } from "../../testing/rendered.ts";
import { fiveChanges, readChanges, sortChanges } from "./five_changes.tsx";

const core = async (name: string) =>
  (await Deno.readTextFile(new URL(`../../../core/${name}`, import.meta.url))).split("\n");

Deno.test("the page shows of each change the very lines of gpt.ts and diffusion.ts, and all that are marked", async () => {
  const gpt = await core("gpt.ts");
  const diffusion = await core("diffusion.ts");
  const changes = await readChanges();
  assertEquals(changes.map(({ number }) => number), [1, 2, 3, 4, 5]);
  for (const { number, removed, added } of changes) {
    assert(added.length > 0, `change ${number}`);
    for (const line of removed) assertEquals(line.text, gpt[line.number - 1]);
    for (const line of added) assertEquals(line.text, diffusion[line.number - 1]);
    const mark = diffusion.findIndex((text) => text.includes(`// change ${number} of 5`)) + 1;
    assert(added[0].number > mark && added[0].number <= mark + 2, `change ${number}`);
  }
  const shown = rendered(fiveChanges(changes)).querySelectorAll(".code ins, .code del");
  const lines = changes.flatMap(({ removed, added }) => [...removed, ...added]);
  assertEquals(
    [...shown].map((line) => line.querySelector("span:last-child")!.textContent),
    lines.map(({ text }) => text),
  );
});

Deno.test("a line that is gone stands with the change that assigns to the same name", () => {
  const gpt = ["start", "  a[i] = 1;", "  b[i] = 2;", "end"].join("\n");
  const diffusion = [
    ...["start", "  // change 3 of 5", "  const c = 0;", "  a[i] = c;"],
    ...["  if (c) {", "  // change 4 of 5", "  b[i] = c;", "}", "end"],
  ].join("\n");
  const [, , three, four] = sortChanges(gpt, diffusion);
  assertEquals(three.removed.map(({ number }) => number), [2]);
  assertEquals(three.added.map(({ number }) => number), [3, 4, 5]);
  assertEquals(four.removed.map(({ number }) => number), [3]);
  assertEquals(four.added.map(({ number }) => number), [7, 8]);
});

Deno.test("a line that differs without a mark is refused, with its number", () => {
  const error = assertThrows(() => sortChanges("a\nb", "a\nc"), UserError);
  assertEquals(
    error.message,
    'Cannot sort the changes: line 2 of core/diffusion.ts differs without a mark, "c"; write ' +
      '"// change N of 5" above it in diffusion.ts',
  );
});
