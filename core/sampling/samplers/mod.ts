/** The samplers, and all their options. */
import { ancestral } from "./ancestral.ts";
import { confidence } from "./confidence.ts";
import { copula } from "./copula.ts";
import { entropy } from "./entropy.ts";
import { remask } from "./remask.ts";
import type { ChoiceOption, DefinedSampler, NumberOption } from "./sampler.ts";
import { threshold } from "./threshold.ts";

/** The samplers in the order in which they are shown; a new one is imported and added here. */
export const samplerList = [threshold, confidence, entropy, copula, ancestral, remask] as const;

/** The name of a sampler. */
export type SamplerName = typeof samplerList[number]["name"];

/**
 * Each sampler by its name, at its defaults. A sampler's file says where it comes from, and how its
 * law differs from the model's.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { MASK_TOKEN, samplers, seededRandom } from "@tiny-diffusion/core";
 *
 * const sure = Float32Array.of(0, 9, 0), undecided = Float32Array.of(0, 1, 1);
 * const forward = () => Promise.resolve([undecided, sure]);
 * const hidden = { tokens: Int32Array.of(MASK_TOKEN, MASK_TOKEN), before: new Int32Array() };
 * const window = { ...hidden, masked: [0, 1], forward };
 * const sampler = samplers.threshold.with({ threshold: 0.9 });
 * const steps = await Array.fromAsync(sampler.fill(window, { temperature: 1, topK: 1 }, seededRandom(1)));
 * assertEquals(steps.map((fixed) => fixed.map(({ position }) => position)), [[1], [0]]); // the sure one first
 * ```
 */
export const samplers: {
  [Listed in typeof samplerList[number] as Listed["name"]]: Listed;
} = Object.fromEntries(samplerList.map((sampler) => [sampler.name, sampler])) as typeof samplers;

/** An option, and the names of the samplers that have it. */
export interface ListedOption {
  option: NumberOption | ChoiceOption;
  samplers: string[];
}

/** The flags of the tasks that write, and the options of `write`: no option can have such a key. */
export const reservedKeys: readonly string[] = [
  ...["model", "weights", "gptWeights", "heads", "blockSize", "engine", "precision", "threads"],
  ...["prompt", "promptLen", "template", "gap", "length", "count", "blocks", "data", "judge"],
  ...["independentJudge", "asOriginal"],
  ...["sampler", "temperature", "topK", "topP", "overlap", "window", "drafts", "ngrams"],
  ...["seed", "signal", "compare", "speed", "svg", "reports", "json", "help"],
];

/**
 * Collects every option of some samplers by its key, in their order.
 *
 * @throws {TypeError} If an option has a reserved key, or two samplers have different options with
 * the same key.
 */
export function collectOptions(
  of: readonly DefinedSampler[] = samplerList,
): Map<string, ListedOption> {
  const all = new Map<string, ListedOption>();
  for (const { name, options } of of) {
    for (const [key, option] of Object.entries(options)) {
      if (reservedKeys.includes(key)) {
        throw new TypeError(
          `The sampler ${name} can't have an option "${key}", which is something else already; ` +
            "give it another key",
        );
      }
      const known = all.get(key);
      if (known === undefined) all.set(key, { option, samplers: [name] });
      else if (known.option === option) known.samplers.push(name);
      else {
        throw new TypeError(
          `The samplers ${known.samplers[0]} and ${name} have different options "${key}"; export ` +
            "one from sampler.ts for both, or give one another key",
        );
      }
    }
  }
  return all;
}
