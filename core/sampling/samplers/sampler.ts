/**
 * What a sampler is, and what several of them share.
 *
 * A sampler chooses which masked characters of a window each forward pass fixes, and with what. It
 * is a value that one file makes with `defineSampler`. That file is also the only place that knows
 * the sampler's options: flags, help, the fields of the try-it page and the labels of the report
 * are derived from it.
 */
import { quoted, UserError } from "@tiny-diffusion/engines/errors";
import type { Random } from "../../random.ts";
import { MASK_TOKEN } from "../../data/tokenizer.ts";
import { candidates, draw, type Truncation } from "../draw.ts";

/** A character fixed by a forward pass, or hidden again where `token` is the mask. */
export interface Fixed {
  /**
   * Counted from the start of the text, prompt included; within a sampler, from that of the window.
   */
  position: number;
  /** The token that is there now. */
  token: number;
  /**
   * The probability, from 0 to 1, on which the choice was based: for a GPT and for `threshold` that
   * of all characters that could have been drawn, for the other samplers that of the character
   * drawn, or of being hidden again.
   */
  confidence: number;
}

/** A window of the text with what is masked in it, as a sampler sees it. */
export interface MaskedWindow {
  /** The positions to fill, in the window, rising; all of them masked at first. */
  masked: number[];
  /** A forward pass: the logits of every position of the window as it is now, [vocab] each. */
  look(): Promise<Float32Array[]>;
}

/**
 * Fills the masked positions of a window. Yields what each step changes; the caller writes that
 * into the window before the next `look`.
 */
export type Fill = (
  window: MaskedWindow,
  truncation: Truncation,
  random: Random,
) => AsyncGenerator<Fixed[]>;

interface OptionBasics {
  /** What it means, without the default and the allowed values. */
  help: string;
  /**
   * How a value is written in a short label, with "#" for the value; without it, the option's name
   * and the value.
   */
  short?: string;
}

/** A number; `above` excludes the limit itself, `min` and `max` include it. */
export interface NumberOption extends OptionBasics {
  /** Whether it has to be a whole number. */
  type: "integer" | "number";
  /** The smallest value allowed. */
  min?: number;
  /** The largest value allowed. */
  max?: number;
  /** The value must be larger than this. */
  above?: number;
  /** The value unless another is chosen. */
  default: number;
}

/** One of several words. A short label leaves the default out. */
export interface ChoiceOption extends OptionBasics {
  /** The words. */
  choices: readonly string[];
  /** The word unless another is chosen. */
  default: string;
}

/** The options of a sampler; the key `entropyBound` becomes the flag `--entropy-bound`. */
export type SamplerOptions = Readonly<Record<string, NumberOption | ChoiceOption>>;

/** A value for each option. */
export type Settings<Options extends SamplerOptions> = {
  readonly [Key in keyof Options]: Options[Key] extends { choices: readonly (infer Choice)[] }
    ? Choice
    : number;
};

/** What the file of a sampler says. */
export interface SamplerDefinition<Options extends SamplerOptions> {
  /** The name that `--sampler` takes. */
  name: string;
  /** The paper or the program that it comes from. */
  source: string;
  /** What can be set; an option that another sampler has too is the same object. */
  options: Options;
  /** Most forward passes that it takes to fill `masked` positions of a window. */
  passes(masked: number, settings: Settings<Options>): number;
  /** How it fills a window with these settings. */
  fill(settings: Settings<Options>): Fill;
}

/** A sampler with a value for each of its options: the defaults, or what `with` was given. */
export interface Sampler<Options extends SamplerOptions = SamplerOptions> {
  /** The name that `--sampler` takes. */
  readonly name: string;
  /** The paper or the program that it comes from. */
  readonly source: string;
  /** What can be set. */
  readonly options: Options;
  /** What is set. */
  readonly settings: Settings<Options>;
  /** Most forward passes that it takes to fill `masked` positions of a window. */
  passes(masked: number): number;
  /** Fills the masked positions of a window. */
  readonly fill: Fill;
  /**
   * The same sampler with other settings; what is not given stays as it is.
   *
   * @throws {UserError} If a value is out of its range.
   * @throws {TypeError} If the sampler has no such option.
   */
  with(changes: Partial<Settings<Options>>): Sampler<Options>;
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
): Sampler<Options> {
  const { name, source, options } = definition;
  const bind = (settings: Settings<Options>): Sampler<Options> => ({
    name,
    source,
    options,
    settings,
    passes: (masked) => definition.passes(masked, settings),
    fill: definition.fill(settings),
    with(changes) {
      for (const [key, value] of Object.entries(changes)) {
        if (!Object.hasOwn(options, key)) {
          throw new TypeError(`internal: the sampler ${name} has no option "${key}"`);
        }
        checkSetting(key, options[key], value);
      }
      return bind({ ...settings, ...changes });
    },
  });
  const defaults = Object.entries(options).map(([key, option]) => [key, option.default]);
  return bind(Object.fromEntries(defaults));
}

function checkSetting(key: string, option: NumberOption | ChoiceOption, value: unknown): void {
  const refuse = (found: string, expected: string) => {
    throw new UserError({ action: `use ${key} ${found}`, found: `expected ${expected}` });
  };
  if ("choices" in option) {
    if (!option.choices.includes(value as string)) {
      refuse(quoted(String(value)), option.choices.join(" or "));
    }
    return;
  }
  const { type, min = -Infinity, max = Infinity, above = -Infinity } = option;
  const isKind = type === "integer" ? Number.isInteger(value) : !Number.isNaN(Number(value));
  const number = value as number;
  if (isKind && number >= min && number <= max && number > above) return;
  const limits = [
    type === "integer" ? "a whole number" : "a number",
    min > -Infinity ? `at least ${min}` : "",
    above > -Infinity ? `above ${above}` : "",
    max < Infinity ? `at most ${max}` : "",
  ];
  refuse(String(value), limits.filter((limit) => limit !== "").join(", "));
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

/** What is known when the characters of a pass are chosen. */
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
): Fill {
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
