/** Infers the model of weights that come alone, such as PyTorch's `.pt` files. */
import type { UserError } from "@tiny-diffusion/engines/errors";
import {
  type FileTensors,
  type ModelFacts,
  refuse,
  requireVocabulary,
  rewordErrors,
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
   * the mask, as Python reads the text (see `readLikePython`) or as it is in the file.
   */
  characters?: (likePython: boolean) => string[] | Promise<string[]>;
  /** The advice for weights of the other model. @default {"try --model" with its name} */
  otherKindAdvice?: string;
}

/** Assumes the shape of a network of some width where its file doesn't say. */
export function assumeShape(width: number): { heads: number; context: number } {
  return { heads: Math.max(1, Math.floor(width / 64)), context: 256 };
}

/** The names that parts of PyTorch give to a module within a wrapper. */
const wrappers = [
  "_orig_mod", // torch.compile
  "module", // DataParallel and DistributedDataParallel
  "_fsdp_wrapped_module",
  "_checkpoint_wrapped_module",
];

/**
 * Removes from the names what wrappers of PyTorch put into them, and what stands before all of them
 * alike, as where a network is a part of a LightningModule.
 */
export function unwrapNames(tensors: FileTensors): FileTensors {
  const unwrapped = Object.entries(tensors).map(([name, tensor]) =>
    [name.split(".").filter((part) => !wrappers.includes(part)).join("."), tensor] as const
  );
  const embedding = unwrapped.find(([name]) => name.endsWith(".token_emb.weight"))?.[0];
  const prefix = embedding?.slice(0, -"token_emb.weight".length) ?? "";
  const isShared = unwrapped.every(([name]) => name.startsWith(prefix));
  const named = unwrapped.map(([name, tensor]) =>
    [isShared ? name.slice(prefix.length) : name, tensor] as const
  );
  // Two that come to the same name were two different ones.
  return new Set(named.map(([name]) => name)).size < named.length
    ? tensors
    : Object.fromEntries(named);
}

/**
 * Infers config and vocabulary: a GPT has a row for each character, a diffusion model one more. The
 * characters are those that the original would have found, as Python reads the text; weights of our
 * own may have been trained on the text as it is. Where both explain the rows, only `expectKind`
 * decides, and only for the original.
 *
 * @param action What the errors say can't be done.
 * @throws {UserError} If the tensors are not those of a model of these characters.
 */
export async function inferFacts(
  action: string,
  tensors: FileTensors,
  options: ForeignOptions,
): Promise<ModelFacts> {
  const { expectKind, otherKindAdvice } = options;
  const advice = "give the text that it was trained on with --data";
  if (!options.characters) throw refuse(action, "it has no vocabulary", advice);
  const [rows, width] = embeddingShape(action, tensors);
  const readings = [{ characters: await options.characters(true), how: "of the text" }];
  const plain = await options.characters(false);
  if (plain.join("") !== readings[0].characters.join("")) {
    readings[0].how = "of the text as Python reads it";
    readings.push({ characters: plain, how: "of the text as it is in the file" });
  }
  const fits = readings.flatMap(({ characters, how }) => {
    const kind = ({ 0: "gpt", 1: "diffusion" } as const)[rows - characters.length];
    return kind ? [{ kind, characters, how: `${titles[kind]} of the characters ${how}` }] : [];
  });
  const embedding = `"token_emb.weight" is [${rows}, ${width}]`;
  if (fits.length === 0) {
    const expected = readings.map(({ characters: { length }, how }) =>
      `${length} rows (GPT) or ${length + 1} (diffusion) for the ${length} characters ${how}`
    );
    throw refuse(action, `${embedding}, expected ${expected.join("; or ")}`, advice);
  }
  const [{ kind, characters }] = fits;
  if (fits.length > 1 && kind !== expectKind) {
    throw refuse(
      action,
      `${embedding}, which fits a ${fits.map(({ how }) => how).join(" and a ")}`,
      `--model ${kind} takes the first, the original's; for the other, give the .safetensors file`,
    );
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

function embeddingShape(action: string, tensors: FileTensors): number[] {
  const embedding = Object.hasOwn(tensors, "token_emb.weight") ? tensors["token_emb.weight"] : null;
  if (embedding?.shape.length !== 2) {
    const found = 'it has no matrix "token_emb.weight", expected the parameters of this model';
    throw refuse(action, found, "only weights of this network can be used");
  }
  return embedding.shape;
}

function countLayers(tensors: FileTensors): number {
  const layers = Object.keys(tensors).map((name) =>
    1 + Number(/^blocks\.(\d+)\./.exec(name)?.[1] ?? -1)
  );
  return Math.max(0, ...layers);
}

const titles = { gpt: "GPT", diffusion: "diffusion model" };

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
  const weights = { gpt: "GPT", diffusion: "diffusion" }[other];
  return refuse(
    action,
    `"lm_head.weight" is [${rows}, ${width}], expected [${expectedRows}, ${width}] for a ${
      titles[expectKind]
    }`,
    `these ${certainty} ${weights} weights, ${otherKindAdvice ?? `try --model ${other}`}`,
  );
}
