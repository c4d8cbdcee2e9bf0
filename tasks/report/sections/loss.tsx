/** Loss curves of both models on one axis: characters seen, steps or seconds. */
import * as Plot from "@observablehq/plot";
import type { ModelKind } from "../../../core/config.ts";
import { spaceEvenly } from "../../../core/scoring/rows.ts";
import type { RunPoint } from "../../../core/training/loop.ts";
import { duration } from "../../shared/text.ts";
import {
  BothWidths,
  chooseSymbol,
  color,
  Figure,
  isNarrow,
  Key,
  PlotSvg,
  Switched,
  SymbolKey,
  thin,
} from "../charts.tsx";
import { DataScript, ModelTag, type Part, type Row, Section, Table, Value } from "../markup.tsx";
import type { SampleLine } from "../read_results.ts";
import type { ReportData, RunEntry } from "../report_data.ts";
import { count, describeConfig, MODEL_NAMES, MODELS, readable } from "../words.ts";

/** Characters seen, step, seconds, bits. */
type Point = number[];
const STEP = 1;
const BITS = 3;
/** The symbol of a sample. */
const STAR = 4;

interface Curves {
  model: ModelKind;
  train: Point[];
  validation: Point[];
  best: Point | undefined;
  /** The samples in between, each at the height of the validation nearest to it. */
  samples: WrittenPoint[];
}

interface WrittenPoint {
  point: Point;
  text: string;
}

/** The choices for the horizontal axis: the first columns of a point. */
const AXES = [
  { label: "characters", title: "characters seen →" },
  { label: "steps", title: "steps →" },
  { label: "seconds", title: "seconds of training →" },
];

/** Points of a training curve: as many as a screen shows. */
const MOST_POINTS = 250;
/** Samples of a run that the page shows, evenly spread. */
const MOST_SAMPLES = 24;

/** The curves of a run, in bits per character. */
export function makeCurves({ run }: RunEntry): Curves {
  const place = ({ chars, step, seconds }: RunPoint) => [chars, step, seconds];
  const train = run.train.map((line) => [...place(line), line.lossNats / Math.LN2]);
  const validation = run.validation.map((line) => [...place(line), line.bpc]);
  const best = run.validation.findLastIndex((line) => line.best);
  return {
    model: run.header.model,
    train: thin(train, MOST_POINTS),
    validation,
    best: validation[best],
    samples: spaceSamples(run.samples).map((line) => {
      const distance = (point: Point) => Math.abs(point[STEP] - line.step);
      const [nearest] = [...validation, ...train].toSorted((a, b) => distance(a) - distance(b));
      return { point: [...place(line), nearest?.[BITS] ?? 0], text: line.text };
    }),
  };
}

function spaceSamples(samples: SampleLine[]): SampleLine[] {
  if (samples.length === 0) return samples;
  return spaceEvenly(samples.length, MOST_SAMPLES).map((index) => samples[index]);
}

/** Loss curves and a table of the runs. */
export function training({ runs }: ReportData): Part {
  const entries = MODELS.flatMap((model) => runs[model] ?? []);
  if (entries.length === 0) return null;
  const drawn = entries.map(makeCurves).filter(({ train, validation }) =>
    train.length + validation.length > 0
  );
  return (
    <Section id="training" title="Loss curves">
      <p>
        How both models learn. The thick lines estimate bits per character on a part of the
        validation text: exact for the GPT, the upper bound for the diffusion model.
      </p>
      {drawn.length > 0 && <LossFigure curves={drawn} entries={entries} />}
      <Runs entries={entries} />
      {drawn.some(({ validation }) => validation.length > 0) && <Validations curves={drawn} />}
      {drawn.some(({ samples }) => samples.length > 0) && <Samples curves={drawn} />}
    </Section>
  );
}

function LossFigure({ curves, entries }: { curves: Curves[]; entries: RunEntry[] }) {
  const data = curves.flatMap(({ model, train, validation }) => [
    { name: `${MODEL_NAMES[model]}, validation`, points: validation.map(roundPoint) },
    { name: `${MODEL_NAMES[model]}, training`, points: train.map(roundPoint) },
  ]);
  const views = AXES.map(({ label }, axis) => ({
    label,
    content: (
      <BothWidths draw={(width) => <LossChart curves={curves} axis={axis} width={width} />} />
    ),
  }));
  return (
    <Figure
      id="loss-chart"
      legend={
        <>
          {curves.map(({ model }) => (
            <>
              <Key of={model} shape="line">{MODEL_NAMES[model]}, validation</Key>
              <Key of={model} shape="thin">{MODEL_NAMES[model]}, training</Key>
            </>
          ))}
          <Key of="ink" shape="ring">best checkpoint</Key>
          {curves.some(({ samples }) => samples.length > 0) && (
            <SymbolKey of="ink" index={STAR} label="what it wrote then" />
          )}
        </>
      }
      shows={`${curves.map(describe).join(" ")} One run of each; validation on 64 blocks, the ` +
        "same masks every time; training losses are means of neighbouring steps."}
      not={"A race of the thin lines: they are different quantities. The GPT's training loss is " +
        "the cost of every next character, the diffusion model's that of the masked characters " +
        "only, whatever their share. Seconds are those of the machine and engine that trained, " +
        "busy or not."}
      commands={entries.map(({ run }) => run.header.command)}
      marks={entries}
    >
      <Switched id="loss-axis" label="Over" views={views} />
      <p class="probe" id="loss-probe" aria-live="polite" hidden />
      <DataScript id="loss-data" value={data} />
    </Figure>
  );
}

