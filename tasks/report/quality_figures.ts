/**
 * How the models write: quality against cost, over temperature, and what they copy from the
 * training text.
 */
import * as Plot from "@observablehq/plot";
import type { QualityFigure, QualityRow, Spread } from "../../core/scoring/results.ts";
import { bothWidths, color, figure, key, plot, switched, symbolKey, symbolOf } from "./charts.ts";
import { type Child, h, table } from "./dom.ts";
import { type QualityEntry, type ReportData, yardstick } from "./gather.ts";
import { figureNotes, marks, modelTag, section } from "./parts.ts";
import { baselineTitle, describeSampler, listed, MODEL_NAMES, MODELS, stem } from "./words.ts";

/** One way to write: a model, its weights, its sampler; the temperature is free. */
interface Series {
  name: string;
  model: "gpt" | "diffusion";
  /** Which symbol. */
  index: number;
  entries: QualityEntry[];
}

/** What was measured by one yardstick. */
interface Measured {
  series: Series[];
  references: QualityEntry[];
  entries: QualityEntry[];
}

/** What the small charts show, best known first. */
const PANELS: { figure: QualityFigure; title: string; percent?: boolean }[] = [
  { figure: "judge_gpt", title: "bits per character, GPT judge" },
  { figure: "judge_ngram", title: "bits per character, n-gram judge" },
  { figure: "real_words", title: "real words", percent: true },
  { figure: "distinct_4", title: "distinct 4-grams", percent: true },
  { figure: "entropy", title: "entropy of characters, bits" },
  { figure: "jsd_4", title: "divergence of 4-grams, bits" },
];

/**
 * The yardstick by which most was measured that is fresh and of the weights of the race; the rest
 * is only listed.
 */
export function mainMeasurements(entries: QualityEntry[]): Measured | undefined {
  const groups = Map.groupBy(entries, yardstick);
  const isOf = ({ row }: QualityEntry) => MODELS.some((model) => model === row.source);
  const worth = (group: QualityEntry[]) =>
    group.filter(isOf).reduce(
      (sum, { stale, other }) => sum + (stale.length + other.length === 0 ? 1000 : 1),
      0,
    );
  const [main] = [...groups.values()].sort((a, b) => worth(b) - worth(a));
  if (!main || !main.some(isOf)) return undefined;
  const written = main.filter(isOf);
  const hasTwins = MODELS.some((model) =>
    new Set(
      written.filter(({ row }) => row.source === model)
        .map(({ result }) => result.provenance.weightsSha256),
    ).size > 1
  );
  const nameOf = ({ row, result }: QualityEntry) =>
    [
      MODEL_NAMES[row.source as "gpt" | "diffusion"],
      describeSampler(seriesSampler(row), row.settings),
      ...varied(written, row).map((name) => `${name} ${row.settings[name]}`),
      ...hasTwins ? [stem(result.provenance.weights)] : [],
    ].join(", ");
  const series = [...Map.groupBy(written, nameOf)].map(([name, entries]) => ({
    ...{ name, model: entries[0].row.source as "gpt" | "diffusion", index: 0 },
    entries: entries.toSorted((a, b) => (a.row.temperature ?? 0) - (b.row.temperature ?? 0)),
  })).sort((a, b) => MODELS.indexOf(a.model) - MODELS.indexOf(b.model));
  series.forEach((one, i) => one.index = i);
  return { series, references: main.filter((entry) => !isOf(entry)), entries: written };
}

/** Settings that every sampler has, but not every text of this model was written with. */
function varied(written: QualityEntry[], { source, settings }: QualityRow): string[] {
  const own = written.filter(({ row }) => row.source === source).map(({ row }) => row.settings);
  const differs = (name: string, rows = own) =>
    new Set(rows.flatMap((row) => row[name] ?? [])).size > 1;
  const sameWindow = own.filter(({ window }) => window === settings.window);
  return [
    ...["top-k", "top-p", "window"].filter((name) => differs(name)),
    ...differs("overlap", sameWindow) ? ["overlap"] : [], // it follows the window unless told otherwise
  ].filter((name) => settings[name] !== undefined);
}

