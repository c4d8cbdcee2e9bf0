/**
 * The page on which both models learn, in a real browser and from a static host that sets no
 * headers. See `page_test.ts` for how to run it. LEARN_SECONDS=300 lets them learn longer.
 */
import { assert, assertEquals, assertGreater, assertLess, assertMatch } from "@std/assert";
import { join } from "@std/path";
import type { Page } from "playwright-core";
import { findViolations } from "./testing/accessibility.ts";
import { measureContrast } from "./testing/contrast.ts";
import { recordTasks } from "./testing/main_thread.ts";
import {
  ofProject,
  openAll,
  openPage,
  outputOf,
  projectScript,
  testInChromium,
} from "./testing/in_browser.ts";
import { fieldOf, started, stepOf, written } from "./testing/learning_page.ts";

/**
 * Most milliseconds of a task of the main thread while models learn, from where one notices it. Of
 * the processor's time, since by the clock a busy machine makes any task long.
 */
const LONG_TASK_MS = 50;
const LEARN_SECONDS = Number(Deno.env.get("LEARN_SECONDS") ?? 20);

/** A network that shows something at once, and one that is not done after some minutes. */
const SMALL = [["Layers", 1], ["Width", 32], ["Context, characters", 32], [
  "Windows of a step",
  8,
]] as const;
const QUICKSTART = [["Layers", 4], ["Width", 128], ["Context, characters", 64], [
  "Windows of a step",
  24,
]] as const;

/** English of this project, of some 50,000 characters. */
async function writeText(folder: string): Promise<void> {
  const texts = await Promise.all(
    ["README.md", "docs/lab-log.md"].map((name) => Deno.readTextFile(ofProject(name))),
  );
  // Without tables, which n-grams would write without end.
  const prose = texts.join("\n").replaceAll(/^\|.*\n/gm, "");
  await Deno.mkdir(join(folder, "data"));
  await Deno.writeTextFile(join(folder, "data/notes.txt"), prose.slice(0, 50_000));
}

/** A host of static files that sets no header but the type, with the page below a path. */
function serveStatic(folder: string) {
  const types: Record<string, string> = {
    html: "text/html; charset=utf-8",
    js: "text/javascript",
    mjs: "text/javascript",
    css: "text/css",
    wasm: "application/wasm",
  };
  const root = "/some/path/";
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, async (request) => {
    const { pathname } = new URL(request.url);
    const name = decodeURIComponent(pathname).replace(root, "") || "index.html";
    try {
      const body = await Deno.readFile(join(folder, name));
      const type = types[name.split(".").at(-1)!] ?? "application/octet-stream";
      return new Response(body, { headers: { "content-type": type } });
    } catch {
      return new Response("none", { status: 404 });
    }
  });
  return { url: `http://127.0.0.1:${server.addr.port}${root}`, close: () => server.shutdown() };
}

const textOf = (page: Page, selector: string) => page.locator(selector).first().innerText();

/** Bits of a model's validations so far, from the table. */
async function validationsOf(page: Page, name: string): Promise<number[]> {
  const rows = await page.locator("#learning tbody tr").allTextContents();
  return rows.filter((row) => row.startsWith(name)).map((row) => Number(row.slice(-5)));
}

async function setSlider(page: Page, label: string, value: number): Promise<void> {
  await fieldOf(page, `${label}:`).fill(String(value));
}

async function writtenWithoutError(page: Page): Promise<void> {
  await written(page);
  assertEquals(await page.locator("#writing .error").textContent(), "");
}

