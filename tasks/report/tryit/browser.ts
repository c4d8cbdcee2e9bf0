/**
 * The script of the try-it page: passes the reader's requests to the worker that has the model, and
 * draws the text, pass by pass. Text only ever enters as text nodes.
 */
/// <reference lib="dom" />
import type { SamplerName } from "../../../core/sampling/samplers/mod.ts";
import type { Step } from "../../../core/sampling/write.ts";
import type { FromWorker, ModelFacts, PageRequest, Settings, ToWorker } from "./messages.ts";

const MASK = "█";
/** Confidences from which a character has the colour `c1`, `c2` …, as in the race. */
const SURE = [0.5, 0.8, 0.95, 0.99];

const byId = <T extends HTMLElement = HTMLElement>(id: string) => document.getElementById(id) as T;
const input = (id: string) => byId<HTMLInputElement>(id);
const stage = byId("stage");
const progress = byId("progress");
const status = byId("status");
const error = byId("error");
const form = byId<HTMLFormElement>("ask");
const scrubber = input("pass");
const sampler = byId<HTMLSelectElement>("sampler");
const pace = byId<HTMLSelectElement>("pace");

/** The text on the stage. */
interface StagedText {
  /** What it was made from. */
  request: PageRequest;
  /** The characters before the first step, "" where one is hidden. */
  start: string[];
  /** Forward passes before the first step. */
  forwardsBefore: number;
  /** The steps so far. */
  steps: Step[];
  /** The number of them that are drawn. */
  drawn: number;
  cells: HTMLElement[];
  /** Its figures, as drawn. */
  figures: string;
  /** The reason why it ended. */
  end?: "finished" | "stopped";
}

let staged: StagedText | undefined;
let device = "";
let timer: ReturnType<typeof setTimeout> | undefined;

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
    tell({ type: "write", request: readRequest() }); // until it begins, the text before stays
  });
  byId("stop").addEventListener("click", () => {
    tell({ type: "stop" });
    if (staged) draw(staged, staged.steps.length);
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
  scrubber.addEventListener("input", () => staged && draw(staged, scrubber.valueAsNumber));
  form.addEventListener("change", showFields);
  sampler.addEventListener("change", () => { // each has its own best settings
    const { temperature, topK } = sampler.selectedOptions[0].dataset;
    input("temperature").value = temperature!;
    input("top-k").value = topK!;
  });
  form.addEventListener("input", ({ target }) => checkAbove(target as HTMLInputElement));
  showFields();
}

/** Refuses a number that is not above its limit; `min` in HTML would allow the limit itself. */
function checkAbove(field: HTMLInputElement): void {
  const { above } = field.dataset;
  if (above === undefined) return;
  const isBelow = field.valueAsNumber <= Number(above);
  field.setCustomValidity(isBelow ? `Value must be greater than ${above}` : "");
}

/** Shows only the fields that apply to the mode and the sampler. */
function showFields(): void {
  const names = [input("mode-prompt").checked ? "prompt" : "template", sampler.value];
  for (const field of form.querySelectorAll<HTMLElement>("[data-for]")) {
    field.hidden = !field.dataset.for!.split(" ").some((name) => names.includes(name));
    for (const control of field.querySelectorAll("input, select, textarea")) {
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
      begin(message);
      break;
    case "step":
      staged!.steps.push(message);
      schedule();
      break;
    case "finished":
      staged!.end = message.stopped ? "stopped" : "finished";
      schedule();
      break;
    case "failed":
      fail(message.message);
      if (!message.fatal) setBusy(false);
  }
}

/** Puts a text on the stage: what is given, the rest masked. */
function begin({ request, start, forwards }: Extract<FromWorker, { type: "started" }>): void {
  const cells = start.map(() => document.createElement("span"));
  stage.replaceChildren(...cells);
  byId("repeat").hidden = true;
  staged = { request, start, forwardsBefore: forwards, steps: [], drawn: 0, cells, figures: "" };
  draw(staged, 0);
}

/** Draws the steps so far, at the pace that the reader has chosen. */
function schedule(): void {
  timer ??= setTimeout(function tick() {
    timer = undefined;
    if (!staged) return;
    const { steps, drawn, end } = staged;
    const rate = Number(pace.value);
    if (drawn < steps.length) {
      draw(staged, rate === 0 ? steps.length : drawn + 1);
      timer = setTimeout(tick, rate === 0 ? 0 : 1000 / rate);
    } else if (end) settle(staged);
  }, 0);
}

/** Draws the text as it was after that many steps. */
function draw(text: StagedText, passes: number): void {
  const { start, steps, cells } = text;
  const now = start.map((character) => ({ character, sure: 1, was: character !== "" }));
  for (const { changes } of steps.slice(0, passes)) {
    for (const [position, character, sure] of changes) {
      now[position] = { character, sure, was: true };
    }
  }
  const fresh = new Set(
    steps.slice(Math.min(text.drawn, passes - 1), passes)
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
  scrubber.max = String(steps.length);
  scrubber.value = String(passes);
  scrubber.setAttribute("aria-valuetext", `pass ${passes} of ${steps.length}`);
  const { forwards, seconds } = steps[passes - 1] ?? { forwards: text.forwardsBefore, seconds: 0 };
  const hidden = start.filter((character) => character === "").length;
  progress.textContent = text.figures = [
    `${forwards} forward ${forwards === 1 ? "pass" : "passes"}`,
    `${hidden - masked} of ${hidden} characters`,
    `${seconds.toFixed(1)} s`,
    device,
  ].join(" · ");
}

/** Ends a text that is whole, or was stopped. */
function settle(text: StagedText): void {
  for (const cell of text.cells) cell.classList.remove("new");
  status.textContent = `${text.end}: ${text.figures}`;
  byId("command").textContent = formatCommand(text.request);
  byId("repeat").hidden = false;
  setBusy(false);
}

function setBusy(busy: boolean): void {
  for (const id of ["write", "another"]) input(id).disabled = busy;
  byId("stop").hidden = !busy;
  scrubber.disabled = busy || !staged;
  stage.setAttribute("aria-busy", String(busy));
}

function fail(message: string): void {
  error.textContent = message;
  error.hidden = false;
  progress.textContent = staged?.figures ?? "";
}

/** Reads the form, without the fields that are hidden and the choices that are the defaults. */
function readRequest(): PageRequest {
  const settings: Settings = { sampler: sampler.value as SamplerName };
  for (const field of form.querySelectorAll<HTMLInputElement>("input[data-setting]:enabled")) {
    settings[field.dataset.setting!] = field.valueAsNumber;
  }
  for (const field of form.querySelectorAll<HTMLSelectElement>("select[data-setting]:enabled")) {
    const [chosen] = field.selectedOptions;
    if (!chosen.defaultSelected) settings[field.dataset.setting!] = chosen.value;
  }
  const seed = input("seed").valueAsNumber;
  return input("mode-prompt").checked
    ? { seed, settings, prompt: input("prompt").value, length: input("length").valueAsNumber }
    : { seed, settings, template: input("template").value };
}

/** Returns the command that writes the same with Deno. */
function formatCommand(request: PageRequest): string {
  const { sampler: name, ...settings } = request.settings!;
  const flags = Object.entries({
    weights: byId("facts").dataset.weights!,
    ..."template" in request
      ? { template: request.template }
      : { prompt: request.prompt, length: request.length },
    sampler: name,
    ...settings,
    seed: request.seed,
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
