/** Options of generation for tests. */
import { usualOptions } from "../sampling/samplers/mod.ts";
import type { GenerationOptions } from "../sampling/samplers/sampler.ts";

/**
 * The plainest: the model's own probabilities, one character at a time unless the sampler says
 * otherwise.
 */
export const plainOptions = (changes: Partial<GenerationOptions> = {}): GenerationOptions => ({
  ...usualOptions(8),
  ...{ temperature: 1, topK: undefined, threshold: 1, overlap: 1 },
  ...changes,
});
