/**
 * What a run stores: an export (the best weights and what is needed to use them) and a training
 * state (everything needed to go on exactly where it stopped), each a safetensors file with JSON
 * texts in its metadata. PyTorch's `.pt` files, which hold nothing but weights, are read as well.
 * Whatever comes from a file is checked against the shapes of the model.
 */
import {
  checkModelConfig,
  checkTrainingConfig,
  type Config,
  makeConfig,
  type ModelKind,
} from "./config.ts";
import { readBytes, sha256Hex } from "./files/read.ts";
import { writeFileAtomically } from "./files/write.ts";
import { readPt } from "./files/pt.ts";
import { quoted } from "@tiny-diffusion/engines/errors";
import { readSafetensors, writeSafetensors } from "./files/safetensors.ts";
import { parameterShapes } from "./model.ts";
import { restoreRandom } from "./random.ts";
import type { HostTensor, HostTensors } from "@tiny-diffusion/engines/tensors";
import { makeTokenizer, MASK } from "./data/tokenizer.ts";

const exportFormat = "tiny-diffusion/1";
const trainingFormat = "tiny-diffusion-training/1";

/** Weights and what is needed to use them. What a `.pt` file cannot tell is left out. */
export interface SavedModel {
  /** The settings of the run, the shape of the network among them. */
  config: Config;
  /** The characters in token order. Entry 0 of a diffusion model is the mask, written "_". */
  vocabulary: string[];
  /** By the names of `parameterShapes`. */
  weights: HostTensors;
  /** The first characters of the text, from which generation starts unless told otherwise. */
  prompt?: string;
  /** The training step that these weights come from. */
  step?: number;
  /** Such as `val_bpc`. */
  scores: Record<string, number>;
  /** SHA-256 of the text that it was trained on, in hexadecimal. */
  corpusSha256?: string;
  /** What to type to train it again. */
  command?: string;
  /** The name of the engine that trained it. */
  engine?: string;
  /** How that computed matrix products: `f32` or `bf16`. */
  precision?: string;
}

/** A model with the hash of the file that it came from. */
export interface LoadedModel extends SavedModel {
  /** In hexadecimal. */
  sha256: string;
}

/** Everything that a run needs to go on as if it had never stopped. */
export interface TrainingState {
  /** All settings of the run. */
  config: Config;
  /** The characters in token order, as in `SavedModel`. */
  vocabulary: string[];
  /** By the names of `parameterShapes`. */
  weights: HostTensors;
  /**
   * What the optimiser keeps: `<moment>/<parameter>`, of the parameter's shape, or any other name.
   */
  moments: HostTensors;
  /** States of the random generators, by use. */
  random: Record<string, number[]>;
  /** Steps, characters seen, seconds... */
  counters: Record<string, number>;
  /** The best validation so far; null before the first. */
  bestScore: number | null;
  /** SHA-256 of the text that it trains on, in hexadecimal. */
  corpusSha256: string;
  /** What to type to train it again. */
  command?: string;
  /** The name of the engine. */
  engine?: string;
  /** How that computes matrix products: `f32` or `bf16`. */
  precision?: string;
}

/** What to expect of a file of weights, and what to take for granted where it does not say. */
export interface LoadOptions {
  /** Refuse weights of the other model. */
  expectKind?: ModelKind;
  /** Of a file without a config. @default {width / 64, at least 1} */
  heads?: number;
  /** Of a file without a config. @default {256} */
  context?: number;
  /**
   * Leave out `heads` and `context` for a file that says them itself, instead of refusing a
   * contradiction.
   */
  onlyComplete?: boolean;
  /**
   * Asked only for a file without a vocabulary: the characters of its text in token order, without
   * the mask.
   */
  characters?: () => string[] | Promise<string[]>;
  /** What to do if the file is missing. */
  advice?: string;
  /** What to do with weights of the other model. @default {"try --model" with its name} */
  otherKindAdvice?: string;
}

/**
 * Writes an export. Its `__metadata__` holds everything but the weights.
 *
 * @param options.dtype float16 halves the file and rounds the weights. Default "float32".
 * @returns The SHA-256 of the file.
 * @throws {TypeError | RangeError} If the weights do not fit the config or are not finite; nothing
 * is written then.
 */
export async function saveWeights(
  path: string,
  { weights, sha256: _, ...facts }: SavedModel & { sha256?: string },
  { dtype = "float32" }: { dtype?: "float32" | "float16" } = {},
): Promise<string> {
  const cannot = `Cannot save ${JSON.stringify(path)}`;
  requireFacts(cannot, facts);
  const tensors = requireParameters(cannot, weights, facts.config);
  const bytes = writeSafetensors(tensors, toMetadata(exportFormat, facts), { dtype });
  await writeFileAtomically(path, bytes);
  return await sha256Hex(bytes);
}

