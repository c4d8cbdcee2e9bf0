/**
 * A GPT that reads a whole text anew for each question, where each position attends to the context
 * that ends with it: the cache has to give the same without reading anything twice.
 */
import * as tf from "@tensorflow/tfjs-core";
import type { Engine } from "@tiny-diffusion/engines";
import type { HostTensors, Tensor2D } from "@tiny-diffusion/engines/tensors";
import type { ModelConfig } from "../config.ts";
import type { Network } from "../language_model.ts";
import { type Attend, forward } from "../model.ts";

/** @param length The longest text. */
export async function loadSlidingContext(
  engine: Engine,
  config: ModelConfig,
  weights: HostTensors,
  { length, drafts = 0 }: { length: number; drafts?: number },
): Promise<Network> {
  const { context, vocab } = config;
  const unseen = new Float32Array(length * length).fill(-Infinity);
  for (let row = 0; row < length; row++) {
    unseen.fill(0, row * length + Math.max(0, row + 1 - context), row * length + row + 1);
  }
  const attend: Attend = ({ query, key, value }) => {
    const scores = tf.matMul(query, key, false, true);
    return tf.matMul(tf.softmax(tf.add(scores, tf.tensor2d(unseen, [length, length]))), value);
  };
  const session = await engine.load(weights, {
    logits: {
      inputs: { tokens: { shape: [1, length], dtype: "int32" } },
      body: (weights, { tokens }) => ({
        outputs: { logits: forward(tokens as Tensor2D, weights, config, { attend }) },
      }),
    },
  });
  return {
    context,
    vocab,
    drafts,
    async logits(text, count = 1) {
      const tokens = new Int32Array(length);
      tokens.set(text);
      const { logits } = await session.run("logits", { tokens });
      return Array.from({ length: count }, (_, i) => text.length - count + i)
        .map((position) => logits.slice(position * vocab, (position + 1) * vocab));
    },
  };
}
