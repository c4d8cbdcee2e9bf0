/**
 * What the charts have in common. They are drawn by Observable Plot into SVG when the page is
 * built: the page carries no chart library. Colours are variables of the page's style sheet, so the
 * charts follow its theme; what a mark says when pointed at is its `title`.
 */
import * as Plot from "@observablehq/plot";
import { type Child, document, h } from "./dom.ts";

export const color = (name: string) => `var(--${name})`;

/**
 * The sides of a drawing: wide ones are for large screens, narrow ones for phones; the style sheet
 * shows one.
 */
export const WIDE = 960, NARROW = 320;

/**
 * An SVG of Plot without its own style element, which the page's policy would refuse; `styles.css`
 * has the same rules.
 */
export function plot(
  width: number,
  height: number,
  label: string,
  options: Plot.PlotOptions,
): Element {
  const margins = { marginLeft: 44, marginBottom: 40, marginTop: 28 };
  const drawn = Plot.plot({ document, width, height, ariaLabel: label, ...margins, ...options });
  drawn.querySelector("style")?.remove();
  drawn.setAttribute("class", "plot");
  drawn.setAttribute("role", "img");
  return drawn;
}

/** Where a chart's values lie on it, for the page's script: domain and range of x, then of y. */
export function scaleOf(drawn: Element): string {
  const { scale } = drawn as Element & Plot.Plot;
  return (["x", "y"] as const).flatMap((axis) => {
    const { domain, range } = scale(axis)!;
    return [...domain!, ...range!];
  }).join(" ");
}

/** A drawing for wide and one for narrow screens. */
export function bothWidths(draw: (width: number) => Element): Child {
  return [
    h("div", { class: "wide" }, draw(WIDE)),
    h("div", { class: "narrow" }, draw(NARROW)),
  ];
}

/** Drawings of which one is seen, chosen with radio buttons; that needs no script. */
export function switched(
  id: string,
  label: string,
  views: { label: string; content: Child }[],
): HTMLElement {
  const choices = views.map((view, i) =>
    h(
      "label",
      {},
      h("input", { type: "radio", name: id, value: i, checked: i === 0 }),
      h("span", {}, view.label),
    )
  );
  return h(
    "div",
    { class: "switched" },
    h("fieldset", { class: "choices" }, h("legend", {}, label), h("div", {}, choices)),
    views.map(({ content }, i) => h("div", { class: `view view-${i + 1}` }, content)),
  );
}

export function figure(id: string, legend: Child[], drawing: Child, notes: Child): HTMLElement {
  return h(
    "figure",
    { class: "chart", id },
    legend.length > 0 ? h("ul", { class: "legend" }, legend) : null,
    drawing,
    notes,
  );
}

/** An entry of a legend with a sign of the style sheet: a line, a box, a ring. */
export function key(name: string, shape: string, label: string): HTMLElement {
  return h("li", {}, h("span", { class: `key ${shape} ${name}`, "aria-hidden": "true" }), label);
}

/** The signs by which charts tell samplers apart; colour alone would not do. */
const SYMBOLS = ["circle", "square", "triangle", "diamond", "star", "cross", "wye"] as const;

/** A symbol in a colour, filled; hollow once all symbols are taken. */
export function symbolOf(index: number, colour: string) {
  const isHollow = index % (2 * SYMBOLS.length) >= SYMBOLS.length;
  return {
    symbol: SYMBOLS[index % SYMBOLS.length],
    ...isHollow ? { fill: "var(--surface)", stroke: colour } : { fill: colour },
  };
}

/** An entry of a legend with one of the symbols. */
export function symbolKey(name: string, index: number, label: string): HTMLElement {
  const sign = plot(16, 16, label, {
    ...{ marginLeft: 0, marginRight: 0, marginTop: 0, marginBottom: 0, axis: null },
    ...{ x: { domain: [0, 2] }, y: { domain: [0, 2] } },
    marks: [Plot.dot([1], { x: 1, y: 1, r: 5, ...symbolOf(index, color(name)) })],
  });
  for (const attribute of ["role", "aria-label"]) sign.removeAttribute(attribute);
  sign.setAttribute("aria-hidden", "true");
  sign.setAttribute("class", "sign");
  return h("li", {}, sign, label);
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
