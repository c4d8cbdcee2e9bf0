/** Markup of the page as a browser would have it, for tests. */
/// <reference lib="dom" />
import { parseHTML } from "linkedom";
import type { ComponentChildren } from "preact";
import { renderToString } from "preact-render-to-string";

/** The first element of what a part of the page renders to. */
export function rendered(part: ComponentChildren): Element {
  const html = renderToString(part as Parameters<typeof renderToString>[0]);
  return parseHTML(`<!doctype html><html><body>${html}</body></html>`)
    .document.body.firstElementChild!;
}
