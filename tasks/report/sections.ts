/** The parts of the page, in the order in which they stand on it. Each is null where there is nothing to show. */
import type { ModelKind } from "../../core/config.ts";
import type { EvaluationRow, Provenance, Sample } from "../../core/results.ts";
import { lossChart, maskShareChart, percent, readable, realWordsChart } from "./charts.ts";
import { type Child, command, h, number, table } from "./dom.ts";
import type { EvaluationEntry, Marked, ReportData, SampleEntry } from "./gather.ts";
import { day, describeConfig, duration, meanRealWords, MODEL_NAMES, MODELS } from "./words.ts";

function section(id: string, title: string, ...children: Child[]): HTMLElement {
  const heading = `${id}-title`;
  return h(
    "section",
    { id, "aria-labelledby": heading },
    h("h2", { id: heading }, title),
    children,
  );
}

/** "stale" and why, or nothing. */
function staleNote({ stale }: Marked): HTMLElement | null {
  return stale.length === 0
    ? null
    : h("span", { class: "stale" }, h("strong", {}, "stale"), `: ${stale.join("; ")}`);
}

const modelTag = (model: ModelKind) => h("span", { class: `model ${model}` }, MODEL_NAMES[model]);

/** The few numbers that most readers come for. */
export function glance(data: ReportData): HTMLElement | null {
  const cards = MODELS.flatMap((model) => {
    const estimator = model === "gpt" ? "exact" : "nelbo";
    const sample = data.samples[model];
    const entry = headline(data, model);
    if (!sample && !entry) return [];
    const facts: [Child, string][] = [];
    if (entry) {
      facts.push([
        [estimator === "nelbo" ? "≤ " : "", number(entry.row.bpc!, 3)],
        `bits per character (${
          estimator === "nelbo" ? "upper bound" : "exact"
        }, context ${entry.row.context})`,
      ]);
    }
    if (sample) {
      const first = sample.result.samples[0];
      const realWords = meanRealWords(sample.result);
      if (realWords !== null) {
        facts.push([percent(realWords), "of the words it wrote are real words"]);
      }
      facts.push([
        (charactersWritten(first, sample.result.prompt) / Math.max(1, first.forwards)).toFixed(2),
        "characters per forward pass",
      ]);
    }
    return [
      h(
        "div",
        { class: `card ${model}` },
        h("h3", {}, modelTag(model)),
        h(
          "dl",
          {},
          facts.map(([value, what]) => h("div", {}, h("dt", {}, what), h("dd", {}, value))),
        ),
        staleNote({ stale: [...new Set([...(entry?.stale ?? []), ...(sample?.stale ?? [])])] }),
      ),
    ];
  });
  return cards.length === 0 ? null : h("div", { class: "cards", id: "glance" }, cards);
}

/** The figure of a model that stands at the top: of the weights of its sample where there is one, fresh before stale. */
function headline(data: ReportData, model: ModelKind): EvaluationEntry | undefined {
  const wanted = model === "gpt" ? "exact" : "nelbo";
  const weights = data.samples[model]?.result.provenance.weights;
  const candidates = data.evaluations.filter(({ row }) =>
    row.model === model && row.estimator === wanted && row.bpc !== null
  );
  return candidates.find(({ row }) => row.weights === weights) ??
    candidates.find(({ stale }) => stale.length === 0) ?? candidates[0];
}

const charactersWritten = (sample: Sample, prompt: string) =>
  [...sample.text].length - [...prompt].length;

/** What is missing and what could not be read. */
export function notes({ missing, problems }: ReportData): HTMLElement | null {
  if (missing.length + problems.length === 0) return null;
  return h(
    "aside",
    { class: "notes", "aria-label": "What is missing" },
    missing.length > 0
      ? [
        h("h2", {}, "Not here yet"),
        h("ul", {}, missing.map((item) => h("li", {}, `${item.what}: `, command(item.command)))),
      ]
      : null,
    problems.length > 0
      ? [
        h("h2", {}, "Could not be read"),
        h("ul", {}, problems.map((problem) => h("li", {}, problem))),
      ]
      : null,
  );
}

