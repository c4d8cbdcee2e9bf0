/**
 * The try-it page: a form, a stage, and the script and the worker that run the model. Its policy
 * lets it load nothing but what lies beside it.
 */
import { samplers, usualOptions } from "../../../core/sampling/samplers/mod.ts";
import { samplerFlags, usedBy } from "../../shared/sampler_flags.ts";
import { htmlDocument } from "../document.ts";
import { type Child, dataElement, h } from "../dom.ts";
import type { ModelFacts } from "./messages.ts";

/** What the page says of its model beside what it needs to run it. */
export interface PageFacts extends ModelFacts {
  /** The file that the weights come from. */
  weights: string;
  /** In one line: what kind of network it is, and how its weights are stored. */
  description: string;
}

/**
 * What the page's parts contain: of `styles.css` and `tryit.css`, and of the bundle of
 * `browser.ts`.
 */
export interface PageSources {
  style: string;
  script: string;
}

/** The whole page. */
export async function tryItPage(facts: PageFacts, sources: PageSources): Promise<string> {
  const { weights, description, ...model } = facts;
  const data = dataElement("facts", model);
  data.dataset.weights = weights;
  return await htmlDocument(
    {
      title: "Try it: tiny-diffusion in TypeScript",
      style: sources.style,
      scripts: [sources.script],
      allow: ["worker-src 'self'"],
    },
    h(
      "header",
      {},
      h("h1", {}, "Try it ", h("span", {}, "tiny-diffusion")),
      h("p", { class: "fine" }, h("a", { href: "../" }, "Back to the report")),
      h(
        "p",
        { class: "lead" },
        "The diffusion model, in your browser: nothing that you type leaves this page. It starts from masks and fixes in ",
        "each pass the characters that it is surest of, wherever they stand.",
      ),
    ),
    h("main", { id: "main" }, asking(facts), result()),
    h("footer", {}, h("p", {}, `${description}. Made from `, h("code", {}, weights), ".")),
    data,
  );
}

function asking(facts: PageFacts): HTMLElement {
  const mode = (value: string, label: string, checked: boolean) =>
    h(
      "label",
      {},
      h("input", { type: "radio", name: "mode", id: `mode-${value}`, value, checked }),
      ` ${label}`,
    );
  return h(
    "form",
    { id: "ask" },
    h(
      "fieldset",
      { class: "modes" },
      h("legend", { class: "visually-hidden" }, "What to do"),
      mode("prompt", "Go on from a text", true),
      mode("template", "Fill the gaps of a text", false),
    ),
    h(
      "div",
      { "data-for": "prompt" },
      field("The text to go on from", textarea("prompt")),
    ),
    h(
      "div",
      { "data-for": "template", hidden: true },
      field(
        "The text: ____ for four hidden characters, {3..12} where the model is to choose how many",
        textarea("template"),
      ),
    ),
    h(
      "div",
      { class: "actions" },
      h(
        "div",
        { "data-for": "prompt" },
        field("Characters to write", numeric("length", { value: 200, min: 1, max: 10_000 })),
      ),
      h("button", { type: "submit", id: "write", class: "primary", disabled: true }, "Write"),
      h("button", { type: "button", id: "another", disabled: true }, "With a new seed"),
      h("button", { type: "button", id: "stop", hidden: true }, "Stop"),
    ),
    h("p", { id: "error", class: "error", role: "alert", hidden: true }),
    h("details", { id: "settings" }, h("summary", {}, "Settings"), settings(facts)),
  );
}

