/**
 * The page in a real browser. These tests have a config and a lock of their own, so that nobody
 * else fetches a browser driver:
 *
 *     deno task --cwd checks browser
 *
 * Without Chromium they are skipped, and say so. With SCREENSHOTS=FOLDER pictures of the page at
 * three widths and in both themes are kept there.
 */
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { join, toFileUrl } from "@std/path";
import type { BrowserContextOptions, Page } from "playwright-core";
import { countTabStops, findViolations } from "./testing/accessibility.ts";
import { measureContrast } from "./testing/contrast.ts";
import {
  openAll,
  openPage,
  outputOf,
  projectScript,
  testInChromium,
} from "./testing/in_browser.ts";

const HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> \"'`&amp;<!--\n" +
  "\u202eright to left\u202c שלום 😀\u2028\0\x1b\r\n\t</style><svg onload=alert(3)>";

interface Written {
  folder: string;
  url: string;
}

/** Pages by the text that their models wrote; made when first needed. */
const written = new Map<string | undefined, Promise<Written>>();

Deno.test.afterAll(async () => {
  for (const page of written.values()) {
    await Deno.remove((await page).folder, { recursive: true });
  }
});

/** Results, and the page of them. */
async function writePage(text: string | undefined): Promise<Written> {
  const folder = await Deno.makeTempDir();
  const texts = text === undefined ? [] : [JSON.stringify(text)];
  await outputOf(projectScript("tasks/testing/example_results.ts", folder, folder, ...texts));
  await outputOf(projectScript("tasks/report.ts", folder, "--no-model"));
  return { folder, url: toFileUrl(join(folder, "reports/index.html")).href };
}

function pageOf(text?: string): Promise<Written> {
  if (!written.has(text)) written.set(text, writePage(text));
  return written.get(text)!;
}

// deno-lint-ignore no-explicit-any -- it is what the tests hold the page against
async function resultOf({ folder }: Written, name: string): Promise<any> {
  return JSON.parse(await Deno.readTextFile(`${folder}/reports/results/${name}.json`));
}

/**
 * A test with the page open, which fails on anything in the console, any dialog and any request
 * beyond the file itself.
 */
function testPage(
  name: string,
  body: (page: Page, written: Written) => Promise<void>,
  { text, ...options }: BrowserContextOptions & { text?: string } = {},
): void {
  testInChromium(name, async (browser) => {
    const written = await pageOf(text);
    await using opened = await openPage(browser, written.url, {
      viewport: { width: 1000, height: 900 },
      isOwn: (asked) => asked.split("#")[0] === written.url,
      ...options,
    });
    await body(opened.page, written);
    assertEquals(opened.complaints, []);
  });
}

const MODELS = ["gpt", "diffusion"] as const;
const stageText = (page: Page, model: string) =>
  page.locator(`#stage-${model}`).evaluate((stage) => stage.textContent);
const passes = async (page: Page, model: string) =>
  Number(/pass (\d+)/.exec((await page.locator(`#stage-${model}-progress`).textContent())!)?.[1]);

/**
 * The text after so many steps, worked out from the result: masks, or nothing where a GPT has not
 * written yet.
 */
// deno-lint-ignore no-explicit-any
function textAfter(sample: any, step: number, blank: string): string {
  const characters = [...sample.text];
  for (const { changes } of sample.steps) for (const [at] of changes) characters[at] = blank;
  for (const { changes } of sample.steps.slice(0, step)) {
    for (const [at, character] of changes) characters[at] = character || blank;
  }
  return characters.join("");
}

/** Steps of a sample up to and including a pass; one that only masks again takes none of its own. */
// deno-lint-ignore no-explicit-any
const stepsUntil = (sample: any, pass: number): number =>
  sample.steps.filter(({ forwards }: { forwards: number }) => forwards <= pass).length;

testPage(
  "The race starts from the prompt and masks, and ends with the text of the sample",
  async (page, written) => {
    await page.click("#to-start");
    assertEquals([await passes(page, "gpt"), await passes(page, "diffusion")], [0, 0]);
    for (const model of MODELS) {
      const { samples: [sample] } = await resultOf(written, `sample-${model}`);
      const blank = model === "gpt" ? "" : "█";
      assertEquals(await stageText(page, model), textAfter(sample, 0, blank));
      assert((await stageText(page, model))!.startsWith("MIRANDA:\n" + blank));
    }
    await page.click("#to-end");
    for (const model of MODELS) {
      const { samples: [sample] } = await resultOf(written, `sample-${model}`);
      assertEquals(await stageText(page, model), sample.text);
    }
  },
);

