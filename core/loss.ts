/** The training loss of both models: cross-entropy, averaged over the positions that count. */
import * as tf from "@tensorflow/tfjs";
import type { Scalar, Tensor2D, Tensor3D } from "@tiny-diffusion/engines/tensors";

/**
 * -log p(target) of every position, in nats.
 *
 * @param logits [batch, time, vocab]
 * @param targets int32 [batch, time]
 * @returns [batch, time]
 */
export function crossEntropy(logits: Tensor3D, targets: Tensor2D): Tensor2D {
  const [batch, time, vocab] = logits.shape;
  const oneHot = tf.reshape(tf.oneHot(tf.reshape(targets, [batch * time]), vocab), logits.shape);
  return tf.neg(tf.sum(tf.mul(tf.logSoftmax(logits), tf.cast(oneHot, "float32")), -1));
}

/** The mean over all positions of a batch, each counted `weights` times. Both are [batch, time]. */
export function weightedMean(x: Tensor2D, weights: Tensor2D): Scalar {
  return tf.div(tf.sum(tf.mul(weights, x)), tf.maximum(tf.sum(weights), 1)); // 0 where none counts
}
