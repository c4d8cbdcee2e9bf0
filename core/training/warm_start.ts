/**
 * A run that starts from trained weights: to adapt them to another text, or to make one model out
 * of the other, as a diffusion model out of a GPT (Gong et al., arXiv:2410.17891).
 */
import { UserError } from "@tiny-diffusion/engines/errors";
import type { HostTensor, HostTensors } from "@tiny-diffusion/engines/tensors";
import type { SavedModel } from "../checkpoint_format.ts";
import type { ModelConfig } from "../config.ts";
import { tokenParameters } from "../model.ts";

/**
 * Replaces fresh weights by those of `trained`. The rows of the embedding and of the head go by what
 * their tokens are, not by their numbers; a token that `trained` lacks keeps its fresh row.
 *
 * @param fresh Weights of the network of `config`.
 * @param vocabulary Its tokens.
 * @throws {UserError} If `trained` is of another size.
 */
export function transferWeights(
  fresh: HostTensors,
  config: ModelConfig,
  vocabulary: string[],
  trained: Pick<SavedModel, "config" | "vocabulary" | "weights">,
): HostTensors {
  for (const size of ["layers", "heads", "width"] as const) {
    if (config[size] === trained.config[size]) continue;
    throw new UserError({
      action: "start from those weights",
      found: `they have ${size} ${trained.config[size]}, the run has ${config[size]}`,
      advice: "choose the preset that they were trained with, or --set the sizes",
    });
  }
  const rows = vocabulary.map((token) => trained.vocabulary.indexOf(token));
  return Object.fromEntries(
    Object.entries(fresh).map(([name, tensor]) => {
      const source = trained.weights[name];
      return [name, tokenParameters.includes(name) ? takeRows(tensor, source, rows) : source];
    }),
  );
}

/** Takes row `rows[i]` of `source` as row `i`, or that of `fresh` where it is -1. */
function takeRows(
  fresh: HostTensor<Float32Array>,
  source: HostTensor<Float32Array>,
  rows: number[],
): HostTensor<Float32Array> {
  const width = fresh.shape[1];
  const data = Float32Array.from(fresh.data);
  rows.forEach((row, i) => {
    if (row >= 0) data.set(source.data.subarray(row * width, (row + 1) * width), i * width);
  });
  return { shape: fresh.shape, data };
}
