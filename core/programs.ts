/** The programs that scoring and sampling ask an engine to run, for fixed shapes. */
import * as tf from "@tensorflow/tfjs-core";
import type { Program } from "@tiny-diffusion/engines";
import type { Tensor2D, Tensor3D, TensorSpec } from "@tiny-diffusion/engines/tensors";
import type { ModelConfig } from "./config.ts";
import { MASK_TOKEN } from "./data/tokenizer.ts";
import type { LanguageModel } from "./language_model.ts";
import { type Attend, crossEntropy, forward } from "./model.ts";

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
 * Computes what each position of a window reads: input `tokens` [1, time], output `shares`
 * [layers, time, time], where `shares[layer, i, j]` is the share of position j in what position i
 * reads in that layer, as a mean over the heads.
 *
 * @param time Characters of the window, at most and by default the model's context.
 */
export function attentionShares(
  model: LanguageModel,
  config: ModelConfig,
  time = config.context,
): Program {
  const { heads, layers } = config;
  return {
    inputs: { tokens: { shape: [1, time], dtype: "int32" } },
    body(weights, { tokens }) {
      // An attention gives the mean of the values, weighted by the shares: with the rows of the
      // identity as values, the shares themselves.
      const identity = Float32Array.from(
        { length: heads * time * time },
        (_, i) => Number(i % time === Math.floor(i / time) % time),
      );
      const value = tf.tensor4d(identity, [1, heads, time, time]);
      const shares: Tensor3D[] = [];
      const attend: Attend = (of, layer) => {
        shares.push(tf.mean<Tensor3D>(model.attend({ ...of, value }, layer), 1));
        return model.attend(of, layer);
      };
      forward(tokens as Tensor2D, weights, config, { attend });
      return { outputs: { shares: layers > 1 ? tf.concat(shares) : shares[0] } };
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
