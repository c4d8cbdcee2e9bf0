import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { eastAsianWidth } from "get-east-asian-width";
import type { Change } from "../../core/sampling/write.ts";
import { applyStep, type Frame, startFrames } from "./frames.ts";
import { paintLine, paintScreen } from "./paint.ts";
import { formatFigures, layOut, type Line, textLines } from "./view.ts";

const plain = (lines: Line[]) => lines.map((line) => line.map(({ text }) => text).join(""));

/** Given text and then blocks of `size` hidden characters each. */
function diffusion(given: string, blocks: number, size: number): Frame {
  const known = [...given], hidden = new Array<string>(blocks * size).fill("");
  const windows = Array.from({ length: blocks }, (_, block) => ({
    start: known.length + block * size,
    masked: Array.from({ length: size }, (_, i) => i),
  }));
  return startFrames([...known, ...hidden], hidden.length, windows);
}

const after = (frame: Frame, ...steps: Change[][]) =>
  steps.reduce(
    (before, changes, i) => applyStep(before, { changes, forwards: i + 1, seconds: i / 4 }),
    frame,
  );

Deno.test("masks, later blocks, borders, line ends and what was hidden again can be told apart without colour", () => {
  const frame = after(
    diffusion("ab", 2, 6),
    [[2, "c", 1], [4, "\n", 1], [6, "d", 1]],
    [[6, "", 0.02], [3, "e", 1]],
  );
  assertEquals(plain(textLines(frame, 80).lines), ["abce", "▒▓▒│░░░░░░"]);
  const now = after(diffusion("ab", 1, 3), [[3, "\n", 1]]);
  assertEquals(plain(textLines(now, 80).lines), ["ab▒↵", "▒"]); // a line end is seen while it is fresh
  const styles = textLines(frame, 80).lines[0].map(({ text, style }) => [text, style]);
  assertEquals(styles, [["ab", "given"], ["c", "recent"], ["e", "fresh"]]);
});

Deno.test("a GPT has no masks, but a cursor as long as there is something to write", () => {
  const frames = [
    startFrames([..."ab"], 2),
    after(startFrames([..."ab"], 2), [[2, "c", 1]], [[3, "d", 1]]),
  ];
  assertEquals(frames.map((frame) => plain(textLines(frame, 80).lines)), [["ab█"], ["abcd"]]);
});

Deno.test("two texts stand side by side where each has 40 columns, else one above the other", () => {
  const panels = [{ title: "one", frame: diffusion("a", 1, 2) }, {
    title: "two",
    frame: startFrames(["b"], 2),
  }];
  const titles = (columns: number) =>
    plain(layOut(panels, "hint", { columns, rows: 20 })).filter((line) => /one|two/.test(line));
  assertEquals(titles(83), ["one, block 1 of 1".padEnd(40) + " │ two"]);
  assertEquals(titles(82), ["one, block 1 of 1", "two"]);
  const lines = plain(layOut(panels, "hint", { columns: 83, rows: 8 }));
  assertEquals([lines.length, lines[1], lines[7]], [8, "a▒▒".padEnd(40) + " │ b█", "hint"]);
});

Deno.test("the block in work is in sight, and the end of what a GPT wrote", () => {
  const start = diffusion("", 30, 10);
  const blockDone = (block: number): Change[] =>
    Array.from({ length: 10 }, (_, i) => [block * 10 + i, String.fromCharCode(65 + block), 1]);
  const frame = after(start, ...Array.from({ length: 20 }, (_, block) => blockDone(block)), [[
    200,
    "!",
    1,
  ]]);
  const lines = plain(layOut([{ title: "", frame }], "hint", { columns: 10, rows: 8 }));
  assert(lines.some((line) => line.includes("!")), lines.join("\n"));
  const gpt = after(
    startFrames([], 100),
    ...Array.from({ length: 50 }, (_, i): Change[] => [[i, i % 2 ? "\n" : String(i % 10), 1]]),
  );
  assertEquals(plain(layOut([{ title: "", frame: gpt }], "", { columns: 9, rows: 5 }))[2], "█");
});