function describe({ model, validation, best }: Curves): string {
  if (validation.length === 0) return `${MODEL_NAMES[model]}: no validation yet.`;
  const first = validation[0][BITS].toFixed(2);
  const last = validation.at(-1)![BITS].toFixed(2);
  const lowest = best ? `${best[BITS].toFixed(3)} at step ${best[1]}` : "none";
  return `${MODEL_NAMES[model]}: validation from ${first} to ${last} bits, best ${lowest}.`;
}

const roundPoint = (point: Point) => point.map((value) => Number(value.toPrecision(6)));

/** One drawing; the script reads values from `data-axis`, `data-scale` and the data with it. */
export function LossChart(
  { curves, axis, width }: { curves: Curves[]; axis: number; width: number },
) {
  const x = String(axis);
  const y = String(BITS);
  return (
    <PlotSvg
      width={width}
      height={isNarrow(width) ? 300 : 400}
      label={`Loss over ${AXES[axis].label}`}
      attributes={(scale) => ({ "data-axis": x, "data-scale": scaleOf(scale) })}
      x={{ label: AXES[axis].title, tickFormat: "~s", ticks: width / 90 }}
      y={{ label: "↑ bits per character", grid: true, nice: true }}
      marks={curves.flatMap(({ model, train, validation, best, samples }) => {
        const encoding = { x, y, stroke: color(model) };
        const bestPoint = best ? [best] : [];
        return [
          Plot.lineY(train, { ...encoding, strokeOpacity: 0.6, strokeWidth: 1 }),
          Plot.lineY(validation, { ...encoding, strokeWidth: 2.5 }),
          validation.length < 40
            ? Plot.dot(validation, { ...encoding, r: 2, fill: color(model) })
            : null,
          Plot.dot(samples, {
            x: ({ point }: WrittenPoint) => point[axis],
            y: ({ point }: WrittenPoint) => point[BITS],
            r: 5,
            ...chooseSymbol(STAR, color(model)),
            title: ({ point, text }: WrittenPoint) => `step ${point[STEP]}: ${text.trim()}`,
          }),
          Plot.dot(bestPoint, { ...encoding, r: 7, strokeWidth: 2.5 }),
          Plot.text(bestPoint, {
            x,
            y,
            text: (point: Point) => `best ${point[BITS].toFixed(2)}`,
            fill: color(model),
            stroke: color("surface"),
            strokeWidth: 5,
            dy: model === "gpt" ? 20 : -18,
            textAnchor: "end",
            fontWeight: "bold",
          }),
        ];
      })}
    />
  );
}

/** Domain and range of x, then of y. */
function scaleOf(scale: Plot.Plot["scale"]): string {
  return (["x", "y"] as const).flatMap((axis) => {
    const { domain, range } = scale(axis)!;
    return [...domain!, ...range!];
  }).join(" ");
}

function Runs({ entries }: { entries: RunEntry[] }) {
  return (
    <Table
      caption="Training runs"
      columns={["Model", "Steps", "Characters", "Time", "Best validation, bits", "Engine"]}
      text={["Engine"]}
      rows={entries.map(makeRow)}
    />
  );
}

function makeRow({ run: { header, train, validation }, ...marks }: RunEntry): Row {
  const [last] = [train.at(-1), validation.at(-1)].filter((line) => line !== undefined)
    .sort((a, b) => b.step - a.step);
  const best = validation.findLast((line) => line.best);
  return {
    head: (
      <>
        <ModelTag model={header.model} />
        <span class="fine">{describeConfig(header.config)}</span>
      </>
    ),
    marks,
    cells: [
      count(last?.step ?? 0),
      readable(last?.chars ?? 0),
      last && duration(1000 * last.seconds),
      best ? [<Value of={best.bpc} digits={3} />, ` (step ${best.step})`] : "none",
      `${header.engine}, ${header.precision}`,
    ],
  };
}

function Samples({ curves }: { curves: Curves[] }) {
  return (
    <details>
      <summary>What they wrote while they learned</summary>
      <div class="texts" tabindex={0} role="region" aria-label="Samples during training">
        {curves.flatMap(({ model, samples }) =>
          samples.map(({ point, text }) => (
            <div>
              <p class="fine">
                <ModelTag model={model} />
                {` step ${point[STEP]}, ${readable(point[0])} characters seen`}
              </p>
              <div class="text">{text}</div>
            </div>
          ))
        )}
      </div>
    </details>
  );
}

function Validations({ curves }: { curves: Curves[] }) {
  const rows = curves.flatMap(({ model, validation, best }) =>
    thin(validation, 60).map((point): Row => ({
      head: <ModelTag model={model} />,
      cells: [
        ...point.slice(0, BITS).map((value) => count(Math.round(value))),
        [<Value of={point[BITS]} digits={3} />, point[BITS] === best?.[BITS] && " best"],
      ],
    }))
  );
  return (
    <details>
      <summary>The validations as a table</summary>
      <Table
        caption="Validations during training"
        columns={["Model", "Characters", "Step", "Seconds", "Bits"]}
        rows={rows}
      />
    </details>
  );
}
