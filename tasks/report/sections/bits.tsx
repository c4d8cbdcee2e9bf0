/** The section of bits per character, by estimator, with the baselines. */
import type { Compared } from "../../../core/scoring/comparison.ts";
import { type Estimator, estimatorNotes } from "../../../core/scoring/estimators.ts";
import type { BaselineRow, EvaluationRow } from "../../shared/results.ts";
import { BothWidths, DotPlot, type DotRow, Figure, isNarrow, Key } from "../charts.tsx";
import {
  Commands,
  Facts,
  ModelTag,
  type Part,
  type Row,
  Section,
  Table,
  Value,
} from "../markup.tsx";
import type { ComparisonEntry, EvaluationEntry, Marked, ReportData } from "../report_data.ts";
import { baselineTitle, count, isModel, MODEL_NAMES, stem } from "../words.ts";

/** A likelihood of a model or a baseline, as the chart and the table show it. */
interface Line extends Marked {
  name: string;
  /** The name of its colour. */
  tone: "gpt" | "diffusion" | "muted";
  row: (EvaluationRow | BaselineRow) & { bpc: number };
  command: string;
}

/** Half of the 95 % interval, from both errors: that of the text and that of the masks. */
export function halfInterval(row: Pick<EvaluationRow, "se_passes" | "se_blocks">): number {
  return 1.96 * Math.hypot(row.se_passes ?? 0, row.se_blocks);
}

/** The sign of a figure that is an upper bound. */
export function signOfBound(estimator: Estimator): string {
  return estimator === "nelbo" ? "≤ " : "";
}

function collectLines({ evaluations, baselines }: ReportData): Line[] {
  const likelihoods = evaluations.filter(({ row }) => row.bpc !== null);
  const hasTwins = new Set(likelihoods.map(({ row }) => row.weights)).size >
    new Set(likelihoods.map(({ row }) => row.model)).size;
  return [...likelihoods, ...baselines].map(({ row, provenance, ...marked }): Line => {
    const { model, estimator, weights } = row;
    const words = isModel(model) ? [MODEL_NAMES[model], estimator] : [baselineTitle(model)];
    if (isModel(model) && hasTwins) words.push(stem(weights));
    return {
      name: words.join(", "),
      tone: isModel(model) ? model : "muted",
      row: row as Line["row"],
      command: provenance.command,
      ...marked,
    };
  }).sort((a, b) => b.row.context - a.row.context || a.row.bpc - b.row.bpc);
}

/** Bits per character of both models and the baselines, by estimator. */
export function bitsPerCharacter(data: ReportData): Part {
  const lines = collectLines(data);
  if (lines.length === 0) return null;
  const groups = [...Map.groupBy(lines, ({ row }) => row.context).values()];
  return (
    <Section id="bits" title="Bits per character">
      <p>
        How many bits a model needs for a character of text that it has never seen: the lower, the
        better it predicts. All are scored on the same blocks of the validation text; the first
        character of a block is given.
      </p>
      {groups.map((lines) => <BitsChart lines={lines} />)}
      <BitsTable groups={groups} />
      <Comparisons entries={data.comparisons} />
      <MaskedMean evaluations={data.evaluations} />
    </Section>
  );
}

function BitsChart({ lines }: { lines: Line[] }) {
  const { context } = lines[0].row;
  const tones = new Set(lines.map(({ tone }) => tone));
  const hasBound = lines.some(({ row }) => row.estimator === "nelbo");
  const rows = lines.map(({ name, tone, row }): DotRow => {
    const value = `${signOfBound(row.estimator)}${row.bpc.toFixed(3)}`;
    return {
      name,
      tone,
      value: row.bpc,
      spread: halfInterval(row),
      title: `${name}: ${value} ± ${halfInterval(row).toFixed(3)} (95 %)`,
      isHollow: row.estimator === "nelbo",
      text: value,
    };
  });
  const draw = (width: number) => (
    <DotPlot
      width={width}
      label={`Bits per character, context ${context}`}
      rows={rows}
      rowHeight={34}
      marginLeft={isNarrow(width) ? 140 : 190}
      marginRight={isNarrow(width) ? 52 : 64}
      x={{ label: "bits per character →" }}
    />
  );
  return (
    <Figure
      id={`bits-chart-${context}`}
      legend={
        <>
          {tones.has("gpt") && <Key of="gpt" shape="dot">GPT</Key>}
          {tones.has("diffusion") && <Key of="diffusion" shape="dot">Diffusion</Key>}
          {hasBound && <Key of="diffusion" shape="ring">an upper bound: this or lower</Key>}
          {tones.has("muted") && <Key of="muted" shape="dot">baselines without a network</Key>}
        </>
      }
      shows={`Bits per character in blocks of ${context} characters; the bars hold 95 %, for the ` +
        `text and the masks together. ${listBlocks(lines)}.`}
      not={"Which of two is better: their errors share the blocks, so that needs the paired " +
        "comparison below. Nor can these be compared with figures for another context or text." +
        (hasBound
          ? " A bound next to an exact figure only shows that the diffusion model needs no more " +
            "than that."
          : "")}
      commands={lines.map(({ command }) => command)}
      marks={lines}
    >
      <BothWidths draw={draw} />
    </Figure>
  );
}

