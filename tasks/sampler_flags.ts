/** The flags that say how a diffusion model generates, and the options that they mean. */
import type { ModelConfig, ModelKind } from "../core/config.ts";
import type { GenerationOptions } from "../core/language_model.ts";
import { type SamplerName, samplers } from "../core/samplers/mod.ts";
import { checkTruncation } from "../core/sampling.ts";
import { UsageError } from "./cli.ts";

/** Temperature and truncation, of both models. */
export const truncationFlags = {
  temperature: { type: "number", min: 0, default: 0.8, help: "0 = always the likeliest character" },
  topK: {
    type: "integer",
    min: 1,
    help: "draw among the k likeliest; without it, 2 for diffusion and all for a GPT",
  },
  topP: { type: "number", above: 0, max: 1, help: "draw among the likeliest that hold this share" },
} as const;

/** Of diffusion alone. What has a default is not in the table as such: giving it where it means nothing is a mistake. */
export const samplerFlags = {
  sampler: {
    choices: Object.keys(samplers) as SamplerName[],
    help: "diffusion: how to choose what to fix in a pass; without it, threshold",
  },
  threshold: {
    type: "number",
    above: 0,
    max: 1,
    help: "sampler threshold: fix what is at least this sure; without it, 0.95",
  },
  denoisingSteps: {
    type: "integer",
    min: 1,
    max: 1_000_000,
    help: "samplers confidence, ancestral, remask: steps in a block; without it, 64",
  },
  grid: {
    choices: ["cosine", "uniform"],
    help: "samplers ancestral, remask: how the hidden share falls; without it, cosine",
  },
  entropyBound: {
    type: "number",
    min: 0,
    help: "sampler entropy: nats of uncertainty to fix at once; without it, 0.5",
  },
  remaskCap: {
    type: "number",
    min: 0,
    max: 1,
    help: "sampler remask: most to hide again in a step, as a share; without it, 0.02",
  },
  overlap: {
    type: "integer",
    min: 0,
    help:
      "diffusion: characters that a block sees of the text before it; without it, 32, or half of " +
      "a shorter window",
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
export interface SamplingValues {
  temperature: number;
  topK?: number;
  topP?: number;
  sampler?: SamplerName;
  threshold?: number;
  denoisingSteps?: number;
  grid?: "cosine" | "uniform";
  entropyBound?: number;
  remaskCap?: number;
  overlap?: number;
  window?: number;
}

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
 * @throws {UsageError} If a flag is given that the model or its sampler has no use for, or is out of the model's range.
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
  // The original carries 16. The 8 characters after a border then cost 0.03 to 0.06 bits more each, with 32 none that could be
  // measured (docs/lab-log.md, "overlap").
  const overlap = values.overlap ?? Math.min(32, window >> 1);
  if (overlap >= window) {
    const which = values.window === undefined ? "the context" : "the window";
    throw new UsageError(
      `Cannot use --overlap ${overlap}: expected less than ${which}, ${window}`,
    );
  }
  const { threshold = 0.95, denoisingSteps = 64, grid = "cosine" } = values;
  const { entropyBound = 0.5, remaskCap = 0.02 } = values;
  const topK = values.topK ?? (kind === "diffusion" ? 2 : undefined);
  const name = values.sampler ?? "threshold";
  const options: GenerationOptions = {
    ...{ temperature, topK, topP, overlap, sampler: samplers[name] },
    ...{ threshold, denoisingSteps, grid, entropyBound, remaskCap },
  };
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
