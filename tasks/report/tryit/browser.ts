/**
 * What the try-it page does in the browser: hands the reader's wishes to the worker that has the
 * model, and draws what comes back, pass by pass. Text only ever enters as text nodes.
 */
/// <reference lib="dom" />
import type { Change } from "../../shared/results.ts";
import type { SamplerName } from "../../../core/sampling/samplers/mod.ts";
import type { FromWorker, ModelFacts, ToWorker } from "./messages.ts";
import type { Request, Settings } from "./writing.ts";

const MASK = "█";
/** Confidences from which a character has the colour `c1`, `c2` …, as in the race. */
const SURE = [0.5, 0.8, 0.95, 0.99];

const byId = <T extends HTMLElement = HTMLElement>(id: string) => document.getElementById(id) as T;
const input = (id: string) => byId<HTMLInputElement>(id);
const stage = byId("stage"),
  progress = byId("progress"),
  status = byId("status"),
  error = byId("error");
const form = byId<HTMLFormElement>("ask"), scrubber = input("pass");
const sampler = byId<HTMLSelectElement>("sampler"), pace = byId<HTMLSelectElement>("pace");

/** One pass. */
interface Frame {
  changes: Change[];
  forwards: number;
  seconds: number;
}

/**
 * The text on the stage: where it started from, its passes so far, and how many of them are drawn.
 */
interface Written {
  start: string[];
  forwardsBefore: number;
  frames: Frame[];
  drawn: number;
  cells: HTMLElement[];
  /** How it ended. */
  end?: "finished" | "stopped";
}

let written: Written | undefined;
let device = "", timer: ReturnType<typeof setTimeout> | undefined;

applyTheme();
if (location.protocol === "file:") {
  fail(
    "Cannot run the model in a page from disk: browsers want a server for it; run deno task serve",
  );
} else start();

function start(): void {
  const facts: ModelFacts = JSON.parse(byId("facts").textContent!);
  input("prompt").value = facts.prompt;
  input("template").value = facts.template;
  const worker = new Worker("worker.js", { type: "module" });
  const tell = (message: ToWorker) => worker.postMessage(message);
  worker.onmessage = ({ data }: MessageEvent<FromWorker>) => hear(data);
  worker.onerror = (event) => {
    event.preventDefault();
    fail(`Cannot start the model: ${event.message || "its script does not load"}; reload the page`);
  };
  const wanted = new URLSearchParams(location.search).get("device");
  const device = wanted === "webgpu" || wanted === "wasm" ? wanted : undefined;
  tell({ type: "load", facts, device });

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    error.hidden = true;
    setBusy(true);
    progress.textContent = "reading";
    written = undefined;
    const request = requested();
    byId("command").textContent = commandOf(request);
    tell({ type: "write", request });
  });
  byId("stop").addEventListener("click", () => {
    tell({ type: "stop" });
    if (written) draw(written, written.frames.length);
  });
  byId("another").addEventListener("click", () => {
    input("seed").value = String(crypto.getRandomValues(new Uint32Array(1))[0]);
    form.requestSubmit();
  });
  form.addEventListener("keydown", (event) => {
    const isBusy = input("write").disabled;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !isBusy) form.requestSubmit();
  });
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !byId("stop").hidden) byId("stop").click();
  });
  scrubber.addEventListener("input", () => written && draw(written, scrubber.valueAsNumber));
  form.addEventListener("change", showFields);
  showFields();
}

/** Only the fields that mean something to the mode and the sampler. */
function showFields(): void {
  const names = [input("mode-prompt").checked ? "prompt" : "template", sampler.value];
  for (const field of form.querySelectorAll<HTMLElement>("[data-for]")) {
    field.hidden = !field.dataset.for!.split(" ").some((name) => names.includes(name));
    for (const control of field.querySelectorAll("input, textarea")) {
      (control as HTMLInputElement).disabled = field.hidden; // so that it is not checked either
    }
  }
}

function hear(message: FromWorker): void {
  switch (message.type) {
    case "loading":
      progress.textContent = `loading the model: ${megabytes(message.bytes)} of ` +
        `${megabytes(message.total)} MB`;
      break;
    case "ready":
      device = message.device;
      progress.textContent = `ready after ${message.seconds.toFixed(1)} s · ${device}`;
      status.textContent = "The model is ready";
      setBusy(false);
      break;
    case "choosing":
      progress.textContent = `choosing the lengths of gaps: ${message.forwards} forward passes · ` +
        `${message.seconds.toFixed(1)} s · ${device}`;
      break;
    case "cancelled":
      progress.textContent = status.textContent = "stopped";
      setBusy(false);
      break;
    case "started":
      begin(message.start, message.forwards);
      break;
    case "step":
      written!.frames.push(message);
      schedule();
      break;
    case "finished":
      written!.end = message.stopped ? "stopped" : "finished";
      schedule();
      break;
    case "failed":
      fail(message.message);
      if (!message.fatal) setBusy(false);
  }
}

