/**
 * The files that tasks leave behind, each described once: one JSON file per result under
 * `reports/results/`, and one log of JSON lines per training run under `reports/runs/`.
 *
 * Writers take their types from here, and readers their checks. Nothing read is trusted, and files
 * of older versions are still read: a field that came later is optional.
 */
import { quoted, UserError } from "../../engines/errors.ts";
import * as v from "valibot";
import type { Config, ModelKind } from "../../core/config.ts";
import type { Change } from "../../core/sampling/write.ts";
import type { BaselineName } from "../../core/scoring/baselines.ts";
import type { ModelComparison } from "../../core/scoring/comparison.ts";
import { estimators, type Evaluation } from "../../core/scoring/estimators.ts";

// ---------------------------------------------------------------- kinds of values

// The message of each schema says what is expected: see `parse`.
const text = v.string("a string");
const truth = v.boolean("true or false");
const number = v.custom<number>(Number.isFinite, "a number");
const count = v.custom<number>(
  (value) => Number.isSafeInteger(value) && value as number >= 0,
  "an integer of at least 0",
);
const date = v.custom<string>(
  (value) => typeof value === "string" && !Number.isNaN(Date.parse(value)),
  "a date",
);
const oneOf = <const Word extends string>(...words: Word[]) =>
  v.picklist(words, words.join(" or "));
const list = <Item extends v.GenericSchema>(item: Item) => v.array(item, "a list");
const dictionary = <Value extends v.GenericSchema>(value: Value) =>
  v.pipe(
    v.custom<Record<string, unknown>>((value) => describe(value) === "an object", "an object"),
    v.record(v.string(), value),
  );

/** An object with these fields; others are dropped, since a later version may write more. */
const object = <const Fields extends v.ObjectEntries>(fields: Fields) =>
  v.object(fields, expectObject(fields));

/** The message for something that is not an object, or for a field that is missing. */
function expectObject(fields: v.ObjectEntries) {
  return ({ path }: Pick<v.BaseIssue<unknown>, "path">) =>
    path ? expectationOf(fields[path[0].key as string]) : "an object";
}

function expectationOf(schema: object): string {
  if ("wrapped" in schema) return expectationOf(schema.wrapped as object);
  return "message" in schema && typeof schema.message === "string" ? schema.message : "an object";
}

const model = oneOf("gpt", "diffusion");
const setting = v.union([number, text], "a number or a string");

// ---------------------------------------------------------------- where a result comes from

const configFields = {
  kind: model,
  preset: text,
  layers: count,
  heads: count,
  width: count,
  context: count,
};

/**
 * The settings vary with the version that wrote them: those that the page needs are checked, the
 * others are kept.
 */
const config = v.objectWithRest(
  configFields,
  v.union([number, text, truth], "a number, a string, true or false"),
  expectObject(configFields),
) as v.GenericSchema<unknown, Pick<Config, keyof typeof configFields> & Partial<Config>>;

/** Enough to repeat a result, and to notice that it belongs to other weights or another text. */
const provenance = object({
  /** ISO 8601. */
  date,
  /** The command line to type, such as `deno task eval --model gpt`. */
  command: text,
  engine: text,
  precision: text,
  threads: count,
  seed: number,
  /** The weights' file and its SHA-256 in hexadecimal. */
  weights: text,
  weightsSha256: text,
  /** The text file and its SHA-256; empty without one. */
  corpus: text,
  corpusSha256: text,
  /** Processor, number of cores, operating system. */
  machine: text,
  /** Deno's version and those of the engine's libraries. */
  versions: dictionary(text),
  /** Git commit of the project, if known. */
  commit: v.optional(text),
  config,
});
export type Provenance = v.InferOutput<typeof provenance>;

// ---------------------------------------------------------------- samples

const change: v.GenericSchema<unknown, Change> = v.strictTuple(
  [count, text, number],
  "a list of 3",
);

