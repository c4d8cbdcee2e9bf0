/** The flags that say which weights to use, and the weights that they mean. */
import { extname } from "@std/path";
import { type LoadedModel, loadWeights } from "../../core/checkpoint.ts";
import type { Config, ModelKind } from "../../core/config.ts";
import { findLatestCorpus, loadCorpus } from "../../core/data/corpus.ts";
import { listCharacters } from "../../core/data/tokenizer.ts";
import { note } from "./cli.ts";

export const weightsFlags = {
  weights: { type: "path", help: "weights file, .safetensors or .pt; without it, the model's own" },
  heads: { type: "integer", min: 1, max: 256, help: "of weights from .pt; without it, width / 64" },
  blockSize: {
    type: "integer",
    min: 2,
    max: 16384,
    help: "context of weights from .pt; without it, 256",
  },
} as const;

/**
 * The weights to use if none are named: those that come with the project, else those trained last.
 *
 * @returns undefined if there are none.
 */
export async function defaultWeights(kind: ModelKind): Promise<string | undefined> {
  return await modified(shippedPath(kind)) ? shippedPath(kind) : await latestWeights(kind);
}

/** Where the weights lie that come with the project. */
const shippedPath = (kind: ModelKind) => `weights/${kind}.safetensors`;

/** The weights in `weights/` that were trained last, but for those that come with the project. */
async function latestWeights(kind: ModelKind): Promise<string | undefined> {
  let latest: { path: string; time: number } | undefined;
  try {
    for await (const { name } of Deno.readDir("weights")) {
      const isExport = /(?<!\.training|\.previous)\.safetensors$/.test(name);
      if (!name.startsWith(`${kind}-`) || !isExport) continue;
      const path = `weights/${name}`, time = await modified(path);
      if (time && time > (latest?.time ?? 0)) latest = { path, time };
    }
  } catch (error) {
    const isMissing = error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.NotADirectory;
    if (!isMissing) throw error;
  }
  return latest?.path;
}

/**
 * Those of `kinds` that there are default weights of.
 *
 * @param purpose What they are wanted for, such as `score`.
 * @param first The model to train where there are none.
 * @throws {Error} If there are none.
 */
export async function trainedKinds(
  kinds: readonly ModelKind[],
  { purpose, first = kinds[0] }: { purpose: string; first?: ModelKind },
): Promise<ModelKind[]> {
  const trained: ModelKind[] = [];
  for (const kind of kinds) if (await defaultWeights(kind)) trained.push(kind);
  if (trained.length > 0) return trained;
  throw new Error(
    `Cannot find weights to ${purpose}: nothing was trained yet; run "deno task train-${first}", ` +
      "or name a file with --model and --weights",
  );
}

async function modified(path: string): Promise<number | undefined> {
  try {
    return (await Deno.stat(path)).mtime?.getTime() ?? 1;
  } catch {
    return undefined;
  }
}

/** Loads the weights that the flags name, or the default ones of `kind`, and says which. */
export async function chosenWeights(
  kind: ModelKind,
  values: WeightsValues,
): Promise<ChosenWeights> {
  const path = values.weights ?? await defaultWeights(kind);
  if (path === undefined) {
    throw new Error(
      `Cannot find weights of the ${kind} model: there is no "${shippedPath(kind)}" and nothing ` +
        `was trained yet; run "deno task train-${kind}", or name a file with --weights`,
    );
  }
  const isShipped = values.weights === undefined && path === shippedPath(kind);
  return { ...await namedWeights(path, values, kind), isShipped };
}

/**
 * Loads the weights of a file, of either model unless `kind` says which, and says what they are.
 */
export async function namedWeights(
  path: string,
  values: WeightsValues,
  kind?: ModelKind,
): Promise<ChosenWeights> {
  let isBare = false;
  const model = await loadWeights(path, {
    expectKind: kind,
    heads: values.heads,
    context: values.blockSize,
    onlyComplete: values.onlyComplete,
    otherKindAdvice: values.otherKindAdvice,
    advice: "check the path",
    characters: async () => {
      isBare = true;
      return listCharacters((await loadCorpus(values.data ?? await findLatestCorpus())).text);
    },
  });
  note(`weights: ${path} (${shapeOf(model.config)})`);
  if (isBare) noteAssumed(path, model.config, values);
  return { ...model, path };
}

/** The shape of a network in words. */
export function shapeOf({ layers, heads, width, context }: Config): string {
  const counted = (count: number, what: string) => `${count} ${what}${count === 1 ? "" : "s"}`;
  return `${counted(layers, "layer")}, ${
    counted(heads, "head")
  }, ${width} wide, context ${context}`;
}

/**
 * Says what was assumed of weights that come without a config, such as PyTorch's: another value
 * gives other text, not an error.
 */
export function noteAssumed(
  path: string,
  config: Config,
  given: { heads?: number; blockSize?: number },
): void {
  const assumed = [
    ...(given.heads === undefined ? [["heads", config.heads, "--heads"]] : []),
    ...(given.blockSize === undefined ? [["context", config.context, "--block-size"]] : []),
  ];
  if (assumed.length === 0) return;
  const [names, numbers, flags] = [0, 1, 2].map((i) => assumed.map((fact) => fact[i]));
  const file = extname(path).toLowerCase() === ".pt" ? "a .pt file" : "that file";
  note(
    `note: ${names.join(" and ")} ${assumed.length > 1 ? "are" : "is"} not in ${file}: ` +
      `${numbers.join(" and ")} assumed; ${flags.join(", ")}`,
  );
}

/** Whether weights were trained on another text than the one at hand; says so if they were. */
export async function isOfOtherText(
  saved: ChosenWeights,
  corpus: { path: string; sha256: string },
): Promise<boolean> {
  if (saved.corpusSha256 === undefined || saved.corpusSha256 === corpus.sha256) return false;
  const line = `note: ${saved.path} was trained on another text than ${corpus.path}`;
  note(line + (saved.isShipped ? await aboutShipped(saved.config.kind) : ""));
  return true;
}

/**
 * Does what may fail because of a text with characters that the model lacks; the error then says
 * whose weights those are.
 */
export async function tellingOfShipped<T>(saved: ChosenWeights, encode: () => T): Promise<T> {
  try {
    return encode();
  } catch (error) {
    if (!saved.isShipped || !(error instanceof RangeError)) throw error;
    const about = await aboutShipped(saved.config.kind);
    throw new RangeError(error.message + about, { cause: error });
  }
}

async function aboutShipped(kind: ModelKind): Promise<string> {
  const own = await latestWeights(kind);
  return "; these are the weights that come with the project, name your own with --weights" +
    (own === undefined ? "" : `, such as ${own}`);
}

export type ChosenWeights = LoadedModel & {
  path: string;
  /** They come with the project, and nobody named them. */
  isShipped?: boolean;
};

interface WeightsValues {
  weights?: string;
  /** These are not the weights that `heads` and `blockSize` are about, unless they lack them. */
  onlyComplete?: boolean;
  heads?: number;
  blockSize?: number;
  data?: string;
  /** What to do with weights of the other model. */
  otherKindAdvice?: string;
}
