/**
 * Every setting of a run in one flat object, which is printed when training starts and stored with
 * the weights. `Preset` says what each setting means, `original` what it was in the original; a preset
 * holds only what differs from that.
 */
import { quoted, UserError } from "@tiny-diffusion/engines/errors";

/** The two models. */
export type ModelKind = "gpt" | "diffusion";

/** A configuration without what follows from the text and the model. */
export interface Preset {
  // ---- network
  /** Most characters that the network reads at once. */
  context: number;
  /** Layers, each an attention and an MLP. */
  layers: number;
  /** Attention heads of a layer, each of `width / heads` numbers. */
  heads: number;
  /** Numbers in the vector of a character; a multiple of `2 * heads`. */
  width: number;
  /** Start the last matrix of each branch at zero, so that every layer begins as the identity. */
  zeroProjections: boolean;

  // ---- examples
  /** Windows of text in a step. */
  batch: number;
  /** Most steps. Diffusion trains longer, since only masked characters count in its loss. */
  steps: { gpt: number; diffusion: number };
  /** Steps between two validations. */
  evalEvery: number;
  /** Diffusion: spread the mask shares of a batch evenly instead of drawing them independently. */
  evenMaskShares: boolean;
  /**
   * Diffusion: weight a window's hidden characters by 1 / mask share, as the bound does, instead of
   * all alike.
   */
  boundWeighting: boolean;
  /**
   * Diffusion: train this many of a batch's windows as a GPT would, on the next character and with
   * attention to the left. It is here for trainings in which one network learns both and overfits a
   * fixed text later ("dual objective", arXiv:2512.14549). Dropout then applies to these windows only.
   */
  causalRows: number;

  // ---- optimizer
  /** `muon`: Muon for the matrices of the layers, AdamW for embedding and head. */
  optimizer: "adamw" | "muon";
  /** The learning rate of AdamW. */
  learningRate: number;
  /** The learning rate of Muon, which sets the size of its updates itself. */
  muonLearningRate: number;
  /** Steps in which the learning rates rise from 0. */
  warmup: number;
  /**
   * `cosine` falls to a tenth of the learning rate at the last step. `wsd` (warm-up, stable, decay;
   * arXiv:2404.06395) stays constant and falls linearly to zero over the last fifth of the steps.
   */
  schedule: "constant" | "cosine" | "wsd";
  /** AdamW: share of the gradients' moving average that a step keeps. */
  beta1: number;
  /** AdamW: share of the squared gradients' moving average that a step keeps. */
  beta2: number;
  /** AdamW: added to the root of the squared gradients' average. */
  epsilon: number;
  /**
   * Share of itself, times the learning rate, that a weight loses in a step (Loshchilov & Hutter,
   * arXiv:1711.05101).
   */
  weightDecay: number;
  /** Largest norm of all gradients together; longer ones are scaled down to it. 0 = no limit. */
  clip: number;
  /**
   * Share of the entries of the embedding, and of what each branch adds, that a step leaves out. A
   * GPT needs it sooner: it sees the same examples every epoch, a diffusion model differently masked
   * ones.
   */
  dropout: { gpt: number; diffusion: number };
  /**
   * Share of the weights' moving average that a step keeps; validation and export then use the
   * average. 0 = no average.
   */
  emaDecay: number;
}

/** The original's settings: 10.7 M parameters, AdamW at a constant rate. */
const original: Preset = {
  context: 256,
  layers: 6,
  heads: 6,
  width: 384,
  zeroProjections: false,
  batch: 64,
  steps: { gpt: 5000, diffusion: 10_000 },
  evalEvery: 500,
  evenMaskShares: false,
  boundWeighting: false,
  causalRows: 0,
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
};

/** These train better in the same time than the original's settings; measured in docs/lab-log.md. */
const tuned = {
  optimizer: "muon",
  learningRate: 1e-3,
  warmup: 40,
  schedule: "cosine",
  beta2: 0.99,
  weightDecay: 0.1,
  clip: 1,
  evenMaskShares: true,
} satisfies Partial<Preset>;

/** A network that trains in minutes on two CPU cores. */
const little = {
  layers: 4,
  heads: 4,
  width: 128,
  context: 64,
} satisfies Partial<Preset>;

/** Settings that belong together, by name. */
export const presets = {
  /** Takes seconds, for tests. */
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
  /** Writes words after a minute of training in a browser. */
  tiny: {
    ...original,
    ...tuned,
    layers: 2,
    heads: 2,
    width: 64,
    context: 64,
    batch: 12, // after so few characters, more steps are worth more than larger ones
    steps: { gpt: 1000, diffusion: 1500 },
    evalEvery: 50,
  },
  /** The original's recipe on a small network, for comparing engines. */
  small: {
    ...original,
    ...little,
    batch: 12,
    learningRate: 1e-3,
    steps: { gpt: 2000, diffusion: 4000 },
    evalEvery: 250,
  },
  /** The original. */
  full: original,
  /** Better than the original in the same time. */
  "full-tuned": {
    ...original,
    ...tuned,
    batch: 32, // Muon gains more from more steps than from larger ones
    steps: { gpt: 1000, diffusion: 2600 },
    dropout: { gpt: 0.2, diffusion: 0 },
    emaDecay: 0.99,
    evalEvery: 100,
  },
  /** For the first try: the best text that some three minutes on 2 cores give. */
  quickstart: {
    ...original,
    ...tuned,
    ...little,
    batch: 24, // Muon's cost does not grow with it
    steps: { gpt: 600, diffusion: 1400 },
    evalEvery: 100,
  },
  /** For experiments with a slice of a text, long enough to see a model overfit. */
  miniature: {
    ...original,
    ...tuned,
    ...little,
    batch: 24,
    steps: { gpt: 3000, diffusion: 3000 },
    dropout: { gpt: 0.2, diffusion: 0 },
    weightDecay: 0.02, // 0.1 holds back long runs at a constant rate
    emaDecay: 0.99,
    evalEvery: 250,
  },
} satisfies Record<string, Preset>;

