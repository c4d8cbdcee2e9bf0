/**
 * How to write unless chosen otherwise: the best settings that were measured, in one place. `write`,
 * the tasks and the page in the browser take them from here.
 *
 * "Best": the GPT judge finds the text as likely as it does with one character a pass, most 4-grams
 * are different ones, and it takes the fewest passes. Measured with the included weights, 3 texts of
 * 1,000 characters for each row of docs/sampling.md:
 *
 *     deno task quality --model diffusion --length 1000 --sampler NAME --top-k 65 \
 *       --temperature 0.5 --temperature 0.65 --temperature 0.8
 */
import type { ModelKind } from "../config.ts";
import type { GenerationOptions, Sampler, Truncation } from "../language_model.ts";
import type { NgramTable } from "../ngrams/kneser_ney.ts";
import { samplers } from "./samplers/mod.ts";
import type { DefinedSampler } from "./samplers/sampler.ts";

/** The sampler that is used where none is chosen, and there is no table of n-grams. */
export const defaultSampler: DefinedSampler = samplers.entropy;

/**
 * Returns the sampler that is used where none is chosen, at the defaults of its options: `copula`
 * where there is a table, but not for gaps, of which it gets fewer right (docs/lab-log.md).
 */
export function chooseDefaultSampler(
  { hasNgrams, fillsGaps = false }: { hasNgrams: boolean; fillsGaps?: boolean },
): typeof samplers.copula | typeof samplers.entropy {
  return hasNgrams && !fillsGaps ? samplers.copula : samplers.entropy;
}

/** Temperature and top-k by sampler; without top-k all characters may be drawn. */
const measured: Readonly<Record<string, Truncation>> = {
  entropy: { temperature: 0.65 },
  copula: { temperature: 0.5 },
  confidence: { temperature: 0.5 },
  ancestral: { temperature: 0.5 },
  remask: { temperature: 0.5 },
  // Its confidence is the sum over the k likeliest: with all characters it is always 1.
  threshold: { temperature: 0.8, topK: 2 },
};

/** A pass over 64 characters takes a quarter of one over 256, and the text is as good. */
const WINDOW = 64;

/** Returns how many characters a diffusion model reads at once unless chosen otherwise. */
export function defaultWindow(context: number): number {
  return Math.min(WINDOW, context);
}

/**
 * Returns how to generate unless chosen otherwise.
 *
 * With half a window of overlap, a block's first characters cost no more bits than the others, as
 * far as that could be measured (docs/lab-log.md, "Overlap of blocks").
 *
 * @param context Tokens that the network reads at once.
 * @param chosen The sampler of a diffusion model, which decides about temperature and top-k, and the
 * table of n-grams, which decides about the sampler where none is chosen.
 */
export function defaultOptions(
  kind: ModelKind,
  context: number,
  { ngrams, sampler = chooseDefaultSampler({ hasNgrams: ngrams !== undefined }) }: {
    ngrams?: NgramTable;
    sampler?: Sampler;
  } = {},
): GenerationOptions {
  const overlap = Math.min(64, context >> 1);
  if (kind === "gpt") return { temperature: 0.8, topK: undefined, overlap, sampler, ngrams };
  const { temperature, topK } = measured[sampler.name] ?? measured[defaultSampler.name];
  return { temperature, topK, overlap, sampler, ngrams };
}

/**
 * Returns how the original generates. It reads its whole context at once; of the preceding text a
 * block sees 16 characters, less in a short context.
 */
export function originalOptions(kind: ModelKind, context: number): GenerationOptions {
  return {
    temperature: 0.8,
    topK: kind === "gpt" ? undefined : 2,
    overlap: Math.min(16, context >> 1),
    sampler: samplers.threshold.with({ threshold: 0.95 }),
  };
}
