/**
 * The page in a real browser. These tests have a config and a lock of their own, so that nobody else fetches a browser driver:
 *
 *     deno test -A --config tasks/report/browser/deno.json tasks/report/browser
 *
 * Chromium is found by the variable CHROMIUM or on the PATH; without it they are skipped, and say so.
 */
import { assert, assertEquals } from "@std/assert";
import { type BrowserContextOptions, chromium, type Page } from "playwright-core";

const ROOT = new URL("../../../", import.meta.url);
const HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> \"'`&amp;<!--\n" +
  "\u202eright to left\u202c שלום 😀\u2028\0\x1b\r\n\t</style><svg onload=alert(3)>";

const executablePath = findChromium();
if (!executablePath) {
  console.error("No Chromium on the PATH or in CHROMIUM: the tests of the page are skipped");
}

function findChromium(): string | undefined {
  const names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
  const folders = (Deno.env.get("PATH") ?? "").split(":");
  const candidates = [
    Deno.env.get("CHROMIUM") ?? "",
    ...folders.flatMap((folder) => names.map((name) => `${folder}/${name}`)),
  ];
  return candidates.find((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  });
}

/** Runs a script of the project with the project's own config. */
async function run(script: string, cwd: string, ...args: string[]): Promise<void> {
  const config = new URL("deno.json", ROOT).pathname;
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--config", config, new URL(script, ROOT).pathname, ...args],
    cwd,
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

interface Written {
  folder: string;
  url: string;
  /** The text of each model's first sample. */
  texts: Record<string, string>;
}

/** Results, and the page of them. */
async function writePage(...text: string[]): Promise<Written> {
  const folder = await Deno.makeTempDir();
  await run("tasks/report/example_results.ts", folder, folder, ...text);
  await run("tasks/report.ts", folder);
  const texts: Record<string, string> = {};
  for (const model of ["gpt", "diffusion"]) {
    const path = `${folder}/reports/results/sample-${model}.json`;
    texts[model] = JSON.parse(await Deno.readTextFile(path)).samples[0].text;
  }
  return { folder, url: `file://${folder}/reports/index.html`, texts };
}

/** A test with the page open, which fails on anything in the console, any dialog and any request beyond the file itself. */
function testPage(
  name: string,
  body: (page: Page, written: Written) => Promise<void>,
  { text, ...options }: BrowserContextOptions & { text?: string } = {},
): void {
  Deno.test({
    name,
    ignore: !executablePath,
    // the driver keeps its process and sockets a little longer than the test
    sanitizeOps: false,
    sanitizeResources: false,
    async fn() {
      const written = await writePage(...(text === undefined ? [] : [JSON.stringify(text)]));
      const browser = await chromium.launch({
        executablePath,
        args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"].concat(
          ["--disable-background-networking", "--disable-component-update", "--disable-sync"],
        ),
      });
      try {
        const context = await browser.newContext({
          viewport: { width: 1000, height: 900 },
          ...options,
        });
        const page = await context.newPage();
        const complaints: string[] = [];
        page.on("console", (message) => complaints.push(message.text()));
        page.on("pageerror", (error) => complaints.push(error.message));
        page.on("dialog", (dialog) => {
          complaints.push(dialog.message());
          dialog.dismiss();
        });
        page.on("request", (request) => {
          if (request.url() !== written.url) complaints.push(request.url());
        });
        await page.goto(written.url);
        await body(page, written);
        assertEquals(complaints, []);
      } finally {
        await browser.close();
        await Deno.remove(written.folder, { recursive: true });
      }
    },
  });
}

const stageText = (page: Page, model: string) =>
  page.locator(`#stage-${model}`).evaluate((stage) => stage.textContent);
const passes = async (page: Page, model: string) =>
  Number(/pass (\d+)/.exec((await page.locator(`#stage-${model}-progress`).textContent())!)?.[1]);

testPage(
  "The replay starts from the prompt and masks, and ends with the text of the sample",
  async (page, { texts }) => {
    for (const model of ["diffusion", "gpt"]) {
      assertEquals(
        await stageText(page, model),
        texts[model],
      );
    }
    await page.click("#to-start");
    const prompt = "MIRANDA:\n", hidden = [...texts.diffusion].length - [...prompt].length;
    assertEquals(await stageText(page, "diffusion"), prompt + "█".repeat(hidden));
    assertEquals(await stageText(page, "gpt"), prompt);
    await page.click("#to-end");
    for (const model of ["diffusion", "gpt"]) {
      assertEquals(
        await stageText(page, model),
        texts[model],
      );
    }
  },
);

