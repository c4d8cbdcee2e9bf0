/**
 * How fast the page learns Tiny Shakespeare: both models of preset tiny for a minute, then the two
 * networks of the quickstart to their last step. Prints steps and seconds, the share of real words in
 * what each model then writes, and native onnx's speed.
 *
 *     deno task fetch-data
 *     deno task --cwd checks browser-timing
 *
 * QUICKSTART_SECONDS=60 stops the second one early, and says how long all of it would take. On a
 * machine with other work THREADS=1 is faster than the two threads that the page takes there.
 */
import type { Page } from "playwright-core";
import { collectWords, measureRealWords } from "../../tasks/shared/words.ts";
import { ofProject, testInChromium } from "./testing/in_browser.ts";
import { startInDeno } from "./testing/in_deno.ts";
import { fieldOf, openLearningPage, readSteps, written } from "./testing/learning_page.ts";

const numberOf = (variable: string) => {
  const value = Deno.env.get(variable);
  return value === undefined ? undefined : Number(value);
};
/** Seconds from the click on "Train" on, in which preset tiny learns. */
const TINY_SECONDS = numberOf("TINY_SECONDS") ?? 60;
/** The same of the quickstart's networks. */
const QUICKSTART_SECONDS = numberOf("QUICKSTART_SECONDS") ?? Infinity;
const threads = numberOf("THREADS");
/** Characters that each model writes afterwards: some 250 words. */
const LENGTH = 1500;
/** Steps of native onnx that are timed, after as many that are not. */
const NATIVE_STEPS = 10;

const kinds = ["gpt", "diffusion"] as const;
type Kind = typeof kinds[number];

const text = ofProject("data/tinyshakespeare.txt");

/** Lets a model write, and returns the share of real words. */
async function writeWords(page: Page, kind: Kind, words: ReadonlySet<string>): Promise<number> {
  await page.check(`[name=mode][value=${kind}]`);
  await fieldOf(page, "Characters to write").fill(String(LENGTH));
  await page.click("#write");
  await written(page);
  const stage = page.locator(`#stage-${kind}`);
  return measureRealWords(await stage.evaluate((e) => e.textContent ?? ""), words);
}

/** Prints the real words of what the GPT, the diffusion model and its table alone write. */
async function printWords(page: Page): Promise<void> {
  const words = collectWords(await Deno.readTextFile(text));
  const percent = (share: number) => `${Math.round(100 * share)} %`;
  const gpt = await writeWords(page, "gpt", words);
  const diffusion = await writeWords(page, "diffusion", words);
  await fieldOf(page, "1 = the table only says").fill("0");
  const table = await writeWords(page, "diffusion", words);
  console.log(
    `real words of ${LENGTH} characters: GPT ${percent(gpt)}, diffusion ${percent(diffusion)} ` +
      `(copula), the table alone ${percent(table)}`,
  );
}

/** Stops both models after the steps that they are making. */
async function pause(page: Page): Promise<void> {
  await page.click("#pause");
  await page.locator("#continue").waitFor();
}

testInChromium(`Preset tiny learns for ${TINY_SECONDS} seconds`, async (browser) => {
  await using opened = await openLearningPage(browser, { text, threads });
  const { page } = opened;
  console.log(await page.locator("#engine").innerText());
  await page.click("#train:enabled");
  await page.waitForTimeout(1000 * TINY_SECONDS);
  await pause(page);
  const { gpt, diffusion } = await readSteps(page);
  console.log(`${TINY_SECONDS} s after the click: GPT ${gpt} steps, diffusion ${diffusion}`);
  await printWords(page);
});

testInChromium("The quickstart's networks learn", async (browser) => {
  await using opened = await openLearningPage(browser, { text, threads });
  const { page } = opened;
  const engine = await page.locator("#engine").innerText();
  console.log(engine);
  await page.locator("label", { hasText: "Size" }).locator("select").selectOption("quickstart");
  await page.click("#train:enabled");
  const start = performance.now();
  const readSeconds = () => (performance.now() - start) / 1000;
  const isDone = async (kind: Kind) =>
    await page.locator(`#figures-${kind} h3`, { hasText: "done" }).count() > 0;
  const done = new Set<Kind>();
  for (let minutes = 1; readSeconds() < QUICKSTART_SECONDS;) {
    await page.waitForTimeout(500);
    for (const kind of kinds) {
      if (done.has(kind) || !await isDone(kind)) continue;
      done.add(kind);
      console.log(`the ${kind} is done after ${readSeconds().toFixed(0)} s`);
    }
    if (done.size === kinds.length) break;
    if (readSeconds() < 60 * minutes) continue;
    const { gpt, diffusion } = await readSteps(page);
    console.log(`after ${minutes++} min: GPT ${gpt} steps, diffusion ${diffusion}`);
  }
  const seconds = readSeconds();
  if (done.size < kinds.length) await pause(page);
  const made = await readSteps(page);
  const wanted = await page.locator("#learning progress").evaluateAll((all) =>
    all.reduce((sum, e) => sum + (e as HTMLProgressElement).max, 0)
  );
  const perSecond = (made.gpt + made.diffusion) / seconds;
  console.log(
    `after ${seconds.toFixed(0)} s: GPT ${made.gpt} steps, diffusion ${made.diffusion}, ` +
      `${perSecond.toFixed(2)} steps a second; all ${wanted} take ` +
      `${(wanted / perSecond / 60).toFixed(1)} min`,
  );
  await printWords(page);
  const nativeThreads = /(\d+) thread/.exec(engine)?.[1] ?? "1";
  let nativeSeconds = 0;
  for (const kind of kinds) {
    await using native = startInDeno(kind, "quickstart", text, nativeThreads);
    await native.readLine();
    await native.makeSteps(NATIVE_STEPS);
    const { ms } = await native.makeSteps(NATIVE_STEPS);
    nativeSeconds += made[kind] * ms / 1000 / NATIVE_STEPS;
  }
  console.log(
    `native onnx with as many threads takes ${nativeSeconds.toFixed(1)} s for these steps, ` +
      `without validations and samples: ${(nativeSeconds / seconds).toFixed(2)} of the page's time`,
  );
});
