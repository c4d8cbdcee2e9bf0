/**
 * How well the models predict: bits per character by estimator, beside the baselines, and by the
 * share that is masked.
 */
import * as Plot from "@observablehq/plot";
import { estimatorNotes } from "../../core/scoring/estimators.ts";
import type { Compared, Estimator } from "../../core/scoring/results.ts";
import { bothWidths, color, figure, key, plot } from "./charts.ts";
import { type Child, command, h, number, table } from "./dom.ts";
import type {
  BaselineEntry,
  ComparisonEntry,
  EvaluationEntry,
  Marked,
  ReportData,
} from "./gather.ts";
import { figureNotes, marks, modelTag, section } from "./parts.ts";
import { baselineTitle, MODEL_NAMES, stem } from "./words.ts";

/** A likelihood of a model or a baseline, with what the chart and the table need of it. */
interface Line extends Marked {
  name: string;
  /** The name of its colour. */
  tone: string;
  weights: string;
  estimator: Estimator;
  bpc: number;
  sePasses: number | null;
  seBlocks: number;
  context: number;
  blocks: number;
  chars: number;
  command: string;
}

/**
 * Half of the interval that holds 95 %, from both errors: that of the text and that of the masks.
 */
export function halfInterval({ sePasses, seBlocks }: Pick<Line, "sePasses" | "seBlocks">): number {
  return 1.96 * Math.hypot(sePasses ?? 0, seBlocks);
}

function linesOf({ evaluations, baselines }: ReportData): Line[] {
  const common = ({ row, provenance, stale, other }: EvaluationEntry | BaselineEntry) => ({
    ...{ stale, other, bpc: row.bpc!, weights: row.weights, estimator: row.estimator },
    ...{ sePasses: row.se_passes, seBlocks: row.se_blocks, context: row.context },
    ...{ blocks: row.blocks, chars: row.chars, command: provenance.command },
  });
  const likelihoods = evaluations.filter(({ row }) => row.bpc !== null);
  const hasTwins = new Set(likelihoods.map(({ row }) => row.weights)).size >
    new Set(likelihoods.map(({ row }) => row.model)).size;
  return [
    ...likelihoods.map((entry) => ({
      ...common(entry),
      tone: entry.row.model,
      name: [MODEL_NAMES[entry.row.model], entry.row.estimator]
        .concat(hasTwins ? [stem(entry.row.weights)] : []).join(", "),
    })),
    ...baselines.map((entry) => ({
      ...common(entry),
      tone: "muted",
      name: baselineTitle(entry.row.model),
    })),
  ].sort((a, b) => b.context - a.context || a.bpc - b.bpc);
}

/** A bound is what a figure is at most; the reader must see that wherever it stands. */
const atMost = (estimator: Estimator) => estimator === "nelbo" ? "≤ " : "";

/** Bits per character of both models and the baselines, by estimator. */
export function bitsPerCharacter(data: ReportData): HTMLElement | null {
  const lines = linesOf(data);
  if (lines.length === 0) return null;
  const contexts = [...new Set(lines.map(({ context }) => context))];
  return section(
    "bits",
    "Bits per character",
    h(
      "p",
      {},
      "How many bits a model needs for a character of text that it has never seen: the lower, the better it predicts. All ",
      "are scored on the same blocks of the validation text; the first character of a block is given.",
    ),
    contexts.map((context) => bitsChart(lines.filter((line) => line.context === context))),
    bitsTable(lines, contexts),
    comparisonsTable(data.comparisons),
    maskedMean(data.evaluations),
  );
}

