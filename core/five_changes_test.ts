import { assert, assertEquals } from "@std/assert";
import * as diffusion from "./diffusion.ts";
import * as gpt from "./gpt.ts";
import { hunksOf, type Line } from "./line_diff.ts";

const sourceOf = async (name: string) =>
  (await Deno.readTextFile(new URL(name, import.meta.url))).trimEnd().split("\n");
const gptLines = await sourceOf("gpt.ts"), diffusionLines = await sourceOf("diffusion.ts");

/** Lines that may differ freely: documentation, imports, and what the model is called. */
function isAside({ text }: Line): boolean {
  return /^\s*(\/\*\*|\*|\/\/)/.test(text) || /^import /.test(text) ||
    /^export const kind/.test(text);
}

const markOf = ({ text }: Line) => /\/\/ change ([1-5]) of 5\b/.exec(text)?.[1];

Deno.test("every line in which diffusion.ts differs from gpt.ts belongs to one of five marked changes", () => {
  const found = new Set<string>();
  for (const { removed, added } of hunksOf(gptLines, diffusionLines)) {
    const [changed, gone] = [added, removed].map((lines) => lines.filter((line) => !isAside(line)));
    const marks = changed.map(markOf).filter((mark) => mark !== undefined);
    marks.forEach((mark) => found.add(mark));
    for (const line of changed) {
      // A bracket that closes a marked line belongs to it.
      const closing = marks.length > 0 && /^\s*[)}\]]+;?$/.test(line.text);
      assert(markOf(line) || closing, `diffusion.ts:${line.number} has no mark: ${line.text}`);
    }
    assert(
      gone.length === 0 || marks.length > 0,
      `gpt.ts:${gone[0]?.number} is left out in diffusion.ts without a mark: ${gone[0]?.text}`,
    );
  }
  assertEquals([...found].sort(), ["1", "2", "3", "4", "5"]);
});

Deno.test("no line of diffusion.ts is marked as a change that is none", () => {
  const changed = hunksOf(gptLines, diffusionLines).flatMap(({ added }) => added);
  const marked = diffusionLines.flatMap((text, i) => markOf({ number: 0, text }) ? [i + 1] : []);
  assertEquals(marked.filter((number) => !changed.some((line) => line.number === number)), []);
  assertEquals(gptLines.filter((text) => markOf({ number: 0, text })), []);
});

Deno.test("gpt.ts and diffusion.ts export the same names in the same order", () => {
  const exportsOf = (lines: string[]) =>
    lines.flatMap((line) => /^export (?:async )?(?:const|function\*?) (\w+)/.exec(line)?.[1] ?? []);
  assertEquals(exportsOf(gptLines), exportsOf(diffusionLines));
  assertEquals(Object.keys(gpt), Object.keys(diffusion));
  assertEquals(exportsOf(gptLines).sort(), Object.keys(gpt).sort());
});
