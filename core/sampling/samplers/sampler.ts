/**
 * `defineSampler`, and helpers that several samplers share.
 *
 * A sampler is a value that one file makes with `defineSampler`. That file is also the only place
 * that knows the sampler's options: flags, help, the fields of the page in the browser and the labels
 * of the report are derived from it.
 */
import { UserError } from "@tiny-diffusion/engines/errors";
import { MASK_TOKEN } from "../../data/tokenizer.ts";
import type { Fixed, Sampler, Truncation } from "../../language_model.ts";
import type { Random } from "../../random.ts";
import { candidates, draw } from "../draw.ts";

/** The description of an option. */
export interface OptionText {
  /** Its meaning, without the default and the allowed values. */
  help: string;
  /**
   * The option in a short label, with "#" for the value: with "# steps" the report says "confidence,
   * 64 steps". @default {the flag's name and the value}
   */
  short?: string;
}

/** An option that is a number. */
export interface NumberOption extends OptionText {
  /** Whether it has to be a whole number. */
  type: "integer" | "number";
  /** The smallest value. */
  min?: number;
  /** The largest value. */
  max?: number;
  /** The value must be larger than this. */
  above?: number;
  /** The default value. */
  default: number;
}

/** An option that is one of several words. Where it is the default, a short label leaves it out. */
export interface ChoiceOption extends OptionText {
  /** The words. */
  choices: readonly string[];
  /** The default word. */
  default: string;
}

/**
 * The options of a sampler; the key `entropyBound` becomes the flag `--entropy-bound`. A sampler in
 * the list can't have a key that is a flag already (`reservedKeys`).
 */
export type SamplerOptions = Readonly<Record<string, NumberOption | ChoiceOption>>;

/** A value for each option. */
export type Settings<Options extends SamplerOptions> = {
  readonly [Key in keyof Options]: Options[Key] extends
    { choices: readonly (infer Choice extends string)[] } ? Choice
    : number;
};

/** A sampler as its file describes it. */
export interface SamplerDefinition<Options extends SamplerOptions, Name extends string = string> {
  /** The name that `--sampler` takes. */
  name: Name;
  /** The paper or the program that it comes from. */
  source: string;
  /** The options; one that several samplers of the list have has to be the same object. */
  options: Options;
  /** Whether it needs a table of n-grams. @default {false} */
  usesNgrams?: boolean;
  /**
   * Returns an upper bound on the forward passes needed to fill `count` masked positions of a window:
   * at most `count` times that for one position.
   */
  maxPasses(count: number, settings: Settings<Options>): number;
  /** Makes the function that fills a window with these settings. */
  fill(settings: Settings<Options>): Sampler["fill"];
}

/** A sampler whose settings can be changed. */
export interface DefinedSampler<
  Options extends SamplerOptions = SamplerOptions,
  Name extends string = string,
> extends Sampler {
  /** The name that `--sampler` takes. */
  readonly name: Name;
  /** The paper or the program that it comes from. */
  readonly source: string;
  /** The options. */
  readonly options: Options;
  /** The value of each option. */
  readonly settings: Sampler["settings"] & Settings<Options>;
  /**
   * Returns the same sampler with other settings; what is not given stays as it is.
   *
   * @throws {UserError} If a value is out of its range, or the sampler has no such option.
   */
  with(changes: Partial<Settings<Options>>): DefinedSampler<Options, Name>;
}

/**
 * Makes a sampler, at the defaults of its options.
 *
 * @throws {UserError} If a default is out of its range.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { defineSampler, drawEach, revealPerPass } from "@tiny-diffusion/core";
 *
 * const rightToLeft = defineSampler({
 *   name: "right-to-left",
 *   source: "this example",
 *   options: { atOnce: { type: "integer", min: 1, default: 1, help: "characters of a pass" } },
 *   maxPasses: (count, { atOnce }) => Math.ceil(count / atOnce),
 *   fill: ({ atOnce }) =>
 *     revealPerPass(({ logits, masked }, truncation, random) =>
 *       drawEach(masked.slice(-atOnce), logits, truncation, random)
 *     ),
 * });
 * assertEquals(rightToLeft.with({ atOnce: 4 }).maxPasses(10), 3);
 * ```
 */
export function defineSampler<
  const Options extends SamplerOptions,
  const Name extends string,
>(definition: SamplerDefinition<Options, Name>): DefinedSampler<Options, Name> {
  const { name, source, options } = definition;
  const check = (settings: object) => {
    for (const [key, value] of Object.entries(settings)) checkSetting(name, options, key, value);
  };
  const bind = (
    settings: DefinedSampler<Options>["settings"],
  ): DefinedSampler<Options, Name> => ({
    name,
    source,
    options,
    settings,
    usesNgrams: definition.usesNgrams,
    maxPasses: (count) => definition.maxPasses(count, settings),
    fill: definition.fill(settings),
    with(changes) {
      check(changes);
      return bind({ ...settings, ...changes });
    },
  });
  const defaults = Object.fromEntries(
    Object.entries(options).map(([key, option]) => [key, option.default]),
  );
  check(defaults);
  return bind(defaults as DefinedSampler<Options>["settings"]);
}

