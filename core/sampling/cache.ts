/**
 * Next-character prediction of a GPT with a cache: the keys and values of characters already read
 * are kept, so that a further character costs one position instead of a whole window.
 *
 * The cache has one slot per position of the context. It lives in ordinary memory and goes to the
 * engine as inputs: writing a few slots from here is cheaper than having a graph copy all of it.
 */
import * as tf from "@tensorflow/tfjs-core";
import type { ModelConfig } from "../config.ts";
import type { Program, Session } from "@tiny-diffusion/engines";
import { UserError } from "@tiny-diffusion/engines/errors";
import { mapValues } from "@std/collections/map-values";
import { type Attend, forward, hideRight, ropeTable, type Rotation } from "../model.ts";
import type { Tensor2D, Tensor4D, Tensors, TensorSpec } from "@tiny-diffusion/engines/tensors";

const keyName = (layer: number) => `key/${layer}`;
const valueName = (layer: number) => `value/${layer}`;

/**
 * Reads `count` more characters of each of `rows` texts: inputs `tokens` [rows, count], their
 * positions one-hot in `slots` [rows, count, context], `hidden` [rows, 1, 1, context] with minus
 * infinity for each slot not yet filled and 0 for the others, and the cache. Outputs `logits` [rows,
 * count, vocab] and the characters' own keys and values `key/L` and `value/L` of each layer [rows,
 * heads, count, width / heads]. Fewer characters are filled up on the right, where those on the left
 * do not see them.
 */
export function readNext(config: ModelConfig, rows = 1, count = 1): Program {
  const { heads, context, width, layers } = config;
  const size = width / heads;
  const cache: TensorSpec = { shape: [rows, heads, context, size], dtype: "float32" };
  const caches = Array.from({ length: layers }, (_, layer) => layer)
    .flatMap((layer) => [[keyName(layer), cache], [valueName(layer), cache]]);
  return {
    inputs: {
      tokens: { shape: [rows, count], dtype: "int32" },
      slots: { shape: [rows * count, context], dtype: "float32" },
      hidden: { shape: [rows, 1, 1, context], dtype: "float32" },
      ...Object.fromEntries(caches),
    },
    body(weights, { tokens, slots, hidden, ...cached }) {
      const outputs: Tensors = {};
      const attend: Attend = ({ query, key, value }, layer) => {
        outputs[keyName(layer)] = key;
        outputs[valueName(layer)] = value;
        const past = tf.add(tf.matMul(query, cached[keyName(layer)], false, true), hidden);
        const own = tf.add(tf.matMul(query, key, false, true), hideRight(count));
        const shares = tf.softmax(tf.concat([past, own], -1)); // [rows, H, count, context + count]
        const [ofPast, ofOwn] = tf.split(shares, [context, count], -1);
        return tf.add(tf.matMul(ofPast, cached[valueName(layer)]), tf.matMul(ofOwn, value));
      };
      const rotation = lookUpRotation(slots as Tensor2D, [rows, count], config);
      outputs.logits = forward(tokens as Tensor2D, weights, config, { attend, rotation });
      return { outputs };
    },
  };
}

/** Looks up the rotations of the positions that `slots` marks. */
function lookUpRotation(slots: Tensor2D, shape: [number, number], config: ModelConfig): Rotation {
  const size = config.width / config.heads;
  const rows = (table: Tensor4D) =>
    tf.reshape(tf.matMul(slots, tf.reshape(table, [config.context, size])), [...shape, 1, size]);
  const { cos, sin } = ropeTable(config.context, config);
  return { cos: rows(cos) as Tensor4D, sin: rows(sin) as Tensor4D };
}

/** Makes the programs of a cache for `rows` texts, which reads `count` characters of each at once. */
export function cachePrograms(config: ModelConfig, rows = 1, count = 1): CachePrograms {
  return {
    start: readNext(config, 1, countAtStart(config)),
    next: readNext(config, rows, count),
  };
}

/**
 * The programs of a cache: `start` reads a larger part of one window, as at its beginning, `next` a
 * few further characters of every row.
 */
export type CachePrograms = { start: Program; next: Program };

/** Characters that `start` reads at once. */
const countAtStart = ({ context }: ModelConfig) => Math.min(64, context);

/**
 * Returns where the window begins in which a GPT reads the last of `length` characters.
 *
 * A window grows until it is full, then its last half is the start of a new one. So a character is
 * predicted from between half a context and a whole one, instead of always from a whole one.
 */
export function windowStart(length: number, context: number): number {
  const step = Math.floor(context / 2) + 1;
  return Math.max(0, Math.ceil((length - context) / step)) * step;
}

/** The last `count` positions of a text, whose logits are asked for. */
export interface Question {
  tokens: ArrayLike<number>;
  count: number;
}

/** What a cache has to read to answer a question. */
interface Reading {
  row: number;
  /** The tokens of the window. */
  window: number[];
  /** The first position of the window that is asked for. */
  first: number;
  /** The logits that are known so far, from `first` on. */
  logits: Float32Array[];
}