/**
 * Reads an export, or a `.pt` or foreign `.safetensors` file with the original's parameter names.
 * Such a file says neither its vocabulary nor its kind: both follow from `characters`, as a GPT has
 * a row for each and a diffusion model one more.
 *
 * @throws {SyntaxError} If the file is damaged or holds something else.
 * @throws {TypeError} If a parameter is missing, unknown, or not of its shape, or the model is of
 * the other kind.
 * @throws {RangeError} If a weight is NaN or infinite, or `heads` or `context` is impossible or
 * contradicts the file.
 */
export async function loadWeights(path: string, options: LoadOptions = {}): Promise<LoadedModel> {
  const cannot = `Cannot load ${JSON.stringify(path)}`;
  const { expectKind, advice = `check the path, or train a model first` } = options;
  const bytes = await readBytes(path, { action: "load", advice });
  const { tensors, metadata }: { tensors: Tensors; metadata: Record<string, string> } =
    isPyTorch(path, bytes)
      ? { tensors: readPt(bytes, { name: path }), metadata: {} }
      : readSafetensors(bytes, { name: path });

  let facts: Facts;
  let named = tensors;
  if (metadata.format === exportFormat) {
    facts = fromMetadata(cannot, metadata) as Facts;
    requireFacts(cannot, facts);
    requireKind(cannot, facts.config, expectKind, options.otherKindAdvice);
    if (!options.onlyComplete) {
      requireSame(cannot, "heads", facts.config.heads, options.heads);
      requireSame(cannot, "context", facts.config.context, options.context);
    }
  } else if (metadata.format === trainingFormat) {
    throw new TypeError(
      `${cannot}: it is the state of a training run, expected exported weights; ` +
        `give the file beside it without ".training" in its name`,
    );
  } else if (metadata.format?.startsWith("tiny-diffusion")) {
    throw new TypeError(
      `${cannot}: its format is ${quoted(metadata.format)}, expected "${exportFormat}"; ` +
        `use the version of this project that wrote it`,
    );
  } else {
    named = withoutPrefix(tensors);
    facts = inferFacts(cannot, named, await options.characters?.(), options);
  }
  const weights = requireParameters(cannot, named, facts.config);
  return { ...facts, weights, sha256: await sha256Hex(bytes) };
}

/** What is assumed of a network of some width where its file doesn't say. */
export function assumedOf(width: number): { heads: number; context: number } {
  return { heads: Math.max(1, Math.floor(width / 64)), context: 256 };
}

/** The name of the training state that belongs to an export: `NAME.training.safetensors`. */
export function trainingPath(exportPath: string): string {
  return exportPath.replace(/(\.safetensors)?$/, ".training.safetensors");
}

/**
 * Writes everything that a run needs to go on, in float32.
 *
 * @throws {TypeError | RangeError} If the weights do not fit the config, or any number is not
 * finite.
 */
export async function saveTraining(
  path: string,
  { weights, moments, ...facts }: TrainingState,
): Promise<void> {
  const cannot = `Cannot save ${JSON.stringify(path)}`;
  requireTrainingFacts(cannot, facts);
  const tensors = {
    ...requireParameters(cannot, weights, facts.config),
    ...requireMoments(cannot, moments, facts.config),
  };
  await writeFileAtomically(
    path,
    writeSafetensors(tensors, toMetadata(trainingFormat, facts)),
  );
}

/**
 * Reads what `saveTraining` wrote, bit for bit.
 *
 * @throws {SyntaxError} If the file is damaged.
 * @throws {TypeError} If it is an export, or of the other model, or does not fit its own config.
 */