function checkSetting(sampler: string, options: SamplerOptions, key: string, value: unknown): void {
  if (!Object.hasOwn(options, key)) {
    const keys = Object.keys(options);
    throw new UserError({
      action: `use ${key} in the sampler ${sampler}`,
      found: keys.length === 0 ? "it has no options" : `its options are ${keys.join(", ")}`,
    });
  }
  const option = options[key];
  let isValid: boolean;
  let expected: string;
  if ("choices" in option) {
    isValid = option.choices.includes(value as string);
    expected = option.choices.join(" or ");
  } else {
    const { type, min = -Infinity, max = Infinity, above = -Infinity } = option;
    isValid = typeof value === "number" && (type === "number" || Number.isInteger(value)) &&
      value >= min && value <= max && value > above;
    expected = `${type === "integer" ? "a whole number" : "a number"} ` +
      `${above > min ? `above ${above}` : `from ${min}`} to ${max}`;
  }
  if (!isValid) {
    throw new UserError({
      action: `use ${key} ${value} in the sampler ${sampler}`,
      found: `expected ${expected}`,
    });
  }
}

/** The option of the samplers that fill a block in a given number of steps. */
export const denoisingSteps = {
  type: "integer",
  min: 1,
  max: 1_000_000,
  default: 64,
  help: "steps in a block",
  short: "# steps",
} as const;

/**
 * The option of the samplers that follow a schedule. `uniform`: the masked share falls in equal
 * parts, as in MDLM (arXiv:2406.07524), whose log-linear noise it is. `cosine`: it is cos(pi/2 i/N)
 * after step i of N, as in MaskGIT (arXiv:2202.04200): few characters at first, while little is
 * known, and many at the end.
 */
export const grid = {
  choices: ["cosine", "uniform"],
  default: "cosine",
  help: "schedule of the masked share",
  short: "# grid",
} as const;

/** The steps of a block: in each, the masked share falls from `from` to `to`, from 1 at first to 0. */
export function scheduleSteps(
  { denoisingSteps: steps, grid: shape }: { denoisingSteps: number; grid: "cosine" | "uniform" },
): { from: number; to: number }[] {
  const share = (i: number) => {
    if (i === steps) return 0; // cos(pi/2) is 6e-17 in float64
    return shape === "cosine" ? Math.cos(Math.PI / 2 * i / steps) : 1 - i / steps;
  };
  return Array.from({ length: steps }, (_, i) => ({ from: share(i), to: share(i + 1) }));
}

/** The state of a window from which a sampler chooses the characters of a pass. */
export interface Pass {
  /** The logits of every position of the window, [vocab] each. */
  logits: Float32Array[];
  /** The positions that are still masked, rising; at least one. */
  masked: number[];
  /** Passes made before in this block. */
  passesBefore: number;
  /** Number of positions that were masked when the block began. */
  maskedAtStart: number;
}

/**
 * Makes `fill` from a function that chooses the characters of one pass. It must return at least one,
 * all at positions that are still masked, so that every pass brings the end nearer.
 */
export function revealPerPass(
  choose: (pass: Pass, truncation: Truncation, random: Random) => Fixed[],
): Sampler["fill"] {
  return async function* ({ masked: all, forward }, truncation, random) {
    let masked = all;
    for (let passesBefore = 0; masked.length > 0; passesBefore++) {
      const pass = { logits: await forward(), masked, passesBefore, maskedAtStart: all.length };
      const fixed = choose(pass, truncation, random);
      const left = new Set(masked);
      if (fixed.length === 0 || !fixed.every(({ position }) => left.delete(position))) {
        const positions = fixed.map(({ position }) => position);
        throw new RangeError(
          `A sampler fixed the positions [${positions}] in a pass: a choice for revealPerPass has ` +
            `at least one character, each at another of the masked positions [${masked}]`,
        );
      }
      masked = [...left];
      yield fixed;
    }
  };
}

/**
 * Draws a character for each position, never the mask. `confidence` is the probability of the one
 * drawn, after temperature.
 */
export function drawEach(
  positions: number[],
  logits: Float32Array[],
  truncation: Truncation,
  random: Random,
): Fixed[] {
  return positions.map((position) => {
    const choice = candidates(logits[position], truncation, MASK_TOKEN);
    const token = draw(choice, random);
    return { position, token, confidence: choice.probabilities[choice.tokens.indexOf(token)] };
  });
}
