/**
 * A film of generations as one SVG: no script, text as text, so that it is small and shows in a
 * README as an image.
 *
 * One number runs, the step `--t`, by a CSS animation; each element knows the step at which it
 * appears or goes (`--k`), and computes its own opacity. So the film is the frames themselves, one
 * a step. Every character has its place from the beginning, that of the finished text: nothing
 * jumps when a line end is found. (The terminal, live, can't know it.)
 *
 * With reduced motion, and where CSS can't animate such a number, it is the finished text.
 */
import type { VNode } from "preact";
import type { Step } from "../../core/sampling/write.ts";
import { shown, showText } from "./characters.ts";
import { findDirections, shape } from "./direction.ts";
import { applyStep, type Frame, joinCells } from "./frames.ts";
import { toXml } from "./xml.ts";

/** One generation of a film. */
export interface Track {
  title: string;
  first: Frame;
  steps: Step[];
}

export interface FilmOptions {
  stepsPerSecond: number;
  /** Characters in a line. @default {64, or 48 where two texts are side by side} */
  columns?: number;
}

// In pixels. The size of the type makes a cell 8 wide in most monospaced fonts; each character is
// placed by itself all the same.
const CELL = 8;
const LINE = 18;
const TYPE = 13.33;
const MARGIN = 20;
const GUTTER = 32;
/** A mask is a little smaller than its cell. */
const MASK = `stroke-width: ${LINE - 3}; stroke-dasharray: ${CELL - 1} 1`;
/** Lines above a text: the clock, the title, the figures. */
const HEAD = 3;
/** Pixels between the figures and the text. */
const SPACE = 6;
/** Steps in which a highlight fades. */
const FADING = 4;
/** Seconds for which the first and the last frame stay. */
const BEFORE = 1;
const AFTER = 4;

/** The film. It runs again and again, with the finished text for a while at the end. */
export function animatedSvg(tracks: Track[], { stepsPerSecond, columns }: FilmOptions): string {
  const wide = columns ?? (tracks.length > 1 ? 48 : 64);
  const panelWidth = (wide + 1) * CELL; // a line end or a space may be right of the last column
  const panels = tracks.map((track, i) => makePanel(track, wide, i * (panelWidth + GUTTER)));
  const last = Math.max(0, ...tracks.map(({ steps }) => steps.length));
  const width = 2 * MARGIN + tracks.length * panelWidth + (tracks.length - 1) * GUTTER;
  const height = 2 * MARGIN + Math.max(...panels.map(({ lines }) => lines + HEAD)) * LINE + SPACE;
  const film = (
    <svg
      xmlns="http://www.w3.org/2000/svg"
      viewBox={`0 0 ${width} ${height}`}
      width={width}
      height={height}
      role="img"
      aria-labelledby="title text"
    >
      <title id="title">{tracks.map(({ title }) => title).join(" next to ")}</title>
      <desc id="text">{tracks.map(describe).join("\n\n")}</desc>
      <style>{rules(last + FADING, stepsPerSecond)}</style>
      <rect class="page" x={0.5} y={0.5} rx={8} width={width - 1} height={height - 1} />
      <g transform={`translate(${MARGIN} ${MARGIN})`}>
        <Clock tracks={tracks} last={last} />
        {panels.map(({ markup }) => markup)}
      </g>
    </svg>
  );
  return `<?xml version="1.0" encoding="UTF-8"?>\n${toXml(film)}\n`;
}

