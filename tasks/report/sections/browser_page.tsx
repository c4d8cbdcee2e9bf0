/** The section that leads to the page on which the models learn in the browser. */
import { dirname, relative } from "@std/path";
import { megabytes } from "../../shared/text.ts";
import { Command, type Part, Section } from "../markup.tsx";

/** What the section says of the page. */
export interface BrowserPage {
  path: string;
  /** What a browser loads before it can train. */
  startBytes: number;
}

/** @param report Where the report is stored, so that the link finds its way. */
export function browserPageSection(
  page: BrowserPage | undefined,
  report = "reports/index.html",
): Part {
  return (
    <Section id="try-it" title="Try it">
      {page
        ? <Leading {...page} href={relative(dirname(report), page.path).replaceAll("\\", "/")} />
        : (
          <p>
            Both models can learn and write in your browser, on a separate page. This report has
            none yet: <Command text="deno task serve" /> makes it and opens it.
          </p>
        )}
    </Section>
  );
}

function Leading({ startBytes, href }: BrowserPage & { href: string }) {
  return (
    <>
      <p>
        Both models learn and write in your browser, too: give them a text, watch their curves, let
        them race, and look inside. Type <Command text="deno task serve" />{" "}
        to open it; under a server this link leads there: <a href={href}>learn and write</a>.
      </p>
      <p class="fine">
        It loads {megabytes(startBytes)}{" "}
        MB, and the weights that come with the project only when asked for. A page from disk may not
        load such files, so it needs the server; nothing is sent anywhere.
      </p>
    </>
  );
}
