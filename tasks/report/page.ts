/**
 * Puts the page together: one HTML file that needs nothing else. Its policy lets run only the
 * scripts and the style that are in it (by hash), and lets it load nothing from anywhere.
 */
import { bitsPerCharacter, maskShare } from "./bits.ts";
import { htmlDocument } from "./document.ts";
import { type Child, dataElement, h } from "./dom.ts";
import { fiveChanges, readChanges } from "./five_changes.ts";
import type { ReportData } from "./gather.ts";
import { training } from "./loss.ts";
import { quality } from "./quality_figures.ts";
import { raceOf, raceSection } from "./race.ts";
import * as parts from "./sections.ts";

/** Parts that others make. */
export interface PageExtras {
  /** The model in the page, or how to get it there. */
  tryIt?: HTMLElement;
}

/** The whole page. */
export async function buildPage(data: ReportData, { tryIt }: PageExtras = {}): Promise<string> {
  const [style, ...scripts] = await Promise.all(
    ["styles.css", "page.js", "race.js"].map(readBeside),
  );
  const race = raceOf(data);
  const opening = raceSection(race), notes = parts.notes(data);
  const sections = [
    fiveChanges(await readChanges()),
    tryIt,
    bitsPerCharacter(data),
    maskShare(data),
    training(data),
    ...quality(data),
    parts.samples(data),
    parts.provenance(data),
  ].filter((section) => section !== null && section !== undefined);

  return await htmlDocument(
    { title: "A GPT and a diffusion model, side by side", style, scripts },
    h("a", { class: "skip", href: "#main" }, "Skip to the content"),
    header(),
    h(
      "main",
      { id: "main" },
      opening,
      parts.glance(data),
      opening ? null : notes, // with nothing to see, what to type comes first
      contents(sections),
      sections,
      opening ? notes : null,
    ),
    footer(),
    opening ? dataElement("race-data", { replays: race.replays }) : null,
  );
}

function header(): HTMLElement {
  return h(
    "header",
    {},
    h(
      "div",
      { class: "title" },
      h("h1", {}, "tiny-diffusion ", h("span", {}, "in TypeScript")),
      h("button", { type: "button", id: "theme", hidden: true }, "Theme: system"),
    ),
    h(
      "p",
      { class: "lead" },
      "A GPT writes from left to right; a diffusion model starts from masks and uncovers what it is surest of, anywhere.",
    ),
  );
}

function contents(sections: HTMLElement[]): HTMLElement {
  const links: Child[] = sections.map((section) =>
    h("li", {}, h("a", { href: `#${section.id}` }, section.querySelector("h2")!.textContent))
  );
  return h("nav", { "aria-label": "Parts of this page" }, h("ul", {}, links));
}

function footer(): HTMLElement {
  return h(
    "footer",
    {},
    h(
      "p",
      {},
      "Made by ",
      h("code", {}, "deno task report"),
      " from the results of the other tasks. This file works without a network.",
    ),
  );
}

function readBeside(name: string): Promise<string> {
  return Deno.readTextFile(new URL(name, import.meta.url));
}
