/**
 * The race: two samples side by side, replayed on one clock. This file makes what stands in the
 * page and the data that `race.js` replays; without scripts the finished texts are there.
 */
import { blocksOf } from "../../core/sampling/blocks.ts";
import type { ModelKind } from "../../core/config.ts";
import type { Sample, SampleResult } from "../../core/scoring/results.ts";
import { MASK_TOKEN } from "../../core/data/tokenizer.ts";
import { type Child, h } from "./dom.ts";
import type { ReportData, SampleEntry } from "./gather.ts";
import { modelTag, section } from "./parts.ts";
import { describeSampler, MODEL_NAMES, MODELS, stem } from "./words.ts";

/**
 * The changes of one forward pass, flat: position, counted from that of the change before,
 * confidence in per cent, and for a character that is not the final one also that ("" where it was
 * masked again). So the usual change is two short numbers.
 */
export type PackedStep = (number | string)[];

/** A sample as the page's script replays it. */
export interface Replay {
  model: ModelKind;
  /** What made it: sampler and settings, weights, seed. */
  label: string;
  prompt: string;
  text: string;
  steps: PackedStep[];
  /** What each step took, in tenths of a millisecond. */
  times: number[];
  /** Forward passes before the first step, as for choosing the length of a gap. */
  passesBefore: number;
  /**
   * Where the parts begin that were filled one after the other; the first is left out. Empty for a
   * GPT.
   */
  borders: number[];
  /** To be known before it is held against the other one. */
  marks: string[];
}

export interface Race {
  replays: Replay[];
  /** Which of them stand there at first. */
  first: { [Model in ModelKind]?: number };
  /** Samples that did not fit into the page. */
  leftOut: number;
}

/** Bytes that the data of the race may have, so that the page stays well below 1 MB. */
const MOST_BYTES = 480_000;

/** The samples that can be replayed: the pair of the start, then the newest, as many as fit. */
export function raceOf({ samples, race }: ReportData): Race {
  const pair = MODELS.flatMap((model) => race[model] ?? []);
  const entries = [...pair, ...samples.filter((entry) => !pair.includes(entry))];
  const first = (entry: SampleEntry) => packed(entry, entry.result.samples[0]);
  const rest = entries.flatMap((entry) =>
    entry.result.samples.slice(1).map((sample) => [entry, sample] as const)
  );
  // one of each result before the second of any
  const candidates = [...entries.map((entry) => () => first(entry))].concat(
    rest.map(([entry, sample]) => () => packed(entry, sample)),
  );
  const found: Race = { replays: [], first: {}, leftOut: 0 };
  let bytes = 0;
  for (const candidate of candidates) {
    const replay = candidate();
    const size = JSON.stringify(replay).length;
    if (bytes + size > MOST_BYTES) {
      found.leftOut++;
      continue;
    }
    bytes += size;
    found.replays.push(replay);
  }
  for (const model of MODELS) {
    const index = found.replays.findIndex((replay) => replay.model === model);
    if (index >= 0) found.first[model] = index;
  }
  return found;
}

function packed({ result, stale, other }: SampleEntry, sample: Sample): Replay {
  const { model, prompt, sampler, settings, provenance } = result;
  const final = [...sample.text];
  let before = 0, last = 0;
  const times = sample.steps.map(({ seconds }) => {
    const until = Math.round(1e4 * seconds), took = until - before;
    before = until;
    return took;
  });
  const steps = sample.steps.map(({ changes }) =>
    changes.flatMap(([position, character, confidence]) => {
      const short: PackedStep = [position - last, Math.round(100 * confidence)];
      last = position;
      return character === final[position] ? short : [...short, character];
    })
  );
  return {
    ...{ model, prompt, text: sample.text, steps, times },
    label: `${describeSampler(sampler, settings)} · ${
      stem(provenance.weights)
    } · seed ${sample.seed}`,
    passesBefore: Math.max(0, sample.forwards - sample.steps.length),
    borders: model === "diffusion" ? bordersOf(result, sample) : [],
    marks: [...stale, ...other],
  };
}

/**
 * Where the blocks of a diffusion sample begin, worked out as the model does it. Empty if that does
 * not agree with its steps (it was made by an older version, or is a template whose gaps had free
 * lengths), so that no border is shown where none was.
 */
export function bordersOf(
  { settings, provenance: { config } }: SampleResult,
  { text, steps }: Sample,
): number[] {
  const { overlap, window: context = config.context } = settings;
  if (typeof overlap !== "number" || typeof context !== "number") return [];
  const tokens = new Array<number>([...text].length).fill(1);
  for (const { changes } of steps) for (const [position] of changes) tokens[position] = 0;
  const blocks = blocksOf(tokens, { mask: MASK_TOKEN, context, overlap })
    .map(({ start, masked }) => masked.map((position) => start + position));
  let block = 0;
  for (const { changes } of steps) {
    const isIn = () => changes.every(([position]) => blocks[block]?.includes(position));
    if (!isIn()) block++;
    if (!isIn()) return [];
  }
  return blocks.slice(1).map(([first]) => first);
}