/** @param steps What `--t` counts to: the steps, and those in which the last highlight fades. */
function rules(steps: number, stepsPerSecond: number): string {
  const run = steps / stepsPerSecond;
  const all = BEFORE + run + AFTER;
  const percent = (seconds: number) => `${(100 * seconds / all).toFixed(3)}%`;
  return `
@property --t { syntax: "<integer>"; inherits: true; initial-value: ${steps} }
@keyframes play {
  0% { --t: 0 }
  ${percent(BEFORE)} { --t: 0; animation-timing-function: steps(${steps}, end) }
  ${percent(BEFORE + run)}, 100% { --t: ${steps} }
}
svg {
  --t: ${steps};
  --ground: #fff; --line: #dcd6cc; --ink: #1e1c1a; --quiet: #625d57;
  --mask: #cfc3e6; --later: #ebe5f5; --fresh: #b08cff; --gpt: #ffb866; --again: #f0a294;
  animation: play ${all.toFixed(2)}s linear infinite;
  font: ${TYPE}px ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  fill: var(--ink);
}
@media (prefers-color-scheme: dark) {
  svg {
    --ground: #14151a; --line: #373a44; --ink: #e9e6e0; --quiet: #a5a19a;
    --mask: #453d66; --later: #262437; --fresh: #684bc4; --gpt: #8f5410; --again: #99402f;
  }
}
@media (prefers-reduced-motion: reduce) { svg { animation: none } }
/* on: 0 before step k, then 1; fading: 1 up to step k, then less and less */
[style] {
  --on: clamp(0, var(--t) - var(--k) + 1, 1);
  --fading: clamp(0, 1 - (var(--t) - var(--k)) / ${FADING}, 1);
}
/* each character is at its own place already */
text { unicode-bidi: bidi-override }
.page { fill: var(--ground); stroke: var(--line) }
.quiet { fill: var(--quiet) }
.title { font-weight: bold }
.border { stroke: var(--quiet); stroke-dasharray: 2 2 }
/* a block's masks are pale up to step s, at which its turn comes */
.block {
  --hidden: color-mix(in srgb, var(--mask) calc(100% * clamp(0, var(--t) - var(--s) + 1, 1)), var(--later));
}
.cells { fill: none; stroke: var(--hidden); ${MASK} }
.fix { stroke: color-mix(in srgb, var(--fresh) calc(100% * var(--on)), var(--hidden)); opacity: var(--fading) }
.flash { stroke: var(--fresh); opacity: min(var(--on), var(--fading)) }
.gpt .flash { stroke: var(--gpt) }
.hide { stroke: color-mix(in srgb, var(--again) calc(100% * var(--fading)), var(--hidden)) }
.on { opacity: var(--on) }
.until { opacity: min(var(--on), clamp(0, var(--u) - var(--t), 1)) }
.now { opacity: min(var(--on), clamp(0, var(--k) + 1 - var(--t), 1)) }
`;
}

/** The number of the step, and what a step is. */
function Clock({ tracks, last }: { tracks: Track[]; last: number }) {
  const isPass = tracks.every(({ steps }) => steps.every(({ forwards }, i) => forwards === i + 1));
  const unit = isPass ? "forward pass" : "step";
  const numbers = Array.from(
    { length: last + 1 },
    (_, step) => <text class={step < last ? "now" : "on"} style={`--k:${step}`}>{step}</text>,
  );
  return (
    <g class="quiet" transform={`translate(0 ${LINE - 5})`}>
      <text>{unit}</text>
      <g transform={`translate(${(unit.length + 1) * CELL})`}>{numbers}</g>
    </g>
  );
}

/** A character at its place, from step `from` until before step `until`. */
interface Stay {
  place: Place;
  character: string;
  from: number;
  until: number;
  block: number;
  /** The character before; undefined: nothing, or not even a place. */
  before?: Stay;
}

/** In cells. */
interface Place {
  column: number;
  line: number;
  width: number;
  isRightToLeft: boolean;
  /** The letters before and after it in the finished text, which it may join. */
  before: string;
  after: string;
}

function makePanel(track: Track, columns: number, left: number): { markup: VNode; lines: number } {
  const { title, first, steps } = track;
  const end = steps.reduce(applyStep, first);
  const places = layOut(end, columns);
  const stays = collectStays(first, steps, places);
  const blocks = blockStarts(first, steps).map((start, block) => {
    const own = stays.filter((stay) => stay.block === block);
    return (
      <g class="block" style={`--s:${start}`}>
        {block > 0 && <Border {...own[0].place} />}
        <Steps stays={own} />
      </g>
    );
  });
  const given = stays.filter(({ block, character }) => block === -1 && character !== "");
  const markup = (
    <g class={first.blocks === 0 ? "gpt" : "diffusion"} transform={`translate(${left} ${LINE})`}>
      <text class="title" y={LINE - 5}>{title}</text>
      <g style={`--k:${steps.length}`}>
        <text class="quiet on" y={2 * LINE - 5}>{summarize(end)}</text>
      </g>
      <g transform={`translate(0 ${(HEAD - 1) * LINE + SPACE})`}>
        <g class="quiet">
          <Texts of={given} />
        </g>
        {blocks}
      </g>
    </g>
  );
  return { markup, lines: 1 + Math.max(0, ...places.map(({ line }) => line)) };
}