export async function loadTraining(
  path: string,
  { expectKind, advice = "check the path, or train without resuming" }: Pick<
    LoadOptions,
    "expectKind" | "advice"
  > = {},
): Promise<TrainingState> {
  const cannot = `Cannot load ${JSON.stringify(path)}`;
  const bytes = await readBytes(path, { action: "load", advice });
  const { tensors, metadata } = readSafetensors(bytes, { name: path });
  if (metadata.format !== trainingFormat) {
    throw new TypeError(
      `${cannot}: its format is ${quoted(metadata.format ?? "unknown")}, expected ` +
        `"${trainingFormat}"; only the file NAME.training.safetensors of a run can be resumed`,
    );
  }
  const facts = fromMetadata(cannot, metadata) as TrainingFacts;
  requireTrainingFacts(cannot, facts);
  if (expectKind !== undefined && facts.config.kind !== expectKind) {
    const { kind } = facts.config;
    throw new TypeError(
      `${cannot}: it is the state of a ${kind} training, expected one of ${expectKind}; ` +
        `go on with "deno task train-${kind}", or give another --out`,
    );
  }
  const parameters = parameterShapes(facts.config);
  const split = Object.groupBy(
    Object.entries(tensors),
    ([name]) => Object.hasOwn(parameters, name) ? "weights" : "moments",
  );
  return {
    ...facts,
    config: { ...laterSettings, ...facts.config },
    weights: requireParameters(cannot, Object.fromEntries(split.weights ?? []), facts.config),
    moments: requireMoments(cannot, Object.fromEntries(split.moments ?? []), facts.config),
  };
}

/** Settings that the first version did not have, with the values that say what it did. */
const laterSettings = {
  dropout: 0,
  emaDecay: 0,
  zeroProjections: false,
  boundWeighting: false,
} satisfies Partial<Config>;

type Facts = Omit<SavedModel, "weights">;
type TrainingFacts = Omit<TrainingState, "weights" | "moments">;
type Tensors = Record<string, HostTensor>;

function isPyTorch(path: string, bytes: Uint8Array): boolean {
  const isZip = bytes[0] === 0x50 && bytes[1] === 0x4b && bytes[2] === 3 && bytes[3] === 4;
  return isZip || /\.pth?$/i.test(path);
}

function toMetadata(format: string, facts: object): Record<string, string> {
  const known = Object.entries(facts).filter(([, value]) => value !== undefined);
  return { format, ...Object.fromEntries(known.map(([k, v]) => [k, JSON.stringify(v)])) };
}

/** Every entry parsed; the types are only claimed until `requireFacts` has looked. */
function fromMetadata(
  cannot: string,
  { format: _, ...texts }: Record<string, string>,
): unknown {
  const facts: Record<string, unknown> = {};
  for (const [key, text] of Object.entries(texts)) {
    try {
      facts[key] = JSON.parse(text);
    } catch {
      throw damaged(cannot, `the metadata ${quoted(key)} is not JSON`);
    }
  }
  return facts;
}

/** Checks what metadata claims. */
function requireFacts(cannot: string, facts: Facts): void {
  const { config, vocabulary, prompt, step, scores } = facts;
  if (!isRecord(config)) throw damaged(cannot, "it has no config");
  const strange = Object.entries(config).find(([, value]) => !isPlain(value));
  if (strange) throw damaged(cannot, `its ${quoted(strange[0])} is no setting`);
  if (config.kind !== "gpt" && config.kind !== "diffusion") {
    throw damaged(cannot, `its kind is ${quoted(String(config.kind))}, not gpt or diffusion`);
  }
  // An export may lack a setting that came later, but what it has must be of its kind.
  for (const [key, value] of Object.entries(makeConfig(config.kind, "full", 2))) {
    const found: unknown = Object.hasOwn(config, key) ? config[key as keyof Config] : undefined;
    if (found !== undefined && typeof found !== typeof value) {
      throw damaged(cannot, `its ${key} is ${quoted(String(found))}, expected a ${typeof value}`);
    }
  }
  refusing(cannot, () => checkModelConfig(config));
  requireVocabulary(cannot, vocabulary, config);
  if (prompt !== undefined && typeof prompt !== "string") {
    throw damaged(cannot, "its prompt is no text");
  }
  if (step !== undefined && !isSize(step)) throw damaged(cannot, "its step is no count");
  requireNumbers(cannot, "scores", scores);
  for (const key of ["corpusSha256", "command", "engine", "precision"] as const) {
    if (facts[key] !== undefined && typeof facts[key] !== "string") {
      throw damaged(cannot, `its ${key} is no text`);
    }
  }
}

function requireTrainingFacts(cannot: string, facts: TrainingFacts): void {
  const { config, random, counters, bestScore, corpusSha256 } = facts;
  requireFacts(cannot, { ...facts, scores: {} });
  const settings = Object.keys(makeConfig(config.kind, "full", config.vocab))
    .filter((key) => !Object.hasOwn(laterSettings, key));
  const missing = settings.find((key) => !Object.hasOwn(config, key));
  if (missing) throw damaged(cannot, `its config lacks ${missing}`);
  refusing(cannot, () => checkTrainingConfig(config));
  requireNumbers(cannot, "counters", counters);
  for (const [name, count] of Object.entries(counters)) {
    if (count < 0 || (name !== "seconds" && name !== "lossSum" && !isSize(count))) {
      throw damaged(cannot, `its counter ${quoted(name)} is ${count}, expected a count`);
    }
  }
  if (bestScore !== null && !Number.isFinite(bestScore)) {
    throw damaged(cannot, "its best score is no number");
  }
  if (!isRecord(random)) throw damaged(cannot, "it has no random states");
  for (const state of Object.values(random)) refusing(cannot, () => restoreRandom(state));
  if (typeof corpusSha256 !== "string") throw damaged(cannot, "it does not say which text");
}

