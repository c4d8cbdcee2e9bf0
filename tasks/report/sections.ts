/**
 * The plainer parts of the page: headline figures, what is missing, the samples, and what made each
 * result.
 */
import type { ModelKind } from "../../core/config.ts";
import { charactersWritten, type Provenance, type Sample } from "../../core/scoring/results.ts";
import { halfInterval } from "./bits.ts";
import { type Child, command, h, number } from "./dom.ts";
import type { EvaluationEntry, Marked, ReportData, SampleEntry } from "./gather.ts";
import { marks, modelTag, section } from "./parts.ts";
import {
  day,
  describeConfig,
  describeEngine,
  describeSampler,
  describeSettings,
  duration,
  meanRealWords,
  MODEL_NAMES,
  MODELS,
  percent,
  stem,
} from "./words.ts";

/** The few numbers that most readers come for. */
export function glance(data: ReportData): HTMLElement | null {
  const cards = MODELS.flatMap((model) => {
    const estimator = model === "gpt" ? "exact" : "nelbo";
    const sample = data.race[model];
    const entry = headline(data, model);
    if (!sample && !entry) return [];
    const facts: [Child, string][] = [];
    if (entry) {
      const { row } = entry;
      const half = halfInterval({ sePasses: row.se_passes, seBlocks: row.se_blocks });
      facts.push([
        [estimator === "nelbo" ? "≤ " : "", number(row.bpc!, 3)],
        `bits per character, ± ${half.toFixed(3)} (${
          estimator === "nelbo" ? "upper bound" : "exact"
        }, context ${row.context})`,
      ]);
    }
    if (sample) {
      const first = sample.result.samples[0];
      const realWords = meanRealWords(sample.result);
      if (realWords !== null) facts.push([percent(realWords), "of the words it wrote are real"]);
      facts.push([
        (charactersWritten(first.steps) / Math.max(1, first.forwards)).toFixed(2),
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
        marks(merged([entry, sample].filter((marked) => marked !== undefined))),
      ),
    ];
  });
  return cards.length === 0 ? null : h("div", { class: "cards", id: "glance" }, cards);
}

const merged = (all: Marked[]): Marked => ({
  stale: [...new Set(all.flatMap(({ stale }) => stale))],
  other: [...new Set(all.flatMap(({ other }) => other))],
});

/**
 * The figure of a model that stands at the top: of the weights of its sample where there is one,
 * fresh before stale.
 */
function headline(data: ReportData, model: ModelKind): EvaluationEntry | undefined {
  const wanted = model === "gpt" ? "exact" : "nelbo";
  const candidates = data.evaluations.filter(({ row }) =>
    row.model === model && row.estimator === wanted && row.bpc !== null
  );
  return candidates.find(({ stale, other }) => stale.length + other.length === 0) ??
    candidates.find(({ other }) => other.length === 0) ??
    candidates.find(({ stale }) => stale.length === 0) ?? candidates[0];
}

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

/** Characters of samples that the page prints in full; the race's own are first. */
const MOST_CHARACTERS = 150_000;

/** What the models wrote, and how. */
export function samples(data: ReportData): HTMLElement | null {
  const pair = MODELS.flatMap((model) => data.race[model] ?? []);
  const entries = [...pair, ...data.samples.filter((entry) => !pair.includes(entry))];
  if (entries.length === 0) return null;
  let left = MOST_CHARACTERS;
  const articles = entries.map((entry, i) => {
    const characters = entry.result.samples.reduce((sum, { text }) => sum + text.length, 0);
    const fits = characters <= left;
    if (fits) left -= characters;
    return sampleArticle(entry, { open: i < pair.length, fits });
  });
  return section(
    "samples",
    "What they wrote",
    h(
      "p",
      {},
      "The texts of the race, and all others, in full. What was given is underlined; nothing is picked by hand: these are the ",
      "newest results, whatever they say.",
    ),
    articles,
  );
}

function sampleArticle(
  entry: SampleEntry,
  { open, fits }: { open: boolean; fits: boolean },
): HTMLElement {
  const { result } = entry;
  const { model, provenance: from } = result;
  const realWords = meanRealWords(result);
  const words = realWords === null ? [] : [
    `${percent(realWords)} real words` +
    (result.realWordsHeldOut === null
      ? ""
      : ` (held-out text: ${percent(result.realWordsHeldOut)})`),
  ];
  const facts: [string, Child][] = [
    ["Settings", describeSettings(result.settings)],
    ["Network", `${describeConfig(from.config)} (${stem(from.weights)})`],
    ["Engine", describeEngine(from)],
    ["Command", command(from.command)],
  ];
  return h(
    "details",
    { class: "sample", open },
    h(
      "summary",
      {},
      modelTag(model),
      ` ${describeSampler(result.sampler, result.settings)}`,
      h(
        "span",
        { class: "fine" },
        [` · ${result.samples.length} ${result.samples.length === 1 ? "text" : "texts"}`, ...words]
          .join(" · "),
      ),
      marks(entry),
    ),
    h(
      "dl",
      { class: "facts" },
      facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
    ),
    fits
      ? h(
        "div",
        { class: "texts" },
        result.samples.map((sample, i) => sampleText(sample, model, i)),
      )
      : h("p", { class: "fine" }, "Too long for this page: run the command to see the texts."),
  );
}

function sampleText(sample: Sample, model: ModelKind, index: number): HTMLElement {
  const label = `seed ${sample.seed} · ${sample.forwards.toLocaleString("en-GB")} passes · ${
    duration(sample.seconds)
  }`;
  return h(
    "div",
    {},
    h("p", { class: "fine" }, label),
    h(
      "div",
      {
        ...{ class: "text", tabindex: 0, role: "region" },
        "aria-label": `${MODEL_NAMES[model]}, text ${index + 1}, ${label}`,
      },
      pieces(sample),
    ),
  );
}

/** The text in runs of what was given and what was written. */
function pieces({ text, steps }: Sample): Child[] {
  const written = new Set(steps.flatMap(({ changes }) => changes.map(([position]) => position)));
  const characters = [...text];
  const runs: Child[] = [];
  for (let from = 0, to = 0; from < characters.length; from = to) {
    const isGiven = !written.has(from);
    while (to < characters.length && !written.has(to) === isGiven) to++;
    const run = characters.slice(from, to).join("");
    runs.push(isGiven ? h("span", { class: "given" }, run) : run);
  }
  return runs;
}

/** What made each figure and text on the page. */
export function provenance(data: ReportData): HTMLElement | null {
  const items = [
    ...data.samples.map(({ result, ...marked }) => ({
      what: `Sample, ${MODEL_NAMES[result.model]}`,
      from: result.provenance,
      marked,
    })),
    ...data.evaluations.map(({ row, provenance, ...marked }) => ({
      what: `${row.estimator}, ${MODEL_NAMES[row.model]}`,
      from: provenance,
      marked,
    })),
    ...data.baselines.map(({ row, provenance, ...marked }) => ({
      what: row.model,
      from: provenance,
      marked,
    })),
    ...data.quality.filter(({ row }) => row.sampler !== null).map((entry) => ({
      what: `Quality, ${MODEL_NAMES[entry.result.model]}`,
      from: entry.result.provenance,
      marked: entry,
    })),
  ];
  if (items.length === 0) return null;
  // one line for each run of a command, with all that it made
  const runs = Map.groupBy(items, ({ from }) => `${from.date} ${from.command}`);
  return section(
    "provenance",
    "Where it all comes from",
    h(
      "p",
      {},
      "Everything needed to make each result again, and to notice that it belongs to other weights or another text.",
    ),
    [...runs.values()].map((made) => {
      const [{ from, marked }] = made;
      return h(
        "details",
        {},
        h(
          "summary",
          {},
          [...new Set(made.map(({ what }) => what))].join("; "),
          h("span", { class: "fine" }, ` ${day(from.date)} `),
          marks(marked),
        ),
        provenanceList(from),
      );
    }),
  );
}

function provenanceList(from: Provenance): HTMLElement {
  const config = Object.entries(from.config).map(([name, value]) => `${name} ${value}`).join(", ");
  const versions = Object.entries(from.versions).map(([name, value]) => `${name} ${value}`);
  const facts: [string, Child][] = [
    ["Command", command(from.command)],
    ["Weights", [h("code", {}, from.weights), " sha256 ", h("code", {}, from.weightsSha256)]],
    [
      "Text",
      from.corpus === ""
        ? "none"
        : [h("code", {}, from.corpus), " sha256 ", h("code", {}, from.corpusSha256)],
    ],
    ["Engine", describeEngine(from)],
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
