/**
 * Next-character prediction of a GPT with a cache: the keys and values of characters already read
 * are kept, so that a further character costs one position instead of a whole window.
 *
 * The cache has one slot per position of the context, and when all are taken, a character takes the
 * slot of the one a context before it. So each character attends to the context that ends with it,
 * however long the text is, and nothing is ever read twice. (A network that reads each window anew
 * differs in that the first characters of a window know nothing of what was before it.)
 *
 * The cache lives in ordinary memory and goes to the engine as inputs: writing a few slots from here
 * is cheaper than having a graph copy all of it.
 */
import * as tf from "@tensorflow/tfjs-core";
import type { ModelConfig } from "../config.ts";
import type { Program, Session } from "@tiny-diffusion/engines";
import { UserError } from "@tiny-diffusion/engines/errors";
import { mapValues } from "@std/collections/map-values";
import { type Attend, forward, hideRight, ropeRows, type Rotation } from "../model.ts";
import type { Tensor2D, Tensors, TensorSpec } from "@tiny-diffusion/engines/tensors";

const keyName = (layer: number) => `key/${layer}`;
const valueName = (layer: number) => `value/${layer}`;

/**
 * Reads `count` more characters of each of `rows` texts: inputs `tokens` [rows, count], the rotations
 * of their positions `cos` and `sin` [rows, count, 1, width / heads], `hidden` [rows, 1, count,
 * context] with minus infinity for each slot that a character does not see and 0 for the others, and
 * the cache. Outputs `logits` [rows, count, vocab] and the characters' own keys and values `key/L`
 * and `value/L` of each layer [rows, heads, count, width / heads]. Fewer characters are filled up on
 * the right, where those on the left do not see them.
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
      cos: { shape: [rows, count, 1, size], dtype: "float32" },
      sin: { shape: [rows, count, 1, size], dtype: "float32" },
      hidden: { shape: [rows, 1, count, context], dtype: "float32" },
      ...Object.fromEntries(caches),
    },
    body(weights, { tokens, cos, sin, hidden, ...cached }) {
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
      const rotation = { cos, sin } as Rotation;
      outputs.logits = forward(tokens as Tensor2D, weights, config, { attend, rotation });
      return { outputs };
    },
  };
}

/**
 * Makes the programs of a cache for `rows` texts, which reads `count` characters of each at once: at
 * most a context, since characters that are read together all see those of them to the left.
 */
export function cachePrograms(config: ModelConfig, rows = 1, count = 1): CachePrograms {
  return {
    start: readNext(config, 1, countAtStart(config)),
    next: readNext(config, rows, count),
  };
}

/**
 * The programs of a cache: `start` reads a larger part of one text, as of a prompt, `next` a few
 * further characters of every row.
 */
export type CachePrograms = { start: Program; next: Program };

/** Characters that `start` reads at once. */
const countAtStart = ({ context }: ModelConfig) => Math.min(64, context);

/** The last `count` positions of a text, whose logits are asked for. */
export interface Question {
  tokens: ArrayLike<number>;
  count: number;
}

/** The part of a row's text that is to be read. */
interface Reading {
  row: number;
  text: ArrayLike<number>;
  /** The first position that is asked for. */
  first: number;
  /** Where to stop reading. */
  end: number;
}

/** What a row remembers of its text. */
interface Memory {
  /** The position of the first character that was read. */
  begin: number;
  /** The characters from there on; the slots hold the last of them. */
  read: number[];
  /** What was read last. It has no slots yet, as the text may go on otherwise: drafts are rejected. */
  latest?: { tokens: number[]; entries: Record<string, Float32Array>; time: number };
}

/** A GPT's memory of `rows` texts, over a session that has the programs of `cachePrograms`. */
export class Cache {
  #memories: (Memory | undefined)[] = [];
  #cache: Record<string, Float32Array> = {};

  constructor(
    readonly session: Session<CachePrograms>,
    readonly config: ModelConfig,
    readonly rows = 1,
    readonly count = 1,
  ) {
    const { context, width, layers } = config;
    for (let layer = 0; layer < layers; layer++) {
      this.#cache[keyName(layer)] = new Float32Array(rows * context * width);
      this.#cache[valueName(layer)] = new Float32Array(rows * context * width);
    }
  }

