/**
 * The try-it page in a real browser, from `deno task serve`: what it writes has to be what Deno
 * makes of the same file. See `page_test.ts` for how to run it.
 */
import { assert, assertEquals } from "@std/assert";
import { join, toFileUrl } from "@std/path";
import type { Browser, Page } from "playwright-core";
import { countTabStops, findViolations } from "./testing/accessibility.ts";
import { launchChromium } from "./testing/chromium.ts";
import { measureContrast } from "./testing/contrast.ts";
import { openPage, outputOf, projectScript, testInChromium } from "./testing/in_browser.ts";

/** The output of `tasks/testing/tryit_reference.ts`, whose types would bring the whole project into this config. */
interface References {
  references: Reference[];
  vocabulary: string[];
  window: number[];
  logits: number[];
}
interface Reference {
  request: {
    seed: number;
    settings?: { sampler?: string } & Record<string, string | number>;
    prompt?: string;
    length?: number;
    template?: string;
  };
  texts: string[];
  gaps: Record<number, number>[];
}

async function referencesIn(folder: string): Promise<References> {
  const script = projectScript("tasks/testing/tryit_reference.ts", folder, ".");
  return JSON.parse(await outputOf(script));
}

/** A page with the model ready, and everything that it complained about. */
async function openModel(browser: Browser, url: string, device = "wasm") {
  const { origin } = new URL(url);
  const opened = await openPage(browser, `${url}?device=${device}`, {
    viewport: { width: 1000, height: 900 },
    isOwn: (asked) => asked.startsWith("blob:") || new URL(asked).origin === origin,
  });
  opened.page.setDefaultTimeout(120_000); // a software GPU on a busy machine
  await opened.page.waitForFunction(() =>
    !(document.querySelector("#write") as HTMLButtonElement).disabled ||
    !(document.querySelector("#error") as HTMLElement).hidden
  );
  return opened;
}

const textOf = (page: Page, id: string) => page.locator(`#${id}`).evaluate((e) => e.textContent!);

/** Fills the form, writes, and waits for the end. */
async function write(page: Page, { request }: Reference): Promise<void> {
  await page.locator("#settings").evaluate((details) =>
    (details as HTMLDetailsElement).open = true
  );
  const { seed, settings = {} } = request;
  if (request.template !== undefined) {
    await page.check("#mode-template");
    await page.fill("#template", request.template);
  } else {
    await page.check("#mode-prompt");
    await page.fill("#prompt", request.prompt!);
    await page.fill("#length", String(request.length));
  }
  await page.selectOption("#sampler", settings.sampler ?? "entropy"); // sets temperature and top-k
  const usual = { threshold: 0.95, denoisingSteps: 64, entropyBound: 0.3 },
    { sampler: _, ...chosen } = settings;
  for (const [name, value] of Object.entries({ ...usual, ...chosen })) {
    const input = page.locator(`[data-setting="${name}"]`);
    if (await input.isEnabled()) await input.fill(String(value));
  }
  await page.fill("#seed", String(seed));
  await page.click("#write");
  await finished(page);
}

const finished = (page: Page) =>
  page.waitForFunction(() => (document.querySelector("#stop") as HTMLElement).hidden);

/** The text after each pass, by moving the scrubber. */
function textsOn(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const scrubber = document.querySelector("#pass") as HTMLInputElement;
    return Array.from({ length: Number(scrubber.max) + 1 }, (_, pass) => {
      scrubber.value = String(pass);
      scrubber.dispatchEvent(new Event("input"));
      return document.querySelector("#stage")!.textContent!;
    });
  });
}

