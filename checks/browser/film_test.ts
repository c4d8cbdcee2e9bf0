/**
 * A film in a real browser, as a README shows it: what Chromium paints at a step is the frame of
 * that step.
 * See `page_test.ts` for how to run it.
 */
/// <reference lib="dom" />
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { join, toFileUrl } from "@std/path";
import type { BrowserContextOptions, Page } from "playwright-core";
import { ofProject, openPage, outputOf, testInChromium } from "./testing/in_browser.ts";

const HOSTILE = `</text><script>alert(1)</script>&amp;"'<![CDATA[`;

/**
 * The visible characters in order, and the number of masks, at each step of each panel.
 */
type Expected = { text: string; masks: number }[][];

/**
 * Makes a film in a process of the project's own config, which has the libraries that this one
 * lacks.
 */
async function makeFilm(path: string): Promise<Expected> {
  const code = `
    import { animatedSvg } from "${import.meta.resolve("../../tasks/visualize/svg.tsx")}";
    import { startFrames, applyStep } from "${
    import.meta.resolve("../../tasks/visualize/frames.ts")
  }";
    const given = [..."Film: "], text = [...${JSON.stringify(HOSTILE)}, ..." and\\n東京 é."];
    const at = (i) => given.length + i, half = text.length >> 1;
    const step = (changes, i) => ({ changes, forwards: i + 1, seconds: i });
    const blocks = [0, half].map((from, block) => ({
      start: at(from),
      masked: Array.from({ length: block ? text.length - half : half }, (_, i) => i),
    }));
    const order = [...text.keys()].sort((a, b) => (a >= half) - (b >= half) || (a * 7) % 11 - (b * 7) % 11);
    const changes = [];
    for (let i = 0; i < order.length; i += 3) {
      changes.push(order.slice(i, i + 3).map((position) => [at(position), text[position], 1]));
      // what was just fixed is hidden again, and fixed anew
      if (i === 3) {
        changes.push([[at(order[3]), "", 0]]);
        changes.push([[at(order[3]), text[order[3]], 1]]);
      }
    }
    const tracks = [
      {
        title: "Diffusion",
        first: startFrames([...given, ...text.map(() => "")], text.length, blocks),
        steps: changes.map(step),
      },
      {
        title: "GPT",
        first: startFrames(given, text.length),
        steps: text.map((character, i) => step([[at(i), character, 1]], i)),
      },
    ];
    await Deno.writeTextFile(${JSON.stringify(path)}, animatedSvg(tracks, { stepsPerSecond: 20 }));
    const shown = ({ cells }) => ({
      text: cells.map(({ character }) => character.trim()).join(""),
      masks: cells.filter(({ character }) => character === "").length,
    });
    console.log(JSON.stringify(tracks.map(({ first, steps }) => {
      let frame = first;
      return [first, ...steps.map((step) => frame = applyStep(frame, step))].map(shown);
    })));`;
  const args = ["eval", "--config", ofProject("deno.json"), "--frozen", code];
  return JSON.parse(await outputOf(new Deno.Command(Deno.execPath(), { args })));
}

