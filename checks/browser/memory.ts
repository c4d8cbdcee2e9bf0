/**
 * Memory while models learn: trains both of preset tiny on the page, and compares the memory of its
 * worker after the garbage was collected, with the heaps of WebAssembly, early and late. Both must
 * stay as they were.
 *
 *     deno task --cwd checks browser-memory
 *     STEPS=200 deno task --cwd checks browser-memory
 */
import { assert, assertLess } from "@std/assert";
import { join } from "@std/path";
import type { CDPSession, Page } from "playwright-core";
import { fileHandler } from "../../tasks/page/server.ts";
import {
  ofProject,
  openPage,
  outputOf,
  projectScript,
  testInChromium,
} from "./testing/in_browser.ts";

/** Steps of both models together, between the two measurements. */
const STEPS = Number(Deno.env.get("STEPS") ?? 2000);
/** Steps before the first one: each model has validated twice, written, and been saved. */
const FIRST = 220;
/** Points of curves and samples may grow the heap of JavaScript by some kilobytes. */
const MOST_GROWTH = { jsBytes: 2_000_000, wasmBytes: 0 };

/** What the messages of the developer tools' protocol to a worker return. */
// deno-lint-ignore no-explicit-any -- the driver has types for pages only
type Answer = any;

/** Connects to a page's worker, for which the driver has no session. */
async function connectToWorker(page: Page): Promise<(method: string, params?: object) => Answer> {
  const session: CDPSession = await page.context().newCDPSession(page);
  const waiting = new Map<number, PromiseWithResolvers<Answer>>();
  const attached = new Promise<string>((resolve) =>
    session.on("Target.attachedToTarget", ({ sessionId, targetInfo }) => {
      if (targetInfo.type === "worker" && /worker\.js/.test(targetInfo.url)) resolve(sessionId);
    })
  );
  session.on("Target.receivedMessageFromTarget", ({ message }) => {
    const { id, result, error } = JSON.parse(message);
    if (error) waiting.get(id)?.reject(new Error(error.message));
    else waiting.get(id)?.resolve(result);
  });
  await session.send("Target.setAutoAttach", {
    autoAttach: true,
    waitForDebuggerOnStart: false,
    flatten: false,
  });
  const sessionId = await attached;
  let last = 0;
  return async (method, params = {}) => {
    const answer = Promise.withResolvers<Answer>();
    waiting.set(++last, answer);
    const message = JSON.stringify({ id: last, method, params });
    await session.send("Target.sendMessageToTarget", { sessionId, message });
    return await answer.promise;
  };
}

/** Measures a worker's memory, after its garbage was collected. */
async function measureMemory(ask: Awaited<ReturnType<typeof connectToWorker>>) {
  await ask("HeapProfiler.collectGarbage");
  const { usedSize } = await ask("Runtime.getHeapUsage");
  const { result: prototype } = await ask("Runtime.evaluate", {
    expression: "WebAssembly.Memory.prototype",
  });
  const { objects } = await ask("Runtime.queryObjects", { prototypeObjectId: prototype.objectId });
  const { result } = await ask("Runtime.callFunctionOn", {
    objectId: objects.objectId,
    functionDeclaration:
      "function () { return this.reduce((n, m) => n + m.buffer.byteLength, 0); }",
    returnByValue: true,
  });
  return { jsBytes: usedSize as number, wasmBytes: result.value as number };
}

testInChromium(`Memory stays as it is over ${STEPS} steps`, async (browser) => {
  const folder = await Deno.makeTempDir();
  await Deno.mkdir(join(folder, "data"));
  await Deno.copyFile(ofProject("docs/lab-log.md"), join(folder, "data/text.txt"));
  const site = join(folder, "site");
  await outputOf(projectScript("tasks/page.ts", folder, "--out", site));
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, fileHandler(site));
  const url = `http://127.0.0.1:${server.addr.port}/`;
  try {
    await using opened = await openPage(browser, `${url}?device=wasm`, {
      isOwn: (asked) => asked.startsWith(url),
    });
    const { page } = opened;
    page.setDefaultTimeout(3_600_000); // on a busy machine
    await page.waitForFunction(() =>
      /^Computes/.test(document.querySelector("#engine")?.textContent ?? "")
    );
    await page.locator("#text button").click();
    await page.locator("#text-facts").waitFor();
    await page.click("#train:enabled");
    const ask = await connectToWorker(page);
    await ask("Runtime.enable");
    /** Waits for so many steps, of both models together. */
    const reach = (steps: number) =>
      page.waitForFunction(
        (steps) => {
          const all = [...document.querySelectorAll<HTMLProgressElement>("#learning progress")];
          return all.reduce((sum, { value }) => sum + value, 0) >= steps;
        },
        steps,
        { polling: 500 },
      );
    await reach(FIRST);
    const before = await measureMemory(ask);
    await reach(FIRST + STEPS);
    const after = await measureMemory(ask);
    const show = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
    for (const heap of ["jsBytes", "wasmBytes"] as const) {
      console.log(`${heap}: ${show(before[heap])} before, ${show(after[heap])} after`);
      assert(before[heap] > 1e6, `${heap}: ${before[heap]}`);
      assertLess(after[heap] - before[heap], MOST_GROWTH[heap] + 1, heap);
    }
  } finally {
    await server.shutdown();
    await Deno.remove(folder, { recursive: true });
  }
});
