/**
 * Next-character prediction of a GPT with a cache: the keys and values of characters already read are kept, so that one more
 * character costs one position instead of a whole window.
 *
 * The cache has one slot per position of the context. It lives in ordinary memory and goes to the engine as inputs: writing
 * one slot from here is cheaper than having a graph copy all of it.
 */
import * as tf from "@tensorflow/tfjs";
import type { ModelConfig } from "./config.ts";
import type { Program, Session, Tensors, TensorSpec } from "./engines/engine.ts";
import type { Network } from "./language_model.ts";
import { attend, blockWeights, embed, joinHeads, linear, mlp } from "./model.ts";
import { projections, rmsNorm, ropeTable, type Rotation } from "./model.ts";

const keyOf = (layer: number) => `key/${layer}`;
const valueOf = (layer: number) => `value/${layer}`;

/**
 * Reads a whole window: outputs `logits` [1, context, vocab], and each layer's `key/L` and `value/L`
 * [1, heads, context, width / heads]. What stands right of the last character does not matter, since attention is causal.
 */
export function prefill(config: ModelConfig): Program {
  return {
    inputs: { tokens: { shape: [1, config.context], dtype: "int32" } },
    body(weights, { tokens }) {
      const outputs: Tensors = {}, rotation = ropeTable(config.context, config);
      let x = rmsNorm(embed(tokens as tf.Tensor2D, weights["token_emb.weight"]));
      for (let layer = 0; layer < config.layers; layer++) {
        const block = blockWeights(weights, layer);
        const heads = projections(rmsNorm(x), block, config, rotation);
        x = tf.add(x, joinHeads(attend(heads, true), block.projection));
        x = tf.add(x, mlp(rmsNorm(x), block));
        outputs[keyOf(layer)] = heads.key;
        outputs[valueOf(layer)] = heads.value;
      }
      return { outputs: { ...outputs, logits: linear(rmsNorm(x), weights["lm_head.weight"]) } };
    },
  };
}

/**
 * Reads one more character: input `token` [1, 1], its position one-hot in `slot` [1, context], `hidden` [context] with minus
 * infinity for each slot not yet filled and 0 for the others, and the cache. Outputs `logits` [1, 1, vocab] and the
 * character's own keys and values [1, heads, 1, width / heads].
 */
export function next(config: ModelConfig): Program {
  const { heads, context, width, layers } = config, size = width / heads;
  const cache: TensorSpec = { shape: [1, heads, context, size], dtype: "float32" };
  const caches = Array.from({ length: layers }, (_, layer) => layer)
    .flatMap((layer) => [[keyOf(layer), cache], [valueOf(layer), cache]]);
  return {
    inputs: {
      token: { shape: [1, 1], dtype: "int32" },
      slot: { shape: [1, context], dtype: "float32" },
      hidden: { shape: [context], dtype: "float32" },
      ...Object.fromEntries(caches),
    },
    body(weights, { token, slot, hidden, ...cached }) {
      const outputs: Tensors = {}, rotation = rotationAt(slot as tf.Tensor2D, config);
      let x = rmsNorm(embed(token as tf.Tensor2D, weights["token_emb.weight"]));
      for (let layer = 0; layer < layers; layer++) {
        const block = blockWeights(weights, layer);
        const { query, key, value } = projections(rmsNorm(x), block, config, rotation);
        const past = tf.add(tf.matMul(query, cached[keyOf(layer)], false, true), hidden);
        const own = tf.sum(tf.mul(query, key), -1, true);
        const shares = tf.softmax(tf.concat([past, own], -1)); // [1, H, 1, context + 1]
        const [ofPast, ofOwn] = tf.split(shares, [context, 1], -1);
        const seen = tf.add(tf.matMul(ofPast, cached[valueOf(layer)]), tf.mul(ofOwn, value));
        x = tf.add(x, joinHeads(seen as tf.Tensor4D, block.projection));
        x = tf.add(x, mlp(rmsNorm(x), block));
        outputs[keyOf(layer)] = key;
        outputs[valueOf(layer)] = value;
      }
      return { outputs: { ...outputs, logits: linear(rmsNorm(x), weights["lm_head.weight"]) } };
    },
  };
}