function bitsChart(lines: Line[]): HTMLElement {
  const [{ context }] = lines;
  const draw = (width: number) => {
    const narrow = width < 600;
    const value = (line: Line) => `${atMost(line.estimator)}${line.bpc.toFixed(3)}`;
    const common = { y: "name", stroke: (line: Line) => color(line.tone) };
    return plot(width, 62 + 34 * lines.length, `Bits per character, context ${context}`, {
      ...{ marginLeft: narrow ? 140 : 190, marginRight: narrow ? 52 : 64, marginTop: 8 },
      x: { label: "bits per character →", grid: true, nice: true, ticks: narrow ? 4 : 8 },
      y: { label: null, domain: lines.map(({ name }) => name), tickSize: 0 },
      marks: [
        Plot.ruleY(lines, {
          ...common,
          ...{
            x1: (line: Line) => line.bpc - halfInterval(line),
            x2: (line: Line) => line.bpc + halfInterval(line),
          },
          strokeWidth: 3,
          strokeOpacity: 0.55,
        }),
        Plot.dot(lines, {
          ...common,
          ...{ x: "bpc", r: 5, strokeWidth: 2.5 },
          fill: (line: Line) => line.estimator === "nelbo" ? color("surface") : color(line.tone),
          title: (line: Line) =>
            `${line.name}: ${value(line)} ± ${halfInterval(line).toFixed(3)} (95 %)`,
        }),
        Plot.text(lines, {
          ...{ y: "name", text: value, textAnchor: "start", dx: 12, fontWeight: "bold" },
          x: (line: Line) => line.bpc + halfInterval(line),
        }),
      ],
    });
  };
  const used = new Set(lines.map(({ estimator }) => estimator));
  const has = (tone: string) => lines.some((line) => line.tone === tone);
  return figure(
    `bits-chart-${context}`,
    [
      has("gpt") ? key("gpt", "dot", "GPT") : null,
      has("diffusion") ? key("diffusion", "dot", "Diffusion") : null,
      used.has("nelbo") ? key("diffusion", "ring", "an upper bound: this or lower") : null,
      has("muted") ? key("muted", "dot", "baselines without a network") : null,
    ],
    bothWidths(draw),
    figureNotes({
      shows:
        `Bits per character in blocks of ${context} characters; the bars hold 95 %, for the text and the masks together. ` +
        `${listedBlocks(lines)}.`,
      not:
        "Which of two is better: their errors share the blocks, so that needs the paired comparison below. Nor can figures of " +
        "another context or text be set beside these." +
        (used.has("nelbo")
          ? " A bound beside an exact figure shows only that the diffusion model needs no more than that."
          : ""),
      commands: lines.map((line) => line.command),
      marks: lines,
    }),
  );
}

function listedBlocks(lines: Line[]): string {
  const of = (line: Line) => `${line.blocks.toLocaleString("en-GB")} blocks`;
  const counts = new Map<string, string[]>();
  for (const line of lines) counts.set(of(line), [...(counts.get(of(line)) ?? []), line.name]);
  const [most, ...others] = [...counts].sort((a, b) => b[1].length - a[1].length);
  return [`From ${most[0]}`, ...others.map(([count, names]) => `${names.join(" and ")}: ${count}`)]
    .join("; ");
}

function bitsTable(lines: Line[], contexts: number[]): HTMLElement {
  const bodies = contexts.map((context) =>
    h(
      "tbody",
      {},
      h("tr", { class: "group" }, h("th", { colspan: 7, scope: "rowgroup" }, `Context ${context}`)),
      lines.filter((line) => line.context === context).map(bitsRow),
    )
  );
  const used = new Set(lines.map(({ estimator }) => estimator));
  return h(
    "details",
    {},
    h("summary", {}, "The figures, and what the estimators are"),
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
      Object.entries(estimatorNotes)
        .filter(([name]) => used.has(name as Estimator))
        .map(([name, text]) => h("div", {}, h("dt", {}, name), h("dd", {}, text))),
      h(
        "div",
        {},
        h("dt", {}, "±"),
        h(
          "dd",
          {},
          "standard errors: by text from resampled blocks (another stretch of text would give another figure), by masks from ",
          "repeated passes.",
        ),
      ),
    ),
  );
}

function bitsRow(line: Line): HTMLElement {
  return h(
    "tr",
    { class: line.stale.length > 0 ? "is-stale" : "" },
    h(
      "th",
      { scope: "row" },
      line.tone === "muted" ? h("span", {}, line.name) : modelTag(line.tone as "gpt" | "diffusion"),
      line.weights === "" ? null : h("code", {}, line.weights),
      marks(line),
    ),
    h("td", { class: "figure" }, atMost(line.estimator), number(line.bpc, 3)),
    h("td", {}, line.estimator),
    h("td", { class: "number" }, number(line.seBlocks, 3)),
    h("td", { class: "number" }, line.sePasses === null ? "none" : number(line.sePasses, 4)),
    h("td", { class: "number" }, line.blocks.toLocaleString("en-GB")),
    h("td", { class: "number" }, line.chars.toLocaleString("en-GB")),
  );
}

const sideName = ({ model, estimator, weights }: Compared): Child =>
  model === "gpt" || model === "diffusion"
    ? [modelTag(model), ` ${estimator} `, h("code", {}, stem(weights))]
    : baselineTitle(model);

/** Which of two is better: differences on the same blocks. */
function comparisonsTable(entries: ComparisonEntry[]): HTMLElement | null {
  if (entries.length === 0) return null;
  const signed = (bits: number) => `${bits < 0 ? "−" : "+"}${Math.abs(bits).toFixed(3)}`;
  const verdict = ({ comparison: { a, b, difference, excludes_zero } }: ComparisonEntry) => {
    if (!excludes_zero) return "no difference seen";
    if (difference < 0) return "the first needs fewer bits";
    return a.estimator === "nelbo" && b.estimator !== "nelbo"
      ? "the second is below the bound of the first"
      : "the second needs fewer bits";
  };
  const rows = entries.map((entry) => {
    const { a, b, difference, interval, blocks, context } = entry.comparison;
    return h(
      "tr",
      {},
      h("th", { scope: "row" }, h("span", {}, sideName(a), " − ", sideName(b)), marks(entry)),
      h("td", { class: "figure" }, h("data", { value: difference }, signed(difference))),
      h("td", { class: "number" }, interval.map(signed).join(" to ")),
      h("td", {}, verdict(entry)),
      h("td", { class: "number" }, `${blocks.toLocaleString("en-GB")} of ${context}`),
    );
  });
  return h(
    "div",
    { id: "comparisons" },
    table(
      "Which of two is better: bits per character of the first minus those of the second, on the same blocks (paired bootstrap)",
      ["Compared", "Difference", "95 % interval", "So", "Blocks"],
      [h("tbody", {}, rows)],
    ),
    h(
      "div",
      { class: "commands" },
      [...new Set(entries.map(({ provenance }) => provenance.command))].map((text) =>
        command(text)
      ),
    ),
  );
}

