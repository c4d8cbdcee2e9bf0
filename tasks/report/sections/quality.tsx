/**
 * The section on samples: quality against cost, over temperature, and what they copy from the
 * training text.
 */
import * as Plot from "@observablehq/plot";
import type { QualityFigure, QualityRow, Spread } from "../../shared/results.ts";
import { listed, percent } from "../../shared/text.ts";
import {
  BothWidths,
  chooseSymbol,
  color,
  dashed,
  DotPlot,
  type DotRow,
  Figure,
  isNarrow,
  Key,
  PlotSvg,
  Switched,
  SymbolKey,
} from "../charts.tsx";
import { isWritten } from "../gather.ts";
import { ModelTag, type Part, Section, Table } from "../markup.tsx";
import type { QualityEntry } from "../report_data.ts";
import { baselineTitle, count, describeSampler, isModel, stem } from "../words.ts";
import { type Measured, pickMeasurements, pickTemperature, type Series } from "./quality_series.ts";

/** All sections about how the models write, of the results that are shown. */
export function quality({ quality: entries }: { quality: QualityEntry[] }): Part[] {
  const measured = pickMeasurements(entries);
  if (!measured) return [];
  const shown = [...measured.entries, ...measured.references];
  const others = entries.filter((entry) => !shown.includes(entry));
  return [costSection(measured), temperatureSection(measured, others), memorisation(measured)];
}

/** The figure of held-out text, which is what to aim at. */
function findHeldOut({ references }: Measured, figure: QualityFigure): Spread | null {
  return references.find(({ row }) => row.source === "held-out")?.row.figures[figure] ?? null;
}

/** The texts that the table of n-grams wrote by itself, by temperature. */
function findControls({ references }: Measured): QualityRow[] {
  return references.map(({ row }) => row).filter(({ source }) => source === "n-grams")
    .sort((a, b) => (a.temperature ?? 0) - (b.temperature ?? 0));
}

/** The number of texts behind each point. */
function describeTexts({ entries }: Measured): string {
  const counts = [...new Set(entries.map(({ row }) => row.texts))].sort((a, b) => a - b);
  const length = count(entries[0].row.length);
  return `${listed(counts.map(String))} texts of ${length} characters for each point`;
}

/** Says which models judge how likely the texts are. */
function describeJudges({ entries: [{ result: { judges } }] }: Measured): string {
  const { gpt, independent, ngram } = judges;
  const gpts = [gpt, independent].flatMap((judge) =>
    judge ? [`${stem(judge.weights)} (context ${judge.context})`] : []
  );
  const all = [...gpts, baselineTitle(ngram.name)];
  return all.length > 1
    ? `The judges are ${listed(all)}.`
    : `The judge is ${all[0]}; there was no GPT to judge.`;
}

const listCommands = (entries: QualityEntry[]) =>
  entries.map(({ result }) => result.provenance.command);

function Legend(measured: Measured) {
  const hasControls = findControls(measured).length > 0;
  return (
    <>
      {measured.series.map(({ name, model, index }) => (
        <SymbolKey of={model} index={index} label={name} />
      ))}
      {hasControls && <Key of="muted" shape="line">a table of n-grams alone: the control</Key>}
      <Key of="ink" shape="dash">held-out text: what to aim at</Key>
    </>
  );
}

interface Panel {
  figure: QualityFigure;
  title: string;
  isShare?: boolean;
}

/** The figures that the small charts show, best known first. */
const PANELS: Panel[] = [
  { figure: "judge_gpt", title: "bits per character, GPT judge" },
  { figure: "judge_independent", title: "bits per character, independent judge" },
  { figure: "judge_ngram", title: "bits per character, n-gram judge" },
  { figure: "real_words", title: "real words", isShare: true },
  { figure: "distinct_4", title: "distinct 4-grams", isShare: true },
  { figure: "entropy", title: "entropy of characters, bits" },
  { figure: "jsd_4", title: "divergence of 4-grams, bits" },
];

/** The horizontal axis of the small charts. */
interface Axis {
  label: string;
  of: (row: QualityRow) => number | null;
  /** Whether the points of a series are joined. */
  lines?: boolean;
}

interface PanelsProps {
  measured: Measured;
  axis: Axis;
  /** The texts that are shown. */
  entries: QualityEntry[];
}