/** A step of generation, as `Step` of core/sampling/write.ts describes it. */
const generationStep = object({
  seconds: number,
  /** Forward passes so far; not in results of 1.0.0. */
  forwards: v.optional(count),
  changes: list(change),
});
export type GenerationStep = v.InferOutput<typeof generationStep>;

const sample = object({
  /** The whole text, prompt included. */
  text,
  seed: number,
  forwards: count,
  seconds: number,
  steps: list(generationStep),
  /** The position at which each block begins; not in results of a GPT or of 1.0.0. */
  blocks: v.optional(list(count)),
  /**
   * Share of the words after the prompt that the training text has; null without a training text,
   * or without a whole word.
   */
  realWords: v.nullable(number),
});
export type Sample = v.InferOutput<typeof sample>;

const sampleResult = object({
  kind: oneOf("sample"),
  model,
  prompt: text,
  /** `greedy` or `autoregressive` for a GPT; the sampler's name for diffusion. */
  sampler: text,
  /** Temperature, top-k, threshold and the like, as used. */
  settings: dictionary(setting),
  samples: v.pipe(
    list(v.pipe(
      sample,
      v.check(leadsToText, "has steps that don't lead to its text"),
      v.check(isInOrder, "has steps that go back in time"),
    )),
    v.minLength(1, "at least one sample"),
  ),
  /** Share of real words in held-out text: what a perfect model would reach. */
  realWordsHeldOut: v.nullable(number),
  provenance,
});
export type SampleResult = v.InferOutput<typeof sampleResult>;

/** Whether the steps lead to the final text; positions that no step touches are the prompt's. */
function leadsToText({ text, steps }: Sample): boolean {
  const characters = [...text];
  for (const [position, character] of steps.flatMap(({ changes }) => changes)) {
    if (position >= characters.length) return false;
    characters[position] = character;
  }
  return characters.join("") === text;
}

function isInOrder({ steps }: Sample): boolean {
  return steps.every(({ seconds, forwards = 0 }, i) =>
    i === 0 || (seconds >= steps[i - 1].seconds && forwards >= (steps[i - 1].forwards ?? 0))
  );
}

/** Counts the characters that some pass wrote; those that were given are not among them. */
export function countWrittenCharacters(steps: GenerationStep[]): number {
  return new Set(steps.flatMap(({ changes }) => changes.map(([position]) => position))).size;
}

// ---------------------------------------------------------------- evaluations

const estimator = oneOf(...estimators.gpt, ...estimators.diffusion);
const baselineName = v.custom<BaselineName>(
  (value) => typeof value === "string" && /^(uniform|unigram|kneser-ney-\d+)$/.test(value),
  "uniform, unigram or kneser-ney-N",
);

/** `model` says which model or baseline, `weights` its file; empty for a baseline. */
const comparedFields = { weights: text, estimator };

/** A line of the table of evaluations. Figures of different `context` are not comparable. */
const evaluationRow = <Name extends v.GenericSchema>(name: Name) =>
  object({
    model: name,
    ...comparedFields,
    /** Bits per character; null for `masked-mean`, which is not a likelihood. */
    bpc: v.nullable(number),
    /** The same in nats per scored character. */
    nats: number,
    /** Noise of the masks; null if the figure is exact on its blocks. */
    se_passes: v.nullable(number),
    /** By bootstrap over blocks. Both errors are in bits per character (nats for `masked-mean`). */
    se_blocks: number,
    /** Characters of a block. */
    context: count,
    blocks: count,
    /** Scored characters in one pass. */
    chars: count,
    /** Passes over the blocks; batches for `masked-mean`. */
    passes: count,
    /** Mean cross-entropy in bits by share of masked characters, for `nelbo` only. */
    by_mask_share: list(object({ from: number, to: number, bits: number, blocks: number })),
  });
const modelRow = evaluationRow(model);
const baselineRow = evaluationRow(baselineName);
export type EvaluationRow = v.InferOutput<typeof modelRow>;
export type BaselineRow = v.InferOutput<typeof baselineRow>;

const modelOrBaseline = v.union([model, baselineName], "gpt, diffusion or a baseline");
const compared = object({ model: modelOrBaseline, ...comparedFields });