/**
 * The original's validation loss, apart from the table: it is no likelihood and must not stand
 * beside a GPT's loss.
 */
function maskedMean(evaluations: EvaluationEntry[]): HTMLElement | null {
  const entries = evaluations.filter(({ row }) => row.estimator === "masked-mean");
  if (entries.length === 0) return null;
  return h(
    "details",
    { id: "masked-mean" },
    h("summary", {}, "The original's validation loss (masked-mean)"),
    h(
      "p",
      {},
      `${
        estimatorNotes["masked-mean"]
      } It can be held against the original's figures for its diffusion model, and against `,
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
            h("th", { scope: "row" }, h("code", {}, entry.row.weights), marks(entry)),
            h("td", { class: "number" }, entry.row.context),
            h("td", { class: "number" }, number(entry.row.nats, 3)),
            h("td", { class: "number" }, number(entry.row.se_blocks, 3)),
          )
        ),
      ),
    ]),
  );
}

/** How many bits a masked character costs, by the share of characters that are masked with it. */
export function maskShare({ evaluations }: ReportData): HTMLElement | null {
  const curves = evaluations.filter(({ row }) =>
    row.by_mask_share.some(({ blocks }) => blocks > 0)
  );
  const isPlain = ({ stale, other }: Marked) => stale.length + other.length === 0;
  const entry = curves.find(isPlain) ?? curves[0];
  if (!entry) return null;
  const { row } = entry, bpc = row.bpc ?? 0;
  const bins = row.by_mask_share.filter(({ blocks }) => blocks > 0);
  type Bin = typeof bins[number];
  const range = ({ from, to }: Bin) => `${Math.round(100 * from)} to ${Math.round(100 * to)} %`;
  const draw = (width: number) =>
    plot(width, width < 600 ? 280 : 340, "Cost of a masked character by the share of masked ones", {
      x: { label: "share of characters masked →", domain: [0, 1], tickFormat: ".0%", ticks: 5 },
      y: { label: "↑ bits per masked character", grid: true, zero: true, nice: true },
      marks: [
        Plot.rectY(bins, {
          ...{ x1: "from", x2: "to", y: "bits", inset: 1.5, rx: 2 },
          ...{ fill: color("diffusion"), fillOpacity: 0.75 },
          title: (bin: Bin) =>
            `${range(bin)} masked: ${bin.bits.toFixed(3)} bits (${
              bin.blocks.toLocaleString("en-GB")
            } blocks)`,
        }),
        Plot.text(bins, {
          x: (bin: Bin) => (bin.from + bin.to) / 2,
          ...{ y: "bits", text: (bin: Bin) => bin.bits.toFixed(2), dy: -8, fontWeight: "bold" },
        }),
        Plot.ruleY([bpc], { stroke: "currentColor", strokeDasharray: "4 3" }),
        Plot.ruleY([0], { stroke: "currentColor", strokeOpacity: 0.4 }),
      ],
    });
  return section(
    "masks",
    "What a masked character costs",
    h(
      "p",
      {},
      "With little hidden, the surroundings give a character away; with nearly all hidden, the model knows little more than how ",
      "frequent each character is. The bound is the mean over all shares.",
    ),
    figure(
      "mask-chart",
      [
        key("diffusion", "box", "mean of each eighth"),
        key("ink", "dash", `the bound, a mean over all shares: ${bpc.toFixed(3)}`),
      ],
      bothWidths(draw),
      figureNotes({
        shows:
          `Mean cross-entropy of the masked characters of ${
            stem(row.weights)
          }, by the share of the block that is masked: ` +
          `${bins.map((bin) => `${range(bin)}: ${bin.bits.toFixed(2)}`).join("; ")}. ${
            row.passes.toLocaleString("en-GB")
          } passes over ${row.blocks.toLocaleString("en-GB")} blocks of ${row.context} characters.`,
        not:
          "How fast the model writes, or how well: in generating, which characters are masked is not chance, the model fixes " +
          "the easy ones first.",
        commands: [entry.provenance.command],
        marks: [entry],
      }),
    ),
  );
}
