/**
 * The charts, drawn by Observable Plot into SVG when the page is built: the page carries no chart library. Colours are
 * variables of the page's style sheet, so the charts follow its theme. Each chart is drawn twice, for wide and for narrow
 * screens (the style sheet shows one), and has a text that says what it shows.
 */
import * as Plot from "@observablehq/plot";
import type { EvaluationRow } from "../../core/results.ts";
import type { EvaluationEntry, Pair, ReportData, RunEntry } from "./gather.ts";
import { type Child, document, h } from "./dom.ts";
import { meanRealWords, MODEL_NAMES, MODELS } from "./words.ts";

interface Point {
  chars: number;
  bits: number;
}

const color = (model: string) => `var(--${model})`;

/** Training and validation loss of both models over the characters seen. */
export function lossChart(runs: Pair<RunEntry>): HTMLElement | null {
  const lines = MODELS.flatMap((model) => {
    const run = runs[model]?.run;
    if (!run || run.train.length + run.validation.length === 0) return [];
    const train = run.train.map(({ chars, lossNats }) => ({ chars, bits: lossNats / Math.LN2 }));
    const validation = run.validation.map(({ chars, bpc }) => ({ chars, bits: bpc }));
    const best = run.validation.findLast((line) => line.best);
    return [{ model, train: thin(train, 300), validation, best }];
  });
  if (lines.length === 0) return null;

  const sentences = lines.map(({ model, validation, best }) =>
    validation.length === 0
      ? `${MODEL_NAMES[model]}: no validation yet.`
      : `${MODEL_NAMES[model]}: validation goes from ${validation[0].bits.toFixed(2)} to ${
        validation.at(-1)!.bits.toFixed(2)
      } bits per character` + (best
        ? `, best ${best.bpc.toFixed(3)} after ${
          readable(best.chars)
        } characters (step ${best.step}).`
        : ".")
  );
  const draw = (width: number, height: number) =>
    plot(width, height, "Loss curves", {
      x: { label: "characters seen →", tickFormat: "~s", ticks: width / 90 },
      y: { label: "↑ bits per character", grid: true, nice: true },
      marks: lines.flatMap(({ model, train, validation, best }) => {
        const encoding = { x: "chars", y: "bits", stroke: color(model) };
        const bestPoint = best ? [{ chars: best.chars, bits: best.bpc }] : [];
        return [
          Plot.lineY(train, {
            ...encoding,
            strokeOpacity: 0.7,
            strokeWidth: 1,
            className: "train",
          }),
          Plot.lineY(validation, { ...encoding, strokeWidth: 2.5 }),
          Plot.dot(validation, { ...encoding, r: 2.5, fill: color(model) }),
          Plot.dot(bestPoint, { ...encoding, r: 7, strokeWidth: 2.5 }),
          Plot.text(bestPoint, {
            ...{ x: "chars", y: "bits", text: () => `best ${best!.bpc.toFixed(2)}` },
            ...{ fill: color(model), stroke: "var(--surface)", strokeWidth: 5 },
            ...{ dy: model === "gpt" ? 20 : -18, textAnchor: "end", fontWeight: "bold" },
          }),
        ];
      }),
    });
  const legend = lines.flatMap(({ model }) => [
    key(model, "line", `${MODEL_NAMES[model]}, validation`),
    key(model, "thin", `${MODEL_NAMES[model]}, training`),
  ]);
  return figure("loss-chart", draw, [...legend, key("ink", "ring", "best checkpoint")], sentences);
}

/** How many bits a masked character costs, by the share of characters that are masked with it. */
export function maskShareChart(entries: EvaluationEntry[]): HTMLElement | null {
  const row = entries.find(({ row, stale }) => stale.length === 0 && hasCurve(row))?.row ??
    entries.find(({ row }) => hasCurve(row))?.row;
  if (!row) return null;
  const bins = row.by_mask_share.filter((bin) => bin.blocks > 0);
  const draw = (width: number, height: number) =>
    plot(width, height, "Cost of a masked character by the share of masked ones", {
      x: { label: "share of characters masked →", domain: [0, 1], tickFormat: ".0%", ticks: 5 },
      y: { label: "↑ bits per masked character", grid: true, zero: true, nice: true },
      marks: [
        Plot.rectY(bins, {
          ...{ x1: "from", x2: "to", y: "bits", inset: 1 },
          ...{ fill: color("diffusion"), fillOpacity: 0.75 },
        }),
        Plot.ruleY([row.bpc ?? 0], { stroke: "currentColor", strokeDasharray: "4 3" }),
        Plot.ruleY([0], { stroke: "currentColor", strokeOpacity: 0.4 }),
      ],
    });
  const sentence = bins.map((bin) =>
    `${Math.round(bin.from * 100)} to ${Math.round(bin.to * 100)} % masked: ${bin.bits.toFixed(2)}`
  ).join("; ");
  return figure("mask-chart", draw, [
    key("diffusion", "box", "diffusion, mean of each share"),
    key("ink", "dash", `the bound, a mean over all shares: ${(row.bpc ?? 0).toFixed(3)}`),
  ], [`Bits per masked character, ${sentence}.`]);
}