/** A GPT's memory of `rows` texts, over a session that has the programs of `cachePrograms`. */
export class Cache {
  /** The tokens in the slots of each row. */
  #windows: number[][];
  #cache: Record<string, Float32Array> = {};

  constructor(
    readonly session: Session<CachePrograms>,
    readonly config: ModelConfig,
    readonly rows = 1,
    readonly count = 1,
  ) {
    const { context, width, layers } = config;
    this.#windows = Array.from({ length: rows }, () => []);
    for (let layer = 0; layer < layers; layer++) {
      this.#cache[keyName(layer)] = new Float32Array(rows * context * width);
      this.#cache[valueName(layer)] = new Float32Array(rows * context * width);
    }
  }

  /**
   * Logits of the last `count` positions of each text that is given, [vocab] each. Where the window
   * of the first of them ends before the text does, they are those of the positions in that window.
   *
   * @throws {UserError} If a text is empty.
   */
  async logits(questions: (Question | undefined)[]): Promise<Float32Array[][]> {
    const readings = questions.map((question, row) => question && this.#prepare(row, question));
    const asked = readings.filter((reading) => reading !== undefined);
    for (const reading of asked) {
      while (this.#countNew(reading) > this.count) await this.#read("start", [reading]);
    }
    const rest = asked.filter((reading) => this.#countNew(reading) > 0);
    if (rest.length > 0) await this.#read("next", rest);
    return readings.map((reading) => reading?.logits ?? []);
  }

  /** Finds the window of a question, and forgets what the row holds of another one. */
  #prepare(row: number, { tokens, count }: Question): Reading {
    if (tokens.length === 0) {
      throw new UserError({
        action: "predict a character",
        found: "the text is empty, but a GPT continues from at least one",
        advice: "give a prompt",
      });
    }
    const { context } = this.config;
    const firstLength = tokens.length - count + 1;
    const start = windowStart(firstLength, context);
    const size = Math.min(context, tokens.length - start);
    const window = Array.from({ length: size }, (_, i) => tokens[start + i]);
    const first = firstLength - 1 - start;
    const held = this.#windows[row];
    const other = held.findIndex((token, i) => i === first || token !== window[i]);
    if (other !== -1) held.length = other;
    return { row, window, first, logits: [] };
  }

  #countNew({ row, window }: Reading): number {
    return window.length - this.#windows[row].length;
  }

  /**
   * Reads as much of some windows as a program does: `start` of one window, `next` of any. The other
   * rows of `next` are computed too, and left as they were.
   */
  async #read(program: "start" | "next", readings: Reading[]): Promise<void> {
    const { context, vocab } = this.config;
    const isStart = program === "start";
    const [rows, count] = isStart ? [1, countAtStart(this.config)] : [this.rows, this.count];
    const cache = isStart
      ? mapValues(this.#cache, (values) => takeRow(values, readings[0].row, this.rows))
      : this.#cache;
    const tokens = new Int32Array(rows * count);
    const slots = new Float32Array(rows * count * context);
    const hidden = new Float32Array(rows * context).fill(-Infinity);
    const parts = readings.map(({ row, window, ...reading }) => {
      const from = this.#windows[row].length, at = isStart ? 0 : row;
      const further = window.slice(from, from + count);
      tokens.set(further, at * count);
      further.forEach((_, i) => slots[(at * count + i) * context + from + i] = 1);
      hidden.fill(0, at * context, at * context + from);
      return { ...reading, row, at, from, further };
    });
    const inputs = { tokens, slots, hidden, ...cache };
    const { logits, ...entries } = await this.session.run(program, inputs);
    for (const { row, at, from, further, first, logits: answer } of parts) {
      const own = mapValues(entries, (entry) => takeRow(entry, at, rows));
      this.#store(own, { row, slot: from, time: count, count: further.length });
      this.#windows[row].push(...further);
      const ofRow = takeRow(logits, at, rows);
      for (let i = Math.max(0, first - from); i < further.length; i++) {
        answer.push(ofRow.slice(i * vocab, (i + 1) * vocab));
      }
    }
  }

  /**
   * Copies the first `count` of `time` positions of each entry [heads, time, size] into the slots of
   * a row from `slot` on.
   */
  #store(
    entries: Record<string, Float32Array>,
    { row, slot, time, count }: { row: number; slot: number; time: number; count: number },
  ): void {
    const { heads, width, context } = this.config;
    const size = width / heads;
    for (const [name, entry] of Object.entries(entries)) {
      for (let head = 0; head < heads; head++) {
        const positions = entry.subarray(head * time * size, (head * time + count) * size);
        this.#cache[name].set(positions, ((row * heads + head) * context + slot) * size);
      }
    }
  }
}

/** Takes one row of an array that holds `rows` of them. */
function takeRow(values: Float32Array, row: number, rows: number): Float32Array {
  const size = values.length / rows;
  return values.subarray(row * size, (row + 1) * size);
}