testPage(
  "The replay shows after each step exactly what the steps so far have fixed",
  async (page, { folder }) => {
    const result = JSON.parse(
      await Deno.readTextFile(`${folder}/reports/results/sample-diffusion.json`),
    );
    const { text, steps } = result.samples[0];
    const expected = [...text];
    for (const { changes } of steps) for (const [position] of changes) expected[position] = "█";
    await page.click("#to-start");
    for (let step = 0; step < 40; step++) {
      assertEquals(await stageText(page, "diffusion"), expected.join(""), `step ${step}`);
      const marked = await page.locator("#stage-diffusion .new").count();
      assertEquals(marked, step === 0 ? 0 : steps[step - 1].changes.length, `new in step ${step}`);
      for (const [position, character] of steps[step].changes) expected[position] = character;
      await page.click("#step-forward");
    }
    await page.click("#step-back");
    assertEquals(await passes(page, "diffusion"), 39);
  },
);

testPage(
  "Play, pause, speed and the scrubber work, and playing ends with the whole text",
  async (page, { texts }) => {
    await page.click("#to-start");
    await page.click("#play");
    assertEquals(await page.locator("#play").getAttribute("aria-label"), "Pause");
    await page.waitForFunction(() =>
      Number((document.querySelector("#scrubber") as HTMLInputElement).value) >= 5
    );
    await page.click("#play");
    const paused = await passes(page, "gpt");
    assert(paused >= 5, `${paused} passes`);
    await page.waitForTimeout(300);
    assertEquals(await passes(page, "gpt"), paused, "paused, it stands still");

    await page.locator("#scrubber").fill("100");
    assertEquals([await passes(page, "gpt"), await passes(page, "diffusion")], [100, 100]);

    await page.selectOption("#speed", "16");
    await page.click("#play");
    await page.waitForFunction(() =>
      document.querySelector("#play")!.getAttribute("aria-label") === "Play"
    );
    for (const model of ["diffusion", "gpt"]) {
      assertEquals(
        await stageText(page, model),
        texts[model],
      );
    }
  },
);

testPage(
  "At the measured pace each model is as far as its own clock says",
  async (page, { folder }) => {
    await page.selectOption("#pace", "time");
    const steps: Record<string, { seconds: number }[]> = {};
    for (const model of ["gpt", "diffusion"]) {
      const path = `${folder}/reports/results/sample-${model}.json`;
      steps[model] = JSON.parse(await Deno.readTextFile(path)).samples[0].steps;
    }
    await page.locator("#scrubber").fill("0.5");
    for (const model of ["gpt", "diffusion"]) {
      const done = steps[model].filter(({ seconds }) => seconds <= 0.5).length;
      assert(done > 10 && done < steps[model].length, "the moment should lie within the sample");
      assertEquals(await passes(page, model), done, model);
    }
    await page.selectOption("#pace", "passes");
    assert(Math.abs(await passes(page, "gpt") - 0.5 / 2.646 * 704) < 2, "the place is kept");
  },
);

testPage("The replay can be driven from the keyboard", async (page) => {
  await page.locator("#stage-diffusion").focus();
  await page.keyboard.press("Home");
  assertEquals(await passes(page, "diffusion"), 0);
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowLeft");
  assertEquals(await passes(page, "diffusion"), 1);
  await page.keyboard.press("Space");
  assertEquals(await page.locator("#play").getAttribute("aria-label"), "Pause");
  await page.keyboard.press("Space");
  assertEquals(await page.locator("#play").getAttribute("aria-label"), "Play");
  await page.keyboard.press("End");
  assertEquals(await passes(page, "gpt"), 704);
  await page.locator("#to-start").focus();
  await page.keyboard.press("Space"); // presses the button that has the focus, and plays nothing
  assertEquals(await passes(page, "gpt"), 0);
  assertEquals(await page.locator("#play").getAttribute("aria-label"), "Play");
});

testPage("With reduced motion the picture changes at most once a second", async (page) => {
  await page.click("#to-start");
  await page.click("#play");
  const changes = await page.evaluate(async () => {
    let count = 0;
    const progress = document.querySelector("#stage-gpt-progress")!;
    new MutationObserver(() => count++).observe(progress, { childList: true });
    await new Promise((resolve) => setTimeout(resolve, 2500));
    return count;
  });
  assert(changes >= 1 && changes <= 3, `${changes} changes in 2.5 seconds`);
  const transition = await page.locator("#stage-gpt span").first().evaluate((cell) =>
    getComputedStyle(cell).transitionDuration
  );
  assertEquals(transition, "0s");
}, { reducedMotion: "reduce" });

testPage(
  "Texts full of markup stay texts, and are replayed to the last character",
  async (page, { texts }) => {
    assertEquals(texts.gpt.endsWith(HOSTILE), true);
    for (const model of ["diffusion", "gpt"]) {
      assertEquals(
        await stageText(page, model),
        texts[model],
      );
    }
    await page.click("#to-start");
    await page.click("#to-end");
    for (const model of ["diffusion", "gpt"]) {
      assertEquals(
        await stageText(page, model),
        texts[model],
      );
    }
    assertEquals(await page.locator("img, script:not([type])").count(), 0);
    assertEquals(await page.locator("script").count(), 2);
  },
  { text: HOSTILE },
);

