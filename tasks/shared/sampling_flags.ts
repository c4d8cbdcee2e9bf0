/**
 * The flags that say how to write, and the options that they mean. Those of the samplers are derived
 * from the samplers: nothing here names one of their options.
 */
import { UserError } from "../../engines/errors.ts";
import type { ModelConfig, ModelKind } from "../../core/config.ts";
import type { GenerationOptions } from "../../core/language_model.ts";
import {
  chooseDefaultSampler,
  defaultOptions,
  defaultSampler,
  defaultWindow,
  originalOptions,
} from "../../core/sampling/defaults.ts";
import { collectOptions, type SamplerName, samplers } from "../../core/sampling/samplers/mod.ts";
import type { DefinedSampler } from "../../core/sampling/samplers/sampler.ts";
import { parseTemplate } from "../../core/sampling/template.ts";
import type { NgramTable } from "../../core/ngrams/kneser_ney.ts";
import { DEFAULT_DRAFTS, draftFlags } from "./ngrams.ts";
import { type Flag, flagName, UsageError } from "./flags.ts";

const usual = {
  gpt: defaultOptions("gpt", 256),
  diffusion: defaultOptions("diffusion", 256, { sampler: samplers.copula }),
};

export const templateFlags = {
  template: {
    type: "string",
    help: "diffusion: text with gaps to fill, ____ or {3..12} for 3 to 12 characters",
  },
  gap: {
    type: "string",
    placeholder: "CHAR",
    help: "the character that stands for a hidden one in the template",
    defaultHelp: "_",
  },
} as const;

/** Temperature and truncation, of both models. */
export const truncationFlags = {
  temperature: {
    type: "number",
    min: 0,
    help: "0 = always the likeliest character",
    defaultHelp: `${usual.gpt.temperature} for a GPT, for diffusion by sampler: ` +
      `${usual.diffusion.temperature} for ${usual.diffusion.sampler.name}`,
  },
  topK: {
    type: "integer",
    min: 1,
    help: "draw among the k likeliest",
    defaultHelp: "all, but 2 for the sampler threshold",
  },
  topP: {
    type: "number",
    above: 0,
    max: 1,
    help: "draw from the fewest characters whose probabilities add up to this",
  },
} as const;

/**
 * A flag for each option of the samplers. None has a default here, so that a flag given to a sampler
 * without that option can be told from one left out. The type names no key: nothing but the sampler
 * itself knows its options, and `chooseSampler` looks them up in the values.
 */
const optionFlags: Readonly<Record<never, Flag>> = Object.fromEntries(
  [...collectOptions()].map(([key, { option, samplers }]) => {
    const { help, short: _, default: value, ...limits } = option;
    const users = `${samplers.length > 1 ? "samplers" : "sampler"} ${samplers.join(", ")}`;
    return [key, { ...limits, help: `${users}: ${help}`, defaultHelp: String(value) }];
  }),
);

/** The flags of diffusion alone. */
export const samplerFlags = {
  sampler: {
    choices: Object.keys(samplers) as SamplerName[],
    help: "diffusion: how to choose what to fix in a pass",
    defaultHelp:
      `${usual.diffusion.sampler.name}, or ${defaultSampler.name} without a table of n-grams`,
  },
  ...optionFlags,
  overlap: {
    type: "integer",
    min: 0,
    help: "diffusion: characters that a block sees of the text before it",
    defaultHelp: "half of the window, at most 64",
  },
  window: {
    type: "integer",
    min: 2,
    help: "diffusion: characters that the network reads at once",
    defaultHelp: `${defaultWindow(Infinity)}, or its context where that is shorter`,
  },
} as const;

const { temperature, topK, overlap, sampler: { name, settings } } = originalOptions(
  "diffusion",
  256,
);

/** The flag of the original's way to write; it takes the place of all flags that say how. */
export const originalFlag = {
  asOriginal: {
    type: "boolean",
    help: `write as the original does; diffusion: sampler ${name} ${settings.threshold}, ` +
      `temperature ${temperature}, top-k ${topK}, its whole context as the window, overlap ${overlap}`,
  },
} as const;

/** All flags that say how to write. */
export const samplingFlags = {
  ...truncationFlags,
  ...samplerFlags,
  ...draftFlags,
  ...originalFlag,
} as const;

/**
 * The values of the common flags. Those of the samplers' options are further properties, which are
 * looked up by the keys of the chosen sampler's options.
 */
export interface SamplingValues {
  temperature?: number;
  topK?: number;
  topP?: number;
  sampler?: SamplerName;
  overlap?: number;
  window?: number;
  drafts?: number;
  asOriginal?: boolean;
  template?: string;
}

/** The options of writing, and their record. */
export interface Sampling {
  options: GenerationOptions;
  /** The sampler's name; `autoregressive` or `greedy` for a GPT. */
  name: string;
  /** Characters that the network reads at once. */
  window: number;
  /** Characters that a table of n-grams drafts for each pass of a GPT; none without it. */
  drafts?: number;
  /** The settings as used, by the names of their flags. */
  settings: Record<string, number | string>;
}