/** A GPT at temperature 0 is one end of the same series. */
const seriesSampler = ({ sampler }: QualityRow) =>
  sampler === "greedy" ? "autoregressive" : sampler ?? "";

const heldOutOf = ({ references }: Measured, name: QualityFigure) =>
  references.find(({ row }) => row.source === "held-out")?.row.figures[name] ?? null;

/** All there is to say of how the models write. */
export function quality(data: ReportData): (HTMLElement | null)[] {
  const measured = mainMeasurements(data.quality);
  if (!measured) return [];
  return [costSection(measured), temperatureSection(measured, data), memorisation(measured)];
}

const textsOf = ({ entries }: Measured) => {
  const counts = [...new Set(entries.map(({ row }) => row.texts))].sort((a, b) => a - b);
  const [{ row }] = entries;
  return `${listed(counts.map(String))} texts of ${
    row.length.toLocaleString("en-GB")
  } characters for each point`;
};

/** Who says how likely the texts are. */
function judgesOf({ entries: [{ result: { judges } }] }: Measured): string {
  const ngram = baselineTitle(judges.ngram.name);
  return judges.gpt
    ? `The judges are ${stem(judges.gpt.weights)} (context ${judges.gpt.context}) and ${ngram}.`
    : `The judge is ${ngram}; there was no GPT to judge.`;
}

const commandsOf = (entries: QualityEntry[]) =>
  entries.map(({ result }) => result.provenance.command);

const legendOf = ({ series }: Measured): Child[] => [
  ...series.map(({ name, model, index }) => symbolKey(model, index, name)),
  key("ink", "dash", "held-out text: what to aim at"),
];

interface Dot {
  x: number;
  spread: Spread;
  series: Series;
  entry: QualityEntry;
}

/** One small chart: a figure of quality over something. */
function panel(
  measured: Measured,
  { figure: name, title, percent = false }: (typeof PANELS)[number],
  axis: { label: string; of: (row: QualityRow) => number | null; lines: boolean },
  only: (entry: QualityEntry) => boolean = () => true,
): Element | null {
  const dots = measured.series.flatMap((series): Dot[] =>
    series.entries.filter(only).flatMap((entry) => {
      const x = axis.of(entry.row), spread = entry.row.figures[name];
      return x === null || spread === null ? [] : [{ x, spread, series, entry }];
    })
  );
  if (dots.length === 0) return null;
  const heldOut = heldOutOf(measured, name);
  const says = (value: number) => percent ? `${(100 * value).toFixed(1)} %` : value.toFixed(2);
  const position = { x: "x", y: (dot: Dot) => dot.spread.mean };
  return plot(300, 230, `${title}, over ${axis.label}`, {
    ...{ marginTop: 12, marginRight: 14 },
    x: { label: `${axis.label} →`, ticks: 5, nice: true, inset: 8 },
    y: {
      ...{ label: null, grid: true, nice: true, ticks: 5, inset: 8 },
      tickFormat: percent ? ".0%" : undefined,
    },
    marks: [
      heldOut && Plot.ruleY([heldOut.mean], {
        ...{ stroke: "currentColor", strokeDasharray: "4 3" },
        title: () => `held-out text: ${says(heldOut.mean)}`,
      }),
      axis.lines
        ? Plot.lineY(dots, {
          ...position,
          ...{ z: (dot: Dot) => dot.series.name, stroke: (dot: Dot) => color(dot.series.model) },
          ...{ strokeWidth: 1.5, strokeOpacity: 0.7 },
        })
        : null,
      Plot.ruleX(dots, {
        ...{ x: "x", y1: (dot: Dot) => dot.spread.mean - (dot.spread.sd ?? 0) },
        y2: (dot: Dot) => dot.spread.mean + (dot.spread.sd ?? 0),
        ...{ stroke: (dot: Dot) => color(dot.series.model), strokeOpacity: 0.45 },
      }),
      measured.series.map((series) =>
        Plot.dot(dots.filter((dot) => dot.series === series), {
          ...position,
          ...{ r: 4.5, ...symbolOf(series.index, color(series.model)) },
          title: ({ spread, entry: { row } }: Dot) =>
            `${series.name}, temperature ${row.temperature}: ${says(spread.mean)}` +
            (spread.sd === null ? "" : ` ± ${says(spread.sd)}`) +
            ` (${Math.round(row.cost?.forwards.mean ?? 0)} passes, ${
              (row.cost?.seconds.mean ?? 0).toFixed(1)
            } s)`,
        })
      ),
    ],
  });
}

