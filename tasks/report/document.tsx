/** A page of the report as one HTML file, whose policy lets run only the scripts and the style in it. */
import { renderToString } from "preact-render-to-string";
import type { Child } from "./markup.tsx";

export interface DocumentOptions {
  title: string;
  style: string;
  /** Sources of modules, in the order in which they run, at the end of the body. */
  scripts: string[];
  /** More directives of the Content-Security-Policy. */
  allow?: string[];
}

/** The whole document. It loads nothing from anywhere, and only what is in it runs, by hash. */
export async function htmlDocument(
  { title, style, scripts, allow = [] }: DocumentOptions,
  content: Child,
): Promise<string> {
  const policy = [
    "default-src 'none'",
    `script-src ${(await Promise.all(scripts.map(sourceHash))).join(" ")}`,
    `style-src ${await sourceHash(style)}`,
    ...allow,
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
  const modules = scripts.map((source) => (
    <script type="module" dangerouslySetInnerHTML={{ __html: source }} />
  ));
  const body = makeVisible(renderToString(<>{content}</>)) + renderToString(<>{modules}</>);
  const html = renderToString(
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="Content-Security-Policy" content={policy} />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>{title}</title>
        <style dangerouslySetInnerHTML={{ __html: style }} />
      </head>
      <body dangerouslySetInnerHTML={{ __html: body }} />
    </html>,
  );
  return `<!doctype html>\n${html}\n`;
}

/**
 * `text` with control characters other than newline and tab replaced by their pictures in Unicode
 * (NUL as "␀"), since an HTML parser drops or replaces some of them.
 */
export function makeVisible(text: string): string {
  return text
    // deno-lint-ignore no-control-regex
    .replace(/[\x00-\x08\x0b-\x1f]/g, (c) => String.fromCodePoint(0x2400 + c.charCodeAt(0)))
    .replaceAll("\x7f", "\u2421");
}

async function sourceHash(source: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(source));
  return `'sha256-${new Uint8Array(digest).toBase64()}'`;
}