/** The rotation of the one position that `slot` marks. */
function rotationAt(slot: tf.Tensor2D, config: ModelConfig): Rotation {
  const size = config.width / config.heads;
  const row = (table: tf.Tensor4D) =>
    tf.reshape<tf.Rank.R4>(tf.matMul(slot, tf.reshape(table, [config.context, size])), [
      1,
      1,
      1,
      size,
    ]);
  const { cos, sin } = ropeTable(config.context, config);
  return { cos: row(cos), sin: row(sin) };
}

/**
 * A GPT for generation, over a session that has the programs `prefill` and `next`.
 *
 * When the window is full, its last half is read anew and goes on from there. A character after that is predicted from half
 * a context to a whole one, instead of always from a whole one.
 */
export class CachedNetwork implements Network, Disposable {
  readonly context: number;
  readonly vocab: number;
  /** What the cache holds: the tokens in its slots. */
  #window: number[] = [];
  #cache: Record<string, Float32Array> = {};
  #hidden: Float32Array;
  forwards = 0;

  constructor(readonly session: Session, readonly config: ModelConfig) {
    ({ context: this.context, vocab: this.vocab } = config);
    this.#hidden = new Float32Array(config.context).fill(-Infinity);
    for (let layer = 0; layer < config.layers; layer++) {
      this.#cache[keyOf(layer)] = new Float32Array(config.context * config.width);
      this.#cache[valueOf(layer)] = new Float32Array(config.context * config.width);
    }
  }

  /**
   * @param from Must be the last position: the cache has no logits of the others.
   * @throws {RangeError} If the text is empty.
   */
  async logits(tokens: ArrayLike<number>, from: number): Promise<Float32Array[]> {
    if (tokens.length === 0) {
      throw new RangeError(
        "Cannot predict a character: the text is empty, but a GPT goes on from at least one; give a prompt",
      );
    }
    if (from !== tokens.length - 1) {
      throw new RangeError("internal: only the last position is known");
    }
    this.forwards++;
    return [this.#goesOn(tokens) ? await this.#next(tokens[from]) : await this.#read(tokens)];
  }

  /** Whether `tokens` is what the cache holds and one more, with a slot left for it. */
  #goesOn(tokens: ArrayLike<number>): boolean {
    const filled = this.#window.length, start = tokens.length - 1 - filled;
    return filled > 0 && filled < this.context && start >= 0 &&
      this.#window.every((token, i) => token === tokens[start + i]);
  }

  async #next(token: number): Promise<Float32Array> {
    const position = this.#window.length;
    const slot = new Float32Array(this.context);
    slot[position] = 1;
    const inputs = { token: Int32Array.of(token), slot, hidden: this.#hidden, ...this.#cache };
    const { logits, ...entries } = await this.session.run("next", inputs);
    this.#store(entries, 1, position);
    this.#window.push(token);
    return logits;
  }

  /** Fills the cache with the text as far as it fits: all of it, or half a window. */
  async #read(tokens: ArrayLike<number>): Promise<Float32Array> {
    const { context, vocab } = this;
    const kept = tokens.length <= context ? tokens.length : Math.ceil(context / 2);
    this.#window = Array.from({ length: kept }, (_, i) => tokens[tokens.length - kept + i]);
    const window = new Int32Array(context);
    window.set(this.#window);
    const { logits, ...entries } = await this.session.run("prefill", { tokens: window });
    this.#hidden.fill(-Infinity);
    this.#store(entries, context, 0, kept);
    return logits.slice((kept - 1) * vocab, kept * vocab);
  }

  [Symbol.dispose](): void {
    this.session.dispose();
  }

  /** Copies the first `count` of `time` positions of each [1, heads, time, size] into the slots from `slot` on. */
  #store(entries: Record<string, Float32Array>, time: number, slot: number, count = time): void {
    const { heads, width } = this.config, size = width / heads;
    for (const [name, entry] of Object.entries(entries)) {
      for (let head = 0; head < heads; head++) {
        const rows = entry.subarray(head * time * size, (head * time + count) * size);
        this.#cache[name].set(rows, (head * this.context + slot) * size);
      }
    }
    this.#hidden.fill(0, slot, slot + count);
  }
}