function panels(draw: (of: (typeof PANELS)[number]) => Element | null): HTMLElement {
  return h(
    "div",
    { class: "small-charts" },
    PANELS.map((of) => {
      const drawn = draw(of);
      return drawn && h("div", {}, h("h4", {}, of.title), drawn);
    }),
  );
}

/** The temperature at which most series were measured, that nearest to 0.8 among equals. */
export function sharedTemperature({ entries }: Pick<Measured, "entries">): number {
  const counts = new Map<number, number>();
  for (const { row } of entries) {
    counts.set(row.temperature ?? 0, (counts.get(row.temperature ?? 0) ?? 0) + 1);
  }
  return [...counts].sort((a, b) =>
    b[1] - a[1] || Math.abs(a[0] - 0.8) - Math.abs(b[0] - 0.8)
  )[0][0];
}

function costSection(measured: Measured): HTMLElement {
  const temperature = sharedTemperature(measured);
  const shown = measured.entries.filter(({ row }) => row.temperature === temperature);
  const axes = [
    {
      label: "forward passes",
      axis: "forward passes per character",
      of: ({ cost, length }: QualityRow) => cost && cost.forwards.mean / length,
    },
    {
      label: "seconds",
      axis: "seconds per 1,000 characters",
      of: ({ cost, length }: QualityRow) => cost && 1000 * cost.seconds.mean / length,
    },
  ];
  return section(
    "cost",
    "Quality against cost",
    h(
      "p",
      {},
      "A diffusion model can fix several characters in one pass, and pays for haste in quality. The dashed line is what real, ",
      "held-out text scores: the aim is to meet it, not to go below it, since a text that repeats itself is cheap to predict.",
    ),
    figure(
      "cost-chart",
      legendOf(measured),
      switched(
        "cost-axis",
        "Cost in",
        axes.map(({ label, axis, of }) => ({
          label,
          content: panels((which) =>
            panel(
              measured,
              which,
              { label: axis, of, lines: false },
              ({ row }) => row.temperature === temperature,
            )
          ),
        })),
      ),
      figureNotes({
        shows: `Means at temperature ${temperature}, with standard deviations as bars: ${
          textsOf(measured)
        }. ${judgesOf(measured)}`,
        not:
          "Sense, and taste. A GPT judges its own text too kindly; the n-grams know nothing beyond a few letters. A forward pass " +
          "does not cost both models the same, and seconds are those of one machine, which may have been busy.",
        commands: commandsOf(shown),
        marks: shown,
      }),
    ),
  );
}

