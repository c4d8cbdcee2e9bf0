/**
 * What every page of the report is: a document whose policy lets run only the scripts and the style
 * that are in it.
 */
import { type Child, h } from "./dom.ts";

export interface Sources {
  style: string;
  /** Of modules, in order; they stand at the end of the body. */
  scripts: string[];
}

/**
 * A whole document as HTML. Nothing is loaded from anywhere, and only what is in it runs, by hash.
 *
 * @param options.allow More directives of its Content-Security-Policy.
 */
export async function htmlDocument(
  { title, style, scripts, allow = [] }: Sources & { title: string; allow?: string[] },
  ...body: Child[]
): Promise<string> {
  const policy = [
    "default-src 'none'",
    `script-src ${(await Promise.all(scripts.map(sourceHash))).join(" ")}`,
    `style-src ${await sourceHash(style)}`,
    ...allow,
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
  const html = h(
    "html",
    { lang: "en" },
    h(
      "head",
      {},
      h("meta", { charset: "utf-8" }),
      h("meta", { "http-equiv": "Content-Security-Policy", content: policy }),
      h("meta", { name: "viewport", content: "width=device-width, initial-scale=1" }),
      h("meta", { name: "color-scheme", content: "light dark" }),
      h("title", {}, title),
      withSource(h("style"), style),
    ),
    h(
      "body",
      {},
      body,
      scripts.map((script) => withSource(h("script", { type: "module" }), script)),
    ),
  );
  return `<!doctype html>\n${html.outerHTML}\n`;
}

/** A script or a style with its source as it is, which `h` would make safe to show. */
function withSource(element: HTMLElement, source: string): HTMLElement {
  element.textContent = source;
  return element;
}

async function sourceHash(source: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(source));
  return `'sha256-${new Uint8Array(digest).toBase64()}'`;
}
