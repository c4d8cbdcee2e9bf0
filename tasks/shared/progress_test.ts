import { assert, assertEquals, assertLessOrEqual, assertMatch, assertThrows } from "@std/assert";
import { type Progress, showCounting, startProgress } from "./progress.ts";
import { duration } from "./text.ts";

/** A terminal that is a list of rows, or a file, with a clock that is moved by hand. */
function fakeSurroundings({ terminal = true, columns = 80 as number | undefined } = {}) {
  const surroundings = {
    time: 0,
    written: "",
    now: () => surroundings.time,
    stream: {
      redraws: () => terminal,
      columns: () => columns,
      write(text: string) {
        surroundings.written += text;
      },
    },
    /** What stands there after all redrawing; the last row is the one with the cursor. */
    rows() {
      return surroundings.written.split("\n").map((row) => row.split("\r\x1b[2K").at(-1)!);
    },
  };
  return surroundings;
}

/** Moves the clock by `ms` a step. */
function work(progress: Progress, clock: { time: number }, from: number, to: number, ms: number) {
  for (let done = from; done <= to; done++) {
    clock.time += ms;
    progress.update({ done, fields: { loss: (5 / done).toFixed(2), "chars/s": "31,000" } });
  }
}

Deno.test("on a terminal, one row is redrawn: a bar, the count, figures and the time left", () => {
  const row = "step 250/1,000  loss 0.02  31,000 chars/s  1 min 15 s left"; // 750 steps at 100 ms
  for (
    const [columns, wanted] of [
      [120, "██████░░░░░░░░░░░░░░░░░░ " + row],
      [80, "█████░░░░░░░░░░░░░░░ " + row], // 20 cells and a space fill the 79 columns that are used
      [62, row], // no room for a bar
      [0, "█████░░░░░░░░░░░░░░░ " + row], // a terminal that does not know its width counts as 80
    ] as const
  ) {
    const around = fakeSurroundings({ columns });
    const progress = startProgress({ total: 1000, unit: "step", ...around });
    work(progress, around, 1, 250, 100);
    assertEquals(around.rows(), [wanted]);
  }
});

Deno.test("no row is ever as wide as the terminal, which would wrap", () => {
  for (const columns of [1, 2, 10, 40, 79, 80, 200]) {
    const around = fakeSurroundings({ columns });
    const progress = startProgress({ total: 1e6, unit: "step", ...around });
    work(progress, around, 1, 100, 100);
    for (const row of around.written.split("\r\x1b[2K")) {
      assertLessOrEqual([...row].length, Math.max(columns - 1, 1), JSON.stringify(row));
    }
  }
});

Deno.test("the terminal is redrawn at most ten times a second", () => {
  const around = fakeSurroundings();
  const progress = startProgress({ total: 10_000, unit: "step", ...around });
  work(progress, around, 1, 10_000, 1);
  const redraws = around.written.split("\r\x1b[2K").length - 1;
  assert(redraws >= 90 && redraws <= 101, `${redraws} redraws in 10 seconds`);
});

Deno.test("without a terminal there is a plain line every five seconds, and no control character", () => {
  const around = fakeSurroundings({ terminal: false });
  const progress = startProgress({ total: 1000, unit: "step", ...around });
  work(progress, around, 1, 200, 100);
  progress.finish();
  const lines = around.written.trimEnd().split("\n");
  assertEquals(lines.length, 5, around.written); // at the first step, 5, 10 and 15 s, and at the end
  for (const line of lines) {
    assertMatch(line, /^step [\d,]+\/1,000 {2}loss [\d.]+ {2}31,000 chars\/s/);
  }
  assertEquals(lines.at(-1), "step 200/1,000  loss 0.03  31,000 chars/s  in 20 s");
  // deno-lint-ignore no-control-regex
  assert(!/[\r\x1b]/.test(around.written));
});

Deno.test("the time left follows the rate of the last half minute, not a slow start", () => {
  const around = fakeSurroundings({ columns: 120 });
  const progress = startProgress({ total: 1000, unit: "step", ...around });
  around.time += 60_000; // a graph is compiled
  work(progress, around, 1, 500, 100);
  assertMatch(around.rows().at(-1)!, / {2}50 s left$/);
});

Deno.test("steps that a resumed run did before don't count for the rate", () => {
  const around = fakeSurroundings({ columns: 120 });
  const progress = startProgress({ total: 1000, unit: "step", done: 800, ...around });
  work(progress, around, 801, 900, 100);
  assertMatch(around.rows().at(-1)!, /step 900\/1,000 .* 10 s left$/);
});

Deno.test("an unknown total shows neither a bar nor a time left", () => {
  const around = fakeSurroundings();
  const progress = startProgress({ unit: "block", ...around });
  progress.update({ done: 1 });
  around.time += 1000;
  progress.update({ done: 1234 });
  assertEquals(around.rows(), ["block 1,234"]);
});

Deno.test("a note stays above the row that is redrawn", () => {
  const around = fakeSurroundings();
  const progress = startProgress({ total: 4, unit: "pass", ...around });
  progress.note("before the first step");
  around.time += 1000;
  progress.update({ done: 1 });
  progress.note("saved");
  const rows = around.rows();
  assertEquals(rows.slice(0, 2), ["before the first step", "saved"]);
  assertMatch(rows[2], /pass 1\/4 {2}3\.0 s left$/);
});

Deno.test("finish leaves one last row and the cursor below it, once", () => {
  const around = fakeSurroundings();
  const progress = startProgress({ total: 4, unit: "pass", ...around });
  around.time += 1500;
  progress.update({ done: 4 });
  progress.finish();
  progress.finish();
  progress.update({ done: 4 });
  assertEquals(around.rows(), ["pass 4/4  in 1.5 s", ""]);
});

Deno.test("an error, too, finds the cursor at the start of a row", () => {
  const around = fakeSurroundings();
  assertThrows(() => {
    using progress = startProgress({ total: 4, unit: "pass", ...around });
    around.time += 1000;
    progress.update({ done: 2 });
    throw new Error("Cannot go on: no way");
  }, Error);
  assertEquals(around.rows(), ["pass 2/4  in 1.0 s", ""]);
});

Deno.test("nothing is written if nothing was done, or if switched off", () => {
  const around = fakeSurroundings();
  startProgress({ total: 4, unit: "pass", ...around }).finish();
  using silent = startProgress({ total: 4, unit: "pass", enabled: false, ...around });
  silent.update({ done: 1 });
  silent.note("saved");
  silent.finish();
  assertEquals(around.written, "");
});

Deno.test("counting n-grams is shown for a long text, and not for one that takes no time", () => {
  for (
    const [characters, row] of [[1e6, ""], [3e6, "n-grams up to length 6/6  in 30 s"]] as const
  ) {
    const around = fakeSurroundings({ terminal: false });
    {
      using counting = showCounting({ characters }, around);
      for (let done = 1; done <= 6; done++) {
        around.time += 5_000;
        counting.onProgress(done);
      }
    }
    assertEquals(around.rows().at(-2) ?? "", row);
  }
});

Deno.test("durations read well on both sides of each border", () => {
  assertEquals(
    [0, 949, 9_949, 9_950, 59_499, 59_500, 185_000, 3_599_499, 3_599_500, 7_620_000].map(duration),
    [
      "0.0 s",
      "0.9 s",
      "9.9 s",
      "10 s",
      "59 s",
      "1 min 00 s",
      "3 min 05 s",
      "59 min 59 s",
      "1 h 00 min",
      "2 h 07 min",
    ],
  );
});
