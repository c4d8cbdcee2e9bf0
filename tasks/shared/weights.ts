/** The flags that choose weights, and loading the weights that they choose. */
import { extname } from "@std/path";
import { isExportPath, type LoadedModel, loadWeights } from "../../core/checkpoint.ts";
import type { Config, ModelKind } from "../../core/config.ts";
import { type Corpus, loadCorpus, readForModel, readLikePython } from "../../core/data/corpus.ts";
import { findLatestCorpus } from "./fetched_texts.ts";
import { listCharacters } from "../../core/data/tokenizer.ts";
import { UserError } from "../../engines/errors.ts";
import { listFiles } from "../../files/read.ts";
import { note } from "./run.ts";
import { describeShape } from "./text.ts";

export const weightsFlags = {
  weights: {
    type: "path",
    help: "weights file, .safetensors or .pt",
    defaultHelp: "weights/MODEL.safetensors, or those trained last",
  },
  heads: {
    type: "integer",
    min: 1,
    max: 256,
    help: "attention heads of weights from .pt",
    defaultHelp: "width / 64",
  },
  blockSize: {
    type: "integer",
    min: 2,
    max: 16384,
    help: "context of weights from .pt",
    defaultHelp: "256",
  },
} as const;

/** Loads the text that `--data` names, or the one fetched last, and prints its path. */
export async function loadChosenText(data: string | undefined): Promise<Corpus> {
  const corpus = await loadCorpus(data ?? await findLatestCorpus());
  note(describeText(corpus));
  return corpus;
}

/** Names a text in a line. */
export function describeText({ path, characters }: Corpus): string {
  return `text: ${path} (${characters.toLocaleString("en-US")} characters)`;
}

/**
 * Finds the weights to use if none are named: those included in the project, or else those trained
 * last.
 *
 * @returns undefined if there are none.
 */
export async function findDefaultWeights(kind: ModelKind): Promise<string | undefined> {
  const isShipped = await readTime(shippedPath(kind)) !== undefined;
  return isShipped ? shippedPath(kind) : await findLatestWeights(kind);
}

/** The path of the weights that are included in the project. */
const shippedPath = (kind: ModelKind) => `weights/${kind}.safetensors`;

/** Finds the weights in `weights/` that were trained last, except the included ones. */
async function findLatestWeights(kind: ModelKind): Promise<string | undefined> {
  let latest: { path: string; time: number } | undefined;
  for (const name of await listFiles("weights")) {
    if (!name.startsWith(`${kind}-`) || !isExportPath(name)) continue;
    const path = `weights/${name}`;
    const time = await readTime(path);
    if (time !== undefined && time > (latest?.time ?? -Infinity)) latest = { path, time };
  }
  return latest?.path;
}

/**
 * Finds those of `kinds` that have default weights.
 *
 * @param purpose What they are needed for, such as `score`.
 * @param first The model to train where there are none.
 * @throws {UserError} If there are none.
 */
export async function findTrainedKinds(
  kinds: readonly ModelKind[],
  { purpose, first = kinds[0] }: { purpose: string; first?: ModelKind },
): Promise<ModelKind[]> {
  const trained: ModelKind[] = [];
  for (const kind of kinds) if (await findDefaultWeights(kind)) trained.push(kind);
  if (trained.length > 0) return trained;
  throw new UserError({
    action: `find weights to ${purpose}`,
    found: "nothing was trained yet",
    advice: `run "deno task train-${first}", or name a file with --model and --weights`,
  });
}

/**
 * Reads when a file was last changed; undefined if there is none. The time may well be 0, as in
 * container images whose builds are reproducible.
 */
async function readTime(path: string): Promise<number | undefined> {
  try {
    return (await Deno.stat(path)).mtime?.getTime() ?? 0;
  } catch {
    return undefined;
  }
}

/** Loads the weights that the flags name, or the default ones of `kind`, and prints which. */
export async function loadChosenWeights(
  kind: ModelKind,
  values: WeightsValues,
): Promise<ChosenWeights> {
  const path = values.weights ?? await findDefaultWeights(kind);
  if (path === undefined) {
    throw new UserError({
      action: `find weights of the ${kind} model`,
      found: `there is no "${shippedPath(kind)}" and nothing was trained yet`,
      advice: `run "deno task train-${kind}", or name a file with --weights`,
    });
  }
  const isShipped = values.weights === undefined && path === shippedPath(kind);
  return { ...await loadNamedWeights(path, values, kind), isShipped };
}

