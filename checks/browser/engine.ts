/**
 * The suite of engines in Chromium, on onnxruntime-web: WebAssembly, and WebGPU in software.
 *
 *     deno task --cwd checks browser-engine
 */
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import type { Browser, Page } from "playwright-core";
import { fileHandler } from "../../tasks/report/tryit/server.ts";
import { openPage, outputOf, projectScript, testInChromium } from "./testing/in_browser.ts";

const site = await Deno.makeTempDir();
Deno.test.afterAll(() => Deno.remove(site, { recursive: true }));
let written: Promise<string> | undefined;

/** Opens a page with a worker that `ask` asks. */
async function openWorker(browser: Browser) {
  await (written ??= outputOf(projectScript("checks/engines/browser/write_site.ts", site, ".")));
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, fileHandler(site));
  const url = `http://127.0.0.1:${server.addr.port}/`;
  const { page } = await openPage(browser, url, { isOwn: (asked) => asked.startsWith(url) });
  await page.evaluate(() => {
    Object.assign(globalThis, { worker: new Worker("worker.js", { type: "module" }) });
  });
  return {
    page,
    async [Symbol.asyncDispose]() {
      await page.context().close();
      await server.shutdown();
    },
  };
}

/** Sends a request to the worker of `checks/engines/browser/worker.ts`. */
// deno-lint-ignore no-explicit-any -- the types would bring the whole project into this config
async function ask(page: Page, request: Record<string, unknown>): Promise<any> {
  const { result, error } = await page.evaluate((request) => {
    const { worker } = globalThis as unknown as { worker: Worker };
    return new Promise<{ result?: unknown; error?: string }>((resolve) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = ({ message }) => resolve({ error: message });
      worker.postMessage(request);
    });
  }, request);
  if (error !== undefined) throw new Error(error);
  return result;
}

const only = Deno.env.get('CASE');
const inSoftware = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"];

for (const [device, flags] of Object.entries({ wasm: [], webgpu: inSoftware })) {
  testInChromium(`onnx:${device} in Chromium`, async (browser, t) => {
    await using opened = await openWorker(browser);
    const { page } = opened;
    const { names, threads } = await ask(page, { type: "start", device, threads: 2 });
    assertEquals(threads, device === "wasm" ? 2 : 1);
    assert(names.length > 20);
    for (const name of names.filter((n: string) => !only || n.includes(only))) {
      await t.step(name, () => ask(page, { type: "case", name }));
    }
  }, flags);
}
