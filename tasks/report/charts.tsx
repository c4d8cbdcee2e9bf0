/**
 * The common part of the charts. Observable Plot draws them into SVG when the page is built, so the
 * page carries no chart library. Colours are variables of the page's style sheet, so that the
 * charts follow its theme. The `title` of a mark is shown when the pointer is on it.
 */
/// <reference lib="dom" />
import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import { h, type VNode } from "preact";
import { type Child, Commands, Facts, Marks } from "./markup.tsx";
import type { Marked } from "./report_data.ts";

/** The document that Plot draws into; nothing of the page is made with it. */
const { document } = parseHTML("<!doctype html><html><head></head><body></body></html>");

export const color = (name: string) => `var(--${name})`;

/** The widths of a drawing: for large screens and for phones; the style sheet shows one of them. */
const WIDE = 960;
const NARROW = 320;

/** A drawing narrower than this is made for phones. */
export const isNarrow = (width: number) => width < 600;

export interface PlotProps extends Plot.PlotOptions {
  width: number;
  height: number;
  /** A description for those who don't see it. */
  label: string;
  /** Attributes of the drawing, worked out from its scales. */
  attributes?: (scale: Plot.Plot["scale"]) => Record<string, string>;
}

/**
 * An SVG of Plot, without its own style element, which the page's policy would refuse; `client/styles.css`
 * has the same rules.
 */
export function PlotSvg({ label, attributes = () => ({}), ...options }: PlotProps) {
  const margins = { marginLeft: 44, marginBottom: 40, marginTop: 28 };
  const drawn = Plot.plot({ document, ariaLabel: label, ...margins, ...options });
  drawn.querySelector("style")?.remove();
  return convertToMarkup(drawn, {
    class: "plot",
    role: "img",
    ...attributes((drawn as Element & Plot.Plot).scale),
  });
}

/** A drawn element as the page's renderer takes it, which escapes its texts and attributes. */
function convertToMarkup(element: Element, changes: Record<string, string> = {}): VNode {
  const attributes = Object.fromEntries(
    // Plot labels groups "dot", "rule" …, but an image is read by its own label alone.
    [...element.attributes].map((
      { name, value },
    ) => [element.localName === "g" && name === "aria-label" ? "data-mark" : name, value]),
  );
  const children = [...element.childNodes].map((child) =>
    child.nodeType === 1 ? convertToMarkup(child as Element) : child.textContent
  );
  return h(element.localName, { ...attributes, ...changes }, ...children);
}

/** A dashed line at a figure to compare with. */
export const dashed = { stroke: "currentColor", strokeDasharray: "4 3" };

/** A row of a dot plot: a value and how far it may be off to both sides. */
export interface DotRow {
  name: string;
  /** The name of its colour. */
  tone: string;
  value: number;
  spread: number;
  title: string;
  isHollow?: boolean;
  /** Written next to it. */
  text?: string;
}

export interface DotPlotProps extends Omit<PlotProps, "marks" | "height" | "x" | "y"> {
  rows: DotRow[];
  rowHeight: number;
  x: Plot.ScaleOptions;
  /** The display form of a name. */
  shorten?: (name: string) => string;
  /** A vertical line. */
  aim?: { value: number; title: string };
}

/** Values of named rows on one axis, with bars for their spread. */
export function DotPlot({ rows, rowHeight, x, shorten, aim, ...options }: DotPlotProps) {
  const low = ({ value, spread }: DotRow) => value - spread;
  const high = ({ value, spread }: DotRow) => value + spread;
  const stroke = ({ tone }: DotRow) => color(tone);
  const ticks = isNarrow(options.width) ? 4 : 8;
  return (
    <PlotSvg
      {...options}
      height={63 + rowHeight * rows.length}
      marginTop={8}
      x={{ grid: true, nice: true, ticks, ...x }}
      y={{ label: null, domain: rows.map(({ name }) => name), tickSize: 0, tickFormat: shorten }}
      marks={[
        aim && Plot.ruleX([aim.value], { ...dashed, title: () => aim.title }),
        Plot.ruleY(rows, {
          y: "name",
          x1: low,
          x2: high,
          stroke,
          strokeWidth: 3,
          strokeOpacity: 0.5,
        }),
        Plot.dot(rows, {
          y: "name",
          x: "value",
          r: 5,
          stroke,
          strokeWidth: 2,
          fill: ({ tone, isHollow }: DotRow) => color(isHollow ? "surface" : tone),
          title: "title",
        }),
        Plot.text(rows.filter(({ text }) => text), {
          y: "name",
          x: high,
          text: "text",
          textAnchor: "start",
          dx: 12,
          fontWeight: "bold",
        }),
      ]}
    />
  );
}