Deno.test("figures are left out, not cut off, where there is no room for all", () => {
  const frame = after(diffusion("", 1, 9), [[0, "a", 1], [1, "b", 1], [2, "c", 1]], [[3, "d", 1]]);
  assertEquals(
    formatFigures(frame),
    "step 2  5/9 hidden  2 forwards  2.00 characters each  0.25 s",
  );
  assertEquals(formatFigures(frame, 55), "5/9 hidden  2 forwards  2.00 characters each  0.25 s");
  assertEquals(formatFigures(frame, 31), "5/9 hidden  2 forwards  0.25 s");
  assertEquals(formatFigures(frame, 1), "5/9 hidden");
});

/** Cells of a painted line, counted independently: marks have none, the rest as Unicode says. */
const cellsOf = (text: string) =>
  [...text.replaceAll(/\p{M}/gu, "")].reduce(
    (sum, c) => sum + eastAsianWidth(c.codePointAt(0)!),
    0,
  );

const anyFrame = fc.record({
  given: fc.string({ unit: "grapheme", maxLength: 30 }),
  blocks: fc.integer({ min: 1, max: 3 }),
  size: fc.integer({ min: 1, max: 40 }),
  text: fc.array(fc.constantFrom(..."ab \n\t\x1b\x9b\r東🌙\u0301\u202e\0"), { maxLength: 60 }),
  isGpt: fc.boolean(),
}).map(({ given, blocks, size, text, isGpt }) => {
  const start = isGpt ? startFrames([...given], text.length) : diffusion(given, blocks, size);
  const from = [...given].length;
  const steps = text.slice(0, isGpt ? undefined : blocks * size)
    .map((character, i): Change[] => [[from + i, character, 1]]);
  return after(start, ...steps);
});

Deno.test("no view is larger than its screen, whatever the text and the size", () => {
  const size = fc.record({
    columns: fc.integer({ min: 1, max: 120 }),
    rows: fc.integer({ min: 1, max: 30 }),
  });
  fc.assert(
    fc.property(fc.array(anyFrame, { minLength: 1, maxLength: 2 }), size, (frames, size) => {
      const lines = layOut(frames.map((frame) => ({ title: "title", frame })), "hint", size);
      assert(lines.length <= size.rows, `${lines.length} lines`);
      for (const line of lines) {
        const text = line.map(({ text }) => text).join("");
        assert(cellsOf(text) <= size.columns, JSON.stringify(text));
        assertEquals(cellsOf(text), line.reduce((sum, { width }) => sum + width, 0));
      }
    }),
  );
});

Deno.test("the only escape sequences that reach the terminal are ours: places, styles, erasing", () => {
  const size = { columns: 60, rows: 20 };
  fc.assert(fc.property(anyFrame, fc.boolean(), (frame, colour) => {
    const painted = paintScreen(layOut([{ title: "t", frame }], "h", size), { ...size, colour });
    // deno-lint-ignore no-control-regex -- these are what is looked for
    const rest = painted.replaceAll(/\x1b\[\d+;\d+H|\x1b\[[\d;]*m|\x1b\[K/g, "");
    assert(!/\p{C}/u.test(rest), JSON.stringify(rest));
  }));
});

Deno.test("without colours there are none, but what is fresh still stands out", () => {
  const frame = after(diffusion("ab", 2, 6), [[2, "c", 1]], [[2, "", 0.02], [3, "e", 1]]);
  const painted = textLines(frame, 80).lines.map((line) => paintLine(line, { colour: false })).join(
    "",
  );
  // deno-lint-ignore no-control-regex -- these are what is looked for
  const codes = [...painted.matchAll(/\x1b\[([\d;]*)m/g)].flatMap(([, code]) => code.split(";"));
  assert(codes.every((code) => Number(code) < 10), `${codes}`); // 30 and above are colours
  assert(painted.includes("\x1b[1;7me\x1b[0m"), JSON.stringify(painted));
});