function requireNumbers(cannot: string, what: string, values: unknown): void {
  if (!isRecord(values) || !Object.values(values).every(Number.isFinite)) {
    throw damaged(cannot, `its ${what} are not all finite numbers`);
  }
}

/** Runs a check of another part and puts what it refuses into our line. */
function refusing(cannot: string, check: () => void): void {
  try {
    check();
  } catch (error) {
    const { message } = error as Error;
    const reason = message.replace(/^Cannot [^:]*: /, "");
    const advice = reason.includes(";") ? "" : "; check the file, or what you gave for it";
    const ErrorClass = error instanceof RangeError ? RangeError : TypeError;
    throw new ErrorClass(`${cannot}: ${reason}${advice}`, { cause: error });
  }
}

function requireVocabulary(cannot: string, vocabulary: unknown, config: Config): void {
  if (!Array.isArray(vocabulary) || vocabulary.length !== config.vocab) {
    throw damaged(cannot, `its vocabulary does not have ${config.vocab} entries`);
  }
  if (!vocabulary.every((entry) => typeof entry === "string")) {
    throw damaged(cannot, "its vocabulary is no list of characters");
  }
  if (config.kind === "diffusion" && vocabulary[0] !== MASK) {
    throw damaged(cannot, `its first token is ${quoted(vocabulary[0])}, not the mask "${MASK}"`);
  }
  refusing(cannot, () => makeTokenizer(config.kind, vocabulary));
}

function requireKind(
  cannot: string,
  config: Config,
  expected: ModelKind | undefined,
  advice?: string,
): void {
  if (expected === undefined || config.kind === expected) return;
  const rows = config.vocab + (expected === "gpt" ? -1 : 1);
  throw otherKind(cannot, config.vocab, rows, config.width, expected, "are", advice);
}

/** The error for weights of the other model, found by the rows of its head or by its metadata. */
function otherKind(
  cannot: string,
  rows: number,
  expectedRows: number,
  width: number,
  expected: ModelKind,
  verb: "are" | "look like",
  advice = `try --model ${expected === "gpt" ? "diffusion" : "gpt"}`,
): TypeError {
  const found = expected === "gpt" ? "diffusion" : "gpt";
  const title = { gpt: "GPT", diffusion: "diffusion" };
  return new TypeError(
    `${cannot}: "lm_head.weight" is [${rows}, ${width}], expected [${expectedRows}, ${width}] ` +
      `for a ${expected === "gpt" ? "GPT" : "diffusion model"}; ` +
      `these ${verb} ${title[found]} weights, ${advice}`,
  );
}

function requireSame(cannot: string, what: string, stored: number, given?: number): void {
  if (given !== undefined && given !== stored) {
    throw new RangeError(
      `${cannot}: it was trained with ${what} ${stored}, but ${given} was asked for; leave that out`,
    );
  }
}

/**
 * Parts of PyTorch put a prefix before every name: torch.compile `_orig_mod.`, distributed training
 * `module.`.
 */
function withoutPrefix<T>(tensors: Record<string, T>): Record<string, T> {
  const entries = Object.entries(tensors);
  for (const prefix of ["_orig_mod.", "module."]) {
    if (entries.length > 0 && entries.every(([name]) => name.startsWith(prefix))) {
      return Object.fromEntries(
        entries.map(([name, tensor]) => [name.slice(prefix.length), tensor]),
      );
    }
  }
  return tensors;
}