/**
 * The places of the finished text, broken between words where they fit. A line end has a place too,
 * for its mask.
 */
function layOut({ cells }: Frame, columns: number): Place[] {
  const places: Place[] = [];
  let column = 0;
  let line = 0;
  let word = 0; // where the word begins, as a position
  for (const [position, { character }] of cells.entries()) {
    const isEnd = character === "\n",
      width = character === "" || isEnd ? 1 : shown(character).width;
    const mayStandOut = isEnd || (character === " " && column === columns);
    if (!mayStandOut && column + width > columns) {
      const moved = places[word]?.column === 0 ? [] : places.slice(word);
      const from = moved[0]?.column ?? column;
      for (const place of moved) {
        place.column -= from;
        place.line++;
      }
      column -= from;
      line++;
    }
    places.push({ column, line, width, isRightToLeft: false, before: "", after: "" });
    column += width;
    if (isEnd) {
      column = 0;
      line++;
    }
    if (isEnd || character === " ") word = position + 1;
  }
  directLines(places, cells.map(({ character }) => character), columns);
  return places;
}

/** Orders the characters within each line as they are seen, and says what each may join. */
function directLines(places: Place[], characters: string[], columns: number): void {
  const directions = findDirections(characters);
  const isMark = (position: number) => /^\p{M}$/u.test(characters[position] ?? "");
  const neighbour = (position: number, step: 1 | -1) => {
    do position += step; while (isMark(position));
    return characters[position] ?? "";
  };
  for (const line of Map.groupBy(places.keys(), (position) => places[position].line).values()) {
    const { order, isRightToLeft } = directions.orderLine(line[0], line.at(-1)!);
    const widths = order.map((position) => places[position].width);
    // A space or a line end at the end of a full line stands out of it, at either side.
    const room = columns - widths.reduce((sum, width) => sum + width, 0);
    let column = isRightToLeft ? room : 0;
    for (const position of order) {
      const place = places[position];
      place.column = column;
      column += place.width;
      place.isRightToLeft = directions.isRightToLeft(position);
      place.before = neighbour(position, -1);
      place.after = neighbour(position, 1);
    }
  }
}

const drawn = ({ character, place: { isRightToLeft, before, after } }: Stay) =>
  shown(shape(character, isRightToLeft, before, after)).text;

/** All that was ever at each place, in the order of the steps. */
function collectStays(first: Frame, steps: Step[], places: Place[]): Stay[] {
  const stays: Stay[] = [];
  const now = new Map<number, Stay>();
  const begin = (position: number, character: string, from: number) => {
    const before = now.get(position);
    const place = places[position];
    const block = before?.block ?? first.cells[position]?.block ?? 0;
    if (before) before.until = from;
    const stay = { place, character, from, until: Infinity, block, before };
    now.set(position, stay);
    stays.push(stay);
  };
  first.cells.forEach(({ character }, position) => begin(position, character, 0));
  steps.forEach(({ changes }, i) => {
    for (const [position, character] of changes) begin(position, character, i + 1);
  });
  return stays;
}

/** The step after which each block is in work. A GPT's text is one block. */
function blockStarts(first: Frame, steps: Step[]): number[] {
  const starts = [0];
  let frame = first;
  for (const step of steps) {
    const next = applyStep(frame, step);
    if (next.block > frame.block) starts[next.block] = frame.step;
    frame = next;
  }
  while (starts.length < first.blocks) starts.push(steps.length + 1); // it never came to them
  return starts;
}