testPage(
  "The race shows after each pass exactly what the steps so far have fixed and masked again",
  async (page, written) => {
    const { samples: [sample] } = await resultOf(written, "sample-diffusion");
    await page.click("#to-start");
    let again = 0;
    for (let pass = 0; pass < 60; pass++) {
      const step = stepsUntil(sample, pass);
      assertEquals(
        await stageText(page, "diffusion"),
        textAfter(sample, step, "█"),
        `pass ${pass}`,
      );
      const changed = sample.steps.slice(pass === 0 ? 0 : stepsUntil(sample, pass - 1), step)
        .flatMap(({ changes }: { changes: [number][] }) => changes.map(([at]) => at));
      const marked = await page.locator("#stage-diffusion .new").count();
      assertEquals(marked, new Set(changed).size, `pass ${pass}`);
      const masked = new Set<number>();
      for (const { changes } of sample.steps.slice(0, step)) {
        for (const [at, character] of changes) {
          if (character === "") masked.add(at);
          else masked.delete(at);
        }
      }
      assertEquals(await page.locator("#stage-diffusion .remasked").count(), masked.size);
      again = Math.max(again, masked.size);
      await page.click("#step-forward");
    }
    assert(again > 0, "some character should have been masked again");
    await page.click("#step-back");
    assertEquals(await passes(page, "diffusion"), 59);
  },
);

testPage(
  "Play, pause, speed and the scrubber work, and playing ends with the whole text",
  async (page, written) => {
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
    for (const model of MODELS) {
      const { samples: [{ text }] } = await resultOf(written, `sample-${model}`);
      assertEquals(await stageText(page, model), text);
    }
  },
);

testPage(
  "With the clock in seconds each model is as far as its own clock says",
  async (page, written) => {
    await page.selectOption("#pace", "time");
    await page.locator("#scrubber").fill("0.5");
    for (const model of MODELS) {
      const { samples: [{ steps }] } = await resultOf(written, `sample-${model}`);
      const done = steps.filter(({ seconds }: { seconds: number }) => seconds <= 0.5).length;
      assert(done > 10 && done < steps.length, "the moment should lie within the sample");
      assertEquals(await passes(page, model), steps[done - 1].forwards, model);
    }
    const share = () =>
      page.locator("#scrubber").evaluate((input) =>
        Number((input as HTMLInputElement).value) / Number((input as HTMLInputElement).max)
      );
    const before = await share();
    await page.selectOption("#pace", "passes");
    assertAlmostEquals(await share(), before, 0.001, "the place is kept, to a pass in 704");
  },
);

testPage(
  "Another sample can be chosen, and it is that one that is replayed",
  async (page, written) => {
    const { samples } = await resultOf(written, "sample-diffusion");
    const labels = await page.locator("#stage-diffusion-choice option").allTextContents();
    assertEquals(labels.map((label) => /seed \d+/.exec(label)![0]), ["seed 7", "seed 8"]);
    await page.locator("#scrubber").fill("50");
    assertEquals(
      await stageText(page, "diffusion"),
      textAfter(samples[0], stepsUntil(samples[0], 50), "█"),
    );
    await page.locator("#stage-diffusion-choice").selectOption({ label: labels[1] });
    // the new sample may be longer or shorter than the old: the place on the clock is kept as a
    // share
    const pass = await passes(page, "diffusion");
    const [first, second] = samples.map((sample: { steps: unknown[] }) =>
      textAfter(sample, stepsUntil(sample, pass), "█")
    );
    assertEquals(await stageText(page, "diffusion"), second);
    assert(first !== second);
  },
);