function Panels(props: PanelsProps) {
  const panels = PANELS.filter(({ figure }) =>
    props.entries.some(({ row }) => row.figures[figure] && props.axis.of(row) !== null)
  );
  return (
    <div class="small-charts">
      {panels.map((panel) => (
        <div>
          <h3>{panel.title}</h3>
          <PanelChart panel={panel} {...props} />
        </div>
      ))}
    </div>
  );
}

interface Dot {
  x: number;
  spread: Spread;
  series: Series;
  row: QualityRow;
}

/** One small chart: a figure of quality over something. */
function PanelChart({ panel, measured, axis, entries }: PanelsProps & { panel: Panel }) {
  const { figure, title, isShare } = panel;
  const dots = measured.series.flatMap((series) =>
    series.entries.filter((entry) => entries.includes(entry)).flatMap(({ row }): Dot[] => {
      const x = axis.of(row);
      const spread = row.figures[figure];
      return x === null || !spread ? [] : [{ x, spread, series, row }];
    })
  );
  const aim = findHeldOut(measured, figure);
  const says = (value: number) => isShare ? percent(value) : value.toFixed(2);
  const controls = findControls(measured).flatMap((row) => {
    const spread = row.figures[figure];
    return spread ? [{ x: axis.of(row), row, y: spread.mean }] : [];
  });
  const shownAt = new Set(entries.map(({ row }) => row.temperature));
  const describeControl = ({ row, y }: { row: QualityRow; y: number }) =>
    `a table of n-grams alone, temperature ${row.temperature}: ${says(y)}`;
  const stroked = { stroke: color("muted"), strokeWidth: 1.5 };
  const y = ({ spread }: Dot) => spread.mean;
  const stroke = ({ series }: Dot) => color(series.model);
  const describe = ({ series, spread, row }: Dot) => {
    const { forwards, seconds } = row.cost ?? { forwards: { mean: 0 }, seconds: { mean: 0 } };
    return `${series.name}, temperature ${row.temperature}: ${says(spread.mean)}` +
      (spread.sd === null ? "" : ` ± ${says(spread.sd)}`) +
      ` (${Math.round(forwards.mean)} passes, ${seconds.mean.toFixed(1)} s)`;
  };
  return (
    <PlotSvg
      width={300}
      height={230}
      label={`${title}, over ${axis.label}`}
      marginTop={12}
      marginRight={14}
      x={{ label: `${axis.label} →`, ticks: 5, nice: true, inset: 8 }}
      y={{
        label: null,
        grid: true,
        nice: true,
        ticks: 5,
        inset: 8,
        tickFormat: isShare ? ".0%" : undefined,
      }}
      marks={[
        aim && Plot.ruleY([aim.mean], {
          ...dashed,
          title: () => `held-out text: ${says(aim.mean)}`,
        }),
        // Along the axis where the control has a place on it, else across the whole chart.
        axis.lines
          ? Plot.lineY(controls, { x: "x", y: "y", ...stroked })
          : Plot.ruleY(controls.filter(({ row }) => shownAt.has(row.temperature)), {
            y: "y",
            ...stroked,
            title: describeControl,
          }),
        axis.lines
          ? Plot.dot(controls, {
            x: "x",
            y: "y",
            r: 2.5,
            fill: color("muted"),
            title: describeControl,
          })
          : null,
        axis.lines
          ? Plot.lineY(dots, {
            x: "x",
            y,
            z: ({ series }: Dot) => series.name,
            stroke,
            strokeWidth: 1.5,
            strokeOpacity: 0.7,
          })
          : null,
        Plot.ruleX(dots, {
          x: "x",
          y1: ({ spread }: Dot) => spread.mean - (spread.sd ?? 0),
          y2: ({ spread }: Dot) => spread.mean + (spread.sd ?? 0),
          stroke,
          strokeOpacity: 0.45,
        }),
        measured.series.map((series) =>
          Plot.dot(dots.filter((dot) => dot.series === series), {
            x: "x",
            y,
            r: 4.5,
            ...chooseSymbol(series.index, color(series.model)),
            title: describe,
          })
        ),
      ]}
    />
  );
}

const COSTS = [
  {
    name: "forward passes",
    label: "forward passes per character",
    of: ({ cost, length }: QualityRow) => cost && cost.forwards.mean / length,
  },
  {
    name: "seconds",
    label: "seconds per 1,000 characters",
    of: ({ cost, length }: QualityRow) => cost && 1000 * cost.seconds.mean / length,
  },
];

