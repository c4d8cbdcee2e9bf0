/** Lets the models write, and shows it: as a film where there is a screen for it, else as text. */
import type { ModelKind } from "../../core/config.ts";
import type { Step, Writing } from "../../core/sampling/write.ts";
import { startProgress } from "../shared/progress.ts";
import { interruption, note, print } from "../shared/run.ts";
import { showText } from "./characters.ts";
import { applyStep, countSettled, type Frame, joinCells, startFrames } from "./frames.ts";
import { canDraw, hasKeys, KEYS, openScreen } from "./screen.ts";
import type { Track } from "./svg.tsx";
import { formatFigures, layOut, type Panel } from "./view.ts";

/** A text in progress, as it is watched. */
export interface Side extends Track {
  /** The text as it is now. */
  frame: Frame;
  /** The steps to come; `steps` are those that were seen. */
  next: AsyncIterator<Step>;
}

/** Makes a side of a text that was begun. */
export function watch(title: string, kind: ModelKind, writing: Writing): Side {
  const start = [...writing.characters];
  const hidden = start.filter((character) => character === "").length;
  const first = kind === "gpt"
    ? startFrames(start.slice(0, start.length - hidden), hidden)
    : startFrames(start, hidden, writing.blocks);
  return { title, first, frame: first, steps: [], next: writing[Symbol.asyncIterator]() };
}

/** Takes a step of each side that has one left, and returns whether any had. */
async function advance(sides: Side[]): Promise<boolean> {
  let moved = false;
  for (const side of sides) {
    const { done, value } = await side.next.next();
    if (done) continue;
    side.frame = applyStep(side.frame, value);
    side.steps.push(value);
    moved = true;
  }
  return moved;
}

/**
 * Plays all sides to their end.
 *
 * @throws {Interrupted} Once the task is interrupted; the sides have what was seen until then.
 */
export async function play(
  sides: Side[],
  { json, speed }: { json: boolean; speed: number },
): Promise<void> {
  if (json || !canDraw()) await playAsText(sides, json);
  else await playOnScreen(sides, speed);
}

async function playOnScreen(sides: Side[], speed: number): Promise<void> {
  const keys = hasKeys();
  const legend = (sides.length > 1 ? "clock: a step of each in turn  " : "") +
    "▒ hidden  ░ later blocks  ▓ hidden again";
  const hint = (paused: boolean) =>
    keys ? `${paused ? KEYS.paused : KEYS.playing}   ${legend}` : legend;
  // What is on the screen: the next step is taken before it is due.
  const showNow = () => sides.map(({ title, frame }): Panel => ({ title, frame }));
  let panels = showNow();
  try {
    using screen = openScreen((size, paused) => layOut(panels, hint(paused), size), {
      framesPerSecond: speed,
      colour: !Deno.noColor,
      signal: interruption(),
    });
    screen.draw();
    while (await advance(sides) && await screen.due()) {
      panels = showNow();
      screen.draw();
    }
  } finally {
    // also what was there when it was interrupted
    for (const { title, frame } of sides) {
      note(`${title}: ${formatFigures(frame)}`);
      const end = frame.cells.findLastIndex(({ character }) => character !== "") + 1;
      print(showText(joinCells({ ...frame, cells: frame.cells.slice(0, end) }, "░")));
    }
  }
}

/** Prints whole lines, each block as soon as it is done; with two models, one after the other. */
async function playAsText(sides: Side[], json: boolean): Promise<void> {
  let printed = 0;
  const printUntil = (end: number, frame: Frame) => {
    const text = joinCells({ ...frame, cells: frame.cells.slice(printed, end) }, "");
    printed = end;
    if (text !== "") print(showText(text));
  };
  {
    const total = sides.length * sides[0].frame.total;
    const enabled = json || !Deno.stdout.isTerminal(); // text and progress on one terminal would mix
    using progress = startProgress({ total, unit: "character", enabled });
    while (await advance(sides)) {
      const done = sides.reduce((sum, { frame }) => sum + frame.written, 0);
      const forwards = sides.reduce((sum, { frame }) => sum + frame.forwards, 0);
      progress.update({ done, fields: { passes: `${forwards}` } });
      if (sides.length > 1 || json) continue;
      const [{ frame }] = sides;
      const before = frame.cells.slice(0, countSettled(frame));
      const lineEnd = before.findLastIndex(({ character }) => character === "\n") + 1;
      if (lineEnd > printed) printUntil(lineEnd, frame);
    }
  }
  for (const { title, frame } of sides) {
    if (!json) {
      if (sides.length > 1) print(`${title}:`);
      printUntil(frame.cells.length, frame);
      printed = 0;
    }
    note(`${title}: ${formatFigures(frame)}`);
  }
}