/** Two models on the same blocks, see `compareOnBlocks`. */
const comparisonRow = object({
  a: compared,
  b: compared,
  /** Bits per character of `a` minus those of `b`: below 0 where `a` is the better one. */
  difference: number,
  se_blocks: number,
  /** Holds 95 % of the resampled differences. */
  interval: v.strictTuple([number, number], "a list of 2"),
  /** Whether the interval excludes 0. */
  excludes_zero: truth,
  context: count,
  /** Blocks that both were scored on. */
  blocks: count,
});
export type ComparisonRow = v.InferOutput<typeof comparisonRow>;

/** The price of a way to write several characters a pass, see core/scoring/decoders.ts. */
const decoderRow = object({
  order: oneOf("left-to-right", "drawn"),
  draws: oneOf("independent", "copula"),
  /** Characters of a run; with a budget, at most. */
  run: count,
  /** In nats; null for runs of equal length. */
  entropy_budget: v.nullable(number),
  /** On average. */
  characters_per_pass: number,
  /** Bits per character, and its error by bootstrap over blocks. */
  bpc: number,
  se_blocks: number,
  /** Bits per character above one character a pass in the same order, and the error of that. */
  above_one: number,
  se_above_one: number,
});
export type DecoderRow = v.InferOutput<typeof decoderRow>;

const decoderPrices = object({
  /** The file of the diffusion model. */
  weights: text,
  /** Characters of a block, and the number of blocks. */
  context: count,
  blocks: count,
  /** The weight of the network in the copula, 0 to 1. */
  network_weight: number,
  rows: list(decoderRow),
  /** Bits per character of other models on the same blocks. */
  references: list(object({ model: modelOrBaseline, bpc: number })),
});
export type DecoderPrices = v.InferOutput<typeof decoderPrices>;

const evaluationResult = object({
  kind: oneOf("evaluation"),
  /** The figures of the weights that `provenance` names. */
  rows: list(modelRow),
  /** On the same blocks. */
  baselines: v.optional(list(baselineRow)),
  /** Comparisons of these weights (`a`) with baselines, and with what was scored in the same run. */
  comparisons: v.optional(list(comparisonRow)),
  /** Of a diffusion model; not in results of 1.0.0. */
  decoders: v.optional(decoderPrices),
  provenance,
});
export type EvaluationResult = v.InferOutput<typeof evaluationResult>;

/** Spells an evaluation as the row of a result. */
export function toEvaluationRow<Name extends ModelKind | BaselineName>(
  { model, weights }: { model: Name; weights: string },
  { sePasses, seBlocks, byMaskShare, perBlock: _, ...rest }: Evaluation,
) {
  return {
    model,
    weights,
    ...rest,
    se_passes: sePasses,
    se_blocks: seBlocks,
    by_mask_share: byMaskShare,
  };
}

/** Spells a comparison as the row of a result. */
export function toComparisonRow(
  { seBlocks, excludesZero, ...rest }: ModelComparison,
): ComparisonRow {
  return { ...rest, se_blocks: seBlocks, excludes_zero: excludesZero };
}

// ---------------------------------------------------------------- quality

const spread = object({ mean: number, sd: v.nullable(number) });
/** A mean over texts, and their standard deviation; null for a single text. */
export type Spread = v.InferOutput<typeof spread>;

const figure = v.nullable(spread);
/**
 * The figures of texts that were made in one way; null where there is nothing to
 * measure: no GPT to judge, no whole word in the text.
 */