function settings({ vocabulary, context }: PageFacts): HTMLElement {
  const characters = vocabulary.length - 1; // without the mask
  const usual = usualOptions(context);
  return h(
    "div",
    { class: "fields" },
    field(
      "Sampler",
      h("select", { id: "sampler" }, Object.keys(samplers).map((name) => h("option", {}, name))),
    ),
    ofSampler("threshold", "Fix what is this sure (share of the likeliest together)", {
      value: usual.threshold,
      min: 0.01,
      step: "any",
    }),
    ofSampler("denoisingSteps", "Steps in a block", { value: usual.denoisingSteps, max: 10_000 }),
    ofSampler("entropyBound", "Nats to fix at once", { value: usual.entropyBound, step: "any" }),
    ofSampler("remaskCap", "Most to hide again", { value: usual.remaskCap, step: "any" }),
    field(
      "Temperature",
      numeric(
        "temperature",
        { value: usual.temperature, min: 0, max: 10, step: "any" },
        "temperature",
      ),
    ),
    field(
      "Draw among the likeliest",
      numeric(
        "top-k",
        { value: Math.min(usual.topK!, characters), min: 1, max: characters },
        "topK",
      ),
    ),
    field("Seed", numeric("seed", { value: 1337, min: 0, max: 2 ** 32 - 1 })),
    field(
      "Show",
      h(
        "select",
        { id: "pace" },
        h("option", { value: 0 }, "as it computes"),
        h("option", { value: 10 }, "10 passes a second"),
        h("option", { value: 3 }, "3 passes a second"),
      ),
    ),
  );
}

function result(): HTMLElement {
  return h(
    "section",
    { class: "panel diffusion", "aria-labelledby": "result-title" },
    h("h2", { id: "result-title", class: "visually-hidden" }, "What it writes"),
    h("p", { class: "progress", id: "progress" }, h("noscript", {}, "The model needs JavaScript.")),
    h("p", { class: "visually-hidden", id: "status", "aria-live": "polite" }),
    h("div", {
      ...{ class: "text stage", id: "stage", tabindex: 0, role: "region" },
      "aria-labelledby": "result-title",
    }),
    legend(),
    h(
      "label",
      { class: "passes" },
      "Pass ",
      h("input", { type: "range", id: "pass", min: 0, max: 0, value: 0, disabled: true }),
    ),
    h(
      "p",
      { class: "fine", id: "repeat", hidden: true },
      "The same on the command line: ",
      h("code", { id: "command" }),
    ),
  );
}

/** What the colours mean, as in the race. */
function legend(): HTMLElement {
  const swatches = [0, 1, 2, 3, 4].map((n) => h("i", { class: `c${n}` }));
  const sign = (className: string, sample: string, meaning: string) =>
    h("li", {}, h("span", { class: `sign ${className}`, "aria-hidden": "true" }, sample), meaning);
  return h(
    "ul",
    { class: "legend signs" },
    h(
      "li",
      { class: "scale" },
      "below 50 % sure",
      h("span", { class: "swatches", "aria-hidden": "true" }, swatches),
      "99 % and more",
    ),
    sign("masked", "█", "masked"),
    sign("masked remasked", "█", "masked again"),
    sign("given", "text", "given"),
  );
}

/** A field that some samplers have a use for, with the limits that the flag of that name has. */
function ofSampler(
  name: keyof typeof usedBy,
  label: string,
  attributes: Record<string, string | number>,
): HTMLElement {
  const flag: { min?: number; max?: number } = samplerFlags[name] as object;
  const { min = 0, max = 1000 } = flag;
  return h(
    "div",
    { "data-for": usedBy[name].join(" ") },
    field(label, numeric(name, { min, max, ...attributes }, name)),
  );
}

const field = (label: string, control: Child) =>
  h("label", { class: "field" }, h("span", {}, label), control);
const numeric = (id: string, attributes: Record<string, string | number>, setting?: string) =>
  h("input", {
    ...{ type: "number", id, required: true, ...attributes },
    ...setting && { "data-setting": setting },
  });

/**
 * Left empty, for the script to fill in: the DOM in which the page is built does not escape a
 * textarea's content.
 */
const textarea = (id: string) => h("textarea", { id, rows: 3, spellcheck: "false" });