/** Config and vocabulary of weights that come alone. */
function inferFacts(
  cannot: string,
  tensors: Tensors,
  characters: string[] | undefined,
  { expectKind, heads, context, otherKindAdvice }: LoadOptions,
): Facts {
  if (!characters) {
    throw new TypeError(
      `${cannot}: it has no vocabulary; give the text that it was trained on with --data`,
    );
  }
  const embedding = Object.hasOwn(tensors, "token_emb.weight") ? tensors["token_emb.weight"] : null;
  if (embedding?.shape.length !== 2) {
    throw new TypeError(
      `${cannot}: it has no matrix "token_emb.weight", expected the parameters of this model; ` +
        `only weights of this network can be used`,
    );
  }
  const [rows, width] = embedding.shape;
  const fitting: Record<number, ModelKind> = {
    [characters.length]: "gpt",
    [characters.length + 1]: "diffusion",
  };
  const kind = fitting[rows];
  if (!kind) {
    throw new TypeError(
      `${cannot}: "token_emb.weight" is [${rows}, ${width}], expected ${characters.length} rows ` +
        `(GPT) or ${characters.length + 1} (diffusion) for the ${characters.length} characters ` +
        `of the text; give the text that it was trained on with --data`,
    );
  }
  if (expectKind && kind !== expectKind) {
    const expectedRows = characters.length + (expectKind === "diffusion" ? 1 : 0);
    const verb = "look like";
    throw otherKind(cannot, rows, expectedRows, width, expectKind, verb, otherKindAdvice);
  }
  const layers = 1 + Object.keys(tensors).reduce(
    (last, name) => Math.max(last, Number(/^blocks\.(\d+)\./.exec(name)?.[1] ?? -1)),
    -1,
  );
  const config: Config = {
    ...makeConfig(kind, "full", rows), // how it was trained it does not say: likely as the original
    context: context ?? assumedOf(width).context,
    layers,
    heads: heads ?? assumedOf(width).heads,
    width,
  };
  refusing(cannot, () => checkModelConfig(config));
  const vocabulary = kind === "diffusion" ? [MASK, ...characters] : characters;
  requireVocabulary(cannot, vocabulary, config);
  return { config, vocabulary, scores: {} };
}

/** The parameters in the model's order, after a look at every name, shape and value. */
function requireParameters(cannot: string, tensors: Tensors, config: Config): HostTensors {
  const expected = parameterShapes(config);
  const unknown = Object.keys(tensors).find((name) => !Object.hasOwn(expected, name));
  if (unknown !== undefined) {
    throw new TypeError(
      `${cannot}: ${quoted(unknown)} is no parameter of a model of ${config.layers} layers; ` +
        `only weights of this network can be used`,
    );
  }
  const parameters: HostTensors = {};
  for (const [name, shape] of Object.entries(expected)) {
    if (!Object.hasOwn(tensors, name)) {
      throw new TypeError(
        `${cannot}: "${name}" is missing, expected ${shown(shape)}; the file is incomplete, ` +
          `get or write it again`,
      );
    }
    parameters[name] = requireFloats(cannot, name, tensors[name], shape);
  }
  return parameters;
}

function requireMoments(cannot: string, moments: Tensors, config: Config): HostTensors {
  const parameters = parameterShapes(config);
  const checked: HostTensors = {};
  for (const [name, tensor] of Object.entries(moments)) {
    const parameter = name.slice(name.indexOf("/") + 1);
    if (Object.hasOwn(parameters, name)) {
      throw new TypeError(`${cannot}: a moment has the name "${name}" of a parameter; rename it`);
    }
    const shape = Object.hasOwn(parameters, parameter) ? parameters[parameter] : tensor.shape;
    checked[name] = requireFloats(cannot, name, tensor, shape);
  }
  return checked;
}

function requireFloats(
  cannot: string,
  name: string,
  { shape, data }: Tensors[string],
  expected: readonly number[],
) {
  if (!(data instanceof Float32Array)) {
    throw new TypeError(`${cannot}: ${quoted(name)} holds integers, expected floats; convert it`);
  }
  const isShape = shape.length === expected.length && shape.every((n, i) => n === expected[i]);
  if (!isShape || data.length !== expected.reduce((a, b) => a * b, 1)) {
    throw new TypeError(
      `${cannot}: ${quoted(name)} is ${shown(shape)}, expected ${shown(expected)}; ` +
        `the file belongs to a model of another size`,
    );
  }
  const wrong = data.findIndex((value) => !Number.isFinite(value));
  if (wrong >= 0) {
    throw new RangeError(
      `${cannot}: ${quoted(name)} holds ${data[wrong]} at position ${wrong}, expected finite ` +
        `numbers; the training diverged (a lower --lr helps) or the file is damaged`,
    );
  }
  return { shape, data };
}

function damaged(cannot: string, found: string): SyntaxError {
  return new SyntaxError(`${cannot}: ${found}; the file is damaged, get or write it again`);
}

const shown = (shape: readonly number[]) => `[${shape.join(", ")}]`;

const isSize = (value: unknown): value is number =>
  Number.isSafeInteger(value) && Number(value) >= 0;

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const isPlain = (value: unknown) =>
  value === null || ["string", "boolean"].includes(typeof value) || Number.isFinite(value);
