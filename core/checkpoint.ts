/**
 * The files of a run: an export and a training state, whose bytes `checkpoint_format.ts` describes.
 * PyTorch's `.pt` files, which hold nothing but weights, are read as well.
 */
import { hasCausalMode, takeCausalMode } from "./causal_mode.ts";
import {
  decodeTraining,
  encodeTraining,
  encodeWeights,
  isForeign,
  readExport,
  type SavedModel,
  type TrainingState,
} from "./checkpoint_format.ts";
import { refuse, requireParameters } from "./checkpoint_schema.ts";
import type { Config } from "./config.ts";
import { adviseJoining, findPieces, isPiece } from "@tiny-diffusion/files/pieces";
import { readPtFile } from "@tiny-diffusion/files/pt";
import { readBytes, sha256Hex } from "@tiny-diffusion/files/read";
import { readSafetensors, type StoredDType } from "@tiny-diffusion/files/safetensors";
import { writeFileAtomically } from "@tiny-diffusion/files/write";
import { type ForeignOptions, inferFacts, otherKind, unwrapNames } from "./foreign_weights.ts";

export type { SavedModel, TrainingState };

/** A model with what is known of the file that it came from. */
export interface LoadedModel extends SavedModel {
  /** In hexadecimal. */
  sha256: string;
  /** The types of the weights in the file, where some are not float32, to which they were turned. */
  dtypes?: StoredDType[];
}

/** Expectations of a file of weights, and assumptions where it does not say. */
export interface LoadOptions extends ForeignOptions {
  /** Ignore `heads` and `context` where a file says them, instead of refusing a contradiction. */
  onlyComplete?: boolean;
  /** The advice if the file is missing. */
  advice?: string;
}

/**
 * Writes an export. Its `__metadata__` holds everything but the weights.
 *
 * @param options.dtype float16 halves the file and rounds the weights. Default "float32".
 * @returns The SHA-256 of the file.
 * @throws {UserError} If the weights do not fit the config or are not finite; nothing is written
 * then.
 */
export async function saveWeights(
  path: string,
  { sha256: _1, dtypes: _2, ...model }: SavedModel & Partial<LoadedModel>,
  options: { dtype?: "float32" | "float16" } = {},
): Promise<string> {
  const bytes = encodeWeights(path, model, options);
  await writeFileAtomically(path, bytes);
  return await sha256Hex(bytes);
}

/**
 * Reads an export, or a `.pt` or foreign `.safetensors` file with the original's parameter names.
 * Such a file says neither its vocabulary nor its kind: both follow from `characters`, see
 * `foreign_weights.ts`. A diffusion model with a causal mode is read as a GPT where one is expected.
 *
 * @throws {UserError} If the file is damaged or holds something else; a parameter is missing,
 * unknown, not of its shape, or not finite; the model is of the other kind; or `heads` or `context`
 * is impossible or contradicts the file.
 */
export async function loadWeights(path: string, options: LoadOptions = {}): Promise<LoadedModel> {
  const action = `load ${JSON.stringify(path)}`;
  const { advice = `check the path, or train a model first` } = options;
  if (isPiece(path)) throw refuse(action, "it is one of several pieces", adviseJoining(path));
  const isInPieces = (await findPieces(path)).length > 0;
  const bytes = await readBytes(path, {
    action: "load",
    advice: isInPieces ? adviseJoining(path) : advice,
  });
  requireWeights(action, bytes);
  const { tensors, dtypes, metadata } = readTensors(path, bytes);
  const file = {
    sha256: await sha256Hex(bytes),
    ...(dtypes.some((dtype) => dtype !== "F32") ? { dtypes } : {}),
  };
  if (!isForeign(metadata)) {
    const model = { ...readExport(action, tensors, metadata), ...file };
    const isCausal = options.expectKind === "gpt" && hasCausalMode(model.config);
    const used = isCausal ? takeCausalMode(model) : model;
    requireAsExpected(action, used.config, options);
    return used;
  }
  const named = unwrapNames(tensors);
  const facts = await inferFacts(action, named, options);
  return { ...facts, weights: requireParameters(action, named, facts.config), ...file };
}

