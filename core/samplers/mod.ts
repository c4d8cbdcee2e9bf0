/** The ways to choose what to reveal, by the names that `--sampler` takes. */
import type { Sampler } from "../language_model.ts";
import { ancestral } from "./ancestral.ts";
import { confidence } from "./confidence.ts";
import { entropy } from "./entropy.ts";
import { remask } from "./remask.ts";
import { threshold } from "./threshold.ts";

/**
 * Each by its name; where it comes from, and how its law differs from the model's, is said in its file.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { samplers, seededRandom } from "@tiny-diffusion/core";
 *
 * const sure = Float32Array.of(0, 9, 0), undecided = Float32Array.of(0, 1, 1);
 * const hidden = { masked: [0, 1], mask: 0, look: () => Promise.resolve([undecided, sure]) };
 * const options = { temperature: 1, overlap: 0, threshold: 0.9, topK: 1, sampler: samplers.threshold };
 * const steps = await Array.fromAsync(samplers.threshold.fill(hidden, options, seededRandom(1)));
 * assertEquals(steps.map((fixed) => fixed.map(({ position }) => position)), [[1], [0]]); // the sure one first
 * ```
 */
export const samplers = { threshold, confidence, entropy, ancestral, remask } satisfies Record<
  string,
  Sampler
>;
/** The name of a sampler. */
export type SamplerName = keyof typeof samplers;
