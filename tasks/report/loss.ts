/** Loss curves of both models on one axis: characters seen, steps or seconds. */
import * as Plot from "@observablehq/plot";
import type { ModelKind } from "../../core/config.ts";
import { bothWidths, color, figure, key, plot, scaleOf, switched, thin } from "./charts.ts";
import { type Child, dataElement, h, number, table } from "./dom.ts";
import type { ReportData, RunEntry } from "./gather.ts";
import { figureNotes, marks, modelTag, section } from "./parts.ts";
import { describeConfig, duration, MODEL_NAMES, MODELS, readable } from "./words.ts";

/** Characters seen, step, seconds, bits. */
type Point = number[];

interface Curves {
  model: ModelKind;
  train: Point[];
  validation: Point[];
  best: Point | undefined;
}

const AXES = [
  { label: "characters", title: "characters seen →", tickFormat: "~s" },
  { label: "steps", title: "steps →", tickFormat: "~s" },
  { label: "seconds", title: "seconds of training →", tickFormat: "~s" },
];
const BITS = 3;

/** Points of a training curve: as many as a screen shows. */
const MOST_POINTS = 250;

export function curvesOf({ run }: RunEntry): Curves {
  const best = run.validation.findLast((line) => line.best);
  const point = (
    { chars, step, seconds }: { chars: number; step: number; seconds: number },
    bits: number,
  ) => [
    chars,
    step,
    seconds,
    bits,
  ];
  return {
    model: run.header.model,
    train: thin(run.train.map((line) => point(line, line.lossNats / Math.LN2)), MOST_POINTS),
    validation: run.validation.map((line) => point(line, line.bpc)),
    best: best && point(best, best.bpc),
  };
}

/** Loss curves and a table of the runs. */
export function training({ runs }: ReportData): HTMLElement | null {
  const entries = MODELS.flatMap((model) => runs[model] ?? []);
  const drawn = entries.map(curvesOf).filter(({ train, validation }) =>
    train.length + validation.length > 0
  );
  if (entries.length === 0) return null;
  return section(
    "training",
    "Loss curves",
    h(
      "p",
      {},
      "How both models learn. The thick lines estimate bits per character on a part of the validation text: exact for the GPT, ",
      "the upper bound for the diffusion model.",
    ),
    drawn.length > 0 ? lossFigure(drawn, entries) : null,
    runsTable(entries),
    drawn.some(({ validation }) => validation.length > 0) ? validationTable(drawn) : null,
  );
}

function lossFigure(curves: Curves[], entries: RunEntry[]): HTMLElement {
  const legend = curves.flatMap(({ model }) => [
    key(model, "line", `${MODEL_NAMES[model]}, validation`),
    key(model, "thin", `${MODEL_NAMES[model]}, training`),
  ]);
  const views = AXES.map((axis, x) => ({
    label: axis.label,
    content: bothWidths((width) => lossChart(curves, x, width)),
  }));
  const sentences = curves.map(({ model, validation, best }) =>
    validation.length === 0
      ? `${MODEL_NAMES[model]}: no validation yet.`
      : `${MODEL_NAMES[model]}: validation from ${validation[0][BITS].toFixed(2)} to ${
        validation.at(-1)![BITS].toFixed(2)
      } bits, best ${best ? `${best[BITS].toFixed(3)} at step ${best[1]}` : "none"}.`
  );
  return figure(
    "loss-chart",
    [...legend, key("ink", "ring", "best checkpoint")],
    [
      switched("loss-axis", "Over", views),
      h("p", { class: "probe", id: "loss-probe", "aria-live": "polite", hidden: true }),
      dataElement(
        "loss-data",
        curves.flatMap(({ model, train, validation }) => [
          { name: `${MODEL_NAMES[model]}, validation`, points: validation.map(rounded) },
          { name: `${MODEL_NAMES[model]}, training`, points: train.map(rounded) },
        ]),
      ),
    ],
    figureNotes({
      shows:
        `${
          sentences.join(" ")
        } One run of each; validation on 64 blocks, the same masks every time; training losses are ` +
        "means of neighbouring steps.",
      not:
        "A race of the thin lines: they are different quantities. The GPT's training loss is the cost of every next character, " +
        "the diffusion model's that of the masked characters only, whatever their share. Seconds are those of the machine and " +
        "engine that trained, busy or not.",
      commands: entries.map(({ run }) => run.header.command),
      marks: entries,
    }),
  );
}

const rounded = (point: Point) => point.map((value) => Number(value.toPrecision(6)));

/** One drawing; the script reads values from `data-axis`, `data-scale` and the data beside it. */
export function lossChart(curves: Curves[], axis: number, width: number): Element {
  const x = String(axis), y = String(BITS);
  const drawn = plot(width, width < 600 ? 300 : 400, `Loss over ${AXES[axis].label}`, {
    x: { label: AXES[axis].title, tickFormat: AXES[axis].tickFormat, ticks: width / 90 },
    y: { label: "↑ bits per character", grid: true, nice: true },
    marks: curves.flatMap(({ model, train, validation, best }) => {
      const encoding = { x, y, stroke: color(model) };
      const bestPoint = best ? [best] : [];
      return [
        Plot.lineY(train, { ...encoding, strokeOpacity: 0.6, strokeWidth: 1 }),
        Plot.lineY(validation, { ...encoding, strokeWidth: 2.5 }),
        validation.length < 40
          ? Plot.dot(validation, { ...encoding, r: 2, fill: color(model) })
          : null,
        Plot.dot(bestPoint, { ...encoding, r: 7, strokeWidth: 2.5 }),
        Plot.text(bestPoint, {
          ...{ x, y, text: () => `best ${best![BITS].toFixed(2)}` },
          ...{ fill: color(model), stroke: color("surface"), strokeWidth: 5 },
          ...{ dy: model === "gpt" ? 20 : -18, textAnchor: "end", fontWeight: "bold" },
        }),
      ];
    }),
  });
  drawn.setAttribute("data-axis", String(axis));
  drawn.setAttribute("data-scale", scaleOf(drawn));
  return drawn;
}

function runsTable(entries: RunEntry[]): HTMLElement {
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
        marks(entry),
      ),
      h("td", { class: "number" }, last ? last.step.toLocaleString("en-GB") : "0"),
      h("td", { class: "number" }, last ? readable(last.chars) : "0"),
      h("td", { class: "number" }, last ? duration(last.seconds) : ""),
      h("td", { class: "number" }, best ? [number(best.bpc, 3), ` (step ${best.step})`] : "none"),
      h("td", {}, `${header.engine}, ${header.precision}`),
    );
  });
  return table("Training runs", [
    "Model",
    "Steps",
    "Characters",
    "Time",
    "Best validation, bits",
    "Engine",
  ], [h("tbody", {}, rows)]);
}

function validationTable(curves: Curves[]): HTMLElement {
  const rows: Child[] = curves.flatMap(({ model, validation, best }) =>
    thin(validation, 60).map((point) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, modelTag(model)),
        [0, 1, 2].map((i) =>
          h("td", { class: "number" }, Math.round(point[i]).toLocaleString("en-GB"))
        ),
        h(
          "td",
          { class: "number" },
          number(point[BITS], 3),
          point[BITS] === best?.[BITS] ? " best" : "",
        ),
      )
    )
  );
  return h(
    "details",
    {},
    h("summary", {}, "The validations as a table"),
    table("Validations during training", ["Model", "Characters", "Step", "Seconds", "Bits"], [
      h("tbody", {}, rows),
    ]),
  );
}
