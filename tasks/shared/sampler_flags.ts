/** The flags that say how a diffusion model generates, and the options that they mean. */
import type { ModelConfig, ModelKind } from "../../core/config.ts";
import { type SamplerName, samplers, usualOptions } from "../../core/sampling/samplers/mod.ts";
import type { GenerationOptions } from "../../core/sampling/samplers/sampler.ts";
import { checkTruncation } from "../../core/sampling/draw.ts";
import { UsageError, type Values } from "./cli.ts";

const usual = usualOptions(256);

/** Temperature and truncation, of both models. */
export const truncationFlags = {
  temperature: {
    type: "number",
    min: 0,
    default: usual.temperature,
    help: "0 = always the likeliest character",
  },
  topK: {
    type: "integer",
    min: 1,
    help: `draw among the k likeliest; without it, ${usual.topK} for diffusion and all for a GPT`,
  },
  topP: { type: "number", above: 0, max: 1, help: "draw among the likeliest that hold this share" },
} as const;

/**
 * Of diffusion alone. What has a default is not in the table as such: giving it where it means
 * nothing is a mistake.
 */
export const samplerFlags = {
  sampler: {
    choices: Object.keys(samplers) as SamplerName[],
    help: "diffusion: how to choose what to fix in a pass; without it, threshold",
  },
  threshold: {
    type: "number",
    above: 0,
    max: 1,
    help: `sampler threshold: fix what is at least this sure; without it, ${usual.threshold}`,
  },
  denoisingSteps: {
    type: "integer",
    min: 1,
    max: 1_000_000,
    help:
      `samplers confidence, ancestral, remask: steps in a block; without it, ${usual.denoisingSteps}`,
  },
  grid: {
    choices: ["cosine", "uniform"],
    help: `samplers ancestral, remask: how the hidden share falls; without it, ${usual.grid}`,
  },
  entropyBound: {
    type: "number",
    min: 0,
    help: `sampler entropy: nats of uncertainty to fix at once; without it, ${usual.entropyBound}`,
  },
  remaskCap: {
    type: "number",
    min: 0,
    max: 1,
    help:
      `sampler remask: most to hide again in a step, as a share; without it, ${usual.remaskCap}`,
  },
  overlap: {
    type: "integer",
    min: 0,
    help:
      `diffusion: characters that a block sees of the text before it; without it, ${usual.overlap}, ` +
      "or half of a shorter window",
  },
  window: {
    type: "integer",
    min: 2,
    help: "diffusion: characters that the network reads at once; without it, its context",
  },
} as const;

type SamplerFlag = Exclude<keyof typeof samplerFlags, "sampler" | "overlap" | "window">;

/** The samplers that a flag means something to. */
export const usedBy: Record<SamplerFlag, SamplerName[]> = {
  threshold: ["threshold"],
  denoisingSteps: ["confidence", "ancestral", "remask"],
  grid: ["ancestral", "remask"],
  entropyBound: ["entropy"],
  remaskCap: ["remask"],
};

/** Values of both tables, as `parseFlags` gives them. */
export type SamplingValues =
  & { temperature: number; topK?: number; topP?: number }
  & Partial<Values<typeof samplerFlags>>;

/** How to generate, and what to say about it. */
export interface Sampling {
  options: GenerationOptions;
  /** The sampler's name; `autoregressive` or `greedy` for a GPT. */
  sampler: string;
  /** Characters that the network reads at once. */
  window: number;
  /** What was used, for the record. */
  settings: Record<string, number | string>;
}

/**
 * The options that the flags mean.
 *
 * @throws {UsageError} If a flag is given that the model or its sampler has no use for, or is out
 * of the model's range.
 */
export function samplingOf(
  kind: ModelKind,
  config: ModelConfig,
  values: SamplingValues,
): Sampling {
  const { temperature, topP, window = config.context } = values;
  const characters = config.vocab - (kind === "diffusion" ? 1 : 0);
  if (values.topK !== undefined && values.topK > characters) {
    throw new UsageError(
      `Cannot use --top-k ${values.topK}: expected at most ${characters}, the characters of the model`,
    );
  }
  refuseUseless(kind, values);
  if (window > config.context) {
    throw new UsageError(
      `Cannot use --window ${window}: expected at most the context, ${config.context}`,
    );
  }
  const { sampler: name = "threshold", window: _, ...given } = values;
  const usualHere = usualOptions(window);
  const options: GenerationOptions = {
    ...usualHere,
    topK: kind === "diffusion" ? usualHere.topK : undefined, // a GPT draws among all characters
    ...withoutUndefined(given),
    sampler: samplers[name],
  };
  const { topK, overlap } = options;
  if (overlap >= window) {
    const which = values.window === undefined ? "the context" : "the window";
    throw new UsageError(
      `Cannot use --overlap ${overlap}: expected less than ${which}, ${window}`,
    );
  }
  checkTruncation(options);
  const shared = { temperature, "top-k": topK ?? "all", "top-p": topP ?? 1 };
  if (kind === "gpt") {
    const sampler = temperature === 0 ? "greedy" : "autoregressive";
    return { options, sampler, window: config.context, settings: shared };
  }
  const own = (Object.keys(usedBy) as SamplerFlag[])
    .filter((flag) => usedBy[flag].includes(name))
    .map((flag) => [flagName(flag), options[flag]!]);
  const settings = { ...shared, ...Object.fromEntries(own), overlap, window };
  return { options, sampler: name, window, settings };
}

/** The values that were given. */
function withoutUndefined<T extends object>(values: T) {
  const given = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given) as { [Name in keyof T]: Exclude<T[Name], undefined> };
}

function refuseUseless(kind: ModelKind, values: SamplingValues): void {
  const { sampler = "threshold" } = values;
  for (const flag of Object.keys(samplerFlags) as (keyof typeof samplerFlags)[]) {
    if (values[flag] === undefined) continue;
    if (kind === "gpt") {
      throw new UsageError(
        `Cannot use --${
          flagName(flag)
        } with --model gpt: a GPT writes one character at a time, from left ` +
          "to right; leave it out",
      );
    }
    const users = usedBy[flag as SamplerFlag];
    if (users && !users.includes(sampler)) {
      throw new UsageError(
        `Cannot use --${flagName(flag)} with the sampler ${sampler}: it means something to ` +
          `${users.join(", ")} only; leave it out`,
      );
    }
  }
}

const flagName = (key: string) => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
