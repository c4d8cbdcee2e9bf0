/**
 * The metadata of our files of weights, and the checks of it and of the tensors: a file comes from
 * outside, so nothing in it is believed before it is checked.
 */
import { quoted, UserError } from "@tiny-diffusion/engines/errors";
import { type HostTensor, type HostTensors, sizeOf } from "@tiny-diffusion/engines/tensors";
import { checkModelConfig, checkTrainingConfig, type Config, makeConfig } from "./config.ts";
import { makeTokenizer, MASK } from "./data/tokenizer.ts";
import { isRecord, isSize } from "@tiny-diffusion/files/safetensors";
import { parameterShapes } from "./model.ts";
import { restoreRandom } from "./random.ts";

/** The facts that a file of weights states about them. A `.pt` file states none. */
export interface ModelFacts {
  /** The settings of the run, the shape of the network among them. */
  config: Config;
  /** The characters in token order. Entry 0 of a diffusion model is the mask, written "_". */
  vocabulary: string[];
  /** The first characters of the text, the default prompt of generation. */
  prompt?: string;
  /** The training step that these weights come from. */
  step?: number;
  /** Scores by name, such as `val_bpc`. */
  scores: Record<string, number>;
  /** SHA-256 of the text that it was trained on, in hexadecimal. */
  corpusSha256?: string;
  /** The command that trains it again. */
  command?: string;
  /** The name of the engine that trained it. */
  engine?: string;
  /** The precision of its matrix products: `f32` or `bf16`. */
  precision?: string;
}

/** The facts that a training state contains besides its tensors. */
export interface TrainingFacts
  extends Pick<ModelFacts, "config" | "vocabulary" | "command" | "engine" | "precision"> {
  /** States of the random generators, by use. */
  random: Record<string, number[]>;
  /** The counters of the run by name; see `zeroCounters` in core/training/loop.ts. */
  counters: Record<string, number>;
  /** The best validation so far; null before the first. */
  bestScore: number | null;
  /** SHA-256 of the text that it trains on, in hexadecimal. */
  corpusSha256: string;
}

/** FileTensors from a file. */
export type FileTensors = Record<string, HostTensor>;

/** Encodes facts as the texts of a safetensors file. */
export function toMetadata(format: string, facts: object): Record<string, string> {
  const known = Object.entries(facts).filter(([, value]) => value !== undefined);
  return { format, ...Object.fromEntries(known.map(([k, v]) => [k, JSON.stringify(v)])) };
}

/** Reads facts about weights from metadata. */
export function readFacts(action: string, metadata: Record<string, string>): ModelFacts {
  const facts = parseEntries(action, metadata) as ModelFacts;
  requireFacts(action, facts);
  return facts;
}

/**
 * Reads facts about a training state from metadata. Settings that came after the first version are
 * the original's where a file lacks them.
 */
export function readTrainingFacts(
  action: string,
  metadata: Record<string, string>,
): TrainingFacts {
  const facts = parseEntries(action, metadata) as TrainingFacts;
  requireTrainingFacts(action, facts);
  const { kind, vocab } = facts.config;
  return { ...facts, config: { ...makeConfig(kind, "full", vocab), ...facts.config } };
}

function parseEntries(action: string, { format: _, ...texts }: Record<string, string>): unknown {
  const parse = ([key, text]: [string, string]) => {
    try {
      return [key, JSON.parse(text)];
    } catch {
      throw damaged(action, `the metadata ${quoted(key)} is not JSON`);
    }
  };
  return Object.fromEntries(Object.entries(texts).map(parse));
}

/** Checks facts about weights; their types are only claimed before. */
export function requireFacts(action: string, facts: ModelFacts): void {
  requireConfig(action, facts.config);
  requireVocabulary(action, facts.vocabulary, facts.config);
  for (const key of ["prompt", "corpusSha256", "command", "engine", "precision"] as const) {
    const isText = facts[key] === undefined || typeof facts[key] === "string";
    requireThat(action, isText, `its ${key} is not a string`);
  }
  const isStep = facts.step === undefined || isSize(facts.step);
  requireThat(action, isStep, "its step is not a whole number");
  requireThat(action, areNumbers(facts.scores), "its scores are not all finite numbers");
}

/** The settings of the first version, which every training state has. */
const firstSettings = (
  "kind preset vocab context layers heads width batch steps seed optimizer learningRate " +
  "muonLearningRate warmup schedule beta1 beta2 epsilon weightDecay clip evenMaskShares evalEvery"
).split(" ");

/** Checks facts about a training state; their types are only claimed before. */
export function requireTrainingFacts(action: string, facts: TrainingFacts): void {
  const { config, random, counters, bestScore, corpusSha256 } = facts;
  requireFacts(action, { ...facts, scores: {} });
  const missing = firstSettings.find((key) => !Object.hasOwn(config, key));
  requireThat(action, missing === undefined, `its config lacks ${missing}`);
  rewordErrors(action, () => checkTrainingConfig(config));
  requireThat(action, areNumbers(counters), "its counters are not all finite numbers");
  for (const [name, count] of Object.entries(counters)) {
    const isCount = count >= 0 && (name === "seconds" || name === "lossSum" || isSize(count));
    requireThat(action, isCount, `its counter ${quoted(name)} is ${count}, expected a count`);
  }
  const isScore = bestScore === null || Number.isFinite(bestScore);
  requireThat(action, isScore, "its best score is not a number");
  requireThat(action, isRecord(random), "it has no random states");
  for (const state of Object.values(random)) rewordErrors(action, () => restoreRandom(state));
  requireThat(action, typeof corpusSha256 === "string", "it does not say which text");
}

