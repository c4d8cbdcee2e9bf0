/** Cross-entropy and the two ways to average it. */
import * as tf from "@tensorflow/tfjs";

/**
 * -log p(target) of every position, in nats.
 *
 * @param logits [batch, time, vocab]
 * @param targets int32 [batch, time]
 * @returns [batch, time]
 */
export function crossEntropy(logits: tf.Tensor3D, targets: tf.Tensor2D): tf.Tensor2D {
  const [batch, time, vocab] = logits.shape;
  const oneHot = tf.reshape(tf.oneHot(tf.reshape(targets, [batch * time]), vocab), logits.shape);
  return tf.neg(tf.sum(tf.mul(tf.logSoftmax(logits), tf.cast(oneHot, "float32")), -1));
}

/** The mean over all positions. */
export function mean(x: tf.Tensor2D): tf.Scalar {
  return tf.mean(x);
}

/** The mean of all positions together, each weighted by `weights` (0 = left out). Both are [batch, time]. */
export function weightedMean(weights: tf.Tensor2D, x: tf.Tensor2D): tf.Scalar {
  return tf.div(tf.sum(tf.mul(weights, x)), tf.maximum(tf.sum(weights), 1));
}
