/**
 * The few words of HTML that the page is written in. Text only ever enters as text nodes or escaped
 * attributes, so nothing that a model or a corpus says can become markup.
 */
/// <reference lib="dom" />
import { parseHTML } from "linkedom";

export const { document } = parseHTML("<!doctype html><html><head></head><body></body></html>");

export type Child = Node | string | number | null | undefined | Child[];

/**
 * An element. Attributes that are `true` stand alone, `false` ones are left out.
 *
 * Strings are shown with control characters as pictures (NUL as "␀"): an HTML parser drops or
 * replaces some of them.
 */
export function h(
  tag: string,
  attributes: Record<string, string | number | boolean> = {},
  ...children: Child[]
): HTMLElement {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false) continue;
    // linkedom escapes quotes in attributes, but not "&"
    element.setAttribute(name, value === true ? "" : String(value).replaceAll("&", "&amp;"));
  }
  append(element, children);
  return element;
}

function append(element: HTMLElement, children: Child[]): void {
  for (const child of children) {
    if (child === null || child === undefined) continue;
    if (Array.isArray(child)) append(element, child);
    else if (typeof child === "object") element.append(child);
    else element.append(visible(String(child)));
  }
}

/**
 * `text` with control characters other than newline and tab replaced by their pictures in Unicode.
 */
export function visible(text: string): string {
  return text
    // deno-lint-ignore no-control-regex
    .replace(/[\x00-\x08\x0b-\x1f]/g, (c) => String.fromCodePoint(0x2400 + c.charCodeAt(0)))
    .replaceAll("\x7f", "\u2421");
}

/**
 * A script element that holds data for the page's script. JSON needs no angle brackets outside
 * strings, and inside them they are written as escapes, so no text can end the element.
 */
export function dataElement(id: string, value: unknown): HTMLElement {
  const json = JSON.stringify(value).replace(
    /[<>&\u2028\u2029]/g,
    (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"),
  );
  const element = h("script", { type: "application/json", id });
  element.textContent = json;
  return element;
}

/**
 * A number as people read it, with the exact one for machines: `<data value="2.1203">2.12</data>`.
 */
export function number(value: number, digits: number): HTMLElement {
  return h("data", { value }, value.toFixed(digits));
}

/** A command to type, with a button that copies it (the button works where scripts do). */
export function command(text: string): HTMLElement {
  return h(
    "span",
    { class: "command" },
    h("code", {}, text),
    h("button", { type: "button", class: "copy", hidden: true }, "Copy"),
  );
}

/**
 * A table with a caption and a header row, in a box that scrolls sideways where the screen is
 * narrow.
 */
export function table(
  caption: string,
  columns: Child[],
  bodies: HTMLElement[],
  className = "",
): HTMLElement {
  return h(
    "div",
    { class: "scroll", role: "region", tabindex: 0, "aria-label": caption },
    h(
      "table",
      { class: className },
      h("caption", {}, caption),
      h("thead", {}, h("tr", {}, columns.map((column) => h("th", { scope: "col" }, column)))),
      bodies,
    ),
  );
}
