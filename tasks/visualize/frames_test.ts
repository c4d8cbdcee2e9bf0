import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { cutBlocks } from "../../core/sampling/blocks.ts";
import type { Change } from "../../core/sampling/write.ts";
import {
  applyStep,
  countForBlocks,
  countSettled,
  type Frame,
  joinCells,
  startFrames,
} from "./frames.ts";

/** A text of 3 given and 9 hidden characters in blocks of 5 and 4. */
const first = startFrames([..."abc", ...new Array<string>(9).fill("")], 9, [
  { start: 0, masked: [3, 4, 5, 6, 7] },
  { start: 6, masked: [2, 3, 4, 5] },
]);

const play = (start: Frame, ...steps: Change[][]) => {
  const frames = [start];
  steps.forEach((changes, i) =>
    frames.push(applyStep(frames.at(-1)!, { changes, forwards: i + 1, seconds: i / 10 }))
  );
  return frames;
};

Deno.test("a frame has what each step wrote, and a character that is hidden again counts as not written", () => {
  const frames = play(first, [[4, "x", 1], [3, "y", 1]], [[4, "", 0.02], [7, "z", 1]], [[
    4,
    "w",
    1,
  ]]);
  const texts = ["abc_________", "abcyx_______", "abcy___z____", "abcyw__z____"];
  assertEquals(frames.map((frame) => joinCells(frame, "_")), texts);
  assertEquals(frames.map(({ written, step }) => [written, step]), [[0, 0], [2, 1], [2, 2], [
    3,
    3,
  ]]);
  assertEquals(frames.at(-1)!.cells[4], { character: "w", step: 3, block: 0 });
});

Deno.test("a GPT's text grows at its end, from nothing", () => {
  const frames = play(startFrames([], 2), [[0, "a", 1]], [[1, "b", 1]]);
  assertEquals(frames.map((frame) => joinCells(frame, "_")), ["", "a", "ab"]);
  assertEquals(frames.map(({ written, total }) => total - written), [2, 1, 0]);
});

Deno.test("a step that changes what was given, or leaves a hole, is a bug and not a frame", () => {
  const given: Change[] = [[2, "x", 1]], beyond: Change[] = [[14, "x", 1]];
  for (const changes of [given, beyond]) {
    assertThrows(() => play(first, changes), RangeError, "internal: step 1 changes character");
  }
});

Deno.test("what is countSettled is what comes before the block in work, even where all of that block is shown", () => {
  const fill = (from: number, to: number): Change[] =>
    Array.from({ length: to - from }, (_, i) => [from + i, "x", 1]);
  const frames = play(first, fill(3, 8), [[5, "", 0.02]], [[5, "y", 1], [8, "z", 1]], fill(9, 12));
  assertEquals(frames.map(countSettled), [3, 3, 3, 8, 8]);
});

Deno.test("so many blocks are filled by their length, and one character more needs another", () => {
  fc.assert(fc.property(
    fc.integer({ min: 2, max: 64 }).chain((context) =>
      fc.record({
        context: fc.constant(context),
        overlap: fc.integer({ min: 0, max: context - 1 }),
        prompt: fc.integer({ min: 0, max: 3 * context }),
        blocks: fc.integer({ min: 1, max: 6 }),
      })
    ),
    ({ context, overlap, prompt, blocks }) => {
      const length = countForBlocks(blocks, prompt, { context, overlap });
      const count = (masks: number) => {
        const text = [...new Array(prompt).fill(1), ...new Array(masks).fill(0)];
        return cutBlocks(text, { context, overlap }).length;
      };
      assertEquals([count(length), count(length + 1)], [blocks, blocks + 1]);
    },
  ));
});

Deno.test("a frame stays as it is while others follow", () => {
  const before = structuredClone(first);
  play(first, [[3, "x", 1]], [[3, "", 1]]);
  assert(JSON.stringify(first) === JSON.stringify(before));
});