/** Loads the weights of a file, of either model unless `kind` says which, and prints its shape. */
export async function loadNamedWeights(
  path: string,
  values: WeightsValues,
  kind?: ModelKind,
): Promise<ChosenWeights> {
  const text = makeTextReader(values.data);
  const model = await loadWeights(path, {
    expectKind: kind,
    heads: values.heads,
    context: values.blockSize,
    onlyComplete: values.onlyComplete,
    otherKindAdvice: values.otherKindAdvice,
    advice: "check the path",
    characters: text.characters,
  });
  note(`weights: ${path} (${describeShape(model.config)})`);
  if (text.read(model)) noteAssumed(path, model.config, values);
  return { ...model, path };
}

/** Reads the text of weights that come without their characters, once they ask for it. */
export function makeTextReader(data: string | undefined) {
  let corpus: Corpus | undefined;
  return {
    async characters(likePython: boolean): Promise<string[]> {
      corpus ??= await loadCorpus(data ?? await findLatestCorpus());
      return listCharacters((likePython ? readLikePython(corpus) : corpus).text);
    },
    /** The text as those weights saw it, with a note if not as it is; undefined if none asked. */
    read({ config, vocabulary }: LoadedModel): Corpus | undefined {
      if (!corpus) return undefined;
      const seen = readForModel(corpus, config.kind, vocabulary);
      if (seen !== corpus) {
        note(
          `note: ${corpus.path} is read as Python reads it, which the original does: "\\r\\n" and ` +
            `"\\r" as "\\n", a byte order mark as a character`,
        );
      }
      return seen;
    },
  };
}

/**
 * Reads a corpus as the one did on which the models were trained.
 *
 * @throws {UserError} If they were trained on different readings of it.
 */
export function readCorpusFor(corpus: Corpus, models: ChosenWeights[]): Corpus {
  const [seen, ...others] = models.map(({ config, vocabulary }) =>
    readForModel(corpus, config.kind, vocabulary)
  );
  const other = others.findIndex(({ text }) => text !== seen.text);
  if (other < 0) return seen;
  throw new UserError({
    action: `compare "${models[0].path}" with "${models[other + 1].path}"`,
    found: `one saw ${corpus.path} as Python reads it, with "\\n" for "\\r\\n", the other as it is`,
    advice: "take them one at a time",
  });
}

/**
 * Prints what was assumed about weights that come without a config, such as PyTorch's: a wrong
 * value gives other text, not an error.
 */
export function noteAssumed(
  path: string,
  config: Config,
  given: { heads?: number; blockSize?: number },
): void {
  const facts = [
    { name: "heads", number: config.heads, flag: "--heads", given: given.heads },
    { name: "context", number: config.context, flag: "--block-size", given: given.blockSize },
  ];
  const assumed = facts.filter((fact) => fact.given === undefined);
  if (assumed.length === 0) return;
  const names = assumed.map(({ name }) => name);
  const numbers = assumed.map(({ number }) => number);
  const flags = assumed.map(({ flag }) => flag);
  const file = extname(path).toLowerCase() === ".pt" ? "a .pt file" : "that file";
  note(
    `note: ${names.join(" and ")} ${assumed.length > 1 ? "are" : "is"} not in ${file}: ` +
      `${numbers.join(" and ")} assumed; ${flags.join(", ")}`,
  );
}

/**
 * Prints a note if weights were trained on another text than the one at hand.
 *
 * @returns Whether they were.
 */
export async function noteOtherText(
  saved: ChosenWeights,
  corpus: { path: string; sha256: string },
): Promise<boolean> {
  if (saved.corpusSha256 === undefined || saved.corpusSha256 === corpus.sha256) return false;
  const advice = saved.isShipped ? `; ${await adviseOnShipped(saved.config.kind)}` : "";
  note(`note: ${saved.path} was trained on another text than ${corpus.path}${advice}`);
  return true;
}

/**
 * Encodes a text. If the model lacks some of its characters, the error also says whose weights
 * those are.
 */
export async function encodeFor<T>(saved: ChosenWeights, encode: () => T): Promise<T> {
  try {
    return encode();
  } catch (error) {
    if (!saved.isShipped || !(error instanceof UserError)) throw error;
    const advice = [error.advice, await adviseOnShipped(saved.config.kind)].filter(Boolean);
    throw new UserError({ ...error, advice: advice.join("; ") }, { cause: error });
  }
}

async function adviseOnShipped(kind: ModelKind): Promise<string> {
  const own = await findLatestWeights(kind);
  return "these are the weights that come with the project, name your own with --weights" +
    (own === undefined ? "" : `, such as ${own}`);
}

export type ChosenWeights = LoadedModel & {
  path: string;
  /** Whether they are the included ones, used by default. */
  isShipped?: boolean;
};

interface WeightsValues {
  weights?: string;
  /** Whether `heads` and `blockSize` are for other weights, unless these come without. */
  onlyComplete?: boolean;
  heads?: number;
  blockSize?: number;
  data?: string;
  /** The advice for weights of the other model. */
  otherKindAdvice?: string;
}
