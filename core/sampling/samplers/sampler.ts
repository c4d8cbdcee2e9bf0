/**
 * Makes samplers, and has what several of them share.
 *
 * A sampler is a value that one file makes with `defineSampler`. That file is also the only place
 * that knows the sampler's options: flags, help, the fields of the try-it page and the labels of the
 * report are derived from it.
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
  /** A value in a short label, with "#" for the value. @default {the option's name and the value} */
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
  /** The value unless another is chosen. */
  default: number;
}

/** An option that is one of several words. A short label leaves the default out. */
export interface ChoiceOption extends OptionText {
  /** The words. */
  choices: readonly string[];
  /** The word unless another is chosen. */
  default: string;
}

/** The options of a sampler; the key `entropyBound` becomes the flag `--entropy-bound`. */
export type SamplerOptions = Readonly<Record<string, NumberOption | ChoiceOption>>;

/** A value for each option. */
export type Settings<Options extends SamplerOptions> = {
  readonly [Key in keyof Options]: Options[Key] extends
    { choices: readonly (infer Choice extends string)[] } ? Choice
    : number;
};

/** A sampler as its file describes it. */
export interface SamplerDefinition<Options extends SamplerOptions> {
  /** The name that `--sampler` takes. */
  name: string;
  /** The paper or the program that it comes from. */
  source: string;
  /** The options; one that another sampler has too is the same object. */
  options: Options;
  /** Returns the most forward passes that it takes to fill `masked` positions of a window. */
  passes(masked: number, settings: Settings<Options>): number;
  /** Makes the function that fills a window with these settings. */
  fill(settings: Settings<Options>): Sampler["fill"];
}

/** A sampler that can be had with other settings. */
export interface DefinedSampler<Options extends SamplerOptions = SamplerOptions> extends Sampler {
  /** The paper or the program that it comes from. */
  readonly source: string;
  /** The options. */
  readonly options: Options;
  /** The value of each option. */
  readonly settings: Sampler["settings"] & Settings<Options>;
  /**
   * Returns the same sampler with other settings; what is not given stays as it is.
   *
   * @throws {UserError} If a value is out of its range.
   */
  with(changes: Partial<Settings<Options>>): DefinedSampler<Options>;
}

/**
 * Makes a sampler, at the defaults of its options.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { defineSampler, drawEach, revealPerPass } from "@tiny-diffusion/core";
 *
 * const rightToLeft = defineSampler({
 *   name: "right-to-left",
 *   source: "this example",
 *   options: { atOnce: { type: "integer", min: 1, default: 1, help: "characters of a pass" } },
 *   passes: (masked, { atOnce }) => Math.ceil(masked / atOnce),
 *   fill: ({ atOnce }) =>
 *     revealPerPass(({ logits, masked }, truncation, random) =>
 *       drawEach(masked.slice(-atOnce), logits, truncation, random)
 *     ),
 * });
 * assertEquals(rightToLeft.with({ atOnce: 4 }).passes(10), 3);
 * ```
 */
export function defineSampler<const Options extends SamplerOptions>(
  definition: SamplerDefinition<Options>,
): DefinedSampler<Options> {
  const { name, source, options } = definition;
  const bind = (settings: DefinedSampler<Options>["settings"]): DefinedSampler<Options> => ({
    name,
    source,
    options,
    settings,
    passes: (masked) => definition.passes(masked, settings),
    fill: definition.fill(settings),
    with(changes) {
      for (const [key, value] of Object.entries(changes)) checkSetting(key, options[key], value);
      return bind({ ...settings, ...changes });
    },
  });
  const defaults = Object.entries(options).map(([key, option]) => [key, option.default]);
  return bind(Object.fromEntries(defaults));
}

function checkSetting(key: string, option: NumberOption | ChoiceOption, value: unknown): void {
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
    throw new UserError({ action: `use ${key} ${value}`, found: `expected ${expected}` });
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
 * The option of the samplers that follow a schedule. `uniform`: the hidden share falls in equal
 * parts, as in MDLM (arXiv:2406.07524), whose log-linear noise it is. `cosine`: it is cos(pi/2 i/N)
 * after step i of N, as in MaskGIT (arXiv:2202.04200): few characters at first, while little is
 * known, and many at the end.
 */
export const grid = {
  choices: ["cosine", "uniform"],
  default: "cosine",
  help: "how the hidden share falls",
  short: "# grid",
} as const;

/** The steps of a block: in each, the hidden share falls from `from` to `to`, from 1 at first to 0. */
export function scheduleSteps(
  { denoisingSteps: steps, grid: shape }: { denoisingSteps: number; grid: "cosine" | "uniform" },
): { from: number; to: number }[] {
  const share = (i: number) => {
    if (i === steps) return 0; // cos(pi/2) is 6e-17 in float64
    return shape === "cosine" ? Math.cos(Math.PI / 2 * i / steps) : 1 - i / steps;
  };
  return Array.from({ length: steps }, (_, i) => ({ from: share(i), to: share(i + 1) }));
}

/** The knowledge on which the characters of a pass are chosen. */
export interface Pass {
  /** The logits of every position of the window, [vocab] each. */
  logits: Float32Array[];
  /** The positions that are still hidden, rising; at least one. */
  masked: number[];
  /** Passes made before in this block. */
  index: number;
  /** Positions that were hidden when the block began. */
  total: number;
}

/**
 * The `fill` of a sampler that fixes something in every pass and takes nothing back, made from the
 * choice of one pass: at least one of the positions that are still hidden.
 */
export function revealPerPass(
  choose: (pass: Pass, truncation: Truncation, random: Random) => Fixed[],
): Sampler["fill"] {
  return async function* ({ masked: all, look }, truncation, random) {
    let masked = all;
    for (let index = 0; masked.length > 0; index++) {
      const pass = { logits: await look(), masked, index, total: all.length };
      const fixed = choose(pass, truncation, random);
      const positions = new Set(fixed.map(({ position }) => position));
      masked = masked.filter((position) => !positions.has(position));
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
