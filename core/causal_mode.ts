/**
 * One network that learned both objectives: a diffusion model some of whose windows were trained as
 * a GPT's (the setting `causalRows`; arXiv:2512.14549) can also be used as one.
 */
import type { SavedModel } from "./checkpoint_format.ts";
import type { Config } from "./config.ts";
import { tokenParameters } from "./model.ts";
import type { HostTensor, HostTensors } from "@tiny-diffusion/engines/tensors";

/** Whether weights of this configuration were also trained as a GPT's. */
export function hasCausalMode({ kind, causalRows = 0 }: Config): boolean {
  return kind === "diffusion" && causalRows > 0;
}

/**
 * Makes a GPT of a network that has a causal mode: the same matrices, without the mask's row in the
 * embedding and in the head. Its scores were the diffusion model's, and are left out.
 */
export function takeCausalMode<Model extends SavedModel>(model: Model): Model {
  const { config, vocabulary, weights } = model;
  const withoutMask = ({ shape: [vocab, width], data }: HostTensor<Float32Array>) => ({
    shape: [vocab - 1, width],
    data: data.subarray(width),
  });
  const byToken: HostTensors = {};
  for (const name of tokenParameters) byToken[name] = withoutMask(weights[name]);
  return {
    ...model,
    config: { ...config, kind: "gpt", vocab: config.vocab - 1, causalRows: 0 },
    vocabulary: vocabulary.slice(1),
    weights: { ...weights, ...byToken },
    scores: {},
  };
}
