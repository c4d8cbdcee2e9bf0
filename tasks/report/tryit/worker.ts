/**
 * Runs the model, in a worker of the page, so that the page stays alive while onnxruntime computes.
 * On the GPU where the browser has WebGPU, else on the CPU, by WebAssembly, with threads where the
 * server allows it (cross-origin isolation).
 */
import { makeTokenizer, type Tokenizer } from "../../../core/data/tokenizer.ts";
import { yieldToEventLoop } from "../../../core/event_loop.ts";
import type { TrainedNetwork } from "../../../core/language_model.ts";
import type { Writing } from "../../../core/sampling/write.ts";
import { UserError } from "../../../engines/errors.ts";
import type { Device, FromWorker, ModelFacts, PageRequest, ToWorker } from "./messages.ts";
import { makeNetwork, type RunOnce, writeRequest } from "./writing.ts";

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

let model: { network: TrainedNetwork; tokenizer: Tokenizer } | undefined;
/** Called after each forward pass. */
let onPass = () => {};
let stopping = new AbortController();

page.onmessage = async ({ data: message }) => {
  if (message.type === "stop") return stopping.abort();
  const fatal = message.type === "load";
  try {
    if (message.type === "load") await load(message.facts, message.device);
    else await write(message.request);
  } catch (error) {
    tell({ type: "failed", message: inOneLine(error), fatal });
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
  const { context, vocabulary } = facts;
  const runAndTell: RunOnce = async (tokens) => {
    const logits = await run(tokens);
    onPass();
    await yieldToEventLoop(0); // lets a "stop" in after every pass
    return logits;
  };
  model = {
    network: makeNetwork(runAndTell, { context, vocab: vocabulary.length }),
    tokenizer: makeTokenizer("diffusion", vocabulary),
  };
  tell({ type: "ready", device, seconds: (performance.now() - start) / 1000 });
}

async function write(request: PageRequest): Promise<void> {
  if (!model) throw new Error("internal: no model is loaded");
  const { network, tokenizer } = model;
  stopping = new AbortController();
  const { signal } = stopping;
  const begun = performance.now();
  const before = network.forwards;
  onPass = () =>
    tell({
      type: "choosing",
      forwards: network.forwards - before,
      seconds: (performance.now() - begun) / 1000,
    });
  let writing: Writing;
  try {
    writing = await writeRequest(network, tokenizer, request, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
    return tell({ type: "cancelled" });
  } finally {
    onPass = () => {};
  }
  const { characters: start, forwards } = writing;
  tell({ type: "started", request, start, forwards });
  let stopped = false;
  try {
    for await (const step of writing) tell({ type: "step", ...step });
  } catch (error) {
    if (!signal.aborted) throw error;
    stopped = true;
  }
  tell({ type: "finished", stopped });
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
  const ort: Onnxruntime = await import(siblingUrl(`ort.${device}.mjs`));
  ort.env.wasm.wasmPaths = { wasm: siblingUrl(wasm) };
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

/** Fetches a file next to this one; reports its progress. */
async function download(name: string, total: number): Promise<Uint8Array> {
  const response = await fetch(siblingUrl(name));
  if (!response.ok || !response.body) {
    throw new UserError({
      action: "load the model",
      found: `the answer for ${name} is ${response.status}`,
      advice: "run deno task report again",
    });
  }
  const bytes = new Uint8Array(total);
  let at = 0;
  const reader = response.body.getReader(); // Safari's streams can't be iterated
  for (;;) {
    const { value: chunk } = await reader.read();
    if (!chunk) break;
    if (at + chunk.length > total) throw differentModel(at + chunk.length, total);
    bytes.set(chunk, at);
    at += chunk.length;
    tell({ type: "loading", bytes: at, total });
  }
  if (at !== total) throw differentModel(at, total);
  return bytes;
}

function differentModel(found: number, expected: number): UserError {
  return new UserError({
    action: "load the model",
    found: `its file has ${found} bytes, expected ${expected}`,
    advice: "run deno task report again",
  });
}

const siblingUrl = (name: string) => new URL(name, import.meta.url).href;

function inOneLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.trim().replace(/\s*\n\s*/g, " ");
}
