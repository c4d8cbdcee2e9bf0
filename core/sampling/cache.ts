/**
 * Next-character prediction of a GPT with a cache: the keys and values of characters already read
 * are kept, so that one more character costs one position instead of a whole window.
 *
 * The cache has one slot per position of the context. It lives in ordinary memory and goes to the
 * engine as inputs: writing one slot from here is cheaper than having a graph copy all of it.
 */
import * as tf from "@tensorflow/tfjs-core";
import type { ModelConfig } from "../config.ts";
import type { Program, Session } from "@tiny-diffusion/engines";
import { UserError } from "@tiny-diffusion/engines/errors";
import { mapValues } from "@std/collections/map-values";
import { type Attend, attendLeft, forward, ropeTable, type Rotation } from "../model.ts";
import type { Tensor2D, Tensor4D, Tensors, TensorSpec } from "@tiny-diffusion/engines/tensors";

const keyName = (layer: number) => `key/${layer}`;
const valueName = (layer: number) => `value/${layer}`;

/**
 * Reads a whole window: outputs `logits` [1, context, vocab], and each layer's `key/L` and
 * `value/L` [1, heads, context, width / heads]. The tokens right of the last character do not matter,
 * since attention is causal.
 */
export function prefill(config: ModelConfig): Program {
  return {
    inputs: { tokens: { shape: [1, config.context], dtype: "int32" } },
    body(weights, { tokens }) {
      const outputs: Tensors = {};
      const attend: Attend = (heads, layer) => {
        outputs[keyName(layer)] = heads.key;
        outputs[valueName(layer)] = heads.value;
        return attendLeft(heads);
      };
      outputs.logits = forward(tokens as Tensor2D, weights, config, { attend });
      return { outputs };
    },
  };
}

/**
 * Reads one more character of each of `rows` texts: input `token` [rows, 1], its position one-hot
 * in `slot` [rows, context], `hidden` [rows, 1, 1, context] with minus infinity for each slot not
 * yet filled and 0 for the others, and the cache. Outputs `logits` [rows, 1, vocab] and the
 * character's own keys and values [rows, heads, 1, width / heads].
 */
export function next(config: ModelConfig, rows = 1): Program {
  const { heads, context, width, layers } = config;
  const size = width / heads;
  const cache: TensorSpec = { shape: [rows, heads, context, size], dtype: "float32" };
  const caches = Array.from({ length: layers }, (_, layer) => layer)
    .flatMap((layer) => [[keyName(layer), cache], [valueName(layer), cache]]);
  return {
    inputs: {
      token: { shape: [rows, 1], dtype: "int32" },
      slot: { shape: [rows, context], dtype: "float32" },
      hidden: { shape: [rows, 1, 1, context], dtype: "float32" },
      ...Object.fromEntries(caches),
    },
    body(weights, { token, slot, hidden, ...cached }) {
      const outputs: Tensors = {};
      const attend: Attend = ({ query, key, value }, layer) => {
        outputs[keyName(layer)] = key;
        outputs[valueName(layer)] = value;
        const past = tf.add(tf.matMul(query, cached[keyName(layer)], false, true), hidden);
        const own = tf.sum(tf.mul(query, key), -1, true);
        const shares = tf.softmax(tf.concat([past, own], -1)); // [rows, H, 1, context + 1]
        const [ofPast, ofOwn] = tf.split(shares, [context, 1], -1);
        return tf.add(tf.matMul(ofPast, cached[valueName(layer)]), tf.mul(ofOwn, value));
      };
      const rotation = lookUpRotation(slot as Tensor2D, config);
      outputs.logits = forward(token as Tensor2D, weights, config, { attend, rotation });
      return { outputs };
    },
  };
}

/** Looks up the rotation of the position that `slot` marks in each row. */
function lookUpRotation(slot: Tensor2D, config: ModelConfig): Rotation {
  const size = config.width / config.heads;
  const [rows] = slot.shape;
  const row = (table: Tensor4D) =>
    tf.reshape(tf.matMul(slot, tf.reshape(table, [config.context, size])), [rows, 1, 1, size]);
  const { cos, sin } = ropeTable(config.context, config);
  return { cos: row(cos) as Tensor4D, sin: row(sin) as Tensor4D };
}

/**
 * A GPT's memory of `rows` texts, over a session that has the programs `prefill` and `next` (of as
 * many rows).
 *
 * When a window is full, its last half is read again as the start of a new one. So a character is
 * predicted from between half a context and a whole one, instead of always from a whole one.
 */