/** A test with a page that shows the film: the file itself, or an `<img>` of it. */
function testFilm(
  name: string,
  test: (page: Page, expected: Expected) => Promise<void>,
  { image = false, flags = [], ...options }: BrowserContextOptions & {
    image?: boolean;
    flags?: string[];
  } = {},
): void {
  testInChromium(name, async (browser) => {
    const folder = await Deno.makeTempDir();
    const url = `${toFileUrl(folder)}/`;
    try {
      const expected = await makeFilm(join(folder, "film.svg"));
      await Deno.writeTextFile(join(folder, "page.html"), `<img src="film.svg" alt="">`);
      const address = new URL(image ? "page.html" : "film.svg", url).href;
      const isOwn = (asked: string) => asked.startsWith(url);
      await using opened = await openPage(browser, address, { isOwn, ...options });
      await test(opened.page, expected);
      assertEquals(opened.complaints, []);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  }, flags);
}

/**
 * Stops the film at a step, and reads what is painted: opacities as computed, places in reading
 * order.
 */
function paintedAt(page: Page, step: number) {
  return page.evaluate((step) => {
    const root = document.documentElement;
    const stepNow = () => Number(getComputedStyle(root).getPropertyValue("--t"));
    const [film] = document.getAnimations();
    if (film) {
      film.pause();
      // the middle of the time for which the step lasts: a second of the first frame, then 20 steps
      // a second
      film.currentTime = step === 0 ? 500 : 1000 + 50 * (step + 0.5);
      if (stepNow() !== step) throw new Error(`the film is at ${stepNow()}, not at ${step}`);
    }
    return [...document.querySelectorAll(".diffusion, .gpt")].map((panel) => {
      const body = panel.lastElementChild!;
      const opacity = (element: Element) => Number(getComputedStyle(element).opacity);
      const characters = [...body.querySelectorAll("text")].filter((text) => opacity(text) > 0.5)
        .flatMap((text) => {
          const xs = text.getAttribute("x")!.split(" ").map(Number),
            y = Number(text.getAttribute("y"));
          const parts = xs.length === 1 ? [text.textContent!] : [...text.textContent!];
          return parts.map((character, i) => ({ character, x: xs[i], y }));
        });
      characters.sort((a, b) => a.y - b.y || a.x - b.x);
      // a mask has the colour of masks; what has just been fixed is highlighted by the same stroke
      const steps = (element: Element) =>
        /--k:\s*(\d+)/.exec(element.closest("[style*='--k']")?.getAttribute("style") ?? "");
      const masks = [...body.querySelectorAll(".cells:not(.flash)")].filter((path) =>
        opacity(path) > 0.5 &&
        (!path.classList.contains("fix") || stepNow() < Number(steps(path)![1]))
      ).reduce((sum, path) => {
        const strokes = path.getAttribute("d")!.matchAll(/M([\d.]+) [\d.]+H([\d.]+)/g);
        return sum +
          [...strokes].reduce((sum, [, from, to]) => sum + (Number(to) - Number(from) + 1) / 8, 0);
      }, 0);
      return { text: characters.map(({ character }) => character).join(""), masks };
    });
  }, step);
}

testFilm(
  "At every step Chromium paints the characters and masks of that frame",
  async (page, expected) => {
    const last = Math.max(...expected.map((frames) => frames.length)) - 1;
    for (let step = 0; step <= last; step++) {
      const frames = expected.map((frames) => frames[Math.min(step, frames.length - 1)]);
      assertEquals(await paintedAt(page, step), frames, `step ${step}`);
    }
  },
);

testFilm(
  "With reduced motion nothing moves, and the finished text is there",
  async (page, expected) => {
    assertEquals(await page.evaluate(() => document.getAnimations().length), 0);
    const finished = expected.map((frames) => frames.at(-1)!);
    assertEquals(await paintedAt(page, 0), finished);
    assertEquals(finished.map(({ masks }) => masks), [0, 0]);
  },
  { reducedMotion: "reduce" },
);

for (
  const [colorScheme, ground] of [["light", "rgb(255, 255, 255)"], [
    "dark",
    "rgb(20, 21, 26)",
  ]] as const
) {
  testFilm(`In the ${colorScheme} theme the ground is ${ground}`, async (page) => {
    const fill = await page.evaluate(() => getComputedStyle(document.querySelector(".page")!).fill);
    assertEquals(fill, ground);
  }, { colorScheme });
}

testFilm("As an image in a page it plays", async (page) => {
  const image = page.locator("img");
  assert(await image.evaluate((element) => (element as HTMLImageElement).naturalWidth > 100));
  const before = await image.screenshot();
  await page.waitForTimeout(2000);
  assertNotEquals(before, await image.screenshot());
}, { image: true });

testFilm("As an image in a page it stands still where motion is reduced", async (page) => {
  const image = page.locator("img");
  const before = await image.screenshot();
  await page.waitForTimeout(2000);
  assertEquals(before, await image.screenshot());
  // what a test emulates does not reach an image in a page, the system's setting does; null:
  // nothing is emulated
}, { image: true, reducedMotion: null, flags: ["--force-prefers-reduced-motion"] });

/** A text with both directions in a line, in each paragraph first letters of one of them. */
const DIRECTIONS = "say שלום עולם 12 ok\nשלום 12 abc, עולם\nکتاب دنیا یکی 1234\nabc جمیل\nend";

testInChromium("Right-to-left text is ordered as in a page", async (browser) => {
  const folder = await Deno.makeTempDir();
  try {
    const path = join(folder, "film.svg");
    const code = `
      import { animatedSvg } from "${import.meta.resolve("../../tasks/visualize/svg.tsx")}";
      import { startFrames } from "${import.meta.resolve("../../tasks/visualize/frames.ts")}";
      const text = [...${JSON.stringify(DIRECTIONS)}];
      const changes = text.map((character, i) => [i, character, 1]);
      const first = startFrames([], text.length);
      const track = { title: "GPT", first, steps: [{ changes, forwards: 1, seconds: 1 }] };
      await Deno.writeTextFile(${
      JSON.stringify(path)
    }, animatedSvg([track], { stepsPerSecond: 20 }));`;
    const args = ["eval", "--config", ofProject("deno.json"), "--frozen", code];
    await outputOf(new Deno.Command(Deno.execPath(), { args }));
    const isOwn = () => true;
    await using opened = await openPage(browser, toFileUrl(path).href, { isOwn });
    const inFilm = await opened.page.evaluate(() =>
      [...document.querySelectorAll<SVGTextElement>(".gpt > :last-child text")].flatMap((text) =>
        [...text.textContent!].map((character, i) => {
          const { x, y } = text.getStartPositionOfChar(i);
          return { character, top: y, left: x };
        })
      )
    );
    const { page } = opened;
    await page.goto("about:blank");
    await page.setContent(`<div style="white-space: pre-wrap; unicode-bidi: plaintext"></div>`);
    const inPage = await page.evaluate((text) => {
      const spans = [...text].map((character) => {
        const span = document.createElement("span");
        span.textContent = character;
        return span;
      });
      document.querySelector("div")!.append(...spans);
      return spans.map((span) => {
        const { left, top } = span.getBoundingClientRect();
        return { character: span.textContent!, top, left };
      });
    }, DIRECTIONS);
    const linesOf = (characters: typeof inFilm) =>
      [...Map.groupBy(characters, ({ top }) => Math.round(top)).values()].map((line) =>
        line.sort((a, b) => a.left - b.left)
          .map(({ character }) => character.normalize("NFKC").trim()).join("")
      );
    assertEquals(linesOf(inFilm), linesOf(inPage));
    assertEquals(linesOf(inFilm)[0], "say12םלועםולשok");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
