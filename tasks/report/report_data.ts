/** Everything that the page shows, as `gather` makes it of the results. */
import type { ModelKind } from "../../core/config.ts";
import type {
  BaselineRow,
  ComparisonRow,
  DecoderPrices,
  EvaluationRow,
  Provenance,
  QualityResult,
  QualityRow,
  SampleResult,
} from "../shared/results.ts";
import type { Run } from "./read_results.ts";

/** Reasons for care when a result is compared with the others, one phrase each. */
export interface Marked {
  /** Why it may no longer hold: its weights or its text have changed since. */
  stale: string[];
  /** Its difference from what the race shows: other weights, or another text. */
  other: string[];
}

/** Whether there is none: its files are the same, and it belongs to what the race shows. */
export const isPlain = ({ stale, other }: Marked) => stale.length + other.length === 0;

interface Sourced extends Marked {
  provenance: Provenance;
}

export type EvaluationEntry = Sourced & { row: EvaluationRow };
export type BaselineEntry = Sourced & { row: BaselineRow };
export type ComparisonEntry = Sourced & { comparison: ComparisonRow };
export type DecoderEntry = Sourced & { prices: DecoderPrices };
export type SampleEntry = Marked & { result: SampleResult };
export type QualityEntry = Marked & { row: QualityRow; result: QualityResult };
export type RunEntry = Marked & { run: Run };

export type Pair<T> = { [Model in ModelKind]?: T };

export interface ReportData {
  /** The newest of each figure, as in all that follow. */
  evaluations: EvaluationEntry[];
  baselines: BaselineEntry[];
  comparisons: ComparisonEntry[];
  /** The prices of several characters a pass. */
  decoders: DecoderEntry[];
  /** All of them, newest first. */
  samples: SampleEntry[];
  /** The two that open the race. Their weights are the ones that the page is about. */
  race: Pair<SampleEntry>;
  runs: Pair<RunEntry>;
  /** Measurements of texts of models, and of the texts that they are compared with. */
  quality: QualityEntry[];
  /** The commands for what is not there, in the order in which to type them. */
  missing: Missing[];
  problems: string[];
}

/** Something that is not there, and the command that makes it. */
export interface Missing {
  what: string;
  command: string;
}
