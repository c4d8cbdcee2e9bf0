/** Prints sample quality, and finds what `quality` last measured. */
import { join } from "@std/path";
import {
  parseResult,
  type QualityFigure,
  type QualityResult,
  type QualityRow,
  type Spread,
} from "../shared/results.ts";
import { listFiles } from "../../files/read.ts";
import { RESULTS } from "../shared/provenance.ts";
import { alignedTable, wrap } from "../shared/text.ts";

/**
 * Finds what was last measured of the samples of these weights. Files that hold something else are
 * ignored here; `report` complains of them.
 */
export async function latestQuality(
  weightsSha256: string,
  reports: string,
): Promise<QualityResult | undefined> {
  const folder = join(reports, RESULTS);
  let latest: QualityResult | undefined;
  for (const name of await listFiles(folder).catch(() => [])) {
    if (!/-quality-\w+\.json$/.test(name)) continue;
    const result = await Deno.readTextFile(join(folder, name)).then(parseResult).catch(() => null);
    if (result?.kind !== "quality") continue;
    const { provenance } = result;
    if (provenance.weightsSha256 !== weightsSha256) continue;
    if (!latest || provenance.date > latest.provenance.date) latest = result;
  }
  return latest;
}

/** Formats a cell: the mean, and the deviation if there is one. */
function formatSpread(spread: Spread | null | undefined, digits: number, scale = 1): string {
  if (!spread) return "-";
  const mean = (scale * spread.mean).toFixed(digits);
  return spread.sd === null ? mean : `${mean} ±${(scale * spread.sd).toFixed(digits)}`;
}

type Column = [title: string, cell: (row: QualityRow) => string];

const figure = (name: QualityFigure, title: string, digits: number, scale = 1): Column => [
  title,
  ({ figures }) => formatSpread(figures[name], digits, scale),
];

const origin: Column[] = [
  ["text", ({ source, sampler }) => sampler === null ? source : `${source} ${sampler}`],
  ["temp", ({ temperature }) => temperature === null ? "-" : `${temperature}`],
];

const tables: Column[][] = [
  [
    ...origin,
    figure("judge_gpt", "GPT judge", 2),
    figure("judge_independent", "independent", 2),
    figure("judge_ngram", "6-gram judge", 2),
    figure("entropy", "entropy", 2),
    figure("real_words", "words %", 1, 100),
    figure("longest_match", "longest", 0),
    figure("found_30", "30-grams %", 1, 100),
    figure("found_50", "50-grams %", 1, 100),
    ["texts", ({ texts }) => `${texts}`],
    ["passes", ({ cost }) => cost === null ? "-" : formatSpread(cost.forwards, 0)],
    ["seconds", ({ cost }) => cost === null ? "-" : formatSpread(cost.seconds, 1)],
  ],
  [
    ...origin,
    ...([2, 3, 4] as const).map((n) => figure(`distinct_${n}`, `distinct-${n}`, 3)),
    ...([1, 2, 3, 4, 5] as const).map((n) => figure(`jsd_${n}`, `JSD-${n}`, 3)),
  ],
];

const MEANING =
  "Mean ± standard deviation over texts of one length. What to aim at is the row held-out, not the lowest figure: a text " +
  "that repeats itself costs a judge next to nothing, so below that row lower is no longer better. The rows n-grams are a " +
  "control: text of the 6-gram table alone, without a network. A figure that they reach (real words, above all) can't " +
  "tell whether a network writes well. GPT judge, independent, 6-gram judge: bits per character under the GPT, under a " +
  "GPT that wrote none of the texts, and under Kneser-Ney; the GPT judges its own text too kindly, and the 6-grams " +
  "theirs. entropy: of characters, in bits. words: share that the training text has. longest, 30-grams, 50-grams: what occurs in the training text verbatim. distinct-n: different " +
  "n-grams of all. JSD-n: divergence in bits of n-grams from those of the first half of the validation text; the row " +
  "held-out, from its second half, is the noise floor.";

/** Lists the rows of all results, reference texts of one length once. */
export function withoutRepeats(results: QualityResult[]): QualityRow[] {
  const references = new Set<string>();
  return results.flatMap(({ rows }) => rows).filter(({ source, sampler, temperature, length }) => {
    const reference = `${source} ${temperature} ${length}`;
    if (sampler !== null) return true;
    if (references.has(reference)) return false;
    references.add(reference);
    return true;
  });
}

/** Formats the two tables of sample quality, and what their columns mean. */
export function qualityTables(results: QualityResult[]): string {
  const rows = withoutRepeats(results);
  const lengths = [...new Set(rows.map(({ length }) => length.toLocaleString("en-US")))];
  return [
    `Sample quality, texts of ${lengths.join(" and ")} characters:`,
    ...tables.map((columns) =>
      alignedTable(
        columns.map(([title]) => title),
        rows.map((row) => columns.map(([, of]) => of(row))),
      )
    ),
    wrap(MEANING),
  ].join("\n\n");
}
