/**
 * Dropout (Srivastava et al., 2014) whose randomness is an input, so that it can be recorded and a
 * resumed run repeats it.
 *
 * An engine's own generator would hide its state, and a random number for every entry would be 100
 * MB a step. So entry (i, j) is dropped where the random directions of row i and of column j point
 * nearly the same way: the angle between two uniform directions is itself uniform on [0, π], so its
 * cosine exceeds cos(π rate) with probability `rate`. Any two entries are independent; only larger
 * patterns are not, which training does not notice. (In bf16 the cosine is rounded: rates below
 * 0.05 are then only roughly kept.)
 */
import * as tf from "@tensorflow/tfjs-core";
import type { Config } from "./config.ts";
import type { Random } from "./random.ts";
import type { Tensor3D, Tensors, TensorSpec } from "@tiny-diffusion/engines/tensors";

/**
 * Drops entries of [batch, time, width] and scales up the others, so that the expectation stays.
 */
export type Dropout = (x: Tensor3D) => Tensor3D;

/** Drops nothing. */
export const noDropout: Dropout = (x) => x;

type Shape = Pick<Config, "dropout" | "context" | "layers" | "width">;

/** The network drops after the embedding, and after both branches of each layer. */
const sites = ({ layers }: Shape) => 1 + 2 * layers;

/** Declares the inputs of a step that drops in `rows` windows; none without dropout. */
export function dropoutInputs(config: Shape, rows: number): Record<string, TensorSpec> {
  if (config.dropout === 0 || rows === 0) return {};
  return {
    dropoutRows: { shape: [rows, config.context, 2], dtype: "float32" },
    dropoutColumns: { shape: [sites(config), 2, config.width], dtype: "float32" },
  };
}

/** Draws the values of `dropoutInputs`. */
export function drawDropout(
  config: Shape,
  rows: number,
  random: Random,
): Record<string, Float32Array> {
  if (config.dropout === 0) return {};
  const { context, width } = config;
  const dropoutRows = new Float32Array(rows * context * 2);
  for (let at = 0; at < dropoutRows.length; at += 2) {
    const angle = 2 * Math.PI * random.uniform();
    dropoutRows[at] = Math.cos(angle);
    dropoutRows[at + 1] = Math.sin(angle);
  }
  const dropoutColumns = new Float32Array(sites(config) * 2 * width);
  for (let site = 0; site < sites(config); site++) {
    for (let column = 0, at = site * 2 * width; column < width; column++, at++) {
      const angle = 2 * Math.PI * random.uniform();
      dropoutColumns[at] = Math.cos(angle);
      dropoutColumns[at + width] = Math.sin(angle);
    }
  }
  return { dropoutRows, dropoutColumns };
}

/**
 * Makes the dropout of one forward pass, each call of which drops at the next site. Without the
 * inputs it drops nothing.
 */
export function makeDropout(inputs: Tensors, config: Shape): Dropout {
  const { dropout: rate } = config;
  if (!inputs.dropoutRows) return noDropout;
  const columns = tf.split(inputs.dropoutColumns, sites(config), 0); // [1, 2, C] each
  let site = 0;
  return (x) => {
    const [batch, time, width] = x.shape;
    const rows = tf.reshape<tf.Rank.R2>(inputs.dropoutRows, [batch * time, 2]);
    const cosines = tf.matMul(rows, tf.reshape<tf.Rank.R2>(columns[site++], [2, width]));
    const kept = tf.step(tf.sub(Math.cos(Math.PI * rate), cosines)); // [B*T, C], 1 or 0
    return tf.mul(x, tf.reshape(tf.mul(kept, 1 / (1 - rate)), x.shape));
  };
}
