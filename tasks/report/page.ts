/**
 * Puts the page together: one HTML file that needs nothing else. Its policy lets run only the script and the style that are
 * in it (by hash), and lets it load nothing from anywhere.
 */
import { type Child, dataElement, h } from "./dom.ts";
import type { ReportData } from "./gather.ts";
import * as parts from "./sections.ts";

/** The whole page. */
export async function buildPage(data: ReportData): Promise<string> {
  const style = h("style");
  style.textContent = await readBeside("styles.css");
  const script = h("script", { type: "module" });
  script.textContent = await readBeside("browser.js");
  const policy = [
    "default-src 'none'",
    `script-src ${await sourceHash(script.textContent)}`,
    `style-src ${await sourceHash(style.textContent)}`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");

  const sections = [
    parts.replay(data),
    parts.bitsPerCharacter(data),
    parts.training(data),
    parts.samples(data),
    parts.realWords(data),
    parts.maskShare(data),
    parts.provenance(data),
  ].filter((section) => section !== null);

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
      h("title", {}, "tiny-diffusion in TypeScript: report"),
      style,
    ),
    h(
      "body",
      {},
      h("a", { class: "skip", href: "#main" }, "Skip to the content"),
      header(sections),
      h("main", { id: "main" }, parts.notes(data), sections),
      footer(),
      dataElement("replay-data", parts.replayData(data)),
      script,
    ),
  );
  const glance = parts.glance(data);
  if (glance) html.querySelector("main")!.prepend(glance);
  return `<!doctype html>\n${html.outerHTML}\n`;
}

function header(sections: HTMLElement[]): HTMLElement {
  const links: Child[] = sections.map((section) =>
    h("li", {}, h("a", { href: `#${section.id}` }, section.querySelector("h2")!.textContent))
  );
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
      "Two character-level language models that share one small transformer: a GPT, which writes from left to right, and a masked ",
      "diffusion model, which starts from masks and fills in many characters at once. Both learn from the same text; this page ",
      "compares what they write and how well they predict.",
    ),
    links.length > 0 ? h("nav", { "aria-label": "Parts of this page" }, h("ul", {}, links)) : null,
  );
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
      ". This file works without a network.",
    ),
  );
}

function readBeside(name: string): Promise<string> {
  return Deno.readTextFile(new URL(name, import.meta.url));
}

async function sourceHash(source: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(source));
  return `'sha256-${new Uint8Array(digest).toBase64()}'`;
}
