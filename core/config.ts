/**
 * Every setting of a run in one flat object, which is printed when training starts and stored with
 * the weights.
 *
 * A preset holds only what differs from the original's settings, each with the reason where the
 * value surprises.
 */

import { quoted, UserError } from "@tiny-diffusion/engines/errors";

/** Which of the two models. */
export type ModelKind = "gpt" | "diffusion";

/** The shape of the network. */
export interface ModelConfig {
  /** Number of tokens, the mask of a diffusion model included. */
  vocab: number;
  /** Most characters that it reads at once. */
  context: number;
  /** Layers, each an attention and an MLP. */
  layers: number;
  /** Attention heads of a layer, each of `width / heads` numbers. */
  heads: number;
  /** Numbers in the vector that stands for a character; a multiple of `2 * heads`. */
  width: number;
}

/** How the network is trained. */
export interface TrainingConfig {
  /** Windows of text in one step. */
  batch: number;
  /** How many of them, at most. */
  steps: number;
  /** Of the weights, the windows, the masks and the dropout. */
  seed: number;
  /** `muon`: Muon for the matrices of the blocks, AdamW for embedding and head. */
  optimizer: "adamw" | "muon";
  /** Of AdamW. */
  learningRate: number;
  /** Of Muon, whose updates have a size of their own. */
  muonLearningRate: number;
  /** Steps of linear warm-up from 0. */
  warmup: number;
  /** `cosine` falls from the learning rate to a tenth of it at the last step. */
  schedule: "constant" | "cosine";
  /** AdamW: how much of the gradients' average a step keeps. */
  beta1: number;
  /** AdamW: the same of their squares. */
  beta2: number;
  /** AdamW: added to the root of those. */
  epsilon: number;
  /**
   * Share of itself, times the learning rate, that a weight loses in a step (Loshchilov & Hutter,
   * arXiv:1711.05101).
   */
  weightDecay: number;
  /** Largest norm of all gradients together; longer ones are shortened to it. 0 = no limit. */
  clip: number;
  /**
   * Share of the entries of the embedding, and of what each branch adds, that a training step leaves
   * out.
   */
  dropout: number;
  /**
   * How much of the weights' moving average a step keeps; validation and export then use the
   * average. 0 = no average.
   */
  emaDecay: number;
  /**
   * Start the matrices at the end of each branch at zero, so that every layer begins as the
   * identity.
   */
  zeroProjections: boolean;
  /** Diffusion: spread the mask shares of a batch evenly instead of drawing them independently. */
  evenMaskShares: boolean;
  /**
   * Diffusion: weight a window's hidden characters by 1 / mask share, as the bound does, instead of
   * all alike.
   */
  boundWeighting: boolean;
  /** Steps between two validations. */
  evalEvery: number;
}

/** Every setting of a run. */
export interface Config extends ModelConfig, TrainingConfig {
  /** Which of the two models. */
  kind: ModelKind;
  /** What the settings started from. */
  preset: PresetName;
}

/**
 * The original's settings: 10.7 M parameters, AdamW at a constant rate. Its two models differ in
 * the number of steps.
 */
const original = {
  context: 256,
  layers: 6,
  heads: 6,
  width: 384,
  batch: 64,
  optimizer: "adamw",
  learningRate: 3e-4,
  muonLearningRate: 0.02,
  warmup: 0,
  schedule: "constant",
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  weightDecay: 0.01,
  clip: 0,
  dropout: { gpt: 0, diffusion: 0 },
  emaDecay: 0,
  zeroProjections: false,
  evenMaskShares: false,
  boundWeighting: false,
  evalEvery: 500,
} satisfies Partial<Preset>;

/** The settings of a preset: a configuration without what follows from the text and the model. */
export type Preset = Omit<Config, "vocab" | "seed" | "kind" | "preset" | "steps" | "dropout"> & {
  /** Diffusion trains longer, since only masked characters count towards its loss. */
  steps: Record<ModelKind, number>;
  /** A GPT sees the same examples every epoch; a diffusion model, differently masked ones. */
  dropout: Record<ModelKind, number>;
};

/**
 * What trains better in the same time than the original's settings; measured in docs/lab-log.md.
 */
const tuned = {
  optimizer: "muon",
  learningRate: 1e-3,
  warmup: 40,
  schedule: "cosine",
  beta2: 0.99,
  weightDecay: 0.1,
  clip: 1,
  evenMaskShares: true,
} satisfies Partial<Config>;

/**
 * The presets: for tests, for comparing engines, as the original, better than it, and for the first
 * few minutes.
 */
export type PresetName = "smoke" | "small" | "full" | "full-tuned" | "quickstart";