function temperatureSection(measured: Measured, { quality: all }: ReportData): HTMLElement {
  return section(
    "temperature",
    "Over temperature",
    h(
      "p",
      {},
      "A low temperature makes text safer and duller: nearly every single figure looks better then. So a sampler is judged by its ",
      "whole curve, and by how near all figures come to held-out text at once.",
    ),
    figure(
      "temperature-chart",
      legendOf(measured),
      panels((which) =>
        panel(measured, which, {
          label: "temperature",
          of: ({ temperature }) => temperature,
          lines: true,
        })
      ),
      figureNotes({
        shows: `Each sampler at each temperature, means and standard deviations: ${
          textsOf(measured)
        }. ${judgesOf(measured)}`,
        not:
          "How sure these means are: with few texts they move a good deal; the bars say how far single texts lie apart.",
        commands: commandsOf(measured.entries),
        marks: measured.entries,
      }),
    ),
    qualityTable(measured),
    leftOut(all, measured),
  );
}

function leftOut(all: QualityEntry[], { entries, references }: Measured): HTMLElement | null {
  const others = all.filter((entry) => !entries.includes(entry) && !references.includes(entry));
  const commands = [...new Set(commandsOf(others))];
  return commands.length === 0 ? null : h(
    "p",
    { class: "fine" },
    `Measured by another yardstick (length of the texts, judge or training text) and so not shown here: `,
    commands.map((text, i) => [i > 0 ? ", " : "", h("code", {}, text)]),
    ".",
  );
}

const COLUMNS: { figure: QualityFigure; title: string; digits: number; scale?: number }[] = [
  { figure: "judge_gpt", title: "GPT judge, bits", digits: 3 },
  { figure: "judge_ngram", title: "n-gram judge, bits", digits: 3 },
  { figure: "real_words", title: "Words, %", digits: 1, scale: 100 },
  { figure: "entropy", title: "Entropy, bits", digits: 3 },
  ...([2, 3, 4] as const).map((n) => ({
    ...{ figure: `distinct_${n}` as const, title: `Distinct-${n}`, digits: 3 },
  })),
  ...([1, 2, 3, 4, 5] as const).map((n) => ({
    ...{ figure: `jsd_${n}` as const, title: `JSD-${n}, bits`, digits: 3 },
  })),
];

function spreadCell(spread: Spread | null, digits: number, scale = 1): HTMLElement {
  if (spread === null) return h("td", { class: "number" }, "none");
  const sd = spread.sd === null ? "" : ` ± ${(scale * spread.sd).toFixed(digits)}`;
  return h(
    "td",
    { class: "number" },
    h("data", { value: spread.mean }, (scale * spread.mean).toFixed(digits)),
    h("span", { class: "fine" }, sd),
  );
}

function rowTitle(entry: QualityEntry): HTMLElement {
  const { row } = entry;
  if (row.source !== "gpt" && row.source !== "diffusion") {
    return h("th", { scope: "row" }, h("span", {}, row.source.replace("-", " ")));
  }
  return h(
    "th",
    { scope: "row" },
    modelTag(row.source),
    h(
      "span",
      {},
      `${describeSampler(row.sampler ?? "", row.settings)}, temperature ${row.temperature}`,
    ),
    marks(entry),
  );
}

function qualityTable({ references, series }: Measured): HTMLElement {
  const rows = [...references, ...series.flatMap(({ entries }) => entries)].map((entry) =>
    h(
      "tr",
      {},
      rowTitle(entry),
      COLUMNS.map(({ figure, digits, scale }) =>
        spreadCell(entry.row.figures[figure], digits, scale)
      ),
      spreadCell(entry.row.cost?.forwards ?? null, 0),
      spreadCell(entry.row.cost?.seconds ?? null, 1),
    )
  );
  return h(
    "details",
    { id: "quality-table" },
    h("summary", {}, "All figures as a table"),
    table("Sample quality, mean ± standard deviation over texts", [
      "Text",
      ...COLUMNS.map(({ title }) => title),
      "Passes",
      "Seconds",
    ], [h("tbody", {}, rows)]),
  );
}

