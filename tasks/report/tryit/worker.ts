/**
 * Runs the model, in a worker of the page, so that the page stays alive while onnxruntime computes.
 * On the GPU where the browser has WebGPU, else on the CPU, by WebAssembly, with threads where the
 * server allows it (cross-origin isolation).
 */
import { yieldToEventLoop } from "../../../core/event_loop.ts";
import { makeTokenizer } from "../../../core/data/tokenizer.ts";
import type { Device, FromWorker, ModelFacts, ToWorker } from "./messages.ts";
import { type ExportedNetwork, exportedNetwork, type RunOnce } from "./network.ts";
import { begin, type Request } from "./writing.ts";

/** The little of onnxruntime-web's interface that is used here. */
interface Onnxruntime {
  env: { wasm: { wasmPaths?: { wasm: string }; numThreads?: number } };
  InferenceSession: {
    create(model: Uint8Array, options: object): Promise<{
      run(feeds: Record<string, object>): Promise<Record<string, { data: Float32Array }>>;
    }>;
  };
  Tensor: new (type: "int32", data: Int32Array, dims: number[]) => object;
}

/** The worker's own end of the channel to the page. */
const page = globalThis as unknown as {
  postMessage(message: FromWorker): void;
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
};
const tell = (message: FromWorker) => page.postMessage(message);

declare const crossOriginIsolated: boolean; // not among Deno's types

let model: { network: ExportedNetwork; facts: ModelFacts } | undefined;
let stopping = false;

/** Stopped before the text began. */
class Stopped extends Error {}

page.onmessage = async ({ data: message }) => {
  if (message.type === "stop") {
    stopping = true;
    return;
  }
  const fatal = message.type === "load";
  try {
    if (message.type === "load") await load(message.facts, message.device);
    else await write(message.request);
  } catch (error) {
    if (error instanceof Stopped) tell({ type: "cancelled" });
    else tell({ type: "failed", message: inOneLine(error), fatal });
  }
};

async function load(facts: ModelFacts, wanted?: Device): Promise<void> {
  const start = performance.now();
  const bytes = await download("model.onnx", facts.modelBytes);
  const { run, device } = wanted === "webgpu" || wanted !== "wasm" && await hasGpu()
    ? await onGpu(bytes, facts).catch((error) => {
      if (wanted === "webgpu") throw error;
      return onCpu(bytes, facts); // a GPU that does not do
    })
    : await onCpu(bytes, facts);
  await run(new Int32Array(facts.context)); // the first pass prepares what the others use
  const vocab = facts.vocabulary.length;
  model = { network: exportedNetwork({ context: facts.context, vocab }, run), facts };
  tell({ type: "ready", device, seconds: (performance.now() - start) / 1000 });
}

async function write(request: Request): Promise<void> {
  if (!model) throw new Error("internal: no model is loaded");
  const { network, facts: { vocabulary } } = model, before = network.forwards;
  const tokens = makeTokenizer("diffusion", vocabulary);
  const begun = performance.now();
  const sinceBegun = () => ({
    forwards: network.forwards - before,
    seconds: (performance.now() - begun) / 1000,
  });
  stopping = false;
  let choosing = true;
  const { start, steps } = await begin(
    {
      ...network,
      async logits(window, from) {
        const logits = await network.logits(window, from);
        if (choosing) tell({ type: "choosing", ...sinceBegun() });
        await yieldToEventLoop(0); // lets a "stop" in
        if (choosing && stopping) throw new Stopped();
        return logits;
      },
    },
    tokens,
    request,
  );
  choosing = false;
  const text = [...start];
  tell({ type: "started", start, forwards: sinceBegun().forwards });
  let stopped = false;
  for await (const changes of steps) {
    for (const [position, character] of changes) text[position] = character;
    tell({ type: "step", changes, ...sinceBegun() });
    stopped = stopping;
    if (stopped) break;
  }
  tell({ type: "finished", stopped, text: text.join(""), ...sinceBegun() });
}

/** Whether the browser has a GPU to give, and not a program that plays one. */
async function hasGpu(): Promise<boolean> {
  try {
    const adapter = await navigator.gpu?.requestAdapter();
    return adapter != null && !adapter.info.isFallbackAdapter;
  } catch {
    return false;
  }
}

async function onGpu(bytes: Uint8Array, facts: ModelFacts) {
  const run = await runner("webgpu", "ort-wasm-simd-threaded.asyncify.wasm", bytes, facts);
  return { run, device: "WebGPU" };
}

async function onCpu(bytes: Uint8Array, facts: ModelFacts) {
  // One thread a core is too many: most computers count each twice.
  const threads = crossOriginIsolated
    ? Math.max(1, Math.min(8, Math.ceil(navigator.hardwareConcurrency / 2)))
    : 1;
  const run = await runner("wasm", "ort-wasm-simd-threaded.wasm", bytes, facts, threads);
  return { run, device: `WebAssembly, ${threads} thread${threads === 1 ? "" : "s"}` };
}

async function runner(
  device: Device,
  wasm: string,
  bytes: Uint8Array,
  { context }: ModelFacts,
  numThreads = 1,
): Promise<RunOnce> {
  const ort: Onnxruntime = await import(beside(`ort.${device}.mjs`));
  ort.env.wasm.wasmPaths = { wasm: beside(wasm) };
  ort.env.wasm.numThreads = numThreads;
  const session = await ort.InferenceSession.create(bytes, {
    executionProviders: [device],
    graphOptimizationLevel: "all",
    logSeverityLevel: 3, // errors only
  });
  return async (tokens) => {
    const feeds = { "in/tokens": new ort.Tensor("int32", tokens, [1, context]) };
    return (await session.run(feeds))["out/logits"].data;
  };
}

/** The bytes of a file beside this one; says how far it is. */
async function download(name: string, total: number): Promise<Uint8Array> {
  const response = await fetch(beside(name));
  if (!response.ok || !response.body) {
    throw new Error(
      `Cannot load the model: the answer for ${name} is ${response.status}; ` +
        "run deno task report again",
    );
  }
  const bytes = new Uint8Array(total);
  let at = 0;
  const reader = response.body.getReader(); // Safari's streams can't be iterated
  for (;;) {
    const { value: chunk } = await reader.read();
    if (!chunk) break;
    if (at + chunk.length > total) throw new Error(differentModel(at + chunk.length, total));
    bytes.set(chunk, at);
    at += chunk.length;
    tell({ type: "loading", bytes: at, total });
  }
  if (at !== total) throw new Error(differentModel(at, total));
  return bytes;
}

const differentModel = (found: number, expected: number) =>
  `Cannot load the model: its file has ${found} bytes, expected ${expected}; run deno task report again`;

const beside = (name: string) => new URL(name, import.meta.url).href;

function inOneLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.trim().replace(/\s*\n\s*/g, " ");
}