/** Says how many blocks were scored: the usual number, and which lines have another. */
function listBlocks(lines: Line[]): string {
  const groups = Map.groupBy(lines, ({ row }) => `${count(row.blocks)} blocks`);
  const [[most], ...others] = [...groups].sort((a, b) => b[1].length - a[1].length);
  return [
    `From ${most}`,
    ...others.map(([blocks, lines]) => `${lines.map(({ name }) => name).join(" and ")}: ${blocks}`),
  ].join("; ");
}

function BitsTable({ groups }: { groups: Line[][] }) {
  const used = new Set<string>(groups.flat().map(({ row }) => row.estimator));
  return (
    <details>
      <summary>The figures, and what the estimators are</summary>
      <Table
        caption="Bits per character on validation text"
        columns={[
          "Model",
          "Bits per character",
          "Estimator",
          "± by text",
          "± by masks",
          "Blocks",
          "Scored characters",
        ]}
        text={["Estimator"]}
        figure="Bits per character"
        groups={groups.map((lines) => [`Context ${lines[0].row.context}`, lines.map(makeRow)])}
      />
      <Facts
        class="notes-list"
        of={[
          ...Object.entries(estimatorNotes).filter(([name]) => used.has(name)),
          [
            "±",
            "standard errors: by text from resampled blocks (another stretch of text would give " +
            "another figure), by masks from repeated passes.",
          ],
        ]}
      />
    </details>
  );
}

function makeRow({ name, row, ...marks }: Line): Row {
  return {
    head: (
      <>
        {isModel(row.model) ? <ModelTag model={row.model} /> : <span>{name}</span>}
        {row.weights !== "" && <code>{row.weights}</code>}
      </>
    ),
    marks,
    cells: [
      <>
        {signOfBound(row.estimator)}
        <Value of={row.bpc} digits={3} />
      </>,
      row.estimator,
      <Value of={row.se_blocks} digits={3} />,
      row.se_passes === null ? "none" : <Value of={row.se_passes} digits={4} />,
      count(row.blocks),
      count(row.chars),
    ],
  };
}

function Side({ model, estimator, weights }: Compared) {
  return isModel(model)
    ? (
      <>
        <ModelTag model={model} /> {estimator} <code>{stem(weights)}</code>
      </>
    )
    : <>{baselineTitle(model)}</>;
}

/** A table of differences on the same blocks, which say which of two is better. */
function Comparisons({ entries }: { entries: ComparisonEntry[] }) {
  if (entries.length === 0) return null;
  const signed = (bits: number) => `${bits < 0 ? "−" : "+"}${Math.abs(bits).toFixed(3)}`;
  const rows = entries.map(({ comparison, ...marks }): Row => {
    const { a, b, difference, interval, blocks, context } = comparison;
    return {
      head: (
        <span>
          <Side {...a} /> − <Side {...b} />
        </span>
      ),
      marks,
      cells: [
        <data value={difference}>{signed(difference)}</data>,
        interval.map(signed).join(" to "),
        verdict(comparison),
        `${count(blocks)} of ${context}`,
      ],
    };
  });
  return (
    <div id="comparisons">
      <Table
        caption="Which of two is better: bits per character of the first minus those of the second, on the same blocks (paired bootstrap)"
        columns={["Compared", "Difference", "95 % interval", "So", "Blocks"]}
        text={["So"]}
        figure="Difference"
        rows={rows}
      />
      <div class="commands">
        <Commands of={entries.map(({ provenance }) => provenance.command)} />
      </div>
    </div>
  );
}

function verdict({ a, b, difference, excludes_zero }: ComparisonEntry["comparison"]): string {
  if (!excludes_zero) return "no difference seen";
  if (difference < 0) return "the first needs fewer bits";
  return a.estimator === "nelbo" && b.estimator !== "nelbo"
    ? "the second is below the bound of the first"
    : "the second needs fewer bits";
}

/** The original's validation loss, apart from the likelihoods, since it is not one. */
function MaskedMean({ evaluations }: { evaluations: EvaluationEntry[] }) {
  const entries = evaluations.filter(({ row }) => row.estimator === "masked-mean");
  if (entries.length === 0) return null;
  return (
    <details id="masked-mean">
      <summary>The original's validation loss (masked-mean)</summary>
      <p>
        {estimatorNotes["masked-mean"]}{" "}
        Compare it with the original's figures for its diffusion model, and with nothing else.
      </p>
      <Table
        caption="masked-mean of the diffusion model"
        columns={["Weights", "Context", "Nats", "±"]}
        rows={entries.map(({ row, ...marks }) => ({
          head: <code>{row.weights}</code>,
          marks,
          cells: [
            row.context,
            <Value of={row.nats} digits={3} />,
            <Value of={row.se_blocks} digits={3} />,
          ],
        }))}
      />
    </details>
  );
}
