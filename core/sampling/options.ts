/** How to generate: the options of both models. */
import type { ModelKind } from "../config.ts";
import type { Truncation } from "./draw.ts";
import { samplers } from "./samplers/mod.ts";
import type { Sampler } from "./samplers/sampler.ts";

/** How to generate. A GPT uses the truncation only. */
export interface GenerationOptions extends Truncation {
  /** How many characters a block sees of the text before it. */
  overlap: number;
  /** Chooses what to fix in each pass, with its own settings. */
  sampler: Sampler;
}

/**
 * How to generate unless chosen otherwise. Temperature and top-k are the original's.
 *
 * Its overlap was 16; the 8 characters after a border then cost 0.035 ± 0.017 bits more each, with
 * 64 none that could be measured (docs/lab-log.md, "overlap").
 *
 * @param context Tokens that the network reads at once.
 */
export function defaultOptions(kind: ModelKind, context: number): GenerationOptions {
  return {
    temperature: 0.8,
    topK: kind === "gpt" ? undefined : 2, // a GPT draws among all characters
    overlap: Math.min(64, context >> 1),
    sampler: samplers.threshold,
  };
}
