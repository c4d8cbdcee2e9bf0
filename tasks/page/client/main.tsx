/** The page: shows what the worker tells, and sends it what the reader asks for. */
import { render } from "preact";
import { useEffect, useMemo, useReducer, useRef } from "preact/hooks";
import type { PageFacts } from "../facts.ts";
import type { FromWorker, ToWorker } from "../messages.ts";
import { CurvesSection } from "./curves.tsx";
import { InsideSection } from "./inside.tsx";
import { isolate } from "./isolate.ts";
import { NetworksSection } from "./networks.tsx";
import { type Act, initialState, type PageState, update } from "./state.ts";
import { TextSection } from "./text.tsx";
import { WritingSection } from "./writing.tsx";

function App({ facts }: { facts: PageFacts }) {
  const [state, hear] = useReducer(updateAll, initialState);
  const act = (act: Act) => hear([act]);
  const worker = useRef<Worker | null>(null);
  useEffect(() => {
    worker.current = startWorker(facts, hear);
  }, []);
  useEffect(() => {
    if (!state.isRunning) return;
    const ask = (event: BeforeUnloadEvent) => event.preventDefault();
    addEventListener("beforeunload", ask);
    return () => removeEventListener("beforeunload", ask);
  }, [state.isRunning]);
  const send = (message: ToWorker) => {
    if (message.type === "train") act({ type: "asked", part: "learning" });
    if (message.type === "text" || message.type === "fetchText") {
      act({ type: "asked", part: "text" });
    }
    worker.current!.postMessage(message);
  };
  const shared = { state, facts, send, act };
  // While models learn, only what shows them changes; the rest is left as it is.
  const { text, device, learners, loaded, errors, staged, isWriting, end, loading } = state;
  const known = Object.keys(learners).join();
  const always = [text, device, loaded, errors, known];
  return (
    <>
      <EngineLine state={state} />
      {useMemo(() => <TextSection {...shared} />, always)}
      <NetworksSection {...shared} />
      {useMemo(() => <CurvesSection {...shared} />, [learners, state.ngram])}
      {useMemo(() => <WritingSection {...shared} />, [...always, staged, isWriting, end, loading])}
      {useMemo(
        () => <InsideSection {...shared} />,
        [...always, state.looked, state.looking, state.attended],
      )}
    </>
  );
}

const updateAll = (state: PageState, messages: (FromWorker | Act)[]) =>
  messages.reduce(update, state);

/** Milliseconds between two changes of what is shown. */
const SHOW_EVERY = 100;

/** Starts the worker; a page from disk has none. */
function startWorker({ ngrams }: PageFacts, show: (messages: FromWorker[]) => void): Worker {
  let waiting: FromWorker[] = [];
  const hear = (message: FromWorker) => {
    waiting.push(message);
    if (waiting.length > 1) return;
    setTimeout(() => {
      show(waiting);
      waiting = [];
    }, SHOW_EVERY);
  };
  const worker = new Worker(new URL("worker.js", document.baseURI), { type: "module" });
  worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
    if (data.type === "saved") download(data.name, data.bytes);
    else hear(data);
  };
  worker.onerror = (event) => {
    event.preventDefault();
    const message = `Cannot start: ${event.message || "its script does not load"}; reload the page`;
    hear({ type: "failed", part: "engine", message });
  };
  const wanted = new URLSearchParams(location.search).get("device");
  const device = wanted === "webgpu" || wanted === "wasm" ? wanted : undefined;
  worker.postMessage({ type: "open", device, ngrams } satisfies ToWorker);
  return worker;
}

/** Says in one line what computes, and what the browser lacks. */
function EngineLine({ state: { device, threads, errors, loading } }: { state: PageState }) {
  const lacks = device === "wasm" && !crossOriginIsolated
    ? " The browser gives this page one thread only, so it is slower than it could be."
    : "";
  const running = device === "webgpu"
    ? "Computes on the GPU (WebGPU)."
    : device === "wasm"
    ? `Computes on the CPU (WebAssembly, ${threads} ${threads === 1 ? "thread" : "threads"}).`
    : loading ?? "Starting the engine…";
  return errors.engine === undefined
    ? <p class="fine" id="engine" role="status">{running}{lacks} Nothing leaves this page.</p>
    : <p class="error" id="engine" role="alert">{errors.engine}</p>;
}

function download(name: string, bytes: Uint8Array<ArrayBuffer>): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([bytes]));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Says what this browser lacks to run the page at all; undefined if nothing. */
function findMissing(): string | undefined {
  if (location.protocol === "file:") {
    return "Cannot run a page from disk: browsers want a server for it; run deno task serve";
  }
  // The smallest module with an instruction of SIMD: i32x4.splat in a function.
  const simd = Uint8Array.of(
    ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0],
    ...[10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11],
  );
  if (typeof WebAssembly === "object" && WebAssembly.validate(simd)) return;
  return "Cannot compute here: this browser lacks WebAssembly with SIMD; use a version from 2023 or later";
}

function applyTheme(): void {
  try {
    document.documentElement.dataset.theme = localStorage.getItem("theme") ?? "system";
  } catch {
    // some browsers refuse storage
  }
}

applyTheme();
const root = document.getElementById("app")!;
const missing = findMissing();
if (missing) render(<p class="error" role="alert" id="engine">{missing}</p>, root);
else if (!await isolate()) {
  const facts: PageFacts = JSON.parse(document.getElementById("facts")!.textContent!);
  render(<App facts={facts} />, root);
}
