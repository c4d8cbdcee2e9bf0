/**
 * The section of several characters a pass: what they cost, and a world small enough to see why
 * they cost anything.
 */
import * as Plot from "@observablehq/plot";
import { compareLaws } from "../../../examples/two_characters.ts";
import type { DecoderRow } from "../../shared/results.ts";
import { BothWidths, color, dashed, Figure, isNarrow, Key, PlotSvg } from "../charts.tsx";
import { type Part, type Row, Section, Table, Value } from "../markup.tsx";
import { type DecoderEntry, isPlain, type ReportData } from "../report_data.ts";
import { count, isModel, MODEL_NAMES, stem } from "../words.ts";

export function decoders({ decoders: entries }: Pick<ReportData, "decoders">): Part {
  const entry = entries.find(isPlain) ?? entries[0];
  if (!entry) return null;
  return (
    <Section id="decoders" title="Several characters in a pass">
      <p>
        Characters that are fixed in one pass, each with its own probability, know nothing of each
        other. In a world of the words “to” and “be”, that writes “te” and “bo”. A copula draws
        neighbours together: the network still says how likely each character is, and a table of
        n-grams which of them go together.
      </p>
      <SmallWorld />
      <PriceChart entry={entry} />
      <PriceTable entry={entry} />
    </Section>
  );
}

/** The laws of two characters in the world of two words. */
function SmallWorld() {
  const laws = compareLaws();
  const strings = laws[0].law.map(({ string }) => string);
  return (
    <Table
      caption="What is written in a world of the words “to” and “be”, with a perfect network"
      columns={["Drawn", "Passes", ...strings.map((string) => `“${string}”`), "Bits per character"]}
      figure="Bits per character"
      rows={laws.map(({ name, passes, law, bits }) => ({
        head: name,
        cells: [
          passes,
          ...law.map(({ probability }) => <Value of={probability} digits={3} />),
          <Value of={bits} digits={3} />,
        ],
      }))}
    />
  );
}

/** The name of a reference: GPT, or the table of n-grams. */
function nameOf(model: DecoderEntry["prices"]["references"][number]["model"]): string {
  return isModel(model) ? MODEL_NAMES[model] : "the table alone";
}

function PriceChart({ entry }: { entry: DecoderEntry }) {
  const { prices: { rows, references, weights, blocks, context }, provenance } = entry;
  const inOrder = rows.filter(({ order }) => order === "left-to-right");
  const lineOf = (draws: DecoderRow["draws"]) =>
    inOrder.filter((row) => row.draws === draws && row.entropy_budget === null);
  const budgets = inOrder.filter(({ entropy_budget }) => entropy_budget !== null);
  const one = lineOf("independent").find(({ run }) => run === 1)!;
  const shown = [...lineOf("copula"), ...budgets, one, ...references];
  const low = Math.min(...shown.map(({ bpc }) => bpc)) - 0.1;
  const high = Math.max(...shown.map(({ bpc }) => bpc)) + 0.9;
  const encoding = { x: "characters_per_pass", y: "bpc", clip: true } as const;
  const title = (row: DecoderRow) =>
    `${row.draws}, ${row.characters_per_pass.toFixed(1)} characters a pass: ` +
    `${row.bpc.toFixed(3)} bits, ${row.above_one < 0 ? "" : "+"}${row.above_one.toFixed(3)} ± ` +
    `${row.se_above_one.toFixed(3)} against one a pass`;
  const draw = (width: number) => (
    <PlotSvg
      width={width}
      height={isNarrow(width) ? 300 : 360}
      label="Bits per character by characters of a pass"
      x={{
        label: "characters of a pass →",
        type: "log",
        base: 2,
        ticks: 5,
        tickFormat: "d",
        inset: 8,
      }}
      y={{ label: "↑ bits per character", grid: true, domain: [low, high] }}
      marks={[
        Plot.ruleY([one.bpc], dashed),
        Plot.ruleY(references, {
          y: "bpc",
          stroke: ({ model }) => color(isModel(model) ? model : "muted"),
          strokeDasharray: "4 3",
          title: ({ model, bpc }) => `${nameOf(model)}: ${bpc.toFixed(3)} bits`,
        }),
        Plot.line(lineOf("independent"), { ...encoding, stroke: color("muted"), strokeWidth: 2 }),
        Plot.dot(lineOf("independent"), { ...encoding, r: 4, fill: color("muted"), title }),
        Plot.line(lineOf("copula"), { ...encoding, stroke: color("diffusion"), strokeWidth: 2.5 }),
        Plot.dot(lineOf("copula"), { ...encoding, r: 4, fill: color("diffusion"), title }),
        Plot.dot(budgets, {
          ...encoding,
          r: 6,
          stroke: color("diffusion"),
          strokeWidth: 2,
          fill: color("surface"),
          title,
        }),
      ]}
    />
  );
  return (
    <Figure
      id="decoder-chart"
      legend={
        <>
          <Key of="muted" shape="dot">drawn independently</Key>
          <Key of="diffusion" shape="dot">drawn by copula</Key>
          {budgets.length > 0 && (
            <Key of="diffusion" shape="ring">copula, as long as its entropy budget lasts</Key>
          )}
          <Key of="ink" shape="dash">one a pass, the network alone: {one.bpc.toFixed(3)}</Key>
          {references.map(({ model, bpc }) => (
            <Key of={isModel(model) ? model : "muted"} shape="dash">
              {nameOf(model)}: {bpc.toFixed(3)}
            </Key>
          ))}
        </>
      }
      shows={`Exact bits per character of decoders that write with ${stem(weights)} from left to ` +
        `right, on the same ${count(blocks)} blocks of ${context} characters. Where drawing ` +
        "independently leaves the chart, the table below has its figures."}
      not={"How well the text reads. A copula can cost less than one character a pass, since the " +
        "table knows something that the network does not; the table alone is the control."}
      commands={[provenance.command]}
      marks={[entry]}
    >
      <BothWidths draw={draw} />
    </Figure>
  );
}

function PriceTable({ entry: { prices: { rows } } }: { entry: DecoderEntry }) {
  const orders = { "left-to-right": "From left to right", drawn: "In a drawn order of runs" };
  const toRow = (row: DecoderRow): Row => ({
    head: row.draws,
    cells: [
      row.entropy_budget === null
        ? `${row.run}`
        : `to ${row.run}, budget ${row.entropy_budget} nats`,
      <Value of={row.characters_per_pass} digits={2} />,
      <Value of={row.bpc} digits={3} />,
      <Value of={row.se_blocks} digits={3} />,
      <Value of={row.above_one} digits={3} />,
      <Value of={row.se_above_one} digits={3} />,
    ],
  });
  const groups = [...Map.groupBy(rows, ({ order }) => order)];
  return (
    <details>
      <summary>The figures, and those of a drawn order</summary>
      <Table
        caption="Bits per character of decoders that write several characters a pass"
        columns={[
          "Drawn",
          "Run",
          "Characters a pass",
          "Bits per character",
          "± by text",
          "Above one a pass",
          "± of that",
        ]}
        text={["Run"]}
        figure="Bits per character"
        groups={groups.map(([order, rows]) => [orders[order], rows.map(toRow)])}
      />
    </details>
  );
}
