/** Prints evaluations. */
import type { Compared } from "../../core/scoring/comparison.ts";
import { type Estimator, estimatorNotes } from "../../core/scoring/estimators.ts";
import type { BaselineRow, ComparisonRow, EvaluationRow } from "../shared/results.ts";
import { alignedTable, wrap } from "../shared/text.ts";

type Row = EvaluationRow | BaselineRow;

/** Collects the caveats of the estimators in these rows. */
export function notesOn(rows: Row[]): Partial<Record<Estimator, string>> {
  const shown = new Set(rows.map(({ estimator }) => estimator));
  return Object.fromEntries([...shown].map((name) => [name, estimatorNotes[name]]));
}

/** Formats a line for each row, and the estimators' caveats. */
export function evaluationTable(rows: Row[]): string {
  const head = ["model", "estimator", "bits/char", "± passes", "± blocks", "T", "blocks", "chars"];
  const lines = rows.map((row) => [
    row.model,
    row.estimator,
    row.bpc === null ? `${row.nats.toFixed(4)} nats` : row.bpc.toFixed(4),
    row.se_passes === null ? "-" : row.se_passes.toFixed(4),
    row.se_blocks.toFixed(4),
    `${row.context}`,
    `${row.blocks}`,
    row.chars.toLocaleString("en-US"),
    row.weights,
  ]);
  const notes = [
    "Compare figures of the same T only. ± passes: noise of the masks; ± blocks: bootstrap over blocks.",
    ...Object.entries(notesOn(rows)).map(([name, note]) => `${name}: ${note}`),
  ];
  return `${alignedTable([...head, "weights"], lines)}\n\n${
    notes.map((note) => wrap(note)).join("\n")
  }`;
}

/** Formats the cross-entropy of each nelbo by share of masked characters; "" if there is none. */
export function maskShareTable(rows: Row[]): string {
  const bounds = rows.filter(({ by_mask_share }) => by_mask_share.length > 0);
  const shares = [...new Set(bounds.flatMap((row) => row.by_mask_share.map(({ to }) => to)))];
  if (bounds.length === 0) return "";
  const head = ["masked up to", ...bounds.map(({ weights }) => weights)];
  const lines = shares.toSorted((a, b) => a - b).map((share) => [
    `${100 * share} %`,
    ...bounds.map((row) =>
      row.by_mask_share.find(({ to }) => to === share)?.bits.toFixed(3) ?? "-"
    ),
  ]);
  return `Bits per masked character, by the share of the block that is masked:\n\n${
    alignedTable(head, lines)
  }`;
}

/** Formats a line for each comparison; "" if there is none. */
export function comparisonTable(comparisons: ComparisonRow[]): string {
  if (comparisons.length === 0) return "";
  const hasTwins = comparisons.some(({ a, b }) => a.model === b.model);
  const name = ({ model, estimator, weights }: Compared) =>
    [model, estimator, hasTwins ? weights : ""].join(" ").trimEnd();
  const signed = (bits: number) => (bits < 0 ? "" : "+") + bits.toFixed(4);
  const verdict = ({ difference, excludes_zero }: ComparisonRow) =>
    excludes_zero ? `yes, ${difference < 0 ? "a" : "b"} is lower` : "no";
  const lines = comparisons.map((comparison) => [
    name(comparison.a),
    name(comparison.b),
    signed(comparison.difference),
    comparison.se_blocks.toFixed(4),
    comparison.interval.map(signed).join(" to "),
    verdict(comparison),
    `${comparison.blocks}`,
  ]);
  const head = ["a", "b", "a - b", "± blocks", "95 % interval", "excludes 0", "blocks"];
  const isBound = comparisons.some(({ a, b }) =>
    a.estimator === "nelbo" && b.estimator !== "nelbo"
  );
  const meaning =
    "Differences in bits per character on the same blocks, by the paired bootstrap over blocks." +
    (isBound
      ? " Of a nelbo it is the bound that is compared; the diffusion model itself may be better."
      : "");
  return `${alignedTable(head, lines)}\n\n${wrap(meaning)}`;
}
