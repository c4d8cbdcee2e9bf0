/** The programs that scoring and sampling ask an engine to run, for fixed shapes. */
import * as tf from "@tensorflow/tfjs-core";
import type { Program } from "@tiny-diffusion/engines";
import type { Tensor2D, Tensor3D, TensorSpec } from "@tiny-diffusion/engines/tensors";
import type { ModelConfig } from "./config.ts";
import { MASK_TOKEN } from "./data/tokenizer.ts";
import type { LanguageModel } from "./language_model.ts";
import { crossEntropy, forward } from "./model.ts";

/**
 * Computes the logits of every position of `rows` windows: input `tokens` [rows, time], output
 * `logits` [rows, time, vocab].
 *
 * @param time Characters of a window, at most and by default the model's context.
 */
export function windowLogits(
  model: LanguageModel,
  config: ModelConfig,
  rows: number,
  time = config.context,
): Program {
  const { attend } = model;
  const tokens: TensorSpec = { shape: [rows, time], dtype: "int32" };
  return {
    inputs: { tokens },
    body: (weights, { tokens }) => ({
      outputs: { logits: forward(tokens as Tensor2D, weights, config, { attend }) },
    }),
  };
}

/**
 * Computes -log p(target) of every position of `rows` windows: inputs `tokens` and `targets`
 * [rows, time], output `nats` [rows, time].
 *
 * @param time Characters of a window, at most and by default the model's context.
 * @param keepMask Leave the mask token's logit in the softmax, as the original's loss does.
 *
 * ```ts
 * import { assertAlmostEquals } from "@std/assert";
 * import { gpt, initialWeights, makeConfig, seededRandom, startEngine, targetNats } from "@tiny-diffusion/core";
 *
 * const config = makeConfig("gpt", "smoke", 65);
 * const { engine } = await startEngine("onnx");
 * const weights = initialWeights(config, seededRandom(1));
 * const session = await engine.load(weights, { nats: targetNats(gpt, config, 1) });
 * const window = new Int32Array(config.context);
 * const { nats } = await session.run("nats", { tokens: window, targets: window });
 * session.dispose();
 * // An untrained model finds all 65 characters about equally likely.
 * assertAlmostEquals(nats[0], Math.log(65), 0.2);
 * ```
 */
export function targetNats(
  model: LanguageModel,
  config: ModelConfig,
  rows: number,
  { keepMask = false, time = config.context }: { keepMask?: boolean; time?: number } = {},
): Program {
  const { attend, kind } = model;
  const window: TensorSpec = { shape: [rows, time], dtype: "int32" };
  return {
    inputs: { tokens: window, targets: window },
    body(weights, { tokens, targets }) {
      const all = forward(tokens as Tensor2D, weights, config, { attend });
      const logits = kind === "diffusion" && !keepMask ? withoutMask(all) : all;
      return { outputs: { nats: crossEntropy(logits, targets as Tensor2D) } };
    },
  };
}

/**
 * Takes all probability from the mask. A large finite number, since minus infinity times the zero of
 * a one-hot target would be NaN.
 */
function withoutMask(logits: Tensor3D): Tensor3D {
  const [, , vocab] = logits.shape;
  const never = Array.from({ length: vocab }, (_, token) => token === MASK_TOKEN ? -1e9 : 0);
  return tf.add(logits, tf.tensor1d(never));
}