testPage(
  "Characters are coloured by the step that fixed them, by how sure the model was, or not at all",
  async (page, written) => {
    const { samples: [sample] } = await resultOf(written, "sample-diffusion");
    await page.click("#to-end");
    const looks = () =>
      page.locator("#stage-diffusion span").evaluateAll((cells) =>
        cells.map((cell) => /\b([sc])(\d)\b/.exec(cell.className)?.[0] ?? "")
      );
    const byStep = await looks();
    const steps = new Map<number, number>();
    const confidences = new Map<number, number>();
    // deno-lint-ignore no-explicit-any
    sample.steps.forEach(({ changes }: any, i: number) => {
      for (const [at, , confidence] of changes) {
        steps.set(at, i);
        confidences.set(at, confidence);
      }
    });
    const first = Math.min(...steps.keys()); // of the first block, 39 characters
    const block = [...steps].filter(([at]) => at < first + 39).sort((a, b) => a[1] - b[1]);
    const levels = block.map(([at]) => Number(byStep[at].slice(1)));
    assertEquals(levels, levels.toSorted(), "later steps have higher levels");
    assertEquals([levels[0], levels.at(-1)], [0, 5]);

    await page.selectOption("#tint", "confidence");
    const bySureness = await looks();
    for (const [at, confidence] of confidences) {
      const whole = Math.round(100 * confidence) / 100; // as the page holds it
      const expected = [0.5, 0.8, 0.95, 0.99].filter((limit) => whole >= limit).length;
      assertEquals(bySureness[at], `c${expected}`, `${confidence} at ${at}`);
    }
    await page.selectOption("#tint", "none");
    assertEquals(new Set(await looks()), new Set([""]));
  },
);

testPage(
  "Block borders stand where the blocks begin, and pointing at a character tells its pass",
  async (page, written) => {
    const { samples: [{ steps }] } = await resultOf(written, "sample-diffusion");
    await page.click("#to-end");
    const edges = await page.locator("#stage-diffusion span").evaluateAll((cells) =>
      cells.flatMap((cell, i) => cell.classList.contains("edge") ? [i] : [])
    );
    assert(edges.length > 5, `${edges.length} borders`);
    // deno-lint-ignore no-explicit-any
    const reached = steps.map(({ changes }: any) => changes[0][0]);
    for (const edge of edges) {
      const begins = reached.findIndex((at: number) => at >= edge);
      assert(reached.slice(begins).every((at: number) => at >= edge), `no way back over ${edge}`);
    }
    // deno-lint-ignore no-explicit-any
    const lastTo = steps.findLastIndex(({ changes }: any) => changes.some(([at]: any) => at === 9));
    // deno-lint-ignore no-explicit-any
    const [, , confidence] = steps[lastTo].changes.find(([at]: any) => at === 9);
    await page.locator("#stage-diffusion span").nth(9).hover();
    assertEquals(
      await page.locator("#stage-diffusion-probe").textContent(),
      `“W”: fixed in pass ${steps[lastTo].forwards}, ${Math.round(100 * confidence)} % sure`,
    );
  },
);

testPage("The race can be driven from the keyboard alone", async (page) => {
  const reached = new Set<string>();
  for (let i = 0; i < 20; i++) {
    await page.keyboard.press("Tab");
    reached.add(await page.evaluate(() => document.activeElement!.id));
  }
  for (
    const id of [
      ...["theme", "to-start", "step-back", "play", "step-forward", "to-end", "scrubber", "pace"],
      ...["speed", "tint", "stage-gpt-choice", "stage-gpt", "stage-diffusion-choice"],
      "stage-diffusion",
    ]
  ) assert(reached.has(id), `Tab does not reach ${id}`);

  await page.locator("#stage-diffusion").focus();
  await page.keyboard.press("Home");
  assertEquals(await passes(page, "diffusion"), 0);
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowLeft");
  assertEquals(await passes(page, "diffusion"), 1);
  const status = (await page.locator("#race-status").textContent())!;
  assert(/GPT: pass 1 of 704 .*; Diffusion: pass 1 of /.test(status), status);
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

testPage(
  "Charts can be switched and read from the keyboard, and name what the pointer is at",
  async (page, { folder }) => {
    const visibleAxis = () => page.locator("#loss-chart .plot:visible").getAttribute("data-axis");
    assertEquals(await visibleAxis(), "0");
    await page.locator("#loss-chart input").first().focus();
    await page.keyboard.press("ArrowRight");
    assertEquals(await visibleAxis(), "1");

    const log = (await Deno.readTextFile(`${folder}/reports/runs/gpt-small.jsonl`)).trim()
      .split("\n").map((line) => JSON.parse(line));
    const validation = log.filter(({ kind }) => kind === "validation");
    await page.locator("#loss-chart .plot:visible").focus();
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowRight");
    const probe = (await page.locator("#loss-probe").textContent())!;
    assert(probe.startsWith(`step ${validation[1].step}, `), probe);
    assert(probe.includes(`GPT, validation ${validation[1].bpc.toFixed(3)}`), probe);
    const box = (await page.locator("#loss-chart .plot:visible").boundingBox())!;
    await page.mouse.move(box.x + box.width - 21, box.y + box.height / 2); // the right end
    const end = (await page.locator("#loss-probe").textContent())!;
    assert(end.includes(`GPT, validation ${validation.at(-1)!.bpc.toFixed(3)}`), end);

    await page.locator("#bits-chart-64 .plot:visible circle").first().hover();
    assertEquals(
      await page.locator(".tip").textContent(),
      "Kneser-Ney, order 6: 2.233 ± 0.019 (95 %)",
    );
    await page.mouse.move(0, 0);
    assertEquals(await page.locator(".tip").isVisible(), false);

    await page.locator("#cost-chart input").nth(1).check({ force: true });
    const label = await page.locator("#cost-chart .plot:visible").first().getAttribute(
      "aria-label",
    );
    assert(label!.includes("seconds per 1,000 characters"), label!);
  },
);

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
}, { reducedMotion: "reduce" });