function costSection(measured: Measured): Part {
  const temperature = pickTemperature(measured);
  const entries = measured.entries.filter(({ row }) => row.temperature === temperature);
  const views = COSTS.map(({ name, ...axis }) => ({
    label: name,
    content: <Panels measured={measured} axis={axis} entries={entries} />,
  }));
  return (
    <Section id="cost" title="Quality against cost">
      <p>
        A diffusion model can fix several characters in one pass, and pays for haste in quality. The
        dashed line is what real, held-out text scores: the aim is to meet it, not to go below it,
        since a text that repeats itself is cheap to predict.
      </p>
      <Figure
        id="cost-chart"
        legend={<Legend {...measured} />}
        shows={`Means at temperature ${temperature}, with standard deviations as bars: ${
          describeTexts(measured)
        }. ${describeJudges(measured)}`}
        not={"Sense, and taste. A GPT judges its own text too kindly, and the n-grams what they " +
          "wrote or steered. Below held-out text lower is no longer better, and a figure that the " +
          "table of n-grams reaches alone, such as real words, can't tell whether a network writes " +
          "well. A forward pass does not cost both models the same, and seconds " +
          "are those of one machine, which may have been busy."}
        commands={listCommands(entries)}
        marks={entries}
      >
        <Switched id="cost-axis" label="Cost in" views={views} />
      </Figure>
    </Section>
  );
}

function temperatureSection(measured: Measured, others: QualityEntry[]): Part {
  const { entries } = measured;
  const axis: Axis = { label: "temperature", of: ({ temperature }) => temperature, lines: true };
  return (
    <Section id="temperature" title="Over temperature">
      <p>
        A low temperature makes text safer and duller: nearly every single figure looks better then.
        So a sampler is judged by its whole curve, and by how near all figures come to held-out text
        at once.
      </p>
      <Figure
        id="temperature-chart"
        legend={<Legend {...measured} />}
        shows={`Each sampler at each temperature, means and standard deviations: ${
          describeTexts(measured)
        }. ${describeJudges(measured)}`}
        not={"How sure these means are: with few texts they move a good deal; the bars say how " +
          "far apart single texts are."}
        commands={listCommands(entries)}
        marks={entries}
      >
        <Panels measured={measured} axis={axis} entries={entries} />
      </Figure>
      <QualityTable {...measured} />
      <LeftOut commands={[...new Set(listCommands(others))]} />
    </Section>
  );
}

function LeftOut({ commands }: { commands: string[] }) {
  if (commands.length === 0) return null;
  return (
    <p class="fine">
      Measured by another yardstick (length of the texts, judge or training text) and so not shown
      here: {commands.map((command, i) => (
        <>
          {i > 0 && ", "}
          <code>{command}</code>
        </>
      ))}.
    </p>
  );
}

interface Column {
  title: string;
  of: (row: QualityRow) => Spread | null | undefined;
  digits: number;
  /** The factor for the figure. */
  scale?: number;
}

function makeColumn(figure: QualityFigure, title: string, digits: number, scale?: number): Column {
  return { title, of: ({ figures }) => figures[figure], digits, scale };
}

const COLUMNS: Column[] = [
  makeColumn("judge_gpt", "GPT judge, bits", 3),
  makeColumn("judge_independent", "Independent judge, bits", 3),
  makeColumn("judge_ngram", "n-gram judge, bits", 3),
  makeColumn("real_words", "Words, %", 1, 100),
  makeColumn("entropy", "Entropy, bits", 3),
  ...([2, 3, 4] as const).map((n) => makeColumn(`distinct_${n}`, `Distinct-${n}`, 3)),
  ...([1, 2, 3, 4, 5] as const).map((n) => makeColumn(`jsd_${n}`, `JSD-${n}, bits`, 3)),
  { title: "Passes", of: ({ cost }) => cost?.forwards, digits: 0 },
  { title: "Seconds", of: ({ cost }) => cost?.seconds, digits: 1 },
];

const MEMORY_COLUMNS: Column[] = [
  makeColumn("longest_match", "Longest passage, characters", 1),
  makeColumn("found_30", "30-grams found, %", 2, 100),
  makeColumn("found_50", "50-grams found, %", 2, 100),
];

interface FigureTableProps {
  caption: string;
  columns: Column[];
  entries: QualityEntry[];
}

