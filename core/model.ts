/**
 * The network of both models: a small transformer over characters, in plain tfjs operations.
 *
 * token embedding -> RMSNorm -> layers x [x + attention(norm(x)); x + mlp(norm(x))] -> RMSNorm ->
 * head. Unusual here: RMSNorm without learned scale, also on the embedding and on queries and keys
 * (after RoPE); ReLU squared; no biases. A GPT attends to the left and a diffusion model to both
 * sides, which is their only difference inside the network.
 *
 * In comments: B = batch, T = time, C = width, H = heads, D = C / H, V = vocab.
 */
import * as tf from "@tensorflow/tfjs-core";
import type { ModelConfig } from "./config.ts";
import { type Dropout, noDropout } from "./dropout.ts";
import type { Random } from "./random.ts";
import type {
  HostTensors,
  Tensor,
  Tensor2D,
  Tensor3D,
  Tensor4D,
  Tensors,
} from "@tiny-diffusion/engines/tensors";

/** Float32's machine epsilon, which PyTorch's `rms_norm` uses when none is given. */
const NORM_EPSILON = 2 ** -23;
const ROPE_BASE = 10_000;

/**
 * Every parameter with its shape, in the order of the original's files and under its names.
 * Matrices are stored [out, in].
 */
export function parameterShapes(config: ModelConfig): Record<string, [number, number]> {
  const { vocab, layers, width } = config;
  const shapes: Record<string, [number, number]> = { "token_emb.weight": [vocab, width] };
  for (let layer = 0; layer < layers; layer++) {
    for (const name of ["c_q", "c_k", "c_v", "c_proj"]) {
      shapes[`blocks.${layer}.attn.${name}.weight`] = [width, width];
    }
    shapes[`blocks.${layer}.mlp.c_fc.weight`] = [4 * width, width];
    shapes[`blocks.${layer}.mlp.c_proj.weight`] = [width, 4 * width];
  }
  shapes["lm_head.weight"] = [vocab, width];
  return shapes;
}

/** The parameters that have a row for each token. */
export const tokenParameters: readonly string[] = ["token_emb.weight", "lm_head.weight"];

/**
 * Fresh weights: every matrix is drawn from a normal distribution with mean 0 and standard
 * deviation 0.02; with `zeroProjections`, those at the end of a branch are zero.
 */
export function initialWeights(
  config: ModelConfig & { zeroProjections?: boolean },
  random: Random,
): HostTensors {
  const deviation = (name: string) =>
    config.zeroProjections && name.endsWith("c_proj.weight") ? 0 : 0.02;
  return Object.fromEntries(
    Object.entries(parameterShapes(config)).map(([name, shape]) => {
      const data = new Float32Array(shape[0] * shape[1]).map(() =>
        deviation(name) * random.normal()
      );
      return [name, { shape, data }];
    }),
  );
}

/** The attention of a layer: a vector for each position, [batch, heads, time, width / heads]. */
export type Attend = (heads: Heads, layer: number) => Tensor4D;

/** Options of a forward pass. */
export interface ForwardOptions {
  /** Which positions each position reads from: `attendLeft`, `attendBothSides`, or with a cache. */
  attend: Attend;
  /** Turns queries and keys by their position. Default: `tokens` start at the first position. */
  rotation?: Rotation;
  /** Applied to the embedding and to the result of each branch. Default: no dropout. */
  drop?: Dropout;
}

/**
 * Logits of every position: unnormalised log-probabilities over the vocabulary.
 *
 * @param tokens int32 [batch, time], `time` at most the model's context.
 * @returns [batch, time, vocab]
 */
export function forward(
  tokens: Tensor2D,
  weights: Tensors,
  config: ModelConfig,
  { attend, rotation = ropeTable(tokens.shape[1], config), drop = noDropout }: ForwardOptions,
): Tensor3D {
  let x = drop(rmsNorm(embed(tokens, weights["token_emb.weight"]))); // [B, T, C]
  for (let layer = 0; layer < config.layers; layer++) {
    const block = blockWeights(weights, layer);
    const heads = projections(rmsNorm(x), block, config, rotation);
    x = tf.add(x, drop(joinHeads(attend(heads, layer), block.projection)));
    x = tf.add(x, drop(mlp(rmsNorm(x), block)));
  }
  return linear(rmsNorm(x), weights["lm_head.weight"]); // [B, T, V]
}