/** Whether a path is one of an export, not of a training state or of a run that was replaced. */
export function isExportPath(path: string): boolean {
  return /(?<!\.training|\.previous)\.safetensors$/.test(path);
}

/** Returns the name of the training state that belongs to an export: `NAME.training.safetensors`. */
export function trainingPath(exportPath: string): string {
  return exportPath.replace(/(\.safetensors)?$/, ".training.safetensors");
}

/**
 * Writes everything that a run needs to resume, in float32.
 *
 * @throws {UserError} If the weights do not fit the config, or any number is not finite.
 */
export async function saveTraining(path: string, state: TrainingState): Promise<void> {
  await writeFileAtomically(path, encodeTraining(path, state), { isTrainingState: true });
}

/**
 * Reads what `saveTraining` wrote, bit for bit.
 *
 * @throws {UserError} If the file is damaged, or an export, or of the other model, or does not fit
 * its own config.
 */
export async function loadTraining(
  path: string,
  { expectKind, advice = "check the path, or train without resuming" }: LoadOptions = {},
): Promise<TrainingState> {
  const action = `load ${JSON.stringify(path)}`;
  const bytes = await readBytes(path, { action: "load", advice });
  requireWeights(action, bytes);
  const state = decodeTraining(path, bytes);
  const { config } = state;
  if (expectKind !== undefined && config.kind !== expectKind) {
    throw refuse(
      action,
      `it is the state of a ${config.kind} training, expected one of ${expectKind}`,
      `continue with "deno task train-${config.kind}", or give another --out`,
    );
  }
  return state;
}

/** Reads the tensors of a file by what it starts like, whatever its name. */
function readTensors(path: string, bytes: Uint8Array) {
  const isZip = bytes[0] === 0x50 && bytes[1] === 0x4b && bytes[2] === 3 && bytes[3] === 4;
  const isSafetensors = bytes[8] === 0x7b; // a header that starts with "{"
  if (isZip || /\.(pth?|ckpt)$/i.test(path) && !isSafetensors) {
    const { tensors, dtypes } = readPtFile(bytes, { name: path });
    return { tensors, dtypes: [...dtypes], metadata: {} as Record<string, string> };
  }
  const { tensors, metadata } = readSafetensors(bytes, { name: path });
  const dtypes = [...new Set(Object.values(tensors).map(({ dtype }) => dtype))];
  return { tensors, dtypes, metadata };
}

/** Refuses what a failed download leaves in place of weights. */
function requireWeights(action: string, bytes: Uint8Array): void {
  const start = new TextDecoder().decode(bytes.subarray(0, 200)).trimStart();
  if (start.startsWith("version https://git-lfs.github.com/spec/")) {
    throw refuse(action, "it is a Git LFS pointer, not the file itself", 'run "git lfs pull"');
  }
  if (/^<(!doctype|html|\?xml|head)\b/i.test(start)) {
    throw refuse(action, "it is a web page", "download the file itself");
  }
}

/** Refuses a model of the other kind, or options that contradict the file. */
function requireAsExpected(
  action: string,
  { kind, vocab, width, heads, context }: Config,
  options: LoadOptions,
): void {
  const { expectKind, otherKindAdvice } = options;
  if (expectKind !== undefined && kind !== expectKind) {
    const certainty = "are";
    throw otherKind(action, { rows: vocab, width, expectKind, certainty, otherKindAdvice });
  }
  if (options.onlyComplete) return;
  for (const [name, stored] of Object.entries({ heads, context })) {
    const asked = options[name as "heads" | "context"];
    if (asked === undefined || asked === stored) continue;
    throw refuse(
      action,
      `it was trained with ${name} ${stored}, but ${asked} was asked for`,
      "leave that out",
    );
  }
}
