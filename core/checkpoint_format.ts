/**
 * The bytes of a run's two files: an export (the best weights and what is needed to use them) and a
 * training state (everything needed to resume exactly where it stopped), each in safetensors with
 * JSON texts in its metadata. `checkpoint.ts` writes and reads the files; a web page has none.
 */
import { quoted } from "@tiny-diffusion/engines/errors";
import type { HostTensor, HostTensors } from "@tiny-diffusion/engines/tensors";
import {
  type FileTensors,
  type ModelFacts,
  readFacts,
  readTrainingFacts,
  refuse,
  requireFacts,
  requireMoments,
  requireParameters,
  requireTrainingFacts,
  toMetadata,
  type TrainingFacts,
} from "./checkpoint_schema.ts";
import type { Config } from "./config.ts";
import { readSafetensors, writeSafetensors } from "@tiny-diffusion/files/safetensors";
import { parameterShapes } from "./model.ts";

const exportFormat = "tiny-diffusion/1";
const trainingFormat = "tiny-diffusion-training/1";

/** Weights and what is needed to use them. */
export interface SavedModel extends ModelFacts {
  /** By the names of `parameterShapes`. */
  weights: HostTensors;
}

/** Everything that a run needs to resume as if it had never stopped. */
export interface TrainingState extends TrainingFacts {
  /** By the names of `parameterShapes`. */
  weights: HostTensors;
  /** The tensors of the optimizer: `<moment>/<parameter>`, of its shape, or any other name. */
  moments: HostTensors;
}

/**
 * Encodes an export. Its `__metadata__` holds everything but the weights.
 *
 * @param name What the errors call the file.
 * @param options.dtype float16 halves the file and rounds the weights. Default "float32".
 * @throws {UserError} If the weights do not fit the config or are not finite.
 */
export function encodeWeights(
  name: string,
  { weights, ...facts }: SavedModel,
  { dtype = "float32" }: { dtype?: "float32" | "float16" } = {},
): Uint8Array<ArrayBuffer> {
  const action = `save ${JSON.stringify(name)}`;
  requireFacts(action, facts);
  const tensors = requireParameters(action, weights, facts.config);
  return writeSafetensors(tensors, toMetadata(exportFormat, facts), { dtype });
}

/**
 * Decodes an export.
 *
 * @throws {UserError} If it is damaged or something else, or does not fit its own config.
 */
export function decodeWeights(name: string, bytes: Uint8Array): SavedModel {
  const action = `load ${JSON.stringify(name)}`;
  const { tensors, metadata } = readSafetensors(bytes, { name });
  if (isForeign(metadata)) {
    const found = "it does not say which model it is of";
    throw refuse(action, found, `give it to "deno task convert" first`);
  }
  return readExport(action, tensors, metadata);
}

/** Whether weights were written by another program than this one. */
export function isForeign({ format }: Record<string, string>): boolean {
  return !format?.startsWith("tiny-diffusion");
}

/**
 * Reads an export from the tensors and the metadata of a file.
 *
 * @throws As `decodeWeights`.
 */
export function readExport(
  action: string,
  tensors: FileTensors,
  metadata: Record<string, string>,
): SavedModel {
  if (metadata.format === trainingFormat) {
    throw refuse(
      action,
      "it is the state of a training run, expected exported weights",
      'give the file next to it without ".training" in its name',
    );
  }
  if (metadata.format !== exportFormat) {
    throw refuse(
      action,
      `its format is ${quoted(metadata.format)}, expected "${exportFormat}"`,
      "use the version of this project that wrote it",
    );
  }
  const facts = readFacts(action, metadata);
  return { ...facts, weights: requireParameters(action, tensors, facts.config) };
}

/**
 * Encodes everything that a run needs to resume, in float32.
 *
 * @param name What the errors call the file.
 * @throws {UserError} If the weights do not fit the config, or any number is not finite.
 */
export function encodeTraining(
  name: string,
  { weights, moments, ...facts }: TrainingState,
): Uint8Array<ArrayBuffer> {
  const action = `save ${JSON.stringify(name)}`;
  requireTrainingFacts(action, facts);
  const tensors = {
    ...requireParameters(action, weights, facts.config),
    ...requireMoments(action, moments, facts.config),
  };
  return writeSafetensors(tensors, toMetadata(trainingFormat, facts));
}

/**
 * Decodes what `encodeTraining` encoded, bit for bit.
 *
 * @throws {UserError} If it is damaged, or an export, or does not fit its own config.
 */
export function decodeTraining(name: string, bytes: Uint8Array): TrainingState {
  const action = `load ${JSON.stringify(name)}`;
  const { tensors, metadata } = readSafetensors(bytes, { name });
  if (metadata.format !== trainingFormat) {
    throw refuse(
      action,
      `its format is ${quoted(metadata.format ?? "unknown")}, expected "${trainingFormat}"`,
      "only the file NAME.training.safetensors of a run can be resumed",
    );
  }
  const facts = readTrainingFacts(action, metadata);
  const { weights, moments } = splitState(tensors, facts.config);
  return {
    ...facts,
    weights: requireParameters(action, weights, facts.config),
    moments: requireMoments(action, moments, facts.config),
  };
}

/** Splits the tensors of an engine's state, or of its file, into weights and moments. */
export function splitState<T extends HostTensor>(state: Record<string, T>, config: Config) {
  const parameters = parameterShapes(config);
  const { weights = [], moments = [] } = Object.groupBy(
    Object.entries(state),
    ([name]) => Object.hasOwn(parameters, name) ? "weights" : "moments",
  );
  return { weights: Object.fromEntries(weights), moments: Object.fromEntries(moments) };
}
