/**
 * What the sections of the page are made of: sections, marks on what is stale, figures with their
 * notes.
 */
import type { ModelKind } from "../../core/config.ts";
import { type Child, command, h } from "./dom.ts";
import type { Marked } from "./gather.ts";
import { MODEL_NAMES } from "./words.ts";

export function section(id: string, title: string, ...children: Child[]): HTMLElement {
  const heading = `${id}-title`;
  return h(
    "section",
    { id, "aria-labelledby": heading },
    h("h2", { id: heading }, title),
    children,
  );
}

export const modelTag = (model: ModelKind) =>
  h("span", { class: `model ${model}` }, MODEL_NAMES[model]);

/** "stale" and why, and how it differs from what the race shows; or nothing. */
export function marks({ stale, other }: Marked): HTMLElement[] {
  return [
    ...stale.length === 0
      ? []
      : [h("span", { class: "stale" }, h("strong", {}, "stale"), `: ${stale.join("; ")}`)],
    ...other.length === 0 ? [] : [h("span", { class: "other" }, other.join("; "))],
  ];
}

/** What stands under a figure. */
export interface FigureNotes {
  /** What it shows, and of how many samples. */
  shows: Child;
  /** What it does not show. */
  not: Child;
  /** The commands that made it. */
  commands: string[];
  /** What is stale or of other weights among what it shows. */
  marks: Marked[];
}

export function figureNotes({ shows, not, commands, marks: all }: FigureNotes): HTMLElement {
  const merged: Marked = {
    stale: [...new Set(all.flatMap(({ stale }) => stale))],
    other: [...new Set(all.flatMap(({ other }) => other))],
  };
  const row = (name: string, ...content: Child[]) =>
    h("div", {}, h("dt", {}, name), h("dd", {}, content));
  return h(
    "figcaption",
    {},
    h(
      "dl",
      {},
      row("Shows", shows),
      row("Does not show", not),
      row("Made by", [...new Set(commands)].map((text) => command(text))),
    ),
    marks(merged),
  );
}
