/** Options of generation for tests. */
import type { GenerationOptions } from "../language_model.ts";
import { defaultOptions } from "../sampling/defaults.ts";
import { samplers } from "../sampling/samplers/mod.ts";

/**
 * The plainest: the model's own probabilities, one character at a time unless the sampler says
 * otherwise.
 */
export const plainOptions = (changes: Partial<GenerationOptions> = {}): GenerationOptions => ({
  ...defaultOptions("gpt", 8),
  temperature: 1,
  overlap: 1,
  sampler: samplers.threshold.with({ threshold: 1 }),
  ...changes,
});