/** Logits of the exported file in the browser: [context, vocab]. */
async function logitsIn(browser: Browser, url: string, device: string, window: number[]) {
  // A page without a policy, so that this script may load onnxruntime into it.
  const page = await (await browser.newContext({ bypassCSP: true })).newPage();
  await page.goto(new URL("contents.json", url).href);
  return await page.evaluate(async ([device, window]) => {
    const ort = await import(new URL(`ort.${device}.mjs`, location.href).href);
    const name = `ort-wasm-simd-threaded${device === "webgpu" ? ".asyncify" : ""}.wasm`;
    ort.env.wasm.wasmPaths = { wasm: new URL(name, location.href).href };
    const model = await (await fetch("model.onnx")).arrayBuffer();
    const session = await ort.InferenceSession.create(model, { executionProviders: [device] });
    const tokens = new ort.Tensor("int32", Int32Array.from(window), [1, window.length]);
    return [...(await session.run({ "in/tokens": tokens }))["out/logits"].data] as number[];
  }, [device, window] as const);
}

const apart = (a: number[], b: number[]) =>
  a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i])), 0);

/**
 * Most by which logits may differ for the same file: float32 sums of up to 128 terms in another
 * order, over two layers, are off by some 1e-6 of logits of some 10; ten times that for the GPU's
 * own exp and sqrt.
 */
const LOGITS_APART = { wasm: 2e-4, webgpu: 2e-3 };

/**
 * Holds the page's text against Deno's, pass by pass, for every request. Where the kernels' logits
 * differ a little, a choice that stood on the edge can fall the other way, and all later ones with
 * it: then the two largest logits must have been nearly equal at the first place that differs.
 * Returns what differed.
 */
async function compare(
  page: Page,
  references: Reference[],
  most: number,
): Promise<string[]> {
  const notes: string[] = [];
  for (const reference of references) {
    await write(page, reference);
    const found = await textsOn(page), { texts, gaps, request } = reference;
    const pass = texts.findIndex((text, i) => text !== found[i]);
    if (pass === -1) {
      assertEquals(found.length, texts.length);
      continue;
    }
    const [ours, theirs] = [[...found[pass] ?? ""], [...texts[pass]]];
    const position = theirs.findIndex((character, i) => character !== ours[i]);
    const gap = gaps[pass - 1]?.[position] ?? Infinity;
    const note =
      `${JSON.stringify(request)} differs first in pass ${pass}, character ${position}: ` +
      `${JSON.stringify(ours[position])}, in Deno ${JSON.stringify(theirs[position])}; ` +
      `the two largest logits are ${gap} apart there`;
    assert(gap <= most, `${note}, expected at most ${most}`);
    notes.push(note);
  }
  return notes;
}

/** Serves the page while `test` runs; then Ctrl-C has to end the server. */
async function serving(
  folder: string,
  test: (url: string) => Promise<void>,
): Promise<void> {
  const flags = ["--port", "0", "--no-open", "--json"];
  const server = projectScript("tasks/serve.ts", folder, ...flags).spawn();
  try {
    const reader = server.stdout.pipeThrough(new TextDecoderStream()).getReader();
    const { url } = JSON.parse((await reader.read()).value!);
    await test(url);
  } finally {
    server.kill("SIGINT");
    await server.stderr.cancel();
    await server.status;
  }
}