/** The name of a preset. */
export type PresetName = keyof typeof presets;

/** The shape of the network. */
export interface ModelConfig extends Pick<Preset, "context" | "layers" | "heads" | "width"> {
  /** Number of tokens, the mask of a diffusion model included. */
  vocab: number;
}

/** The settings of training. */
export interface TrainingConfig
  extends Omit<Preset, "context" | "layers" | "heads" | "width" | "steps" | "dropout"> {
  /** Most steps. */
  steps: number;
  /** Share of entries that a training step leaves out. */
  dropout: number;
  /** Seeds the weights, the windows, the masks and the dropout. */
  seed: number;
  /** `FROM..TO`: train on these characters of the training part only. Default: all of it. */
  slice?: string;
}

/** Every setting of a run. */
export interface Config extends ModelConfig, TrainingConfig {
  /** Which of the two models is trained. */
  kind: ModelKind;
  /** The preset that the settings started from. */
  preset: PresetName;
}

/**
 * Makes the whole configuration of a run. `checkModelConfig` checks whether there can be such a
 * network.
 *
 * @param vocab Number of tokens, the mask of a diffusion model included.
 * @param changes Settings that differ from the preset; `undefined` changes nothing.
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

/** The settings that are words, with the words that they may be. */
const words: Record<string, string[]> = {
  optimizer: ["adamw", "muon"],
  schedule: ["constant", "cosine", "wsd"],
};
/** The settings that count something. */
const counts = "context layers heads width warmup batch steps evalEvery causalRows".split(" ");

/** Says what the setting `name` has to be, if `value` is not that. */
export function expectSetting(name: string, value: unknown): string | undefined {
  if (name in words) return words[name].includes(value as string) ? undefined : list(words[name]);
  if (name === "slice") return parseSlice(value) ? undefined : "FROM..TO, such as 0..100000";
  if (typeof value !== "number") return;
  if (!Number.isFinite(value) || value < 0) return "a number, 0 or more";
  if (counts.includes(name) && !Number.isSafeInteger(value)) return "a whole number";
  const isPositive = ["epsilon", "batch", "steps", "evalEvery"].includes(name);
  if (isPositive && value === 0) return "above 0";
  if (name === "batch" && value > 65536) return "at most 65536";
  const isShare = ["dropout", "emaDecay", "beta1", "beta2"].includes(name);
  if (isShare && value >= 1) return "below 1";
}

const list = (choices: string[]) =>
  `${choices.slice(0, -1).join(", ")} or ${choices[choices.length - 1]}`;

/** Reads `FROM..TO`: the characters from FROM up to, not including, TO. */
export function parseSlice(slice: unknown): { from: number; to: number } | undefined {
  const [, from, to] = /^(\d{1,9})\.\.(\d{1,9})$/.exec(String(slice))?.map(Number) ?? [];
  return from < to ? { from, to } : undefined;
}

/**
 * Refuses settings that no training can have, such as those of a file that was changed.
 *
 * @throws {UserError} Naming the setting, its value and what is allowed.
 */
export function checkTrainingConfig(config: Config): void {
  const refuse = (name: string, value: unknown, expected: string) => {
    const found = typeof value === "string" ? quoted(value) : value;
    return new UserError({
      action: "train",
      found: `${name} is ${found}, expected it to be ${expected}`,
    });
  };
  for (const [name, value] of Object.entries(config)) {
    const expected = expectSetting(name, value);
    if (expected !== undefined) throw refuse(name, value, expected);
  }
  const { kind, batch, causalRows = 0 } = config;
  if (causalRows > 0 && kind === "gpt") throw refuse("causalRows", causalRows, "0 for a GPT");
  if (causalRows >= batch) throw refuse("causalRows", causalRows, `below the batch of ${batch}`);
}

/**
 * Refuses a configuration that no network can have, wherever it comes from (a preset, a flag, a
 * file).
 *
 * @throws {UserError} Naming the field, its value and what is allowed.
 */
export function checkModelConfig(config: ModelConfig): void {
  const action = "build the network";
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
      throw new UserError({ action, found: `${field} is ${value}, expected ${min} to ${max}` });
    }
  }
  const { width, heads } = config;
  if (width % (2 * heads) !== 0) {
    const found = `width ${width} is not a multiple of 2 * heads (${heads})`;
    throw new UserError({ action, found });
  }
}