function requireConfig(action: string, config: Config): void {
  requireThat(action, isRecord(config), "it has no config");
  for (const [key, value] of Object.entries(config)) {
    const isPlain = value === null || ["string", "boolean"].includes(typeof value) ||
      Number.isFinite(value);
    requireThat(action, isPlain, `its ${quoted(key)} is not a setting`);
  }
  const { kind } = config;
  const isKind = kind === "gpt" || kind === "diffusion";
  requireThat(action, isKind, `its kind is ${quoted(String(kind))}, not gpt or diffusion`);
  // A file may lack a setting that came later, but a setting that it has must be of its type.
  for (const [key, value] of Object.entries(makeConfig(kind, "full", 2))) {
    const found: unknown = Object.hasOwn(config, key) ? config[key as keyof Config] : undefined;
    const isOfType = found === undefined || typeof found === typeof value;
    const expected = `expected a ${typeof value}`;
    requireThat(action, isOfType, `its ${key} is ${quoted(String(found))}, ${expected}`);
  }
  rewordErrors(action, () => checkModelConfig(config));
}

/** Checks that a vocabulary is one of a model of this config. */
export function requireVocabulary(
  action: string,
  vocabulary: string[],
  { kind, vocab }: Config,
): void {
  const isWhole = Array.isArray(vocabulary) && vocabulary.length === vocab;
  requireThat(action, isWhole, `its vocabulary does not have ${vocab} entries`);
  const isText = vocabulary.every((entry) => typeof entry === "string");
  requireThat(action, isText, "its vocabulary is not a list of characters");
  const hasMask = kind === "gpt" || vocabulary[0] === MASK;
  requireThat(
    action,
    hasMask,
    `its first token is ${quoted(vocabulary[0])}, not the mask "${MASK}"`,
  );
  rewordErrors(action, () => makeTokenizer(kind, vocabulary));
}

const areNumbers = (values: unknown) =>
  isRecord(values) && Object.values(values).every(Number.isFinite);

/** Lists the parameters in the model's order, after checking every name, shape and value. */
export function requireParameters(
  action: string,
  tensors: FileTensors,
  config: Config,
): HostTensors {
  const expected = parameterShapes(config);
  const unknown = Object.keys(tensors).find((name) => !Object.hasOwn(expected, name));
  if (unknown !== undefined) {
    throw refuse(
      action,
      `${quoted(unknown)} is not a parameter of a model of ${config.layers} layers`,
      "only weights of this network can be used",
    );
  }
  const parameters: HostTensors = {};
  for (const [name, shape] of Object.entries(expected)) {
    if (!Object.hasOwn(tensors, name)) {
      throw refuse(
        action,
        `"${name}" is missing, expected ${formatShape(shape)}`,
        "the file is incomplete, get or write it again",
      );
    }
    parameters[name] = requireFloats(action, name, tensors[name], shape);
  }
  return parameters;
}

/** Checks what the optimizer keeps: `<moment>/<parameter>`, or any other name. */
export function requireMoments(action: string, moments: FileTensors, config: Config): HostTensors {
  const parameters = parameterShapes(config);
  const checked: HostTensors = {};
  for (const [name, tensor] of Object.entries(moments)) {
    if (Object.hasOwn(parameters, name)) {
      throw refuse(action, `a moment has the name "${name}" of a parameter`, "rename it");
    }
    const parameter = name.slice(name.indexOf("/") + 1);
    const shape = Object.hasOwn(parameters, parameter) ? parameters[parameter] : tensor.shape;
    checked[name] = requireFloats(action, name, tensor, shape);
  }
  return checked;
}

function requireFloats(
  action: string,
  name: string,
  { shape, data }: HostTensor,
  expected: number[],
): HostTensor<Float32Array> {
  if (!(data instanceof Float32Array)) {
    throw refuse(action, `${quoted(name)} holds integers, expected floats`, "convert it");
  }
  const isShape = shape.length === expected.length && shape.every((n, i) => n === expected[i]);
  if (!isShape || data.length !== sizeOf(expected)) {
    throw refuse(
      action,
      `${quoted(name)} is ${formatShape(shape)}, expected ${formatShape(expected)}`,
      "the file belongs to a model of another size",
    );
  }
  const wrong = data.findIndex((value) => !Number.isFinite(value));
  if (wrong >= 0) {
    throw refuse(
      action,
      `${quoted(name)} holds ${data[wrong]} at position ${wrong}, expected finite numbers`,
      "the training diverged (a lower --lr helps) or the file is damaged",
    );
  }
  return { shape, data };
}

/** Runs a check that may fail because of the file, and says so in terms of the file. */
export function rewordErrors(action: string, check: () => void): void {
  try {
    check();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const { found, advice = "check the file, or what you gave for it" } = error;
    throw new UserError({ action, found, advice }, { cause: error });
  }
}

/** The error for a file that can't be used. */
export function refuse(action: string, found: string, advice: string): UserError {
  return new UserError({ action, found, advice });
}

function damaged(action: string, found: string): UserError {
  return refuse(action, found, "the file is damaged, get or write it again");
}

function requireThat(action: string, holds: boolean, found: string): void {
  if (!holds) throw damaged(action, found);
}

const formatShape = (shape: number[]) => `[${shape.join(", ")}]`;