testInChromium("The try-it page", async (browser, t) => {
  const folder = await Deno.makeTempDir();
  const { references, vocabulary, window, logits } = await referencesIn(folder);
  try {
    await serving(folder, async (url) => {
      const { page, complaints } = await openModel(browser, url);

      await t.step("loads the model, in a page that may have threads", async () => {
        assertEquals(await textOf(page, "error"), "");
        assert(
          /^ready after [\d.]+ s · WebAssembly, \d+ threads?$/.test(
            await textOf(page, "progress"),
          ),
        );
        assert(await page.evaluate(() => crossOriginIsolated));
      });

      await t.step("computes the logits that Deno computes from the same file", async () => {
        const difference = apart(await logitsIn(browser, url, "wasm", window), logits);
        console.log(`logits of WebAssembly and of Deno are at most ${difference} apart`);
        assert(difference <= LOGITS_APART.wasm, `${difference}`);
      });

      await t.step("writes pass by pass what Deno writes, with every sampler", async () => {
        const notes = await compare(page, references, 2 * LOGITS_APART.wasm);
        for (const note of notes) console.log(note);
        assert(notes.length < references.length, "nothing was the same");
      });

      await t.step("shows the command that writes the same in a terminal", async () => {
        await write(page, references[4]);
        assertEquals(
          await textOf(page, "command"),
          "deno task sample --weights=weights/diffusion-smoke.safetensors --prompt=Who --length=40 " +
            "--sampler=remask --denoising-steps=64 --remask-cap=0.3 --temperature=0.5 --top-k=9 --seed=5",
        );
      });

      await t.step("refuses the limit itself where a number has to be above it", async () => {
        await page.selectOption("#sampler", "threshold");
        const field = page.locator('[data-setting="threshold"]');
        const fill = async (value: string) => {
          await field.fill(value);
          return await field.evaluate((input) => (input as HTMLInputElement).validationMessage);
        };
        assertEquals(await fill("0"), "Value must be greater than 0");
        assertEquals(await fill("0.95"), "");
      });

      await t.step(
        "names unknown characters and bad templates in one line, and goes on",
        async () => {
          const shown = async () => ({
            text: await textOf(page, "stage"),
            figures: await textOf(page, "progress"),
            command: await textOf(page, "command"),
            pass: await page.locator("#pass").inputValue(),
          });
          const before = await shown();
          const failing = async (mode: "prompt" | "template", text: string) => {
            await page.check(`#mode-${mode}`);
            await page.fill(`#${mode}`, text);
            await page.click("#write");
            await page.locator("#error").waitFor();
            await finished(page);
            // What was written before stays, with the command that made it.
            assertEquals(await shown(), before);
            assert(
              await page.locator("#pass").isEnabled() && await page.locator("#repeat").isVisible(),
            );
            return await textOf(page, "error");
          };
          const known = vocabulary.length - 1;
          assertEquals(
            await failing("prompt", "Où est 東?"),
            `Cannot encode the prompt: "ù" (U+00F9), "東" (U+6771) are not among the ${known} characters of this model; ` +
              "remove them or train on a text that has them",
          );
          assertEquals(
            await failing("template", "<b>\n____"),
            `Cannot encode the template: "<" (U+003C), ">" (U+003E) are not among the ${known} characters of this model; ` +
              "remove them or train on a text that has them",
          );
          const gapless = await failing("template", "To be");
          assert(gapless.startsWith("Cannot fill the template: it has no gap; write"), gapless);
          const long = await failing("template", "To be {3..99}, or");
          assert(long.startsWith("Cannot choose the length of the gap {3..99}:"), long);
          await write(page, references[6]);
          assert(await page.locator("#error").isHidden());
        },
      );

      await t.step(
        "can be used from the keyboard alone, stopped, and looked through",
        async () => {
          await page.check("#mode-prompt");
          await page.selectOption("#pace", "3");
          await page.locator("#prompt").focus();
          await page.keyboard.press("Control+A");
          await page.keyboard.type("Who goes");
          await page.keyboard.press("Tab");
          await page.keyboard.press("Control+A");
          await page.keyboard.type("30");
          await page.keyboard.press("Control+Enter");
          await page.waitForFunction(() =>
            /^[23] forward/.test(document.querySelector("#progress")!.textContent!)
          );
          const shown = await textOf(page, "stage");
          assert(shown.startsWith("Who goes") && shown.includes("█"), shown);
          await page.keyboard.press("Escape");
          await finished(page);
          assert(/^(stopped|finished): \d+ forward passes/.test(await textOf(page, "status")));
          await page.locator("#pass").focus();
          await page.keyboard.press("Home");
          assertEquals(await textOf(page, "stage"), "Who goes" + "█".repeat(30));
          await page.keyboard.press("ArrowRight");
          assertEquals((await textOf(page, "stage")).match(/█/g)!.length < 30, true);
          await page.selectOption("#pace", "0");
        },
      );

      await t.step("can be stopped while it chooses the lengths of gaps", async () => {
        await page.check("#mode-template");
        await page.fill(
          "#template",
          "Who {1..15} there, {1..15} there, {1..15} there, {1..15} there?",
        );
        await page.click("#write");
        await page.waitForFunction(() =>
          document.querySelector("#progress")!.textContent!.startsWith("choosing the lengths")
        );
        await page.click("#stop");
        await finished(page);
        assertEquals(await textOf(page, "progress"), "stopped");
        await write(page, references[6]);
      });

      await t.step(
        "fits into 360, 1,000 and 2,000 pixels, with targets of 24 pixels",
        async () => {
          for (const width of [360, 1000, 2000]) {
            await page.setViewportSize({ width, height: 800 });
            assertEquals(await page.evaluate(() => document.documentElement.scrollWidth), width);
            const small = await page
              .locator("button:visible, select:visible, input:not([type=radio]):visible, summary")
              .evaluateAll((all) =>
                all.filter((element) => element.getBoundingClientRect().height < 24)
                  .map((element) => element.id)
              );
            assertEquals(small, [], `${width}`);
          }
        },
      );

      await t.step("has the contrast that WCAG AA asks for, in both themes", async () => {
        const measure = async () => {
          for (const colorScheme of ["light", "dark"] as const) {
            await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
            const { poor, seen } = await page.evaluate(measureContrast);
            assertEquals(poor, [], colorScheme);
            assert(seen > 40, `only ${seen} texts were measured`);
          }
        };
        await write(page, references[4]);
        await measure(); // every colour
        await page.locator("#pass").fill("20");
        await measure(); // masks, some of them again
        await page.fill("#prompt", "é");
        await page.click("#write");
        await page.locator("#error").waitFor();
        await finished(page);
        await measure();
        await write(page, references[6]);
      });

      await t.step("axe-core finds nothing, and a few presses of Tab lead through", async () => {
        for (const mode of ["prompt", "template"]) {
          await page.check(`#mode-${mode}`);
          assertEquals(await findViolations(page), []);
        }
        const stops = await countTabStops(page);
        assert(stops > 5 && stops < 30, `${stops} tab stops`);
      });

      await t.step("complained about nothing in the console, and asked nobody else", () => {
        assertEquals(complaints, []);
      });

      await t.step("writes the same on the GPU, by WebGPU", async () => {
        // In software, which the page itself would not choose.
        const browser = await launchChromium(
          ...["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"],
          ...["--enable-features=Vulkan"],
        );
        const { page, complaints } = await openModel(browser, url, "webgpu");
        const hasGpu = await page.evaluate(async () =>
          await (navigator as { gpu?: { requestAdapter(): Promise<unknown> } }).gpu
            ?.requestAdapter() != null
        );
        if (!hasGpu) return console.log("skipped: this Chromium has no WebGPU here");
        assert((await textOf(page, "progress")).endsWith(" · WebGPU"));
        const difference = apart(await logitsIn(browser, url, "webgpu", window), logits);
        console.log(`logits of WebGPU and of Deno are at most ${difference} apart`);
        assert(difference <= LOGITS_APART.webgpu, `${difference}`);
        const some = [references[6]]; // short, as software is slow
        for (const note of await compare(page, some, 2 * LOGITS_APART.webgpu)) {
          console.log(note);
        }
        assertEquals(complaints, []);
      });

      await t.step("opened from disk, says in one line that it needs the server", async () => {
        const path = join(folder, "reports/try-it/index.html");
        const { page, complaints } = await openPage(browser, toFileUrl(path).href, {
          isOwn: (asked) => asked.startsWith("file:"),
        });
        assertEquals(
          await textOf(page, "error"),
          "Cannot run the model in a page from disk: browsers want a server for it; run deno task serve",
        );
        assertEquals(complaints, []);
      });
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