/** A table of figures, one row for each kind of text. */
function FigureTable({ caption, columns, entries }: FigureTableProps) {
  return (
    <Table
      caption={caption}
      columns={["Text", ...columns.map(({ title }) => title)]}
      rows={entries.map((entry) => ({
        head: <RowTitle {...entry.row} />,
        marks: isWritten(entry) ? entry : undefined,
        cells: columns.map(({ of, digits, scale = 1 }) => {
          const spread = of(entry.row);
          if (!spread) return "none";
          const { mean, sd } = spread;
          return [
            <data value={mean}>{(scale * mean).toFixed(digits)}</data>,
            <span class="fine">{sd !== null && ` ± ${(scale * sd).toFixed(digits)}`}</span>,
          ];
        }),
      }))}
    />
  );
}

function RowTitle({ source, sampler, settings, temperature }: QualityRow) {
  if (source === "n-grams") return <span>n-grams alone, temperature {temperature}</span>;
  if (!isModel(source)) return <span>{source.replace("-", " ")}</span>;
  return (
    <>
      <ModelTag model={source} />
      <span>{describeSampler(sampler ?? "", settings)}, temperature {temperature}</span>
    </>
  );
}

function QualityTable({ references, series }: Measured) {
  return (
    <details id="quality-table">
      <summary>All figures as a table</summary>
      <FigureTable
        caption="Sample quality, mean ± standard deviation over texts"
        columns={COLUMNS}
        entries={[...references, ...series.flatMap(({ entries }) => entries)]}
      />
    </details>
  );
}

function memorisation(measured: Measured): Part {
  const copied = measured.series.flatMap(({ name, model, entries }) =>
    entries.flatMap((entry): { entry: QualityEntry; row: DotRow }[] => {
      const spread = entry.row.figures.longest_match;
      if (!spread) return [];
      const label = `${entry.row.temperature} · ${name.replace(/^.*?, /, "")}`;
      const sd = spread.sd === null ? "" : ` ± ${spread.sd.toFixed(1)}`;
      const title = `${label}: ${spread.mean.toFixed(1)} characters${sd}`;
      const row = { name: label, tone: model, value: spread.mean, spread: spread.sd ?? 0, title };
      return [{ entry, row }];
    })
  );
  if (copied.length === 0) return null;
  const heldOut = findHeldOut(measured, "longest_match");
  const aim = heldOut && `held-out text: ${heldOut.mean.toFixed(1)} characters`;
  const draw = (width: number) => (
    <DotPlot
      width={width}
      label="Longest copied passage"
      rows={copied.map(({ row }) => row)}
      rowHeight={22}
      marginLeft={isNarrow(width) ? 160 : 290}
      marginRight={20}
      x={{ label: "characters →", zero: true }}
      shorten={(name) => shorten(name, isNarrow(width) ? 25 : 45)}
      aim={heldOut && aim ? { value: heldOut.mean, title: aim } : undefined}
    />
  );
  return (
    <Section id="memorisation" title="What is copied">
      <p>
        The longest passage of a text that is in the training text letter for letter. Held-out text,
        written by the same author, has such passages too: only what goes beyond it is memorised.
      </p>
      <Figure
        id="memory-chart"
        legend={
          <>
            <Key of="gpt" shape="dot">GPT</Key>
            <Key of="diffusion" shape="dot">Diffusion</Key>
            <Key of="ink" shape="dash">{aim ?? "held-out text"}</Key>
          </>
        }
        shows={"Length of the longest passage found in the training text, mean and standard " +
          `deviation: ${describeTexts(measured)}.`}
        not={"Passages that were changed in a letter or two. It grows with the length of a text: " +
          `here each has ${count(measured.entries[0].row.length)} characters.`}
        commands={listCommands(measured.entries)}
        marks={measured.entries}
      >
        <BothWidths draw={draw} />
      </Figure>
      <details id="memory-table">
        <summary>The figures, and longer passages</summary>
        <FigureTable
          caption="Passages found in the training text, mean ± standard deviation over texts"
          columns={MEMORY_COLUMNS}
          entries={[...measured.references, ...copied.map(({ entry }) => entry)]}
        />
      </details>
    </Section>
  );
}

const shorten = (text: string, most: number) =>
  text.length > most ? `${text.slice(0, most - 1)}…` : text;
