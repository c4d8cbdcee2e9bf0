/**
 * Memory while models learn: trains both of preset tiny on the page, and compares what the page and
 * its worker hold after 200 and after 2,200 steps, once garbage was collected. STEPS=500 takes fewer
 * steps between the two.
 */
import { assertGreater, assertLess } from "@std/assert";
import type { CDPSession } from "playwright-core";
import { ofProject, testInChromium } from "./testing/in_browser.ts";
import { fieldOf, openLearningPage, readSteps } from "./testing/learning_page.ts";

/** Steps of both models together, between the two measurements. */
const STEPS = Number(Deno.env.get("STEPS") ?? 2000);
/** Steps before the first one: each model has validated twice, written a sample, and been saved. */
const FIRST = 220;

/**
 * Bytes that objects and arrays may grow by, each on the page and in the worker: the points of the
 * curves and the samples, which are some 0.2 MB on the page. What a step forgets to free is noticed
 * from 500 bytes on.
 */
const MOST_GROWTH = 1e6;
/**
 * Bytes that WebAssembly's memory may grow by: it grows by a fifth at a time, here from 29 to 35 or
 * 42 MB, and once may happen by chance, as its pieces are freed and taken in another order.
 */
const MOST_WASM_GROWTH = 8e6;

/** Calls a method of the developer tools' protocol in a page or a worker. */
type Ask = (
  method: "HeapProfiler.collectGarbage" | "Runtime.getHeapUsage" | "Runtime.evaluate",
  parameters?: { expression: string },
  // deno-lint-ignore no-explicit-any -- the driver has types for pages only
) => Promise<any>;

/**
 * Connects to a page's worker, for which the driver has no session. `Runtime.queryObjects`, which
 * would find the memories of WebAssembly, gives no answer there while models learn.
 */
async function connectToWorker(session: CDPSession, script: string): Promise<Ask> {
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  const attached = new Promise<string>((resolve) =>
    session.on("Target.attachedToTarget", ({ sessionId, targetInfo }) => {
      if (targetInfo.type === "worker" && targetInfo.url.endsWith(script)) resolve(sessionId);
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
  return async (method, params) => {
    const answer = Promise.withResolvers<unknown>();
    waiting.set(++last, answer);
    const message = JSON.stringify({ id: last, method, params });
    await session.send("Target.sendMessageToTarget", { sessionId, message });
    return await answer.promise;
  };
}

/** Put before the worker's script: counts the memories of WebAssembly that it makes. */
const countMemories = `
const memories = [];
WebAssembly.Memory = class extends WebAssembly.Memory {
  constructor(descriptor) {
    super(descriptor);
    memories.push(this);
  }
};
const countMemory = () => memories.reduce((sum, { buffer }) => sum + buffer.byteLength, 0);
Object.assign(globalThis, { countMemory });
`;

/** Bytes that are held after garbage was collected: objects, arrays of numbers, WebAssembly. */
async function measure(page: Ask, worker: Ask): Promise<Record<string, number>> {
  const heapOf = async (ask: Ask) => {
    await ask("HeapProfiler.collectGarbage");
    const { usedSize, backingStorageSize } = await ask("Runtime.getHeapUsage");
    return { objects: usedSize as number, arrays: backingStorageSize as number };
  };
  const [ofPage, ofWorker] = [await heapOf(page), await heapOf(worker)];
  const { result } = await worker("Runtime.evaluate", { expression: "countMemory()" });
  return {
    "objects of the page": ofPage.objects,
    "arrays of the page": ofPage.arrays,
    "objects of the worker": ofWorker.objects,
    "arrays of the worker": ofWorker.arrays,
    "WebAssembly": result.value,
  };
}

testInChromium(`Memory stays as it is over ${STEPS} steps of learning`, async (browser) => {
  await using opened = await openLearningPage(browser, {
    text: ofProject("docs/lab-log.md"),
    threads: 1, // several would mostly wait for each other on a busy machine
    before: countMemories,
  });
  const { page } = opened;
  for (const model of ["GPT", "diffusion model"]) {
    await fieldOf(page, `Steps of the ${model}`).fill("5000"); // so that none is done before the end
  }
  await page.click("#train:enabled");
  const session = await page.context().newCDPSession(page);
  const ofPage: Ask = (method, parameters) => session.send(method, parameters as undefined);
  const ofWorker = await connectToWorker(session, "/worker.js");
  const measureAfter = async (steps: number) => {
    for (let made = 0; made < steps;) {
      await page.waitForTimeout(200);
      const { gpt, diffusion } = await readSteps(page);
      made = gpt + diffusion;
    }
    return await measure(ofPage, ofWorker);
  };
  const before = await measureAfter(FIRST);
  const after = await measureAfter(FIRST + STEPS);
  const show = (bytes: number) => `${(bytes / 1e6).toFixed(2)} MB`;
  for (const [name, bytes] of Object.entries(before)) {
    console.log(`${name}: ${show(bytes)} before, ${show(after[name])} after`);
    assertGreater(bytes, 0, name);
    const most = name === "WebAssembly" ? MOST_WASM_GROWTH : MOST_GROWTH;
    assertLess(after[name] - bytes, most, name);
  }
});
