/** The ways to choose what to reveal, by the names that `--sampler` takes. */
import { ancestral } from "./ancestral.ts";
import { confidence } from "./confidence.ts";
import { entropy } from "./entropy.ts";
import { remask } from "./remask.ts";
import type { GenerationOptions, Sampler } from "./sampler.ts";
import { threshold } from "./threshold.ts";

/**
 * Each by its name; where it comes from, and how its law differs from the model's, is said in its
 * file.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { samplers, seededRandom, usualOptions } from "@tiny-diffusion/core";
 *
 * const sure = Float32Array.of(0, 9, 0), undecided = Float32Array.of(0, 1, 1);
 * const window = { masked: [0, 1], mask: 0, look: () => Promise.resolve([undecided, sure]) };
 * const options = { ...usualOptions(2), temperature: 1, topK: 1, threshold: 0.9 };
 * const steps = await Array.fromAsync(samplers.threshold.fill(window, options, seededRandom(1)));
 * assertEquals(steps.map((fixed) => fixed.map(({ position }) => position)), [[1], [0]]); // the sure one first
 * ```
 */
export const samplers = { threshold, confidence, entropy, ancestral, remask } satisfies Record<
  string,
  Sampler
>;
/** The name of a sampler. */
export type SamplerName = keyof typeof samplers;

/**
 * How to generate unless told otherwise. Temperature, top-k and threshold are the original's.
 *
 * Its overlap was 16; the 8 characters after a border then cost 0.035 ± 0.017 bits more each, with
 * 64 none that could be measured (docs/lab-log.md, "overlap").
 *
 * @param context Tokens that the network reads at once.
 */
export const usualOptions = (context: number): GenerationOptions => ({
  temperature: 0.8,
  topK: 2,
  sampler: threshold,
  threshold: 0.95,
  denoisingSteps: 64,
  grid: "cosine",
  entropyBound: 0.5,
  remaskCap: 0.02,
  overlap: Math.min(64, context >> 1),
});