  /**
   * Logits of the last `count` positions of each text that is given, [vocab] each.
   *
   * @throws {UserError} If a text is empty.
   * @throws {RangeError} If more are asked for than the cache reads at once.
   */
  async logits(questions: (Question | undefined)[]): Promise<Float32Array[][]> {
    const readings = questions.map((question, row) => question && this.#prepare(row, question));
    const asked = readings.filter((reading) => reading !== undefined);
    for (const reading of asked) {
      while (reading.end - this.#position(reading.row) > this.count) {
        await this.#read("start", [{ ...reading, end: reading.first }]);
        this.#keepLatest(reading);
      }
    }
    const answers = asked.length > 0 ? await this.#read("next", asked) : [];
    return readings.map((reading) => reading ? answers[asked.indexOf(reading)] : []);
  }

  /** Keeps what was read of a text before the question, or begins anew if it is another text. */
  #prepare(row: number, { tokens, count }: Question): Reading {
    if (tokens.length === 0) {
      throw new UserError({
        action: "predict a character",
        found: "the text is empty, but a GPT continues from at least one",
        advice: "give a prompt",
      });
    }
    if (count > this.count) {
      throw new RangeError(`Cannot give ${count} logits: expected at most ${this.count}`);
    }
    const end = tokens.length, first = end - count;
    const reading = { row, text: tokens, first, end };
    // Each layer sees a context; what is further away than all of them together changes nothing.
    const { layers, context } = this.config;
    const needed = Math.max(0, first - layers * (context - 1));
    if (this.#isContinued(reading, needed)) this.#keepLatest(reading);
    else this.#memories[row] = { begin: needed, read: [] };
    return reading;
  }

  /** Whether what the row has read is the text before the question, from `needed` on or earlier. */
  #isContinued({ row, text, first }: Reading, needed: number): boolean {
    const memory = this.#memories[row];
    if (memory === undefined || memory.begin > needed) return false;
    const { begin, read } = memory;
    if (begin + read.length > first) return false;
    for (let i = 0; i < read.length; i++) if (read[i] !== text[begin + i]) return false;
    return true;
  }

  /** The position of a row's text at which to read on. */
  #position(row: number): number {
    const { begin, read } = this.#memories[row]!;
    return begin + read.length;
  }

  /**
   * Reads as much of some texts as a program does: `start` of one text, `next` of any. The other rows
   * of `next` are computed too, and left as they were.
   *
   * @returns The logits of the positions that are asked for, of each text.
   */
  async #read(program: "start" | "next", readings: Reading[]): Promise<Float32Array[][]> {
    const { context, vocab, width, heads } = this.config;
    const size = width / heads;
    const isStart = program === "start";
    const [rows, count] = isStart ? [1, countAtStart(this.config)] : [this.rows, this.count];
    const cache = isStart
      ? mapValues(this.#cache, (values) => takeRow(values, readings[0].row, this.rows))
      : this.#cache;
    const tokens = new Int32Array(rows * count);
    const positions = new Int32Array(rows * count);
    const hidden = new Float32Array(rows * count * context).fill(-Infinity);
    for (const { row, text, end } of readings) {
      const { begin, read } = this.#memories[row]!;
      const at = isStart ? 0 : row;
      for (let i = 0; i < count; i++) {
        const position = read.length + i, place = at * count + i;
        positions[place] = position;
        if (begin + position < end) tokens[place] = text[begin + position];
        for (let seen = Math.max(0, position - context + 1); seen < read.length; seen++) {
          hidden[place * context + seen % context] = 0;
        }
      }
    }
    const rotations = ropeRows(positions, size);
    const inputs = { tokens, ...rotations, hidden, ...cache };
    const { logits, ...entries } = await this.session.run(program, inputs);
    return readings.map(({ row, first, end }) => {
      const memory = this.#memories[row]!;
      const at = isStart ? 0 : row, from = this.#position(row);
      const further = Array.from(takeRow(tokens, at, rows)).slice(0, end - from);
      const own = mapValues(entries, (entry) => takeRow(entry, at, rows));
      memory.latest = { tokens: further, entries: own, time: count };
      const ofRow = takeRow(logits, at, rows);
      return further.flatMap((_, i) =>
        from + i < first ? [] : [ofRow.slice(i * vocab, (i + 1) * vocab)]
      );
    });
  }

  /** Gives slots to what was read last, as far as it is the text before the question. */
  #keepLatest({ row, text, first }: Pick<Reading, "row" | "text" | "first">): void {
    const memory = this.#memories[row]!;
    if (memory.latest === undefined) return;
    const { tokens, entries, time } = memory.latest;
    const { context, heads, width } = this.config;
    const size = width / heads;
    const from = this.#position(row);
    const kept = tokens.findIndex((token, i) => from + i >= first || token !== text[from + i]);
    const count = kept === -1 ? tokens.length : kept;
    for (const [name, entry] of Object.entries(entries)) {
      for (let i = 0; i < count; i++) {
        const slot = (memory.read.length + i) % context;
        for (let head = 0; head < heads; head++) {
          const vector = entry.subarray((head * time + i) * size, (head * time + i + 1) * size);
          this.#cache[name].set(vector, ((row * heads + head) * context + slot) * size);
        }
      }
    }
    memory.read.push(...tokens.slice(0, count));
    memory.latest = undefined;
  }
}

/** Takes one row of an array that holds `rows` of them. */
function takeRow<Values extends Float32Array | Int32Array>(
  values: Values,
  row: number,
  rows: number,
): Values {
  const size = values.length / rows;
  return values.subarray(row * size, (row + 1) * size) as Values;
}
