import { assert, assertEquals } from "@std/assert";
import * as diffusion from "./diffusion.ts";
import * as gpt from "./gpt.ts";
import { type Line, lineDiff } from "../tasks/report/sections/line_diff.ts";

const sourceOf = async (name: string) =>
  (await Deno.readTextFile(new URL(name, import.meta.url))).trimEnd().split("\n");
const gptLines = await sourceOf("gpt.ts"), diffusionLines = await sourceOf("diffusion.ts");

/** Lines that may differ freely: documentation, imports, and what the model is called. */
function isAside({ text }: Line): boolean {
  return text.trim() === "" || /^\s*(\/\*\*|\*|\/\/)/.test(text) || /^import /.test(text) ||
    /^export const kind/.test(text);
}

const markOf = (text: string) => /^\s*\/\/ change ([1-5]) of 5: \w/.exec(text)?.[1];

Deno.test("every line of code in which diffusion.ts differs from gpt.ts is below one of five marks, in order", () => {
  const changed = lineDiff(gptLines, diffusionLines).flatMap(({ added }) => added)
    .filter((line) => !isAside(line));
  const isChanged = new Set(changed.map(({ number }) => number));
  for (const { number, text } of changed) {
    // Up from the line, in the same declaration or in one that is changed, too.
    let above = number;
    while (!markOf(diffusionLines[above - 1])) {
      const leaves = /^export /.test(diffusionLines[above - 1]) && !isChanged.has(above);
      assert(!leaves && above > 1, `diffusion.ts:${number} has no mark above: ${text}`);
      above--;
    }
  }
  assertEquals(diffusionLines.flatMap((text) => markOf(text) ?? []), ["1", "2", "3", "4", "5"]);
});

Deno.test("right below every mark something differs", () => {
  const changed = lineDiff(gptLines, diffusionLines).flatMap(({ added }) => added);
  diffusionLines.forEach((text, i) => {
    if (!markOf(text)) return;
    const below = diffusionLines.findIndex((text, at) => at > i && !isAside({ number: 0, text }));
    assert(changed.some(({ number }) => number === below + 1), text);
  });
});

Deno.test("gpt.ts has no marks", () => {
  assertEquals(gptLines.filter(markOf), []);
});

Deno.test("gpt.ts and diffusion.ts export the same names in the same order, and the mask is the only one more", () => {
  const exportsOf = (lines: string[]) =>
    lines.flatMap((line) => /^export (?:async )?(?:const|function\*?) (\w+)/.exec(line)?.[1] ?? []);
  const shared = (names: string[]) => names.filter((name) => name !== "maskToken");
  assertEquals(exportsOf(gptLines), shared(exportsOf(diffusionLines)));
  assertEquals(Object.keys(gpt), shared(Object.keys(diffusion)));
  assertEquals(diffusion.maskToken, 0);
  assertEquals(exportsOf(gptLines).sort(), Object.keys(gpt).sort());
});