testPage(
  "Texts full of markup stay texts, and are replayed to the last character",
  async (page, written) => {
    for (const button of ["#to-end", "#to-start", "#to-end"]) {
      await page.click(button);
      if (button === "#to-start") continue;
      for (const model of MODELS) {
        const { samples: [{ text }] } = await resultOf(written, `sample-${model}`);
        assert(text.endsWith(HOSTILE));
        assertEquals(await stageText(page, model), text);
      }
    }
    assertEquals(await page.locator("img, script:not([type])").count(), 0);
    assertEquals(await page.locator("script").count(), 4); // two with data, two of the page
  },
  { text: HOSTILE },
);

testPage("The browser shows the figures that the results hold", async (page, written) => {
  const shown = await page.locator("data").evaluateAll((cells) =>
    cells.map((cell) => [(cell as HTMLDataElement).value, cell.textContent] as const)
  );
  const values = new Map(shown);
  const expect = (value: number, text: string) => assertEquals(values.get(String(value)), text);
  for (const model of MODELS) {
    const { rows, baselines, comparisons } = await resultOf(written, `evaluation-${model}`);
    for (const { bpc, nats } of [...rows, ...baselines]) {
      expect(bpc ?? nats, (bpc ?? nats).toFixed(3));
    }
    for (const { difference } of comparisons) expect(difference, `+${difference.toFixed(3)}`);
    const quality = await resultOf(written, `quality-${model}`);
    for (const { figures, source } of quality.rows) {
      if (source !== model) continue; // the reference texts are those of one of the two results
      for (const [name, spread] of Object.entries<{ mean: number } | null>(figures)) {
        if (spread === null) continue;
        const shares = { real_words: 1, found_30: 2, found_50: 2 } as Record<string, number>;
        const digits = shares[name];
        expect(
          spread.mean,
          digits
            ? (100 * spread.mean).toFixed(digits)
            : spread.mean.toFixed(name === "longest_match" ? 1 : 3),
        );
      }
    }
  }
});