/** Everything given on the stage, the rest masked. */
function begin(start: string[], forwardsBefore: number): void {
  const cells = start.map(() => document.createElement("span"));
  stage.replaceChildren(...cells);
  written = { start, forwardsBefore, frames: [], drawn: 0, cells };
  draw(written, 0);
}

/** Draws what has come, at the pace that the reader has chosen. */
function schedule(): void {
  timer ??= setTimeout(function tick() {
    timer = undefined;
    if (!written) return;
    const { frames, drawn, end } = written, rate = Number(pace.value);
    if (drawn < frames.length) {
      draw(written, rate === 0 ? frames.length : drawn + 1);
      timer = setTimeout(tick, rate === 0 ? 0 : 1000 / rate);
    } else if (end) settle(written);
  }, 0);
}

/** The text as it was after that many passes. */
function draw(text: Written, passes: number): void {
  const { start, frames, cells } = text;
  const now = start.map((character) => ({ character, sure: 1, was: character !== "" }));
  for (const { changes } of frames.slice(0, passes)) {
    for (const [position, character, sure] of changes) {
      now[position] = { character, sure, was: true };
    }
  }
  const fresh = new Set(
    frames.slice(Math.min(text.drawn, passes - 1), passes)
      .flatMap(({ changes }) => changes.map(([position]) => position)),
  );
  let masked = 0;
  now.forEach(({ character, sure, was }, i) => {
    if (character === "") masked++;
    cells[i].textContent = character || MASK;
    const classes = start[i] !== ""
      ? ["given"]
      : character === ""
      ? ["masked", ...was ? ["remasked"] : []]
      : [`c${SURE.filter((limit) => sure >= limit).length}`, ...fresh.has(i) ? ["new"] : []];
    cells[i].className = classes.join(" ");
  });
  text.drawn = passes;
  scrubber.max = String(frames.length);
  scrubber.value = String(passes);
  scrubber.setAttribute("aria-valuetext", `pass ${passes} of ${frames.length}`);
  const { forwards, seconds } = frames[passes - 1] ?? { forwards: text.forwardsBefore, seconds: 0 };
  const hidden = start.filter((character) => character === "").length;
  progress.textContent = [
    `${forwards} forward ${forwards === 1 ? "pass" : "passes"}`,
    `${hidden - masked} of ${hidden} characters`,
    `${seconds.toFixed(1)} s`,
    device,
  ].join(" · ");
}

/** The text is whole, or was stopped. */
function settle(text: Written): void {
  for (const cell of text.cells) cell.classList.remove("new");
  status.textContent = `${text.end}: ${progress.textContent}`;
  byId("repeat").hidden = false;
  setBusy(false);
}

function setBusy(busy: boolean): void {
  for (const id of ["write", "another"]) input(id).disabled = busy;
  byId("stop").hidden = !busy;
  scrubber.disabled = busy || !written;
  stage.setAttribute("aria-busy", String(busy));
}

function fail(message: string): void {
  error.textContent = message;
  error.hidden = false;
  progress.textContent = "";
}

/** What the form says. A field that is hidden says nothing. */
function requested(): Request {
  const settings: Settings = { sampler: sampler.value as SamplerName };
  for (const field of form.querySelectorAll<HTMLInputElement>("[data-setting]:enabled")) {
    (settings as Record<string, number>)[field.dataset.setting!] = field.valueAsNumber;
  }
  const seed = input("seed").valueAsNumber;
  return input("mode-prompt").checked
    ? { seed, settings, prompt: input("prompt").value, length: input("length").valueAsNumber }
    : { seed, settings, template: input("template").value };
}

/** The same with Deno. */
function commandOf(request: Request): string {
  const { sampler: name, ...settings } = request.settings!;
  const flags = Object.entries({
    weights: byId("facts").dataset.weights!,
    ..."template" in request
      ? { template: request.template }
      : { prompt: request.prompt, length: request.length },
    ...{ sampler: name, ...settings, seed: request.seed },
  });
  const quoted = (word: string) =>
    /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
  const dashed = (key: string) => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return ["deno task sample"].concat(
    flags.map(([key, value]) => `--${dashed(key)}=${quoted(String(value))}`),
  ).join(" ");
}

/** The theme that was chosen on the report's page. */
function applyTheme(): void {
  try {
    document.documentElement.dataset.theme = localStorage.getItem("theme") ?? "system";
  } catch {
    // some browsers refuse storage to pages from disk
  }
}

const megabytes = (bytes: number) => (bytes / 1e6).toFixed(1);
