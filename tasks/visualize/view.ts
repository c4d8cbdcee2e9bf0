/**
 * A moment of one or two generations as lines of styled text for a screen of any size. Pure:
 * `paint.ts` makes them bytes.
 *
 * ▒ is hidden and in work, ░ waits for a later block, ▓ was hidden again just now, │ precedes a
 * block, █ is where a GPT writes next.
 */
import { shown } from "./characters.ts";
import type { Cell, Frame } from "./frames.ts";

export type Style =
  | "plain"
  | "given"
  | "fresh"
  | "recent"
  | "hidden"
  | "waiting"
  | "again"
  | "border"
  | "title"
  | "quiet";

/** Text of one style, so many cells wide. */
export interface Span {
  text: string;
  width: number;
  style: Style;
}
export type Line = Span[];

export interface Size {
  columns: number;
  rows: number;
}

/** One generation on the screen. */
export interface Panel {
  title: string;
  frame: Frame;
}

/**
 * Steps for which a change counts as recent: at 20 frames a second a fifth of one, enough for the
 * eye.
 */
const RECENT = 4;
/** Longer lines are hard to read. */
const WIDEST = 80;
/** Two texts are shown side by side where each has this many columns. */
const NARROWEST_BESIDE = 40;
const GAP = " │ ";

/**
 * The panels, side by side where the screen is wide enough, else one above the other, and a hint
 * below. Never more lines or cells in a line than the screen has.
 */
export function layOut(panels: Panel[], hint: string, { columns, rows }: Size): Line[] {
  const hintRows = rows > 2 * panels.length ? 1 : 0, height = rows - hintRows;
  const columnsEach = Math.floor((columns - GAP.length * (panels.length - 1)) / panels.length);
  const lines = panels.length === 1 || columnsEach >= NARROWEST_BESIDE
    ? sideBySide(
      panels.map((panel) => panelOf(panel, { columns: columnsEach, rows: height })),
      columnsEach,
    )
    : stacked(panels, { columns, rows: height });
  if (hintRows) lines.push([span(hint, "quiet")]);
  return lines.map((line) => cut(line, columns));
}

function sideBySide(texts: Line[][], columns: number): Line[] {
  return texts[0].map((_, row) =>
    texts.flatMap((text, i) =>
      i === 0
        ? text[row]
        : [...padding(texts[i - 1][row], columns), span(GAP, "quiet"), ...text[row]]
    )
  );
}

function stacked(panels: Panel[], { columns, rows }: Size): Line[] {
  return panels.flatMap((panel, i) => {
    const from = Math.round(i * rows / panels.length);
    const to = Math.round((i + 1) * rows / panels.length);
    return panelOf(panel, { columns, rows: to - from });
  });
}

/**
 * A title, the text around the place where something happens, and the figures: exactly `rows`
 * lines.
 */
function panelOf({ title, frame }: Panel, { columns, rows }: Size): Line[] {
  const height = Math.max(0, rows - (rows > 2 ? 2 : 1));
  const { lines, from, to } = textLines(frame, Math.min(columns, WIDEST));
  // The end of the block in work is in sight, unless the block is larger than the screen; then its
  // beginning is.
  const top = Math.max(0, Math.min(from, to - height + 1));
  const text = lines.slice(top, top + height);
  while (text.length < height) text.push([]);
  const head: Line[] = rows > 2 ? [[span(titleOf(title, frame), "title")]] : [];
  const foot: Line[] = rows > 0 ? [[span(formatFigures(frame, columns), "quiet")]] : [];
  return [...head, ...text, ...foot].map((line) => cut(line, columns));
}

function titleOf(title: string, { blocks, block }: Frame): string {
  return blocks === 0 ? title : `${title}, block ${block + 1} of ${blocks}`;
}

/** The figures of a frame, as many as fit in so many columns. */
export function formatFigures(frame: Frame, columns = Infinity): string {
  const { step, forwards, seconds, written, total, blocks } = frame;
  const each = forwards === 0 ? "-" : (written / forwards).toFixed(2);
  // the first ones are the first to go
  const figures: [place: number, text: string][] = [
    [0, `step ${step}`],
    [3, `${each} characters each`],
    [4, `${seconds.toFixed(2)} s`],
    [2, `${forwards} forwards`],
    [1, `${total - written}/${total} ${blocks === 0 ? "to write" : "hidden"}`],
  ];
  for (let from = 0;; from++) {
    const line = figures.slice(from).sort(([a], [b]) => a - b).map(([, text]) => text).join("  ");
    if (line.length <= columns || from === figures.length - 1) return line;
  }
}

/** The whole text in lines of at most `columns`, and which of them hold the block in work. */
export function textLines(
  frame: Frame,
  columns: number,
): { lines: Line[]; from: number; to: number } {
  const lines: Line[] = [[]];
  let width = 0, from: number | undefined, to: number | undefined, block = 0;
  const put = (text: string, cells: number, style: Style) => {
    if (width + cells > columns && width > 0) end();
    const line = lines.at(-1)!, last = line.at(-1);
    if (last?.style === style) last.text += text, last.width += cells;
    else line.push({ text, width: cells, style });
    width += cells;
  };
  const end = () => {
    lines.push([]);
    width = 0;
  };
  for (const cell of frame.cells) {
    if (cell.block > block) {
      block = cell.block;
      put("│", 1, "border");
    }
    const style = styleOf(cell, frame);
    if (cell.character === "\n") {
      // A line end is nothing to see, except in the moment in which it is written.
      if (style === "fresh" && width < columns) put("↵", 1, style);
      end();
    } else {
      const { text, width: cells } = shownCell(cell, style);
      put(text, cells, style);
    }
    if (cell.block === frame.block) {
      from ??= lines.length - 1;
      to = lines.length - 1;
    }
  }
  if (frame.blocks === 0) {
    if (frame.written < frame.total) put("█", 1, "hidden");
    from = to = lines.length - 1;
  }
  return { lines, from: from ?? lines.length - 1, to: to ?? lines.length - 1 };
}

function styleOf({ character, step, block }: Cell, frame: Frame): Style {
  const age = step === 0 ? Infinity : frame.step - step;
  if (character === "") {
    return age < RECENT ? "again" : block > frame.block ? "waiting" : "hidden";
  }
  if (age === 0) return "fresh";
  return age < RECENT ? "recent" : block === -1 ? "given" : "plain";
}

function shownCell({ character }: Cell, style: Style): { text: string; width: number } {
  if (character !== "") return shown(character);
  return { text: style === "again" ? "▓" : style === "waiting" ? "░" : "▒", width: 1 };
}

/** A span of text that has no wide characters. */
function span(text: string, style: Style): Span {
  return { text, width: text.length, style };
}

function padding(line: Line, columns: number): Line {
  const missing = columns - measureWidth(line);
  return missing > 0 ? [span(" ".repeat(missing), "plain")] : [];
}

export function measureWidth(line: Line): number {
  return line.reduce((sum, { width }) => sum + width, 0);
}

/** The beginning of a line, at most `columns` wide. */
function cut(line: Line, columns: number): Line {
  const kept: Line = [];
  let left = columns;
  for (const span of line) {
    if (span.width <= left) {
      kept.push(span);
      left -= span.width;
      continue;
    }
    let text = "", width = 0;
    for (const character of span.text) {
      // a combining mark belongs to the character before it
      const cells = /^\p{M}$/u.test(character) ? 0 : shown(character).width;
      if (width + cells > left) break;
      text += character;
      width += cells;
    }
    if (width > 0) kept.push({ text, width, style: span.style });
    break;
  }
  return kept;
}
