/** The section of provenance: the origin of each figure and each text on the page. */
import type { Provenance } from "../../shared/results.ts";
import { Command, Facts, Folded, Marks, type Part, Section } from "../markup.tsx";
import type { Marked, ReportData } from "../report_data.ts";
import { day, describeEngine, MODEL_NAMES } from "../words.ts";

interface Made extends Marked {
  what: string;
  provenance: Provenance;
}

export function provenance(data: ReportData): Part {
  const made: Made[] = [
    ...data.samples.map(({ result: { model, provenance }, ...marked }) => ({
      what: `Sample, ${MODEL_NAMES[model]}`,
      provenance,
      ...marked,
    })),
    ...data.evaluations.map(({ row, ...rest }) => ({
      what: `${row.estimator}, ${MODEL_NAMES[row.model]}`,
      ...rest,
    })),
    ...data.baselines.map(({ row, ...rest }) => ({ what: row.model, ...rest })),
    ...data.quality.filter(({ row }) => row.sampler !== null)
      .map(({ row: _, result: { model, provenance }, ...marked }) => ({
        what: `Quality, ${MODEL_NAMES[model]}`,
        provenance,
        ...marked,
      })),
  ];
  if (made.length === 0) return null;
  // one entry for each run of a command, with all that it made
  const runs = Map.groupBy(made, ({ provenance: { date, command } }) => `${date} ${command}`);
  return (
    <Section id="provenance" title="Where it all comes from">
      <p>
        Everything needed to reproduce each result, and to notice when it belongs to other weights
        or another text.
      </p>
      <Folded most={12}>
        {[...runs.values()].map((results) => (
          <details>
            <summary>
              {[...new Set(results.map(({ what }) => what))].join("; ")}
              <span class="fine">{` ${day(results[0].provenance.date)} `}</span>
              <Marks of={results.slice(0, 1)} />
            </summary>
            <Origin {...results[0].provenance} />
          </details>
        ))}
      </Folded>
    </Section>
  );
}

function Origin(from: Provenance) {
  const config = Object.entries(from.config).map(([name, value]) => `${name} ${value}`);
  const versions = Object.entries(from.versions).map(([name, value]) => `${name} ${value}`);
  return (
    <Facts
      class="facts"
      of={[
        ["Command", <Command text={from.command} />],
        ["Weights", <File path={from.weights} sha256={from.weightsSha256} />],
        [
          "Text",
          from.corpus === "" ? "none" : <File path={from.corpus} sha256={from.corpusSha256} />,
        ],
        ["Engine", describeEngine(from)],
        ["Seed", String(from.seed)],
        ["Machine", from.machine],
        ["Versions", versions.join(", ")],
        ["Commit", from.commit ? <code>{from.commit}</code> : "not known"],
        ["Settings", config.join(", ")],
      ]}
    />
  );
}

function File({ path, sha256 }: { path: string; sha256: string }) {
  return (
    <>
      <code>{path}</code> sha256 <code>{sha256}</code>
    </>
  );
}