testPage("The browser shows the figures that the results hold", async (page, { folder }) => {
  const figures = await page.locator("#bits table").first().locator(".figure data").evaluateAll(
    (cells) => cells.map((cell) => [(cell as HTMLDataElement).value, cell.textContent]),
  );
  const expected: [string, string][] = [];
  for (const model of ["gpt", "diffusion"]) {
    const path = `${folder}/reports/results/evaluation-${model}.json`;
    for (const { bpc } of JSON.parse(await Deno.readTextFile(path)).rows) {
      if (bpc !== null) expected.push([String(bpc), bpc.toFixed(3)]);
    }
  }
  assertEquals(figures, expected);
});

testPage("Copy puts the whole command on the clipboard", async (page) => {
  const button = page.locator("#training .copy").first();
  await button.click();
  assertEquals(
    await page.evaluate(() => navigator.clipboard.readText()),
    "deno task train-diffusion --preset small",
  );
  assertEquals(await button.textContent(), "Copied");
}, { permissions: ["clipboard-read", "clipboard-write"] });

testPage("The theme button changes the theme, and the choice outlasts a reload", async (page) => {
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await page.click("#theme");
  assertEquals(await ground(), light);
  await page.click("#theme");
  const dark = await ground();
  assert(dark !== light);
  await page.reload();
  assertEquals(await ground(), dark);
}, { colorScheme: "light" });

testPage("Without scripts the page is whole, and has no dead controls", async (page, { texts }) => {
  assertEquals(await page.locator("#stage-gpt").innerText(), texts.gpt);
  assertEquals(await page.locator("button:visible, select:visible, input:visible").count(), 0);
  assertEquals(await page.locator("svg.plot:visible").count(), 3);
}, { javaScriptEnabled: false });

for (const width of [360, 1000, 2000]) {
  testPage(`Nothing sticks out of a page ${width} pixels wide`, async (page) => {
    for (const details of await page.locator("details").all()) {
      await details.evaluate((element) => (element as HTMLDetailsElement).open = true);
    }
    assertEquals(await page.evaluate(() => document.documentElement.scrollWidth), width);
    const buttons = await page.locator("button:visible, select:visible").evaluateAll((all) =>
      all.map((
        element,
      ) => [element.id || element.className, element.getBoundingClientRect().height])
    );
    // WCAG 2.2, 2.5.8: targets of at least 24 by 24 CSS pixels
    assertEquals(buttons.filter(([, height]) => Number(height) < 24), []);
  }, { viewport: { width, height: 800 } });
}

for (const colorScheme of ["light", "dark"] as const) {
  testPage(
    `Every text has the contrast that WCAG AA asks for in the ${colorScheme} theme`,
    async (page) => {
      await page.locator("#scrubber").fill("30");
      await page.locator("details").evaluateAll((all) =>
        all.forEach((element) => (element as HTMLDetailsElement).open = true)
      );
      await page.waitForTimeout(700); // until the highlights have faded
      const { poor, seen } = await page.evaluate(measureContrast);
      assertEquals(poor, []);
      assert(seen > 100, `only ${seen} texts were measured`);
    },
    { colorScheme },
  );
}

/** Runs in the page: texts whose contrast with what lies behind them is below 4.5, or below 3 if large. */
function measureContrast(): { poor: string[]; seen: number } {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true })!;
  /** Colours painted over each other; any CSS notation and opacity. */
  const paint = (colors: string[]) => {
    context.clearRect(0, 0, 1, 1);
    for (const color of colors) {
      context.fillStyle = color;
      context.fillRect(0, 0, 1, 1);
    }
    return [...context.getImageData(0, 0, 1, 1).data.slice(0, 3)];
  };
  const luminance = (rgb: number[]) => {
    const [r, g, b] = rgb.map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const poor: string[] = [];
  let seen = 0;
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement!;
    const isMask = element.classList.contains("masked"); // a pattern, not a text
    const { visibility } = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    if (!texts.currentNode.textContent!.trim() || isMask || visibility === "hidden") continue;
    if (box.width === 0 || box.height === 0) continue;
    const backgrounds: string[] = [];
    for (let node: Element | null = element; node; node = node.parentElement) {
      backgrounds.unshift(getComputedStyle(node).backgroundColor);
    }
    const style = getComputedStyle(element);
    const color = element instanceof SVGElement ? style.fill : style.color;
    const [light, dark] = [luminance(paint([...backgrounds, color])), luminance(paint(backgrounds))]
      .sort((a, b) => b - a);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const ratio = (light + 0.05) / (dark + 0.05);
    seen++;
    if (ratio < (large ? 3 : 4.5)) {
      poor.push(
        `${ratio.toFixed(2)} ${element.tagName}.${element.className}: ${element.textContent}`,
      );
    }
  }
  return { poor, seen };
}