const figures = object({
  /** Bits per character that the text costs under a GPT. */
  judge_gpt: figure,
  /** The same under a GPT that wrote none of the texts; not in results of 1.0.0. */
  judge_independent: v.optional(figure),
  /** The same under Kneser-Ney of order 6. */
  judge_ngram: figure,
  /** Entropy of single characters, in bits. */
  entropy: figure,
  /** Share of n-grams that are different ones, 0 to 1. */
  distinct_2: figure,
  distinct_3: figure,
  distinct_4: figure,
  /** Jensen-Shannon divergence in bits, 0 to 1, of n-grams from those of held-out text. */
  jsd_1: figure,
  jsd_2: figure,
  jsd_3: figure,
  jsd_4: figure,
  jsd_5: figure,
  /** Share of words that the training text has, 0 to 1. */
  real_words: figure,
  /** Characters of the longest passage that is in the training text, letter for letter. */
  longest_match: figure,
  /** Share of 30-grams and 50-grams that are in the training text, 0 to 1. */
  found_30: figure,
  found_50: figure,
});
export type QualityFigures = v.InferOutput<typeof figures>;
export type QualityFigure = keyof QualityFigures;
export const qualityFigures = Object.keys(figures.entries) as QualityFigure[];

/** A line of the table of sample quality: texts of one length, made in one way. */
const qualityRow = object({
  /** `n-grams` is text that the n-gram judge's own table wrote: a control. */
  source: oneOf(
    "gpt",
    "diffusion",
    "held-out",
    "shuffled-words",
    "shuffled-characters",
    "n-grams",
  ),
  /** The sampler, as in a sample's result; null for text that no model wrote. */
  sampler: v.nullable(text),
  /** null for text that nothing drew. */
  temperature: v.nullable(number),
  settings: dictionary(setting),
  /** The number of texts, with consecutive seeds. */
  texts: count,
  /** Characters of each, prompt not counted. Figures of different lengths are not comparable. */
  length: count,
  figures,
  /** Forward passes of one text; null for text that no model wrote. */
  cost: v.nullable(object({ forwards: spread, seconds: spread })),
});
export type QualityRow = v.InferOutput<typeof qualityRow>;
export type TextSource = QualityRow["source"];

const gptJudge = object({ weights: text, weightsSha256: text, context: count });

const qualityResult = object({
  kind: oneOf("quality"),
  model,
  prompt: text,
  /** The three reference texts first, then the table's own texts, then the model's. */
  rows: list(qualityRow),
  judges: object({
    gpt: v.nullable(gptJudge),
    /** A GPT that wrote none of the texts and steered no sampler; not in results of 1.0.0. */
    independent: v.optional(v.nullable(gptJudge)),
    ngram: object({ name: baselineName, context: count }),
  }),
  /**
   * Jensen-Shannon divergence of 1- to 5-grams between the two halves of the validation text, in
   * bits: the noise floor of texts of that length.
   */
  halves: list(number),
  provenance,
});
export type QualityResult = v.InferOutput<typeof qualityResult>;

// ---------------------------------------------------------------- training logs

/** The first line of a log. */
export const runHeader = object({
  kind: oneOf("run"),
  name: text,
  model,
  config,
  engine: text,
  precision: text,
  threads: count,
  corpus: text,
  corpusSha256: text,
  charsPerStep: number,
  date,
  command: text,
});
export type RunHeader = v.InferOutput<typeof runHeader>;

const point = { step: count, chars: count, seconds: number };

/** Losses and norms are null where a run diverged: JSON has no NaN. */
const trainLine = object({
  kind: oneOf("train"),
  ...point,
  /** Mean over the steps since the last line. */
  lossNats: v.nullable(number),
  gradientNorm: v.optional(v.nullable(number)),
  learningRate: number,
});

const validationLine = object({
  kind: oneOf("validation"),
  ...point,
  bpc: v.nullable(number),
  best: truth,
});

/** A text that the model wrote while it was trained. */
const sampleLine = object({ kind: oneOf("sample"), ...point, text });

/** A line of a log; a resumed run repeats the header. */
export const runLine = v.variant(
  "kind",
  [v.object({ kind: oneOf("run") }), trainLine, validationLine, sampleLine],
  ({ path }) => path ? "run or train or validation or sample" : "an object",
);
export type RunLine =
  | v.InferOutput<typeof trainLine>
  | v.InferOutput<typeof validationLine>
  | v.InferOutput<typeof sampleLine>;