export class Cache {
  /** The tokens in the slots of each row. */
  #windows: number[][];
  #cache: Record<string, Float32Array> = {};
  #hidden: Float32Array;

  constructor(
    readonly session: Session<{ prefill: Program; next: Program }>,
    readonly config: ModelConfig,
    readonly rows = 1,
  ) {
    const { context, width, layers } = config;
    this.#windows = Array.from({ length: rows }, () => []);
    this.#hidden = new Float32Array(rows * context).fill(-Infinity);
    for (let layer = 0; layer < layers; layer++) {
      this.#cache[keyName(layer)] = new Float32Array(rows * context * width);
      this.#cache[valueName(layer)] = new Float32Array(rows * context * width);
    }
  }

  /**
   * Logits of the last position of each text that is given, [vocab].
   *
   * @throws {UserError} If a text is empty.
   */
  async logits(texts: (ArrayLike<number> | undefined)[]): Promise<Float32Array[]> {
    const answers: Float32Array[] = new Array(texts.length);
    const further = new Map<number, number>(); // row -> the one token that is new
    for (const [row, tokens] of texts.entries()) {
      if (tokens === undefined) continue;
      if (tokens.length === 0) {
        throw new UserError({
          action: "predict a character",
          found: "the text is empty, but a GPT continues from at least one",
          advice: "give a prompt",
        });
      }
      if (this.#continues(row, tokens)) further.set(row, tokens[tokens.length - 1]);
      else answers[row] = await this.#read(row, tokens);
    }
    if (further.size > 0) {
      const logits = await this.#next(further);
      for (const row of further.keys()) answers[row] = logits[row];
    }
    return answers;
  }

  /** Whether `tokens` is what the cache holds and one more, with a slot left for it. */
  #continues(row: number, tokens: ArrayLike<number>): boolean {
    const window = this.#windows[row];
    const start = tokens.length - 1 - window.length;
    return window.length > 0 && window.length < this.config.context && start >= 0 &&
      window.every((token, i) => token === tokens[start + i]);
  }

  /** Reads one more token of some rows; the others are computed too, and left as they were. */
  async #next(further: Map<number, number>): Promise<Float32Array[]> {
    const { context } = this.config;
    const token = new Int32Array(this.rows);
    const slot = new Float32Array(this.rows * context);
    for (const [row, value] of further) {
      token[row] = value;
      slot[row * context + this.#windows[row].length] = 1;
    }
    const inputs = { token, slot, hidden: this.#hidden, ...this.#cache };
    const { logits, ...entries } = await this.session.run("next", inputs);
    for (const [row, value] of further) {
      const own = mapValues(entries, (entry) => takeRow(entry, row, this.rows));
      this.#store(row, own, 1, this.#windows[row].length);
      this.#windows[row].push(value);
    }
    return Array.from({ length: this.rows }, (_, row) => takeRow(logits, row, this.rows));
  }

  /** Fills a row of the cache with its text as far as it fits: all of it, or half a window. */
  async #read(row: number, tokens: ArrayLike<number>): Promise<Float32Array> {
    const { context, vocab } = this.config;
    const kept = tokens.length <= context ? tokens.length : Math.ceil(context / 2);
    this.#windows[row] = Array.from({ length: kept }, (_, i) => tokens[tokens.length - kept + i]);
    const window = new Int32Array(context);
    window.set(this.#windows[row]);
    const { logits, ...entries } = await this.session.run("prefill", { tokens: window });
    this.#hidden.fill(-Infinity, row * context, (row + 1) * context);
    this.#store(row, entries, context, 0, kept);
    return logits.slice((kept - 1) * vocab, kept * vocab);
  }

  /**
   * Copies the first `count` of `time` positions of each [1, heads, time, size] into the slots of a
   * row from `slot` on.
   */
  #store(
    row: number,
    entries: Record<string, Float32Array>,
    time: number,
    slot: number,
    count = time,
  ): void {
    const { heads, width, context } = this.config;
    const size = width / heads;
    for (const [name, entry] of Object.entries(entries)) {
      for (let head = 0; head < heads; head++) {
        const positions = entry.subarray(head * time * size, (head * time + count) * size);
        this.#cache[name].set(positions, ((row * heads + head) * context + slot) * size);
      }
    }
    this.#hidden.fill(0, row * context + slot, row * context + slot + count);
  }
}

/** Takes one row of an array that holds `rows` of them. */
function takeRow(values: Float32Array, row: number, rows: number): Float32Array {
  const size = values.length / rows;
  return values.subarray(row * size, (row + 1) * size);
}
