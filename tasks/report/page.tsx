/**
 * Puts the page together: one HTML file that needs nothing else. Its policy lets run only the
 * scripts and the style in it (by hash), and lets it load nothing from anywhere.
 */
import { htmlDocument } from "./document.tsx";
import { DataScript, type Part } from "./markup.tsx";
import type { ReportData } from "./report_data.ts";
import { bitsPerCharacter } from "./sections/bits.tsx";
import { decoders } from "./sections/decoders.tsx";
import { fiveChanges, readChanges } from "./sections/five_changes.tsx";
import { Glance } from "./sections/glance.tsx";
import { training } from "./sections/loss.tsx";
import { maskShare } from "./sections/mask_share.tsx";
import { Notes } from "./sections/notes.tsx";
import { provenance } from "./sections/provenance.tsx";
import { quality } from "./sections/quality.tsx";
import { makeRace, raceSection } from "./sections/race.tsx";
import { samples } from "./sections/samples.tsx";

/** The whole page. `tryIt` is the section that leads to the page with the model. */
export async function buildPage(data: ReportData, { tryIt = null }: { tryIt?: Part } = {}) {
  const [style, ...scripts] = await Promise.all(
    ["styles.css", "page.js", "race.js"].map((name) =>
      Deno.readTextFile(new URL(`client/${name}`, import.meta.url))
    ),
  );
  const race = makeRace(data);
  const opening = raceSection(race);
  const sections = [
    fiveChanges(await readChanges()),
    tryIt,
    bitsPerCharacter(data),
    maskShare(data),
    decoders(data),
    training(data),
    ...quality(data),
    samples(data),
    provenance(data),
  ].filter((section) => section !== null);

  return await htmlDocument(
    { title: "A GPT and a diffusion model, side by side", style, scripts },
    <>
      <a class="skip" href="#main">Skip to the content</a>
      <Header />
      <main id="main">
        {opening}
        <Glance {...data} />
        {/* with nothing to see, what to type comes first */}
        {opening === null && <Notes {...data} />}
        <nav aria-label="Parts of this page">
          <ul>
            {sections.map(({ props: { id, title } }) => (
              <li>
                <a href={`#${id}`}>{title}</a>
              </li>
            ))}
          </ul>
        </nav>
        {sections}
        {opening !== null && <Notes {...data} />}
      </main>
      <footer>
        <p>
          Made by <code>deno task report</code>{" "}
          from the results of the other tasks. This file works without a network.
        </p>
      </footer>
      {opening && <DataScript id="race-data" value={{ replays: race.replays }} />}
    </>,
  );
}

function Header() {
  return (
    <header>
      <div class="title">
        <h1>
          tiny-diffusion <span>in TypeScript</span>
        </h1>
        <button type="button" id="theme" hidden>Theme: system</button>
      </div>
      <p class="lead">
        A GPT writes from left to right; a diffusion model starts from masks and uncovers several
        characters at a time, anywhere.
      </p>
    </header>
  );
}