// ---------------------------------------------------------------- checks of GPUs

/** The parts of `check-gpu`, in order. */
export const gpuCheckParts = [
  "machine",
  "engines",
  "parity",
  "losses",
  "speed",
  "training",
  "sampling",
] as const;
export type GpuCheckPart = typeof gpuCheckParts[number];

/** What one part of `check-gpu` found about one subject. */
const finding = object({
  /** An engine, PyTorch, or what of the machine was looked at. */
  subject: text,
  /** Of an engine's matrix products. */
  precision: v.optional(text),
  /**
   * `differs`: computed, but not what was expected. `absent`: not on this machine, which is no
   * failure. `too long`: cut off at the part's limit, or not begun as the time was over.
   */
  outcome: oneOf("ok", "differs", "failed", "too long", "absent"),
  /** The finding in words. */
  summary: text,
  /** The same in figures. */
  figures: dictionary(
    v.union([number, text, truth, list(number)], "a number, a string, true, false or a list"),
  ),
});
export type Finding = v.InferOutput<typeof finding>;

/** A line of the table of `check-gpu`. */
const gpuCheckRow = object({
  part: oneOf(...gpuCheckParts),
  ...finding.entries,
  /** From the start of the part's process to this finding. */
  seconds: number,
});
export type GpuCheckRow = v.InferOutput<typeof gpuCheckRow>;

/** The file of a check, `reports/gpu/DATE.json`. */
export const gpuCheckResult = object({
  kind: oneOf("gpu-check"),
  /** As in `provenance`. */
  date,
  command: text,
  machine: text,
  versions: dictionary(text),
  commit: v.optional(text),
  /** The network that is timed, trained and, in the preset `full`, sampled from. */
  preset: text,
  batch: count,
  rows: list(gpuCheckRow),
  /** Whether all that could run agrees: no row is `differs`, `failed` or `too long`. */
  agrees: truth,
  seconds: number,
});
export type GpuCheckResult = v.InferOutput<typeof gpuCheckResult>;

/** Reads a finding from the JSON that the process of a part writes. */
export const parseFinding = (json: string): Finding => parse(finding, JSON.parse(json));

// ---------------------------------------------------------------- reading

const result = v.variant(
  "kind",
  [sampleResult, evaluationResult, qualityResult],
  ({ path }) => path ? "sample or evaluation or quality" : "an object",
);
export type Result = SampleResult | EvaluationResult | QualityResult;

/**
 * Reads a result from its JSON.
 *
 * @throws {UserError} If it is not JSON, or not a result.
 */
export function parseResult(json: string): Result {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw unusable("it is not JSON", error);
  }
  return parse(result, value);
}

/**
 * Checks a value from a file.
 *
 * @param where The place of the value in its file, to begin the path of a field with.
 * @throws {UserError} If it does not fit the schema: which field, what was found, what was expected.
 */
export function parse<Schema extends v.GenericSchema>(
  schema: Schema,
  value: unknown,
  where = "",
): v.InferOutput<Schema> {
  const parsed = v.safeParse(schema, value, { abortEarly: true });
  if (parsed.success) return parsed.output;
  const [{ path = [], type, input, message }] = parsed.issues;
  const place = path.reduce((place, { key }) => {
    if (typeof key === "number") return `${place}[${key}]`;
    const name = /^[\w-]{1,40}$/.test(`${key}`) ? `${key}` : quoted(`${key}`);
    return place === "" ? name : `${place}.${name}`;
  }, where);
  throw unusable(
    type === "check"
      ? `${place} ${message}`
      : `${place || "the value"} is ${describe(input)}, expected ${message}`,
  );
}

/** Names the kind of what may be large or deep; texts from the file stay on one line. */
function describe(value: unknown): string {
  if (value === undefined) return "nothing";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value !== null) return "an object";
  return typeof value === "string" ? quoted(value) : String(value);
}

function unusable(found: string, cause?: unknown): UserError {
  const advice = "delete it or make it again";
  return new UserError({ action: "use the result", found, advice }, { cause });
}