/** Share of real words in the samples, and in text that neither model has seen. */
export function realWordsChart(data: ReportData): HTMLElement | null {
  const bars = MODELS.flatMap((model) => {
    const result = data.samples[model]?.result;
    const share = result ? meanRealWords(result) : null;
    return share === null ? [] : [{ name: MODEL_NAMES[model], share, fill: color(model) }];
  });
  if (bars.length === 0) return null;
  const heldOut = MODELS.map((model) => data.samples[model]?.result.realWordsHeldOut ?? null)
    .find((share) => share !== null);
  if (heldOut !== undefined) {
    bars.push({ name: "Held-out text", share: heldOut, fill: "var(--muted)" });
  }
  const draw = (width: number) =>
    plot(width, 36 + 40 * bars.length, "Share of real words", {
      marginTop: 4,
      marginBottom: 28,
      marginLeft: 92,
      marginRight: 48,
      x: { label: null, domain: [0, 1], tickFormat: ".0%", ticks: 5, grid: true },
      y: { label: null, domain: bars.map((bar) => bar.name), tickSize: 0 },
      marks: [
        Plot.barX(bars, { x: "share", y: "name", fill: "fill", insetTop: 5, insetBottom: 5 }),
        Plot.text(bars, {
          ...{ x: "share", y: "name", text: (bar) => percent(bar.share) },
          ...{ textAnchor: "start", dx: 6, fontWeight: "bold" },
        }),
        Plot.ruleX([0], { stroke: "currentColor" }),
      ],
    });
  return figure("words-chart", draw, [], [
    `Share of real words: ${bars.map((bar) => `${bar.name} ${percent(bar.share)}`).join(", ")}.`,
  ]);
}

/** `0.5` as "50.0 %". */
export const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

const hasCurve = (row: EvaluationRow) => row.by_mask_share.some((bin) => bin.blocks > 0);

/** An SVG of Plot without its own style element, which the page's policy would refuse; `styles.css` has the same rules. */
function plot(width: number, height: number, label: string, options: Plot.PlotOptions): Element {
  const drawn = Plot.plot({
    ...{
      document,
      width,
      height,
      ariaLabel: label,
      marginLeft: 44,
      marginBottom: 40,
      marginTop: 28,
    },
    ...options,
  });
  drawn.querySelector("style")?.remove();
  drawn.setAttribute("class", "plot");
  drawn.setAttribute("role", "img");
  return drawn;
}

function figure(
  id: string,
  draw: (width: number, height: number) => Element,
  legend: Child[],
  sentences: string[],
): HTMLElement {
  return h(
    "figure",
    { class: "chart", id },
    legend.length > 0 ? h("ul", { class: "legend" }, legend) : null,
    h("div", { class: "wide" }, draw(1000, 400)),
    h("div", { class: "narrow" }, draw(360, 300)),
    h("figcaption", {}, sentences.join(" ")),
  );
}

function key(model: string, shape: string, label: string): HTMLElement {
  return h("li", {}, h("span", { class: `key ${shape} ${model}`, "aria-hidden": "true" }), label);
}

/** At most `count` points, each the mean of its neighbours: thousands of steps would only make the page heavy. */
export function thin(points: Point[], count: number): Point[] {
  const size = Math.ceil(points.length / count);
  if (size <= 1) return points;
  return Array.from({ length: Math.ceil(points.length / size) }, (_, i) => {
    const group = points.slice(i * size, (i + 1) * size);
    const mean = (value: (point: Point) => number) =>
      group.reduce((sum, point) => sum + value(point), 0) / group.length;
    return { chars: mean((point) => point.chars), bits: mean((point) => point.bits) };
  });
}

/** 1234567 as "1.23 million". */
export function readable(count: number): string {
  if (count >= 1e6) return `${(count / 1e6).toFixed(2)} million`;
  return count.toLocaleString("en-GB");
}
