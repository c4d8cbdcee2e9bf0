/**
 * The engine `onnx` over onnxruntime-web, in Chromium: the suite of engines on WebAssembly and on
 * WebGPU (in software), and the first steps of the quickstart's runs, in losses and in speed, next
 * to native onnx.
 *
 *     deno task --cwd checks browser-engine
 *     LONG=yes TEXT=data/tinyshakespeare.txt deno task --cwd checks browser-engine
 *
 * With LONG=yes it trains 50 steps everywhere; on WebGPU in software that alone takes half an hour.
 */
import { assert, assertEquals } from "@std/assert";
import type { Browser, Page } from "playwright-core";
import { fileHandler } from "../../tasks/page/server.ts";
import {
  ofProject,
  openPage,
  outputOf,
  projectScript,
  testInChromium,
} from "./testing/in_browser.ts";
import { type Made, startInDeno } from "./testing/in_deno.ts";

const isLong = Deno.env.get("LONG") === "yes";
/** Any text in English will do; the project's own is always there. */
const text = ofProject(Deno.env.get("TEXT") ?? "docs/lab-log.md");

const site = await Deno.makeTempDir();
Deno.test.afterAll(() => Deno.remove(site, { recursive: true }));
let written: Promise<string> | undefined;

/** A page with a worker that runs `checks/engines/browser/worker.ts`. */
async function openWorker(browser: Browser, variables = "") {
  await (written ??= outputOf(projectScript("checks/engines/browser/write_site.ts", site, ".")));
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, fileHandler(site));
  const url = `http://127.0.0.1:${server.addr.port}/`;
  const { page } = await openPage(browser, url, { isOwn: (asked) => asked.startsWith(url) });
  await page.evaluate((variables) => {
    const worker = new Worker(`worker.js?${variables}`, { type: "module" });
    Object.assign(globalThis, { worker });
  }, variables);
  return {
    page,
    url,
    async [Symbol.asyncDispose]() {
      await page.context().close();
      await server.shutdown();
    },
  };
}

/** Asks the worker. */
// deno-lint-ignore no-explicit-any -- its types would bring the whole project into this config
async function ask(page: Page, request: Record<string, unknown>): Promise<any> {
  const { result, error } = await page.evaluate((request) => {
    const { worker } = globalThis as unknown as { worker: Worker };
    return new Promise<{ result?: unknown; error?: string }>((resolve) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = ({ message }) => resolve({ error: message || "the worker does not load" });
      worker.postMessage(request);
    });
  }, request);
  if (error !== undefined) throw new Error(error);
  return result;
}

const devices = [
  { device: "wasm", flags: [], threads: 2, variables: "" },
  {
    device: "webgpu",
    flags: ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"],
    threads: 1,
    variables: isLong ? "" : "STEPS=2", // a step takes a second in software
  },
];
for (const { device, flags, threads, variables } of devices) {
  testInChromium(`onnx:${device} passes the suite of engines in Chromium`, async (browser, t) => {
    await using opened = await openWorker(browser, variables);
    const { page } = opened;
    const started = await ask(page, { type: "start", device, threads: 2 });
    assertEquals(started.threads, threads);
    assert(started.names.length > 20, `${started.names.length} cases`);
    for (const name of started.names) {
      await t.step(name, () => ask(page, { type: "case", name }));
    }
  }, flags);
}

/**
 * Most by which a loss may differ from native onnx's. Both compute in float32, in another order, and
 * training may move the two apart; 5.7e-6 was the most seen in 50 steps of the GPT.
 */
const LOSS_APART = 1e-4;

for (const kind of ["gpt", "diffusion"]) {
  for (const threads of isLong ? [1, 2] : [1]) {
    const name =
      `a ${kind} of preset quickstart has native onnx's losses in Chromium and the bits ` +
      `of onnxruntime-web in Deno, ${threads} thread${threads > 1 ? "s" : ""}`;
    testInChromium(name, async (browser) => {
      await using opened = await openWorker(browser);
      const { page, url } = opened;
      await ask(page, { type: "start", device: "wasm", threads });
      const run = { kind, preset: "quickstart", text: await Deno.readTextFile(text) };
      const chars = await ask(page, { type: "run", run });
      const args = [kind, "quickstart", text, String(threads)];
      await using native = startInDeno(...args);
      await using web = startInDeno(...args.with(3, "1"), url);
      assertEquals(await native.readLine(), chars);
      assertEquals(await web.readLine(), chars);
      const rounds: { ours: Made; theirs: Made }[] = [];
      for (let step = 0; step < (isLong ? 50 : 5); step++) { // in turn, as machines are not steady
        const ours: Made = await ask(page, { type: "steps", count: 1 });
        rounds.push({ ours, theirs: await native.makeSteps(1) });
        if (threads === 1) assertEquals(ours.losses, (await web.makeSteps(1)).losses);
      }
      const apart = rounds.map(({ ours, theirs }) => Math.abs(ours.losses[0] - theirs.losses[0]));
      const first = apart.findIndex((difference) => difference > LOSS_APART);
      const rate = (pick: (round: { ours: Made; theirs: Made }) => Made) => {
        const ms = rounds.slice(2).map((round) => pick(round).ms).toSorted((a, b) => a - b);
        return 1000 * chars / ms[ms.length >> 1]; // the first two steps prepare what others use
      };
      const [ourRate, theirRate] = [rate(({ ours }) => ours), rate(({ theirs }) => theirs)];
      console.log(
        `${kind}, threads ${threads}: ${Math.round(ourRate)} characters a second, native onnx ` +
          `${Math.round(theirRate)}, ratio ${(ourRate / theirRate).toFixed(2)}; losses of ` +
          `${apart.length} steps are at most ${Math.max(...apart)} apart` +
          (first === -1 ? "" : `, the first beyond ${LOSS_APART} is that of step ${first + 1}`),
      );
      assertEquals(first, -1);
    });
  }
}