testPage("Copy puts the whole command on the clipboard", async (page) => {
  const button = page.locator("#training .copy").first();
  await button.click();
  assertEquals(
    await page.evaluate(() => navigator.clipboard.readText()),
    "deno task train-gpt --preset small",
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

testPage("Without scripts the page is whole, and has no dead controls", async (page, written) => {
  for (const model of MODELS) {
    const { samples: [{ text }] } = await resultOf(written, `sample-${model}`);
    assertEquals(await page.locator(`#stage-${model}`).innerText(), text);
  }
  const dead = "button:visible, select:visible, input:not([type=radio]):visible";
  assertEquals(await page.locator(dead).count(), 0);
  // one of each large chart; six small ones for cost and for temperature, as no GPT has judged
  assertEquals(await page.locator("svg.plot:visible").count(), 5 + 6 + 6);
  await page.locator("#loss-chart .choices label").nth(2).click();
  assertEquals(await page.locator("#loss-chart .plot:visible").getAttribute("data-axis"), "2");
}, { javaScriptEnabled: false });

testInChromium(
  "With 20 samples the page is below 1 MB, and ready in less than a second",
  async (browser) => {
    const { folder, url } = await writePage(undefined);
    try {
      for (const model of MODELS) {
        const result = await resultOf({ folder, url }, `sample-${model}`);
        for (let n = 1; n < 5; n++) {
          Object.assign(result.settings, { seed: n });
          await Deno.writeTextFile(
            `${folder}/reports/results/${model}-${n}.json`,
            JSON.stringify(result),
          );
        }
      }
      await outputOf(projectScript("tasks/report.ts", folder, "--no-model"));
      const { size } = await Deno.stat(new URL(url));
      assert(size < 1_000_000, `${size} bytes`);
      const page = await browser.newPage();
      const times: number[] = [];
      for (let n = 0; n < 3; n++) { // the best of three: the machine may be busy with other things
        await page.goto(url);
        const options = await page.locator(".lane-head option").count();
        assertEquals(options, 20);
        times.push(
          await page.evaluate(() => {
            const [navigation] = performance.getEntriesByType("navigation");
            // the scripts have run by then, and all controls work
            return (navigation as PerformanceNavigationTiming).domContentLoadedEventEnd;
          }),
        );
      }
      console.log(
        `ready after ${times.map((time) => time.toFixed(0)).join(", ")} ms, ${size} bytes`,
      );
      assert(Math.min(...times) < 1000, `${times} ms`);
      await page.close();
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);

for (const width of [360, 1000, 2000]) {
  for (const colorScheme of ["light", "dark"] as const) {
    testPage(`Nothing sticks out of a page ${width} pixels wide, ${colorScheme}`, async (page) => {
      const screenshots = Deno.env.get("SCREENSHOTS");
      if (screenshots) {
        await Deno.mkdir(screenshots, { recursive: true });
        await page.screenshot({
          path: `${screenshots}/${width}-${colorScheme}.png`,
          fullPage: true,
        });
      }
      await openAll(page);
      assertEquals(await page.evaluate(() => document.documentElement.scrollWidth), width);
      const targets = await page.locator("button:visible, select:visible, .choices span:visible")
        .evaluateAll((all) =>
          all.map((element) => {
            const { width, height } = element.getBoundingClientRect();
            return [element.id || element.className, Math.min(width, height)] as const;
          })
        );
      // WCAG 2.2, 2.5.8: targets of at least 24 by 24 CSS pixels
      assertEquals(targets.filter(([, side]) => side < 24), []);
    }, { viewport: { width, height: width < 500 ? 800 : 1000 }, colorScheme });
  }
}

testPage(
  "axe-core finds nothing, and about 100 presses of Tab lead through the page",
  async (page) => {
    assertEquals(await findViolations(page), []);
    const stops = await countTabStops(page);
    assert(stops > 20 && stops <= 100, `${stops} tab stops`);
    await openAll(page);
    assertEquals(await findViolations(page), []);
  },
);

testInChromium(
  "Of many results the page shows the newest first, within about 100 presses of Tab",
  async (browser) => {
    const { folder, url } = await writePage(undefined);
    try {
      const results = `${folder}/reports/results`;
      for (const { name } of [...Deno.readDirSync(results)]) {
        const result = JSON.parse(await Deno.readTextFile(`${results}/${name}`));
        for (let n = 1; n < 15; n++) {
          const { provenance } = result;
          provenance.weightsSha256 = String(n).padStart(64, "0");
          provenance.weights = `weights/${n}.safetensors`;
          provenance.command += ` --seed ${n}`;
          for (const row of result.rows ?? []) row.weights = `${n}`;
          await Deno.writeTextFile(`${results}/${n}-${name}`, JSON.stringify(result));
        }
      }
      await outputOf(projectScript("tasks/report.ts", folder, "--no-model"));
      await using opened = await openPage(browser, url, { isOwn: () => true });
      assertEquals(await findViolations(opened.page), []);
      const stops = await countTabStops(opened.page);
      assert(stops <= 100, `${stops} tab stops`);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);

for (const colorScheme of ["light", "dark"] as const) {
  testPage(
    `Every text has the contrast that WCAG AA asks for in the ${colorScheme} theme`,
    async (page) => {
      await openAll(page);
      for (const tint of ["step", "confidence"]) {
        await page.selectOption("#tint", tint);
        for (const step of ["40", "10000"]) { // masks and fresh characters; every tint
          await page.locator("#scrubber").fill(step);
          const { poor, seen } = await page.evaluate(measureContrast);
          assertEquals(poor, []);
          assert(seen > 400, `only ${seen} texts were measured`);
        }
      }
    },
    { colorScheme },
  );
}