/** Settings that belong together, by name. */
export const presets: Record<PresetName, Preset> = {
  /** Seconds; for tests. */
  smoke: {
    ...original,
    layers: 2,
    heads: 2,
    width: 32,
    context: 32,
    batch: 8,
    steps: { gpt: 30, diffusion: 30 },
    evalEvery: 15,
  },
  /** A miniature of the original, for comparing engines. */
  small: {
    ...original,
    layers: 4,
    heads: 4,
    width: 128,
    context: 64,
    batch: 12,
    learningRate: 1e-3,
    steps: { gpt: 2000, diffusion: 4000 },
    evalEvery: 250,
  },
  full: { ...original, steps: { gpt: 5000, diffusion: 10_000 } },
  "full-tuned": {
    ...original,
    ...tuned,
    batch: 32, // Muon gains more from more steps than from larger ones
    steps: { gpt: 1000, diffusion: 2600 },
    dropout: { gpt: 0.2, diffusion: 0 },
    emaDecay: 0.99,
    evalEvery: 100,
  },
  /** What a newcomer trains first: as good a text as some three minutes on 2 cores give. */
  quickstart: {
    ...original,
    ...tuned,
    layers: 4,
    heads: 4,
    width: 128,
    context: 64,
    batch: 24, // Muon's cost does not grow with it: 780 steps of 24 beat 1,200 of 12, in as much time
    steps: { gpt: 600, diffusion: 1400 },
    evalEvery: 100,
  },
};

/**
 * The whole configuration of a run; `checkModelConfig` tells whether there can be such a network.
 *
 * @param vocab Number of tokens, the mask of a diffusion model included.
 * @param changes What is to differ from the preset; `undefined` changes nothing.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { makeConfig } from "@tiny-diffusion/core";
 *
 * const config = makeConfig("gpt", "small", 65, { dropout: 0.1 });
 * assertEquals([config.layers, config.width, config.context], [4, 128, 64]);
 * assertEquals(config.dropout, 0.1);
 * ```
 */
export function makeConfig(
  kind: ModelKind,
  preset: PresetName,
  vocab: number,
  changes: Partial<Config> = {},
): Config {
  const { steps, dropout, ...rest } = presets[preset];
  const given = Object.fromEntries(Object.entries(changes).filter(([, v]) => v !== undefined));
  return {
    kind,
    preset,
    vocab,
    seed: 1,
    steps: steps[kind],
    dropout: dropout[kind],
    ...rest,
    ...given,
  };
}

/** The settings that are words, with what they may be. */
export const choices: Partial<Record<keyof Config, readonly string[]>> = {
  optimizer: ["adamw", "muon"],
  schedule: ["constant", "cosine"],
};

/** What the setting `name`, a number, has to be, if `value` is not that. */
export function numberExpected(name: string, value: number): string | undefined {
  if (!Number.isFinite(value) || value < 0) return "a number, 0 or more";
  const whole = ["context", "layers", "heads", "width", "warmup", "batch", "steps", "evalEvery"];
  if (whole.includes(name) && !Number.isSafeInteger(value)) return "a whole number";
  const above = ["epsilon", "batch", "steps", "evalEvery"].includes(name);
  if (above && value === 0) return "above 0";
  if (name === "batch" && value > 65536) return "at most 65536";
  const below = name === "dropout" || name === "emaDecay" || /^beta/.test(name);
  if (below && value >= 1) return "below 1";
}

/**
 * Refuses settings that no training can have, such as those of a file that was changed.
 *
 * @throws {RangeError} Naming the setting, its value and what is allowed.
 */
export function checkTrainingConfig(config: TrainingConfig): void {
  for (const [name, value] of Object.entries(config)) {
    const allowed = choices[name as keyof Config];
    const expected = typeof value === "number"
      ? numberExpected(name, value)
      : allowed && !allowed.includes(value)
      ? allowed.join(" or ")
      : undefined;
    if (expected !== undefined) {
      const found = typeof value === "string" ? quoted(value) : value;
      throw new UserError({
        action: "train",
        found: `${name} is ${found}, expected it to be ${expected}`,
      });
    }
  }
}

/**
 * Refuses a configuration that no network can have, wherever it comes from (a preset, a flag, a
 * file).
 *
 * @throws {RangeError} Naming the field, its value and what is allowed.
 */
export function checkModelConfig(config: ModelConfig): void {
  const sizes: [keyof ModelConfig, number, number][] = [
    ["vocab", 2, 2 ** 16],
    ["context", 2, 2 ** 14],
    ["layers", 1, 256],
    ["heads", 1, 256],
    ["width", 2, 2 ** 14],
  ];
  for (const [field, min, max] of sizes) {
    const value = config[field];
    if (!Number.isInteger(value) || value < min || value > max) {
      throw new UserError({
        action: "build the network",
        found: `${field} is ${value}, expected ${min} to ${max}`,
      });
    }
  }
  if (config.width % (2 * config.heads) !== 0) {
    throw new UserError({
      action: "build the network",
      found: `width ${config.width} is not a multiple of 2 * heads (${config.heads})`,
    });
  }
}
