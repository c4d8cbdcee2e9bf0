/** The section of bits per masked character, by the share of characters that are masked with it. */
import * as Plot from "@observablehq/plot";
import { BothWidths, color, dashed, Figure, isNarrow, Key, PlotSvg } from "../charts.tsx";
import { type Part, Section } from "../markup.tsx";
import { isPlain, type ReportData } from "../report_data.ts";
import { count, stem } from "../words.ts";

export function maskShare({ evaluations }: ReportData): Part {
  const curves = evaluations.filter(({ row }) =>
    row.by_mask_share.some(({ blocks }) => blocks > 0)
  );
  const entry = curves.find(isPlain) ?? curves[0];
  if (!entry) return null;
  const { row, provenance } = entry;
  const bound = row.bpc ?? 0;
  const bins = row.by_mask_share.filter(({ blocks }) => blocks > 0);
  type Bin = typeof bins[number];
  const range = ({ from, to }: Bin) => `${Math.round(100 * from)} to ${Math.round(100 * to)} %`;
  const draw = (width: number) => (
    <PlotSvg
      width={width}
      height={isNarrow(width) ? 280 : 340}
      label="Cost of a masked character by the share of masked ones"
      x={{ label: "share of characters masked →", domain: [0, 1], tickFormat: ".0%", ticks: 5 }}
      y={{ label: "↑ bits per masked character", grid: true, zero: true, nice: true }}
      marks={[
        Plot.rectY(bins, {
          x1: "from",
          x2: "to",
          y: "bits",
          inset: 1.5,
          rx: 2,
          fill: color("diffusion"),
          fillOpacity: 0.75,
          title: (bin: Bin) =>
            `${range(bin)} masked: ${bin.bits.toFixed(3)} bits (${count(bin.blocks)} blocks)`,
        }),
        Plot.text(bins, {
          x: ({ from, to }: Bin) => (from + to) / 2,
          y: "bits",
          text: ({ bits }: Bin) => bits.toFixed(2),
          dy: -8,
          fontWeight: "bold",
        }),
        Plot.ruleY([bound], dashed),
        Plot.ruleY([0], { stroke: "currentColor", strokeOpacity: 0.4 }),
      ]}
    />
  );
  const figures = bins.map((bin) => `${range(bin)}: ${bin.bits.toFixed(2)}`).join("; ");
  return (
    <Section id="masks" title="What a masked character costs">
      <p>
        With little hidden, the surroundings give a character away; with nearly all hidden, the
        model knows little more than how frequent each character is. The bound is the mean over all
        shares.
      </p>
      <Figure
        id="mask-chart"
        legend={
          <>
            <Key of="diffusion" shape="box">mean of each eighth</Key>
            <Key of="ink" shape="dash">the bound, a mean over all shares: {bound.toFixed(3)}</Key>
          </>
        }
        shows={`Mean cross-entropy of the masked characters of ${stem(row.weights)}, by the ` +
          `share of the block that is masked: ${figures}. ${count(row.passes)} passes over ` +
          `${count(row.blocks)} blocks of ${row.context} characters.`}
        not={"How fast the model writes, or how well: in generating, which characters are masked " +
          "is not chance, the model fixes the easy ones first."}
        commands={[provenance.command]}
        marks={[entry]}
      >
        <BothWidths draw={draw} />
      </Figure>
    </Section>
  );
}