export function raceSection(race: Race): HTMLElement | null {
  const models = MODELS.filter((model) => race.first[model] !== undefined);
  if (models.length === 0) return null;
  return section(
    "race",
    "Watch them write",
    controls(),
    h("p", { class: "visually-hidden", id: "race-status", "aria-live": "polite" }),
    h(
      "div",
      { class: `panels lanes of-${models.length}` },
      models.map((model) => lane(model, race)),
    ),
    legend(),
    h("p", { class: "warning", id: "race-warning", hidden: true }),
    h(
      "details",
      { class: "fine" },
      h("summary", {}, "How to read and steer it"),
      h(
        "p",
        {},
        "Space plays and pauses, the arrow keys step, Home and End jump. Point at a character to see in which pass it was ",
        "fixed and how sure the model was. Lines break as in the finished text, so that nothing moves.",
      ),
      h(
        "p",
        {},
        "How sure: the probability that the model gave to the characters it drew from, usually the two likeliest. A GPT that ",
        "draws from all of them is not coloured, since theirs add up to 100 %.",
      ),
      h(
        "p",
        {},
        "A forward pass does not cost the same for both: a GPT keeps what it has computed of earlier characters, the ",
        "diffusion model looks at its whole window again. The clock in seconds replays the time that each pass took where the ",
        "sample was made; times from different machines, engines or busy hours can't be held against each other.",
      ),
      race.leftOut > 0
        ? h("p", {}, `${race.leftOut} more samples are left out, to keep the page small.`)
        : null,
    ),
  );
}

function controls(): HTMLElement {
  const button = (id: string, label: string, ...icons: HTMLElement[]) =>
    h("button", { type: "button", id, "aria-label": label, title: label }, icons);
  const choice = (id: string, label: string, options: [string, string, boolean?][]) =>
    h(
      "label",
      {},
      h("span", {}, label),
      h(
        "select",
        { id },
        options.map(([value, text, selected = false]) => h("option", { value, selected }, text)),
      ),
    );
  return h(
    "div",
    { class: "controls", id: "controls", role: "group", "aria-label": "Replay", hidden: true },
    h(
      "div",
      { class: "buttons" },
      button("to-start", "To the start", icon("M3 3h2v10H3zM13 3v10L6 8z")),
      button("step-back", "One step back", icon("M11 3v10L4 8z")),
      button(
        "play",
        "Play",
        icon("M4 2v12l9-6z", "when-paused"),
        icon("M3 3h4v10H3zM9 3h4v10H9z", "when-playing"),
      ),
      button("step-forward", "One step forward", icon("M5 3v10l7-5z")),
      button("to-end", "To the end", icon("M11 3h2v10h-2zM3 3v10l7-5z")),
    ),
    h("input", { type: "range", id: "scrubber", "aria-label": "Position", min: 0, value: 0 }),
    choice("pace", "Clock", [["passes", "forward passes", true], ["time", "seconds"]]),
    choice("speed", "Speed", [["0.25", "¼×"], ["1", "1×", true], ["4", "4×"], ["16", "16×"]]),
    choice("tint", "Colour", [
      ["step", "when fixed", true],
      ["confidence", "how sure"],
      ["none", "none"],
    ]),
  );
}

/** Drawn, since few fonts have such characters. */
function icon(path: string, className = ""): HTMLElement {
  return h(
    "svg",
    { viewBox: "0 0 16 16", class: `icon ${className}`, "aria-hidden": "true" },
    h("path", { d: path }),
  );
}

function lane(model: ModelKind, { replays, first }: Race): HTMLElement {
  const id = `stage-${model}`;
  const options = replays.flatMap((replay, index) =>
    replay.model === model ? [{ replay, index }] : []
  );
  const prompts = [...new Set(options.map(({ replay }) => replay.prompt))];
  const option = ({ replay, index }: (typeof options)[number]) =>
    h("option", { value: index, selected: index === first[model] }, replay.label);
  const inGroups = (prompt: string) =>
    h(
      "optgroup",
      { label: `after ${JSON.stringify(prompt.slice(0, 40))}` },
      options.filter(({ replay }) => replay.prompt === prompt).map(option),
    );
  return h(
    "div",
    { class: `panel ${model}` },
    h(
      "div",
      { class: "lane-head" },
      h("h3", { id: `${id}-title` }, modelTag(model)),
      h(
        "select",
        { id: `${id}-choice`, "aria-label": `Sample of the ${MODEL_NAMES[model]}`, hidden: true },
        prompts.length > 1 ? prompts.map(inGroups) : options.map(option),
      ),
    ),
    h("p", { class: "progress", id: `${id}-progress` }, replays[first[model]!].label),
    h(
      "div",
      {
        ...{ class: "text stage", id, "data-model": model, tabindex: 0, role: "region" },
        "aria-labelledby": `${id}-title`,
      },
      replays[first[model]!].text,
    ),
    h("p", { class: "probe", id: `${id}-probe`, hidden: true }),
  );
}

/** What the colours and signs mean; the script shows the scale that is in use. */
function legend(): HTMLElement {
  const scale = (name: string, from: string, to: string, colours: string[]) =>
    h(
      "li",
      { class: "scale", id: `scale-${name}`, hidden: true },
      from,
      h(
        "span",
        { class: "swatches", "aria-hidden": "true" },
        colours.map((c) => h("i", { class: c })),
      ),
      to,
    );
  const steps = [0, 1, 2, 3, 4, 5].map((n) => `s${n}`);
  const sure = [0, 1, 2, 3, 4].map((n) => `c${n}`);
  const sign = (className: string, sample: string, meaning: string): Child =>
    h("li", {}, h("span", { class: `sign ${className}`, "aria-hidden": "true" }, sample), meaning);
  return h(
    "ul",
    { class: "legend signs", id: "race-legend", hidden: true },
    scale("step", "fixed early", "late in its block", steps),
    scale("confidence", "below 50 % sure", "99 % and more", sure),
    sign("masked", "█", "masked"),
    sign("masked remasked", "█", "masked again"),
    sign("given", "prompt", "given"),
    sign("edge", "\u00a0", "a block begins"),
  );
}