function memorisation(measured: Measured): HTMLElement | null {
  const rows = measured.series.flatMap((series) =>
    series.entries.flatMap((entry) => {
      const spread = entry.row.figures.longest_match;
      return spread ? [{ series, entry, spread }] : [];
    })
  );
  if (rows.length === 0) return null;
  const heldOut = heldOutOf(measured, "longest_match");
  const labelled = rows.map(({ entry, spread, series }) => ({
    ...{ series, spread },
    label: `${entry.row.temperature} · ${series.name.replace(/^.*?, /, "")}`,
  }));
  type Labelled = typeof labelled[number];
  const draw = (width: number) => {
    const isNarrow = width < 600, most = isNarrow ? 25 : 45;
    const short = (label: string) => label.length > most ? `${label.slice(0, most - 1)}…` : label;
    return plot(width, 64 + 22 * rows.length, "Longest copied passage", {
      ...{ marginLeft: isNarrow ? 160 : 290, marginTop: 8, marginRight: 20 },
      x: { label: "characters →", zero: true, grid: true, nice: true, ticks: isNarrow ? 4 : 8 },
      y: {
        ...{ label: null, domain: labelled.map(({ label }) => label), tickSize: 0 },
        tickFormat: short,
      },
      marks: [
        heldOut && Plot.ruleX([heldOut.mean], {
          ...{ stroke: "currentColor", strokeDasharray: "4 3" },
          title: () => `held-out text: ${heldOut.mean.toFixed(1)} characters`,
        }),
        Plot.ruleY(labelled, {
          y: "label",
          x1: ({ spread }: Labelled) => spread.mean - (spread.sd ?? 0),
          x2: ({ spread }: Labelled) => spread.mean + (spread.sd ?? 0),
          ...{ stroke: ({ series }: Labelled) => color(series.model), strokeOpacity: 0.45 },
          strokeWidth: 3,
        }),
        Plot.dot(labelled, {
          ...{ y: "label", x: ({ spread }: Labelled) => spread.mean, r: 4.5 },
          fill: ({ series }: Labelled) => color(series.model),
          title: ({ label, spread }: Labelled) =>
            `${label}: ${spread.mean.toFixed(1)} characters` +
            (spread.sd === null ? "" : ` ± ${spread.sd.toFixed(1)}`),
        }),
      ],
    });
  };
  const [{ row: { length } }] = measured.entries;
  return section(
    "memorisation",
    "What is copied",
    h(
      "p",
      {},
      "The longest passage of a text that stands in the training text letter for letter. Held-out text, written by the same ",
      "author, has such passages too: only what goes beyond it is memorised.",
    ),
    figure(
      "memory-chart",
      [
        key("gpt", "dot", "GPT"),
        key("diffusion", "dot", "Diffusion"),
        key(
          "ink",
          "dash",
          `held-out text${heldOut ? `: ${heldOut.mean.toFixed(1)} characters` : ""}`,
        ),
      ],
      bothWidths(draw),
      figureNotes({
        shows:
          `Length of the longest passage found in the training text, mean and standard deviation: ${
            textsOf(measured)
          }.`,
        not:
          `Passages that were changed in a letter or two. It grows with the length of a text: here each has ${
            length.toLocaleString("en-GB")
          } characters.`,
        commands: commandsOf(measured.entries),
        marks: measured.entries,
      }),
    ),
    h(
      "details",
      { id: "memory-table" },
      h("summary", {}, "The figures, and longer passages"),
      table("What stands in the training text, mean ± standard deviation over texts", [
        "Text",
        "Longest passage, characters",
        "30-grams found, %",
        "50-grams found, %",
      ], [
        h(
          "tbody",
          {},
          [...measured.references, ...rows.map(({ entry }) => entry)].map((entry) =>
            h(
              "tr",
              {},
              rowTitle(entry),
              spreadCell(entry.row.figures.longest_match, 1),
              spreadCell(entry.row.figures.found_30, 2, 100),
              spreadCell(entry.row.figures.found_50, 2, 100),
            )
          ),
        ),
      ]),
    ),
  );
}