/** The characters and masks of a block: one group for each step, and what stays from the beginning. */
function Steps({ stays }: { stays: Stay[] }) {
  const still = stays.filter(({ from, until }) => from === 0 && until === Infinity);
  const begun = [...Map.groupBy(stays, ({ from }) => from)].filter(([step]) => step > 0);
  return (
    <>
      <Cells of={still} />
      {begun.map(([step, stays]) => <OneStep step={step} stays={stays} />)}
    </>
  );
}

/** Everything that begins with a step: characters, masks of what is hidden again, highlights. */
function OneStep({ step, stays }: { step: number; stays: Stay[] }) {
  const written = stays.filter(({ character }) => character !== "");
  const hidden = stays.filter(({ character }) => character === "");
  return (
    <g style={`--k:${step}`}>
      <Cells of={written.filter(({ before }) => before?.from === 0)} look="fix" />
      <Cells of={written.filter(({ before }) => before?.from !== 0)} look="flash" />
      {groupByEnd(hidden).map(({ look, style, same }) => (
        <Cells of={same} look={`hide ${look}`} style={style} />
      ))}
      {groupByEnd(written).map(({ look, style, same }) => (
        <Texts of={same} look={look} style={style} />
      ))}
    </g>
  );
}

/** Those that end at the same step, and how they look until then; what lasts comes first. */
function groupByEnd(stays: Stay[]): { look: string; style?: string; same: Stay[] }[] {
  const groups = [...Map.groupBy(stays, ({ until }) => until)]
    .sort(([a], [b]) => Number(b === Infinity) - Number(a === Infinity));
  return groups.map(([until, same]) =>
    until === Infinity
      ? { look: "on", same }
      : { look: "until", style: `--k:${same[0].from};--u:${until}`, same }
  );
}

interface LookProps {
  of: Stay[];
  look?: string;
  style?: string;
}

/** Characters, with a place for each: fonts differ in how wide they are. */
function Texts({ of, look, style }: LookProps) {
  const visible = of.filter(({ character }) => character.trim() !== "");
  const rows = Map.groupBy(visible, (stay) => {
    const { line, column } = stay.place;
    // `x` counts UTF-16 units: a character with several of them gets its own element
    return drawn(stay).length === 1 ? `${line}` : `${line} ${column}`;
  });
  return (
    <>
      {[...rows.values()].map((row) => (
        <text
          class={look}
          style={style}
          x={row.map(({ place }) => place.column * CELL).join(" ")}
          y={row[0].place.line * LINE + LINE - 5}
        >
          {row.map(drawn).join("")}
        </text>
      ))}
    </>
  );
}

/** Masks, or highlights of the same shape. */
function Cells({ of, look, style }: LookProps) {
  if (of.length === 0) return null;
  return <path class={look ? `cells ${look}` : "cells"} style={style} d={drawPath(of)} />;
}

/**
 * The middle lines of cells, neighbours in one stroke. A wide character has one block, as it is one
 * character.
 */
function drawPath(stays: Stay[]): string {
  const places = stays.map(({ place }) => place)
    .sort((a, b) => a.line - b.line || a.column - b.column);
  let path = "";
  for (let i = 0; i < places.length;) {
    const { column, line, width } = places[i++];
    let end = column + 1;
    while (width === 1 && isAt(places[i], line, end)) {
      end++;
      i++;
    }
    const shift = (width - 1) * CELL / 2;
    path += `M${column * CELL + shift} ${line * LINE + LINE / 2}H${end * CELL - 1 + shift}`;
  }
  return path;
}

const isAt = (place: Place | undefined, line: number, column: number) =>
  place?.line === line && place.column === column && place.width === 1;

function Border({ column, line, width, isRightToLeft }: Place) {
  const start = isRightToLeft ? column + width : column;
  return <path class="border" d={`M${start * CELL - 0.5} ${line * LINE}v${LINE}`} />;
}

function summarize({ written, forwards }: Frame): string {
  const each = forwards === 0 ? "" : `, ${(written / forwards).toFixed(2)} each`;
  return `${written} characters in ${forwards} forward passes${each}`;
}

/** A film in words: its figures and the finished text. */
function describe({ title, first, steps }: Track): string {
  const end = steps.reduce(applyStep, first);
  return `${title}: ${summarize(end)}.\n${showText(joinCells(end, "░"))}`;
}