/** The place where the page's script replays how the two samples came about. */
export function replay(data: ReportData): HTMLElement | null {
  const models = MODELS.filter((model) => data.samples[model]);
  if (models.length === 0) return null;
  const button = (id: string, label: string, ...icons: HTMLElement[]) =>
    h("button", { type: "button", id, "aria-label": label, title: label }, icons);
  const option = (value: string, text: string, selected = false) =>
    h("option", { value, selected }, text);
  return section(
    "replay",
    "Watch them write",
    h(
      "p",
      {},
      "The diffusion model starts from masks (█) and fixes, at each pass through the network, the characters it is ",
      "surest of, anywhere in its block of text. The GPT writes one character after another.",
    ),
    h(
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
      h(
        "label",
        {},
        "Speed ",
        h("select", { id: "speed" }, [
          option("0.25", "¼×"),
          option("1", "1×", true),
          option("4", "4×"),
          option("16", "16×"),
        ]),
      ),
      h(
        "label",
        {},
        "Pace ",
        h("select", { id: "pace" }, [
          option("passes", "by forward pass", true),
          option("time", "as measured"),
        ]),
      ),
    ),
    h("p", { class: "visually-hidden", id: "replay-status", "aria-live": "polite" }),
    h(
      "div",
      { class: `panels of-${models.length}` },
      models.map((model) => stage(model, data.samples[model]!)),
    ),
    h(
      "p",
      { class: "fine" },
      "Space plays and pauses, the arrow keys step, Home and End jump. Lines break where they will in the finished ",
      "text, so that nothing moves; text that is not reached yet is shown masked too. A pass does not cost the same for both: ",
      "the GPT keeps what it has computed of earlier characters, the diffusion model looks at its whole window again. ",
      "The pace “as measured” replays the time that each pass took.",
    ),
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

function stage(model: ModelKind, { result }: SampleEntry): HTMLElement {
  const id = `stage-${model}`;
  return h(
    "div",
    { class: `panel ${model}` },
    h("h3", { id: `${id}-title` }, modelTag(model)),
    h("p", { class: "progress", id: `${id}-progress` }, "finished"),
    h(
      "div",
      {
        ...{ class: "text stage", id, "data-model": model, tabindex: 0, role: "region" },
        "aria-labelledby": `${id}-title`,
      },
      result.samples[0].text,
    ),
  );
}

/** What the page's script replays: for each model its text and the changes of each pass. */
export function replayData({ samples }: ReportData) {
  return MODELS.flatMap((model) => {
    const sample = samples[model]?.result.samples[0];
    if (!sample) return [];
    const steps = sample.steps.map(({ seconds, changes }) => ({
      seconds: Number(seconds.toFixed(5)), // more digits would only make the page heavy
      changes: changes.map(([position, character]) => [position, character]),
    }));
    return [{ model, text: sample.text, steps }];
  });
}

const ESTIMATOR_NOTES: Record<string, Child> = {
  exact: "the GPT's likelihood: each character given all before it. Nothing is estimated.",
  nelbo:
    "an upper bound on what the diffusion model needs: the true figure is this or lower. Exactly k of a block's characters are " +
    "masked, k uniform, and the mean cost of the masked ones is taken.",
  "left-to-right":
    "the exact likelihood of another model: the decoder that fills the same network's masks from left to right. By theory it " +
    "lies neither above nor below the bound.",
};

/** Bits per character of both models, by estimator. */
export function bitsPerCharacter({ evaluations }: ReportData): HTMLElement | null {
  const likelihoods = evaluations.filter(({ row }) => row.bpc !== null);
  if (likelihoods.length === 0) return null;
  const contexts = [...new Set(likelihoods.map(({ row }) => row.context))];
  const bodies = contexts.map((context) =>
    h(
      "tbody",
      {},
      h("tr", { class: "group" }, h("th", { colspan: 7, scope: "rowgroup" }, `Context ${context}`)),
      likelihoods.filter(({ row }) => row.context === context).map(likelihoodRow),
    )
  );
  const used = new Set(likelihoods.map(({ row }) => row.estimator));
  return section(
    "bits",
    "Bits per character",
    h(
      "p",
      {},
      "How many bits a model needs for a character of text it has never seen; lower is better. Both models are scored on ",
      "the same blocks of validation text: the first character of a block is given, the others are scored.",
    ),
    table("Bits per character on validation text", [
      "Model",
      "Bits per character",
      "Estimator",
      "± by text",
      "± by masks",
      "Blocks",
      "Scored characters",
    ], bodies),
    h(
      "dl",
      { class: "notes-list" },
      Object.entries(ESTIMATOR_NOTES).filter(([name]) =>
        used.has(name as EvaluationRow["estimator"])
      )
        .map(([name, text]) => h("div", {}, h("dt", {}, name), h("dd", {}, text))),
      h(
        "div",
        {},
        h("dt", {}, "±"),
        h(
          "dd",
          {},
          "standard errors: by text from resampled blocks (another stretch of text would give another figure), by masks from ",
          "repeated passes. Figures of different contexts or texts can't be compared, and a difference of two figures needs a ",
          "paired test on the same blocks, not these errors.",
        ),
      ),
    ),
    h(
      "p",
      { class: "fine" },
      "The network is not told how much is masked, and its training loss does not weigh by it: the original's recipe does not ",
      "optimise the bound that is reported here.",
    ),
    maskedMean(evaluations),
  );
}

function likelihoodRow(entry: EvaluationEntry): HTMLElement {
  const { row } = entry;
  return h(
    "tr",
    { class: entry.stale.length > 0 ? "is-stale" : "" },
    h("th", { scope: "row" }, modelTag(row.model), h("code", {}, row.weights), staleNote(entry)),
    h("td", { class: "figure" }, row.estimator === "nelbo" ? "≤ " : "", number(row.bpc!, 3)),
    h("td", {}, row.estimator),
    h("td", { class: "number" }, number(row.se_blocks, 3)),
    h("td", { class: "number" }, row.se_passes === null ? "none" : number(row.se_passes, 4)),
    h("td", { class: "number" }, row.blocks.toLocaleString("en-GB")),
    h("td", { class: "number" }, row.chars.toLocaleString("en-GB")),
  );
}

/** The original's validation loss, apart from the table: it is no likelihood and must not stand beside a GPT's loss. */
function maskedMean(evaluations: EvaluationEntry[]): HTMLElement | null {
  const entries = evaluations.filter(({ row }) => row.estimator === "masked-mean");
  if (entries.length === 0) return null;
  return h(
    "details",
    {},
    h("summary", {}, "The original's validation loss (masked-mean)"),
    h(
      "p",
      {},
      "In nats, and not a likelihood: it weighs a share t of masked characters by 2t, leaves the mask among the possible answers, ",
      "and scores first characters too. It can be held against the original's figures for its diffusion model, and against ",
      "nothing else.",
    ),
    table("masked-mean of the diffusion model", ["Weights", "Context", "Nats", "±"], [
      h(
        "tbody",
        {},
        entries.map((entry) =>
          h(
            "tr",
            {},
            h("th", { scope: "row" }, h("code", {}, entry.row.weights), staleNote(entry)),
            h("td", { class: "number" }, entry.row.context),
            h("td", { class: "number" }, number(entry.row.nats, 3)),
            h("td", { class: "number" }, number(entry.row.se_blocks, 3)),
          )
        ),
      ),
    ]),
  );
}

/** Loss curves and a table of the runs. */
export function training({ runs }: ReportData): HTMLElement | null {
  const entries = MODELS.flatMap((model) => runs[model] ? [runs[model]] : []);
  if (entries.length === 0) return null;
  const rows = entries.map((entry) => {
    const { header, train, validation } = entry.run;
    const last = [train.at(-1), validation.at(-1)].filter((line) => line !== undefined)
      .sort((a, b) => b.step - a.step)[0];
    const best = validation.findLast((line) => line.best);
    return h(
      "tr",
      {},
      h(
        "th",
        { scope: "row" },
        modelTag(header.model),
        h("span", { class: "fine" }, describeConfig(header.config)),
        command(header.command),
        staleNote(entry),
      ),
      h("td", { class: "number" }, last ? last.step.toLocaleString("en-GB") : "0"),
      h("td", { class: "number" }, last ? readable(last.chars) : "0"),
      h("td", { class: "number" }, last ? duration(last.seconds) : ""),
      h("td", { class: "number" }, best ? [number(best.bpc, 3), ` (step ${best.step})`] : "none"),
      h("td", {}, `${header.engine}, ${header.precision}`),
    );
  });
  return section(
    "training",
    "Loss curves",
    h(
      "p",
      {},
      "Both models on one axis: the characters of training text that each has seen. The lines of validation estimate bits per ",
      "character on a part of the validation text (exact for the GPT, the upper bound for diffusion).",
    ),
    lossChart(runs),
    h(
      "p",
      { class: "fine" },
      "The two thin lines are different quantities and can't be compared: the GPT's training loss is the cost of every next ",
      "character, the diffusion model's (masked-mean) that of the masked characters only, whatever their share.",
    ),
    table("Training runs", [
      "Model",
      "Steps",
      "Characters",
      "Time",
      "Best validation, bits",
      "Engine",
    ], [h("tbody", {}, rows)]),
  );
}

/** What both models wrote after the same prompt, and how. */
export function samples(data: ReportData): HTMLElement | null {
  const models = MODELS.filter((model) => data.samples[model]);
  if (models.length === 0) return null;
  const prompts = new Set(models.map((model) => data.samples[model]!.result.prompt));
  return section(
    "samples",
    "Samples",
    h(
      "p",
      {},
      prompts.size === 1 && models.length === 2
        ? "What each model wrote after the same prompt (underlined)."
        : models.length === 2
        ? "What each model wrote. The prompts (underlined) differ, so the texts can't be held against each other."
        : "What the model wrote after its prompt (underlined).",
    ),
    h(
      "div",
      { class: `panels of-${models.length}` },
      models.map((model) => samplePanel(model, data.samples[model]!)),
    ),
  );
}

function samplePanel(model: ModelKind, entry: SampleEntry): HTMLElement {
  const { result } = entry;
  const [first, ...others] = result.samples;
  const settings = Object.entries(result.settings).map(([name, value]) => `${name} ${value}`);
  const facts: [string, Child][] = [
    ["Sampler", [result.sampler, settings.length > 0 ? ` (${settings.join(", ")})` : ""]],
    ["Steps", first.steps.length.toLocaleString("en-GB")],
    ["Forward passes", first.forwards.toLocaleString("en-GB")],
    ["Time", duration(first.seconds)],
    ["Engine", `${result.provenance.engine}, ${result.provenance.precision}`],
    ["Seed", String(first.seed)],
    ["Network", describeConfig(result.provenance.config)],
    ["Command", command(result.provenance.command)],
  ];
  return h(
    "article",
    { class: `panel ${model}`, "aria-label": `${MODEL_NAMES[model]}, sample` },
    h("h3", {}, modelTag(model), staleNote(entry)),
    sampleText(first, result.prompt, `${MODEL_NAMES[model]}, text`),
    h(
      "dl",
      { class: "facts" },
      facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
    ),
    others.length === 0 ? null : h(
      "details",
      {},
      h("summary", {}, `${others.length} more from the same command`),
      others.map((sample, i) => [
        h(
          "p",
          { class: "fine" },
          `Seed ${sample.seed}, ${sample.forwards} forward passes, ${duration(sample.seconds)}`,
        ),
        sampleText(sample, result.prompt, `${MODEL_NAMES[model]}, text ${i + 2}`),
      ]),
    ),
  );
}

function sampleText({ text }: Sample, prompt: string, label: string): HTMLElement {
  const given = text.startsWith(prompt) ? prompt : "";
  return h(
    "div",
    { class: "text", tabindex: 0, role: "region", "aria-label": label },
    given === "" ? null : h("span", { class: "given" }, given),
    text.slice(given.length),
  );
}

/** How much of what they wrote are words at all. */
export function realWords(data: ReportData): HTMLElement | null {
  const chart = realWordsChart(data);
  return chart && section(
    "words",
    "Real words",
    h(
      "p",
      {},
      "The share of words in the samples that also occur in the training text, beside the same share for held-out text, ",
      "which is about as high as a good model can get. It says how well a model spells, not whether it makes sense.",
    ),
    chart,
  );
}

/** The mask-share chart in its section. */
export function maskShare({ evaluations }: ReportData): HTMLElement | null {
  const chart = maskShareChart(evaluations);
  return chart && section(
    "masks",
    "What a masked character costs",
    h(
      "p",
      {},
      "With little hidden, the surroundings give a character away; with nearly all hidden, the model knows little more than how ",
      "frequent each character is. The bound averages over all shares.",
    ),
    chart,
  );
}

/** What made each figure and text on the page. */
export function provenance(data: ReportData): HTMLElement | null {
  const items = [
    ...MODELS.flatMap((model) => data.samples[model] ?? []).map((entry) => ({
      ...{ what: `Sample, ${MODEL_NAMES[entry.result.model]}`, stale: entry.stale },
      from: entry.result.provenance,
    })),
    ...data.evaluations.map((entry) => ({
      ...{ what: `${entry.row.estimator}, ${MODEL_NAMES[entry.row.model]}`, stale: entry.stale },
      from: entry.provenance,
    })),
  ];
  if (items.length === 0) return null;
  return section(
    "provenance",
    "Where it all comes from",
    h(
      "p",
      {},
      "Everything needed to make each result again, and to notice that it belongs to other weights or another text.",
    ),
    items.map(({ what, stale, from }) =>
      h(
        "details",
        {},
        h(
          "summary",
          {},
          what,
          h("span", { class: "fine" }, ` ${day(from.date)}`),
          " ",
          staleNote({ stale }),
        ),
        provenanceList(from),
      )
    ),
  );
}

function provenanceList(from: Provenance): HTMLElement {
  const config = Object.entries(from.config).map(([name, value]) => `${name} ${value}`).join(", ");
  const versions = Object.entries(from.versions).map(([name, value]) => `${name} ${value}`);
  const facts: [string, Child][] = [
    ["Command", command(from.command)],
    ["Weights", [h("code", {}, from.weights), " sha256 ", h("code", {}, from.weightsSha256)]],
    ["Text", [h("code", {}, from.corpus), " sha256 ", h("code", {}, from.corpusSha256)]],
    ["Engine", `${from.engine}, ${from.precision}, ${from.threads} threads`],
    ["Seed", String(from.seed)],
    ["Machine", from.machine],
    ["Versions", versions.join(", ")],
    ["Commit", from.commit ? h("code", {}, from.commit) : "not known"],
    ["Settings", config],
  ];
  return h(
    "dl",
    { class: "facts" },
    facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
  );
}
