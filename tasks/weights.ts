/** The flags that say which weights to use, and the weights that they mean. */
import { type LoadedModel, loadWeights } from "../core/checkpoint.ts";
import type { ModelKind } from "../core/config.ts";
import { defaultCorpus, loadCorpus } from "../core/corpus.ts";
import { charactersOf } from "../core/tokenizer.ts";
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
  const shipped = `weights/${kind}.safetensors`;
  if (await modified(shipped)) return shipped;
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
      `Cannot find weights of the ${kind} model: there is no "weights/${kind}.safetensors" and nothing ` +
        `was trained yet; run "deno task train-${kind}", or name a file with --weights`,
    );
  }
  return await namedWeights(path, values, kind);
}

/** Loads the weights of a file, of either model unless `kind` says which, and says what they are. */
export async function namedWeights(
  path: string,
  values: WeightsValues,
  kind?: ModelKind,
): Promise<ChosenWeights> {
  const model = await loadWeights(path, {
    expectKind: kind,
    heads: values.heads,
    context: values.blockSize,
    onlyComplete: values.onlyComplete,
    advice: `train a model first with "deno task train-${kind ?? "diffusion"}"`,
    characters: async () =>
      charactersOf((await loadCorpus(values.data ?? await defaultCorpus())).text),
  });
  const { layers, heads, width, context } = model.config;
  note(`weights: ${path} (${layers} layers, ${heads} heads, ${width} wide, context ${context})`);
  return { ...model, path };
}

export type ChosenWeights = LoadedModel & { path: string };

interface WeightsValues {
  weights?: string;
  /** These are not the weights that `heads` and `blockSize` are about, unless they lack them. */
  onlyComplete?: boolean;
  heads?: number;
  blockSize?: number;
  data?: string;
}