interface BlockWeights {
  query: Tensor;
  key: Tensor;
  value: Tensor;
  projection: Tensor;
  expand: Tensor;
  contract: Tensor;
}

/** The six matrices of one layer. */
function blockWeights(weights: Tensors, layer: number): BlockWeights {
  const attention = (name: string) => weights[`blocks.${layer}.attn.${name}.weight`];
  return {
    query: attention("c_q"),
    key: attention("c_k"),
    value: attention("c_v"),
    projection: attention("c_proj"),
    expand: weights[`blocks.${layer}.mlp.c_fc.weight`],
    contract: weights[`blocks.${layer}.mlp.c_proj.weight`],
  };
}

/**
 * Rows of the embedding matrix, [batch, time, width]. A product with one-hot rows instead of a
 * gather: its gradient is again a product, which every backend has, and at some 66 characters it
 * costs little.
 */
function embed(tokens: Tensor2D, embedding: Tensor): Tensor3D {
  const [batch, time] = tokens.shape, [vocab, width] = embedding.shape;
  const oneHot = tf.oneHot(tf.reshape(tokens, [batch * time]), vocab); // [B*T, V]
  return tf.reshape(tf.matMul(oneHot as Tensor2D, embedding as Tensor2D), [
    batch,
    time,
    width,
  ]);
}

/** `x` [batch, time, in] times the transpose of `weight` [out, in]: [batch, time, out]. */
function linear(x: Tensor3D, weight: Tensor): Tensor3D {
  const [batch, time, from] = x.shape, to = weight.shape[0];
  const rows = tf.reshape(x, [batch * time, from]);
  return tf.reshape(tf.matMul(rows, weight as Tensor2D, false, true), [batch, time, to]);
}

/**
 * x / sqrt(mean(x²) + epsilon) over the last axis (Zhang & Sennrich, arXiv:1910.07467), without
 * learned scale.
 *
 * The gradient is given, since autodiff's own takes twice the passes over memory: with y = r x and
 * r = 1 / sqrt(mean(x²) + e), dx = r (dy - y mean(dy y)).
 */
export const rmsNorm = tf.customGrad((x, save) => {
  const input = x as Tensor;
  const scale = tf.rsqrt(tf.add(tf.mean(tf.square(input), -1, true), NORM_EPSILON));
  const value = tf.mul(input, scale);
  (save as tf.GradSaveFunc)([value, scale]);
  return {
    value,
    gradFunc: (dy: Tensor, [y, r]: Tensor[]) =>
      tf.mul(r, tf.sub(dy, tf.mul(y, tf.mean(tf.mul(dy, y), -1, true)))),
  };
}) as <T extends Tensor>(x: T) => T;

/** Queries, keys and values of every head, [batch, heads, time, width / heads] each. */
export interface Heads {
  /** The vector that each position looks for. */
  query: Tensor4D;
  /** The vector by which each position is found. */
  key: Tensor4D;
  /** The vector that each position gives to those that find it. */
  value: Tensor4D;
}

/** softmax(query keyᵀ) value: each position reads from all of them. [B, H, T, D] */
export function attendBothSides({ query, key, value }: Heads): Tensor4D {
  const scores = tf.matMul(query, key, false, true); // [B, H, T, T]
  return tf.matMul(tf.softmax(scores), value) as Tensor4D;
}

/** The same, but each position reads only from itself and those left of it. [B, H, T, D] */
export function attendLeft({ query, key, value }: Heads): Tensor4D {
  const scores = tf.matMul(query, key, false, true); // [B, H, T, T]
  const seen = tf.add(scores, hideRight(query.shape[2]));
  return tf.matMul(tf.softmax(seen), value) as Tensor4D;
}

/**
 * Projects `x` [batch, time, width] to queries, keys and values. Queries and keys are rotated by
 * their position, then normalised. Queries carry the scale 1 / sqrt(D) of the scores, since
 * there are far fewer of them than scores.
 */
