/** Infers the model of weights that come alone, such as PyTorch's `.pt` files. */
import type { UserError } from "@tiny-diffusion/engines/errors";
import {
  type ModelFacts,
  refuse,
  requireVocabulary,
  rewordErrors,
  type Tensors,
} from "./checkpoint_schema.ts";
import { checkModelConfig, type Config, makeConfig, type ModelKind } from "./config.ts";
import { MASK } from "./data/tokenizer.ts";

/** Facts about weights that their file does not state. */
export interface ForeignOptions {
  /** Refuse weights of the other model. */
  expectKind?: ModelKind;
  /** Attention heads, for a file without a config. @default {width / 64, at least 1} */
  heads?: number;
  /** Characters that the network reads at once, for a file without a config. @default {256} */
  context?: number;
  /**
   * Asked only for a file without a vocabulary: the characters of its text in token order, without
   * the mask.
   */
  characters?: () => string[] | Promise<string[]>;
  /** The advice for weights of the other model. @default {"try --model" with its name} */
  otherKindAdvice?: string;
}

/** Assumes the shape of a network of some width where its file doesn't say. */
export function assumeShape(width: number): { heads: number; context: number } {
  return { heads: Math.max(1, Math.floor(width / 64)), context: 256 };
}

/**
 * Removes the prefix that parts of PyTorch put before every name: torch.compile `_orig_mod.`,
 * distributed training `module.`.
 */
export function removePrefix(tensors: Tensors): Tensors {
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

/**
 * Infers config and vocabulary: a GPT has a row for each character, a diffusion model one more.
 *
 * @param action What the errors say can't be done.
 * @throws {UserError} If the tensors are not those of a model of these characters.
 */
export async function inferFacts(
  action: string,
  tensors: Tensors,
  options: ForeignOptions,
): Promise<ModelFacts> {
  const { expectKind, otherKindAdvice } = options;
  const advice = "give the text that it was trained on with --data";
  const characters = await options.characters?.();
  if (!characters) throw refuse(action, "it has no vocabulary", advice);
  const [rows, width] = embeddingShape(action, tensors);
  const count = characters.length;
  const kinds: Record<number, ModelKind> = { [count]: "gpt", [count + 1]: "diffusion" };
  const kind = kinds[rows];
  if (!kind) {
    const found = `"token_emb.weight" is [${rows}, ${width}], expected ${count} rows (GPT) or ` +
      `${count + 1} (diffusion) for the ${count} characters of the text`;
    throw refuse(action, found, advice);
  }
  if (expectKind && kind !== expectKind) {
    throw otherKind(action, { rows, width, expectKind, certainty: "look like", otherKindAdvice });
  }
  const assumed = assumeShape(width);
  const config: Config = {
    ...makeConfig(kind, "full", rows), // the file does not say how it was trained: likely like that
    context: options.context ?? assumed.context,
    layers: countLayers(tensors),
    heads: options.heads ?? assumed.heads,
    width,
  };
  rewordErrors(action, () => checkModelConfig(config));
  const vocabulary = kind === "diffusion" ? [MASK, ...characters] : characters;
  requireVocabulary(action, vocabulary, config);
  return { config, vocabulary, scores: {} };
}

function embeddingShape(action: string, tensors: Tensors): number[] {
  const embedding = Object.hasOwn(tensors, "token_emb.weight") ? tensors["token_emb.weight"] : null;
  if (embedding?.shape.length !== 2) {
    const found = 'it has no matrix "token_emb.weight", expected the parameters of this model';
    throw refuse(action, found, "only weights of this network can be used");
  }
  return embedding.shape;
}

function countLayers(tensors: Tensors): number {
  const layers = Object.keys(tensors).map((name) =>
    1 + Number(/^blocks\.(\d+)\./.exec(name)?.[1] ?? -1)
  );
  return Math.max(0, ...layers);
}

/** The error for weights of the other model, by the rows of its head. */
export function otherKind(
  action: string,
  { rows, width, expectKind, certainty, otherKindAdvice }: {
    rows: number;
    width: number;
    expectKind: ModelKind;
    /** Whether the file says which model it is. */
    certainty: "are" | "look like";
    otherKindAdvice?: string;
  },
): UserError {
  const other = expectKind === "gpt" ? "diffusion" : "gpt";
  const expectedRows = rows + (expectKind === "gpt" ? -1 : 1);
  const title = { gpt: "GPT", diffusion: "diffusion model" }[expectKind];
  const weights = { gpt: "GPT", diffusion: "diffusion" }[other];
  return refuse(
    action,
    `"lm_head.weight" is [${rows}, ${width}], expected [${expectedRows}, ${width}] for a ${title}`,
    `these ${certainty} ${weights} weights, ${otherKindAdvice ?? `try --model ${other}`}`,
  );
}
