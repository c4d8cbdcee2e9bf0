/** The samplers, their options all together, and the defaults of generation. */
import type { ModelKind } from "../../config.ts";
import type { GenerationOptions } from "../../language_model.ts";
import { ancestral } from "./ancestral.ts";
import { confidence } from "./confidence.ts";
import { entropy } from "./entropy.ts";
import { remask } from "./remask.ts";
import type { ChoiceOption, DefinedSampler, NumberOption } from "./sampler.ts";
import { threshold } from "./threshold.ts";

/**
 * Each sampler by its name, at its defaults. A sampler's file says where it comes from, and how its
 * law differs from the model's. The first is the default.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { samplers, seededRandom } from "@tiny-diffusion/core";
 *
 * const sure = Float32Array.of(0, 9, 0), undecided = Float32Array.of(0, 1, 1);
 * const window = { masked: [0, 1], look: () => Promise.resolve([undecided, sure]) };
 * const sampler = samplers.threshold.with({ threshold: 0.9 });
 * const steps = await Array.fromAsync(sampler.fill(window, { temperature: 1, topK: 1 }, seededRandom(1)));
 * assertEquals(steps.map((fixed) => fixed.map(({ position }) => position)), [[1], [0]]); // the sure one first
 * ```
 */
export const samplers = { threshold, confidence, entropy, ancestral, remask };

/** The name of a sampler. */
export type SamplerName = keyof typeof samplers;

/** An option, and the names of the samplers that have it. */
export interface SharedOption {
  /** The option itself. */
  option: NumberOption | ChoiceOption;
  /** The names of the samplers. */
  samplers: string[];
}

/** Collects every option of the samplers by its key, in the order of the list. */
export function collectOptions(): Map<string, SharedOption> {
  const all = new Map<string, SharedOption>();
  for (const sampler of Object.values<DefinedSampler>(samplers)) {
    for (const [key, option] of Object.entries(sampler.options)) {
      const known = all.get(key);
      if (known === undefined) all.set(key, { option, samplers: [sampler.name] });
      else if (known.option === option) known.samplers.push(sampler.name);
      else throw new TypeError(`internal: two samplers have different options "${key}"`);
    }
  }
  return all;
}

/**
 * Returns how to generate unless chosen otherwise. Temperature and top-k are the original's.
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
    sampler: threshold,
  };
}