testInChromium("The page on which models learn", async (browser, t) => {
  const step = async (name: string, body: () => Promise<void>) => {
    if (!await t.step(name, body)) throw new Error(`the steps after "${name}" build on it`);
  };
  const folder = await Deno.makeTempDir();
  await writeText(folder);
  await Deno.writeTextFile(join(folder, "short.txt"), "<b>short</b>");
  const site = join(folder, "site");
  await outputOf(projectScript("tasks/page.ts", folder, "--out", site));
  const host = serveStatic(site);
  try {
    const { origin } = new URL(host.url);
    const opened = await openPage(browser, `${host.url}?device=wasm`, {
      viewport: { width: 1000, height: 900 },
      acceptDownloads: true,
      isOwn: (asked) => asked.startsWith("blob:") || new URL(asked).origin === origin,
    });
    const { page, complaints } = opened;
    page.setDefaultTimeout(Number(Deno.env.get("TIMEOUT") ?? 300_000)); // on a busy machine
    page.removeAllListeners("dialog");
    page.on("dialog", (dialog) => dialog.accept());

    await step("starts in a page that a service worker has isolated, for threads", async () => {
      await started(page);
      assert(await page.evaluate(() => crossOriginIsolated));
      assertMatch(await textOf(page, "#engine"), /^Computes on the CPU \(WebAssembly, \d+ thread/);
    });

    await step("takes a text that comes with it, and refuses what is no text", async () => {
      await page.locator("#text input[type=file]").setInputFiles(join(folder, "short.txt"));
      await page.locator("#text .error:not([hidden])").waitFor();
      assertMatch(await textOf(page, "#text .error"), /^Cannot [^\n]+: the last 10 %/);
      await page.click("#text button");
      await page.locator("#text-facts").waitFor();
      assertMatch(await textOf(page, "#text-facts"), /^notes.txt: (49|50),\d+ characters/);
      assert(await page.locator("#text .error").isHidden());
    });

    await step(
      "trains both models in turn: the curves fall, and both write samples",
      async () => {
        await openAll(page);
        for (
          const [label, value] of [
            ...(LEARN_SECONDS > 60 ? QUICKSTART : SMALL),
            ["Steps of the GPT", 5000],
            ["Steps of the diffusion model", 5000],
          ] as const
        ) await setSlider(page, label, value);
        const endRecording = await recordTasks(page);
        await page.click("#train");
        await page.waitForFunction(() => document.querySelectorAll("#samples .panel").length === 2);
        await page.waitForTimeout(1000 * LEARN_SECONDS);
        for (const name of ["GPT", "Diffusion"]) {
          let bits: number[] = [];
          for (let waits = 0; waits < 120; waits++) { // on a busy machine
            bits = await validationsOf(page, name);
            if (bits.at(-1)! < bits[0] - 0.5) break;
            await page.waitForTimeout(1000);
          }
          assertLess(bits.at(-1)!, bits[0] - 0.5, `${name}: ${bits}`);
        }
        assertMatch(
          await textOf(page, "#learning figcaption"),
          /a table of 6-grams[^\n]+ \d\.\d\d bits/,
        );
        assertEquals(await page.locator("#learning svg .sample title").count() >= 2, true);
        const tasks = await endRecording();
        const late = tasks.filter(({ ms }) => ms > LONG_TASK_MS);
        console.log(
          `the longest of ${tasks.length} tasks of the main thread took ` +
            `${tasks[0].cpuMs.toFixed(1)} ms of the processor; by the clock ${late.length} took ` +
            `more than ${LONG_TASK_MS} ms, the longest ` +
            `${Math.max(...tasks.map(({ ms }) => ms)).toFixed(1)} ms`,
        );
        assertLess(tasks[0].cpuMs, LONG_TASK_MS);
        assert(tasks.length > 100, `only ${tasks.length} tasks were recorded`);
        const shown = await textOf(page, "#samples .panel.diffusion .fine");
        assertMatch(shown, /written with the table of 6-grams, which alone has (9\d|100) %/);
        const isAsked = await page.evaluate(() => {
          const event = new Event("beforeunload", { cancelable: true });
          dispatchEvent(event);
          return event.defaultPrevented;
        });
        assert(isAsked, "leaving while training has to ask first");
      },
    );

    await step("the recording of tasks sees one that is long", async () => {
      let longest = 0;
      // By the clock: a busy machine gives the page a small part of it.
      for (let ms = 2 * LONG_TASK_MS; longest <= LONG_TASK_MS && ms < 30_000; ms *= 2) {
        const endRecording = await recordTasks(page);
        await page.evaluate((ms) => {
          const end = performance.now() + ms;
          while (performance.now() < end);
        }, ms);
        longest = (await endRecording())[0].cpuMs;
      }
      assertGreater(longest, LONG_TASK_MS);
    });

    await step("goes on after a reload where it was", async () => {
      const before = await stepOf(page, "gpt");
      const bits = await validationsOf(page, "GPT");
      await page.reload();
      await started(page);
      await page.locator("#figures-gpt").waitFor();
      const taken = await stepOf(page, "gpt");
      // Some 70 steps a second are taken until the page is left, and from when it is back.
      assert(taken > 0 && taken <= before + 500, `step ${taken} after ${before}`);
      assertEquals((await validationsOf(page, "GPT"))[0], bits[0]);
      await page.waitForFunction(
        (taken) =>
          document.querySelector<HTMLProgressElement>("#figures-gpt progress")!.value > taken,
        taken,
      );
      await page.click("#pause");
      await page.locator("#continue").waitFor();
      const paused = await stepOf(page, "gpt");
      await page.waitForTimeout(1500);
      // a group of steps may have been under way
      assertLess(await stepOf(page, "gpt") - paused, 200);
    });

    await step("lets them race, fill gaps, and write with every sampler", async () => {
      await openAll(page);
      await page.fill("#prompt", "The ");
      await fieldOf(page, "Characters to write").fill("40");
      await page.click("#write");
      await writtenWithoutError(page);
      for (const kind of ["gpt", "diffusion"]) {
        const text = await page.locator(`#stage-${kind}`).innerText();
        assertEquals([...text.replaceAll("\u200b", "")].length, 44, text);
        assert(!text.includes("█"));
      }
      assertMatch(await textOf(page, "#progress-gpt"), /^40 forward passes · 40 of 40/);
      await page.locator("#pass").fill("0");
      assertEquals((await page.locator("#stage-diffusion").innerText()).match(/█/g)!.length, 40);

      await page.check("[name=mode][value=gaps]");
      await page.fill("#template", "The mod__ is {1..3} good");
      const select = page.locator("#writing select", {
        has: page.locator("option[value=entropy]"),
      });
      for (const sampler of await select.locator("option").allTextContents()) {
        await select.selectOption(sampler);
        await page.click("#write");
        await writtenWithoutError(page);
        assertMatch(
          await page.locator("#stage-diffusion").innerText(),
          /^The mod[^█]+good$/s,
          sampler,
        );
      }
    });

    await step(
      "saves weights that deno task sample reads, and writes the same with them",
      async () => {
        await page.check("[name=mode][value=gpt]");
        for (const kind of ["gpt", "diffusion"] as const) {
          const download = page.waitForEvent("download");
          await page.click(`text=Save the ${kind === "gpt" ? "GPT" : "Diffusion"}`);
          const path = join(folder, `${kind}-page.safetensors`);
          await (await download).saveAs(path);
          await page.locator("#weights input").setInputFiles(path);
          await page.locator("#weights .fine", { hasText: `${kind}-page` }).waitFor();
          await page.check(`[name=mode][value=${kind}]`);
          await page.click("#write");
          await writtenWithoutError(page);
          const command = (await page.locator(`#command-${kind}`).textContent())!;
          const [, , , ...flags] = command.split(" ").map((word) => word.replaceAll("'", ""));
          const args = flags.join(" ").replace("--prompt=The ", "")
            .replace("--data=notes.txt", "--data=data/notes.txt").split(" ").filter(Boolean);
          const run = projectScript(
            "tasks/sample.ts",
            folder,
            ...args,
            "--prompt=The ",
            "--engine=onnx",
            "--threads=1",
            "--json",
          );
          const { samples: [{ text }] } = JSON.parse(await outputOf(run));
          assertEquals(
            await page.locator(`#stage-${kind}`).evaluate((e) => e.textContent),
            text,
            command,
          );
        }
      },
    );

    await step("shows the bits of each character, by pointer and by keyboard", async () => {
      await page.fill("#look-text", "The model <b>\nlearns");
      await page.click("#look");
      await page.locator("#coloured-diffusion").waitFor();
      assertEquals(await page.locator("#inside b").count(), 0);
      assertMatch(
        await textOf(page, "#probe"),
        /^Character 1, “T”: GPT: nothing to its left · Diff/,
      );
      await page.locator("#coloured-gpt").focus();
      await page.keyboard.press("ArrowRight");
      assertMatch(await textOf(page, "#probe"), /^Character 2, “h”: GPT \d+\.\d\d bits \(\d/);
      // The GPT tells the second character by the first one alone, the diffusion model by all.
      await page.locator("#coloured-diffusion .bar").first().waitFor();
      const bars = (kind: string) =>
        page.locator(`#coloured-${kind} .bar:not(.bar-0)`).evaluateAll((all) =>
          all.map((span) => Number((span as HTMLElement).dataset.at))
        );
      assertEquals(await bars("gpt"), [0]);
      assert((await bars("diffusion")).length > 3);
      await page.locator("#coloured-gpt span").nth(4).hover();
      assertMatch(await textOf(page, "#probe"), /^Character 5, “m”/);
    });

    await step("passes axe-core, has contrast, and fits into 390 to 1,600 pixels", async () => {
      const screenshots = Deno.env.get("SCREENSHOTS");
      await page.click("#continue");
      await page.locator("#pause").waitFor();
      await page.click("#pause");
      assertEquals(await findViolations(page), []);
      for (const colorScheme of ["light", "dark"] as const) {
        await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
        const { poor, seen } = await page.evaluate(measureContrast);
        assertEquals(poor, [], colorScheme);
        assert(seen > 60, `only ${seen} texts were measured`);
        for (const width of [390, 1000, 1600]) {
          await page.setViewportSize({ width, height: 900 });
          assertEquals(await page.evaluate(() => document.documentElement.scrollWidth), width);
          const small = await page
            .locator("button:visible, select:visible, .button:visible, summary:visible")
            .evaluateAll((all) =>
              all.filter((element) => element.getBoundingClientRect().height < 24)
                .map((element) => element.textContent)
            );
          assertEquals(small, [], `${width}`);
          if (screenshots) {
            const path = join(screenshots, `learn-${colorScheme}-${width}.png`);
            await page.screenshot({ path, fullPage: true });
          }
        }
      }
    });
    assertEquals(complaints, []);
  } finally {
    await host.close();
    await Deno.remove(folder, { recursive: true });
  }
});