function projections(
  x: Tensor3D,
  block: BlockWeights,
  config: ModelConfig,
  rotation: Rotation,
): Heads {
  const [batch, time, width] = x.shape, size = width / config.heads;
  const heads = (weight: Tensor) =>
    tf.reshape<tf.Rank.R4>(linear(x, weight), [batch, time, config.heads, size]); // [B, T, H, D]
  const byHead = (y: Tensor4D) => tf.transpose(y, [0, 2, 1, 3]);
  const query = rmsNorm(rotate(heads(block.query), rotation));
  const key = rmsNorm(rotate(heads(block.key), rotation));
  return {
    query: byHead(tf.mul(query, 1 / Math.sqrt(size))),
    key: byHead(key),
    value: byHead(heads(block.value)),
  };
}

/**
 * The heads' results [batch, heads, time, width / heads] side by side again and projected:
 * [batch, time, width].
 */
function joinHeads(x: Tensor4D, projection: Tensor): Tensor3D {
  const [batch, heads, time, size] = x.shape;
  const joined = tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [batch, time, heads * size]);
  return linear(joined as Tensor3D, projection);
}

/**
 * Two linear layers with ReLU squared between them. `x` and the result are [batch, time, width].
 */
function mlp(x: Tensor3D, block: BlockWeights): Tensor3D {
  const hidden = tf.square(tf.relu(linear(x, block.expand))); // [B, T, 4C]
  return linear(hidden, block.contract);
}

/** Added to scores: 0 on and left of the diagonal, minus infinity right of it. [time, time] */
export function hideRight(time: number): Tensor2D {
  const hidden = new Float32Array(time * time);
  for (let row = 0; row < time; row++) {
    hidden.fill(-Infinity, row * time + row + 1, (row + 1) * time);
  }
  return tf.tensor2d(hidden, [time, time]);
}

/**
 * Cosines and sines of rotary position embeddings, shaped to multiply
 * [batch, time, heads, width / heads].
 */
export interface Rotation {
  /** The cosines. */
  cos: Tensor4D;
  /** The sines, those of the second half of a head with the sign of its turn. */
  sin: Tensor4D;
}

/**
 * Rotary position embeddings (Su et al., arXiv:2104.09864) of the first `time` positions: pair i of
 * a head turns by position / 10000^(2i / D). As in the original, a pair is one entry of each half
 * of the head, and turns clockwise.
 */
export function ropeTable(time: number, config: ModelConfig): Rotation {
  const size = config.width / config.heads;
  const { cos, sin } = ropeRows(Int32Array.from({ length: time }, (_, position) => position), size);
  const shape: [number, number, number, number] = [1, time, 1, size];
  return { cos: tf.tensor4d(cos, shape), sin: tf.tensor4d(sin, shape) };
}

/** The same of any positions, as numbers: [positions, size] each, `size` being that of a head. */
export function ropeRows(
  positions: Int32Array,
  size: number,
): { cos: Float32Array; sin: Float32Array } {
  const half = size / 2;
  const rates = Float64Array.from({ length: half }, (_, i) => 1 / ROPE_BASE ** (2 * i / size));
  const cos = new Float32Array(positions.length * size), sin = cos.slice();
  for (let row = 0; row < positions.length; row++) {
    for (let i = 0, at = row * size; i < half; i++, at++) {
      const angle = positions[row] * rates[i];
      cos[at] = cos[at + half] = Math.cos(angle);
      sin[at] = Math.sin(angle);
      sin[at + half] = -sin[at];
    }
  }
  return { cos, sin };
}

/**
 * y1 = x1 cos + x2 sin, y2 = x2 cos - x1 sin for the halves x1, x2 of each head.
 * [batch, time, heads, width / heads]
 */
export function rotate(x: Tensor4D, { cos, sin }: Rotation): Tensor4D {
  const [first, second] = tf.split(x, 2, 3);
  return tf.add(tf.mul(x, cos), tf.mul(tf.concat([second, first], 3), sin));
}

/**
 * -log p(target) of every position, in nats: what training minimises, and what a text is scored by.
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
