/** The page before its script runs: what it is, and where the script puts the rest. */
import { renderToString } from "preact-render-to-string";
import { DataScript } from "../report/markup.tsx";
import type { PageFacts } from "./facts.ts";

/** Only files next to the page are loaded, and nothing in it runs. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "worker-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

/** The whole document. Addresses are relative, so it works below any path. */
export function renderShell(facts: PageFacts, { hasReport }: { hasReport: boolean }): string {
  const html = renderToString(
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="Content-Security-Policy" content={POLICY} />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>Learn and write: tiny-diffusion in TypeScript</title>
        <link rel="stylesheet" href="page.css" />
        <script type="module" src="page.js" />
      </head>
      <body>
        <header>
          <h1>
            Learn and write <span>tiny-diffusion</span>
          </h1>
          {hasReport && (
            <p class="fine">
              <a href="../">Back to the report</a>
            </p>
          )}
          <p class="lead">
            Give it a text, and watch two small language models learn it in this browser: a GPT,
            which writes from left to right, and a diffusion model, which starts from masks and
            fills them in any order. Nothing is installed, and nothing is sent anywhere.
          </p>
        </header>
        <main id="main">
          <div id="app">
            <noscript>The models need JavaScript.</noscript>
          </div>
        </main>
        <footer>
          <p>
            Trained with the same code, seeds and files as <code>deno task train-gpt</code> and{" "}
            <code>deno task train-diffusion</code>.
          </p>
        </footer>
        <DataScript id="facts" value={facts} />
      </body>
    </html>,
  );
  return `<!doctype html>\n${html}\n`;
}