/** A drawing for wide and one for narrow screens. */
export function BothWidths({ draw }: { draw: (width: number) => Child }) {
  return (
    <>
      <div class="wide">{draw(WIDE)}</div>
      <div class="narrow">{draw(NARROW)}</div>
    </>
  );
}

export interface SwitchedProps {
  id: string;
  label: string;
  views: { label: string; content: Child }[];
}

/** Drawings of which one is seen, chosen with radio buttons; that needs no script. */
export function Switched({ id, label, views }: SwitchedProps) {
  return (
    <div class="switched">
      <fieldset class="choices">
        <legend>{label}</legend>
        <div>
          {views.map((view, i) => (
            <label>
              <input type="radio" name={id} value={i} checked={i === 0} />
              <span>{view.label}</span>
            </label>
          ))}
        </div>
      </fieldset>
      {views.map(({ content }, i) => <div class={`view view-${i + 1}`}>{content}</div>)}
    </div>
  );
}

export interface FigureProps {
  id: string;
  /** The key of its signs: `Key` and `SymbolKey`. */
  legend: Child;
  /** A description of what it shows, and of how many samples. */
  shows: Child;
  /** A description of what it does not show. */
  not: Child;
  commands: string[];
  /** Notes on figures that are stale or of other weights. */
  marks: Marked[];
  children: Child;
}

/** A chart with its legend and, below it, what it says and what it does not. */
export function Figure({ id, legend, shows, not, commands, marks, children }: FigureProps) {
  const notes: [Child, Child][] = [
    ["Shows", shows],
    ["Does not show", not],
    ["Made by", <Commands of={commands} />],
  ];
  return (
    <figure class="chart" id={id}>
      <ul class="legend">{legend}</ul>
      {children}
      <figcaption>
        <Facts of={notes} />
        <Marks of={marks} />
      </figcaption>
    </figure>
  );
}

/** An entry of a legend with a sign of the style sheet: a line, a box, a ring. */
export function Key({ of, shape, children }: { of: string; shape: string; children: Child }) {
  return (
    <li>
      <span class={`key ${shape} ${of}`} aria-hidden="true" />
      {children}
    </li>
  );
}

/** The signs by which charts tell samplers apart; colour alone would not do. */
const SYMBOLS = ["circle", "square", "triangle", "diamond", "star", "cross", "wye"] as const;

/** A symbol in a colour, filled; hollow once all symbols are taken. */
export function chooseSymbol(index: number, colour: string) {
  const isHollow = index % (2 * SYMBOLS.length) >= SYMBOLS.length;
  const paint = isHollow ? { fill: color("surface"), stroke: colour } : { fill: colour };
  return { symbol: SYMBOLS[index % SYMBOLS.length], ...paint };
}

/** An entry of a legend with one of the symbols. */
export function SymbolKey({ of, index, label }: { of: string; index: number; label: string }) {
  const sign = Plot.plot({
    document,
    width: 16,
    height: 16,
    margin: 0,
    axis: null,
    x: { domain: [0, 2] },
    y: { domain: [0, 2] },
    marks: [Plot.dot([1], { x: 1, y: 1, r: 5, ...chooseSymbol(index, color(of)) })],
  });
  sign.querySelector("style")?.remove();
  return (
    <li>
      {convertToMarkup(sign, { class: "sign", "aria-hidden": "true" })}
      {label}
    </li>
  );
}

/**
 * At most `count` points, each the mean of its neighbours: thousands of steps would only make the
 * page heavy.
 */
export function thin(points: number[][], count: number): number[][] {
  const size = Math.ceil(points.length / count);
  if (size <= 1) return points;
  return Array.from({ length: Math.ceil(points.length / size) }, (_, i) => {
    const group = points.slice(i * size, (i + 1) * size);
    return group[0].map((_, column) =>
      group.reduce((sum, point) => sum + point[column], 0) / group.length
    );
  });
}