/**
 * Makes options from the flags.
 *
 * @param options.among The samplers of the command line: a flag that applies to one of them is not a
 * mistake.
 * @param options.varied Flags that `--as-original` leaves free.
 * @param options.ngrams The table of n-grams, where there is one and it is of use.
 * @throws {UsageError} If a flag does not apply to the model or the samplers, or is out of the
 * model's range.
 */
export function chooseSampling(
  { kind, vocab, context }: ModelConfig & { kind: ModelKind },
  values: SamplingValues,
  { ngrams, among = [chooseSampler(values, ngrams).name], varied = [] }: {
    ngrams?: NgramTable;
    among?: readonly string[];
    varied?: readonly string[];
  } = {},
): Sampling {
  if (values.asOriginal) refuseContradictions(values, varied);
  const { topP, window = values.asOriginal ? context : defaultWindow(context) } = values;
  const characters = vocab - (kind === "diffusion" ? 1 : 0);
  if (values.topK !== undefined && values.topK > characters) {
    throw new UsageError(
      `Cannot use --top-k ${values.topK}: expected at most ${characters}, the characters of the model`,
    );
  }
  refuseInapplicableFlags(kind, values, among);
  if (window > context) {
    throw new UsageError(`Cannot use --window ${window}: expected at most the context, ${context}`);
  }
  const defaults = values.asOriginal
    ? originalOptions(kind, context)
    : defaultOptions(kind, window, { ngrams, sampler: chooseSampler(values, ngrams) });
  const {
    temperature = defaults.temperature,
    topK = defaults.topK,
    overlap = defaults.overlap,
  } = values;
  if (overlap >= window) {
    throw new UsageError(
      `Cannot use --overlap ${overlap}: expected less than the window, ${window}`,
    );
  }
  const { sampler } = defaults;
  const options = { temperature, topK, topP, overlap, sampler, ngrams };
  const settings = { temperature, "top-k": topK ?? "all", "top-p": topP ?? 1 };
  if (kind === "gpt") {
    const name = temperature === 0 ? "greedy" : "autoregressive";
    const drafts = ngrams ? values.drafts ?? DEFAULT_DRAFTS : 0;
    return { options, name, window: context, drafts, settings: { ...settings, drafts } };
  }
  const own = Object.entries(sampler.settings).map(([key, value]) => [flagName(key), value]);
  return {
    options,
    name: sampler.name,
    window,
    settings: { ...settings, ...Object.fromEntries(own), overlap, window },
  };
}

/** Refuses flags next to `--as-original`, which says all that they say. */
function refuseContradictions(values: SamplingValues, varied: readonly string[]): void {
  const keys = Object.keys({ ...truncationFlags, ...samplerFlags });
  const given = keys.find((key) => {
    const value = values[key as keyof SamplingValues];
    return value !== undefined && !varied.includes(key);
  });
  if (given === undefined) return;
  throw new UsageError(
    `Cannot use --${flagName(given)} with --as-original, which sets all that says how to write; ` +
      "leave one of them out",
  );
}

/** The sampler with those of its options that were given. */
function chooseSampler(
  { sampler: name, asOriginal: _, template, ...values }: SamplingValues,
  ngrams?: NgramTable,
): DefinedSampler {
  const sampler: DefinedSampler = name === undefined
    ? chooseDefaultSampler({ hasNgrams: ngrams !== undefined, fillsGaps: template !== undefined })
    : samplers[name];
  const own = Object.entries(values)
    .filter(([key, value]) => Object.hasOwn(sampler.options, key) && value !== undefined);
  return sampler.with(Object.fromEntries(own));
}

function refuseInapplicableFlags(
  kind: ModelKind,
  values: SamplingValues,
  among: readonly string[],
): void {
  const users = collectOptions();
  for (const key of Object.keys(samplerFlags)) {
    if (values[key as keyof SamplingValues] === undefined) continue;
    const flag = `--${flagName(key)}`;
    if (kind === "gpt") {
      throw new UsageError(
        `Cannot use ${flag} with --model gpt: a GPT writes one character at a time, from left to ` +
          "right; leave it out",
      );
    }
    const names = users.get(key)?.samplers;
    if (names && !names.some((name) => among.includes(name))) {
      throw new UsageError(
        `Cannot use ${flag} with the sampler ${among.join(", ")}: it applies only to ` +
          `${names.join(", ")}; leave it out`,
      );
    }
  }
}

/**
 * Checks the flags of a template.
 *
 * @throws {UsageError} If the template does not parse, or there is a gap without one.
 */
export function checkTemplate({ template, gap }: { template?: string; gap?: string }): void {
  if (template === undefined) {
    if (gap === undefined) return;
    throw new UsageError("Cannot use --gap alone: expected --template TEXT with it");
  }
  try {
    parseTemplate(template, gap);
  } catch (error) {
    throw error instanceof UserError ? new UsageError(error.message, { cause: error }) : error;
  }
}
