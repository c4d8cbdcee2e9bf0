/**
 * Rows for the network: which characters it sees, which answers count, and how rows are packed into
 * calls. `evaluate.ts` makes figures of the answers.
 */
import type { Config } from "../config.ts";
import type { Session } from "@tiny-diffusion/engines";
import { yieldToEventLoop } from "../event_loop.ts";
import type { Random } from "../random.ts";
import { sum } from "./statistics.ts";
import { MASK_TOKEN } from "../data/tokenizer.ts";

/**
 * The network as an estimator sees it: rows of tokens in, negative log-probabilities of given
 * targets out.
 */
export interface Scorer {
  /**
   * Rows of one call. Where an estimator has fewer left, it fills up with a repeated row and
   * ignores the answer.
   */
  rows: number;
  /** Characters of a row. */
  context: number;
  /**
   * Nats of each target at its position, [rows, context] flattened: for a GPT `-log p(targets[i] |
   * tokens[0..i])`, for diffusion `-log p(targets[i] | tokens)`. The mask token, 0, gets no
   * probability unless `keepMask` says so.
   */
  nats(
    tokens: Int32Array,
    targets: Int32Array,
    options?: { keepMask?: boolean },
  ): Promise<Float32Array>;
}

/**
 * A session's program `nats`, as `targetNats` makes it, in the form that the estimators want. For
 * `masked-mean` it needs one with `keepMask`, too, under the name `natsWithMask`.
 *
 * @param rows Of those programs.
 */
export function scorerOf(
  session: Pick<Session, "run">,
  config: Config,
  rows = config.batch,
): Scorer {
  return {
    rows,
    context: config.context,
    async nats(tokens, targets, { keepMask = false } = {}) {
      await yieldToEventLoop();
      return (await session.run(keepMask ? "natsWithMask" : "nats", { tokens, targets })).nats;
    },
  };
}

/** To watch a long computation, and to stop it. */
export interface ScoreOptions {
  /**
   * Called after each call of the network with the rows scored so far, and with how many there are.
   */
  onProgress?: (done: number, total: number) => void;
  /** Looked at before each call of the network. */
  signal?: AbortSignal;
}

/** One row for the network, and the positions whose answers count. */
export interface Row {
  block: number;
  tokens: Int32Array;
  targets: Int32Array;
  scored: number[];
}

/** A GPT's rows: at each position the next character is the target; the last position has none. */
export function* nextCharacterRows(blocks: Int32Array[]): Generator<Row> {
  for (const [block, tokens] of blocks.entries()) {
    const targets = tokens.slice();
    targets.copyWithin(0, 1);
    yield { block, tokens, targets, scored: positions(0, tokens.length - 1) };
  }
}

/** Rows of the fixed-count NELBO: the masked positions are exactly the scored ones. */
export function* unmaskingRows(
  blocks: Int32Array[],
  passes: number,
  random: Random,
): Generator<Row & { pass: number }> {
  for (let pass = 0; pass < passes; pass++) {
    const counts = stratifiedCounts(blocks.length, blocks[0].length - 1, random);
    for (const [block, tokens] of blocks.entries()) {
      const masked = chosenFrom(positions(1, tokens.length), counts[block], random);
      yield { pass, block, tokens: hide(tokens, masked), targets: tokens, scored: masked };
    }
  }
}

/** Rows of the NELBO in its 1/t form. Some mask nothing, and count as 0. */
export function* noisedRows(
  blocks: Int32Array[],
  passes: number,
  random: Random,
): Generator<Row & { pass: number; time: number }> {
  for (let pass = 0; pass < passes; pass++) {
    for (const [block, tokens] of blocks.entries()) {
      const time = 1 - random.uniform(); // never 0
      const masked = positions(1, tokens.length).filter(() => random.uniform() < time);
      yield { pass, time, block, tokens: hide(tokens, masked), targets: tokens, scored: masked };
    }
  }
}

/**
 * A row for each scored character: it and all that follow are masked, and only its own answer
 * counts.
 */
export function* prefixRows(blocks: Int32Array[]): Generator<Row> {
  for (const [block, tokens] of blocks.entries()) {
    for (const next of positions(1, tokens.length)) {
      const hidden = hide(tokens, positions(next, tokens.length));
      yield { block, tokens: hidden, targets: tokens, scored: [next] };
    }
  }
}

/** Rows of the original's validation loss: any character may be masked, the first one too. */
export function* windowRows(
  blocks: Int32Array[],
  batches: number,
  batchRows: number,
  random: Random,
): Generator<Row & { batch: number }> {
  let deck: number[] = [];
  for (let batch = 0; batch < batches; batch++) {
    for (let i = 0; i < batchRows; i++) {
      if (deck.length === 0) deck = chosenFrom(positions(0, blocks.length), blocks.length, random);
      const block = deck.pop()!;
      const tokens = blocks[block];
      const share = random.uniform();
      const masked = positions(0, tokens.length).filter(() => random.uniform() < share);
      yield { batch, block, tokens: hide(tokens, masked), targets: tokens, scored: masked };
    }
  }
}

/**
 * How many characters to mask in each block of a pass, each from 1 to `scored`. The range is cut
 * into as many strata as there are blocks, and each block draws within a stratum of its own, in
 * random order: together they cover the range evenly, and the count of each block alone is uniform,
 * whether or not the number of blocks divides `scored`.
 */
export function stratifiedCounts(blocks: number, scored: number, random: Random): number[] {
  const strata = chosenFrom(positions(0, blocks), blocks, random);
  return strata.map((stratum) => {
    const share = (stratum + random.uniform()) / blocks;
    return Math.min(scored, 1 + Math.floor(share * scored)); // the share can round up to 1
  });
}

/**
 * Feeds rows to the network in calls of `scorer.rows`, and yields each with the sum of nats over
 * its scored positions.
 */
export async function* score<R extends Row>(
  scorer: Scorer,
  rows: Iterable<R>,
  total: number,
  { keepMask = false, onProgress, signal }: ScoreOptions & { keepMask?: boolean },
): AsyncGenerator<{ row: R; nats: number }> {
  let done = 0;
  for (const call of inGroups(rows, scorer.rows)) {
    signal?.throwIfAborted();
    const answer = await ask(scorer, call, keepMask);
    for (const [i, row] of call.entries()) {
      yield { row, nats: sum(row.scored.map((position) => answer[i * scorer.context + position])) };
    }
    done += call.length;
    onProgress?.(done, total);
  }
}

async function ask(scorer: Scorer, call: Row[], keepMask: boolean): Promise<Float32Array> {
  const { rows, context } = scorer;
  const tokens = new Int32Array(rows * context), targets = new Int32Array(rows * context);
  for (let i = 0; i < rows; i++) {
    const row = call[Math.min(i, call.length - 1)]; // repeated, as a row of zeros could give NaN
    if (row.tokens.length !== context) {
      throw new RangeError(
        `Cannot score a block of ${row.tokens.length} tokens: the network takes ${context}; ` +
          "cut the text into blocks of its context",
      );
    }
    tokens.set(row.tokens, i * context);
    targets.set(row.targets, i * context);
  }
  const nats = await scorer.nats(tokens, targets, { keepMask });
  if (nats.length !== rows * context) {
    throw new TypeError(
      `Cannot read the network's answer: it has ${nats.length} numbers, expected ${rows} x ${context}`,
    );
  }
  return nats;
}

function* inGroups<R>(rows: Iterable<R>, size: number): Generator<R[]> {
  let group: R[] = [];
  for (const row of rows) {
    group.push(row);
    if (group.length === size) {
      yield group;
      group = [];
    }
  }
  if (group.length > 0) yield group;
}

/** The tokens with the mask in place of those at `masked`. */
function hide(tokens: Int32Array, masked: number[]): Int32Array {
  const hidden = tokens.slice();
  for (const position of masked) hidden[position] = MASK_TOKEN;
  return hidden;
}

/** The integers from `start` up to, not including, `end`. */
function positions(start: number, end: number): number[] {
  return Array.from({ length: end - start }, (_, i) => start + i);
}

/**
 * `count` of the items in random order, each set and order as likely as any other. Moves items
 * about in the array it gets.
 */
function chosenFrom(items: number[], count: number, random: Random): number[] {
  for (let i = 0; i < count; i++) {
    const other = i + random.integer(items.length - i);
    [items[i], items[other]] = [items[other], items[i]];
  }
  return items.slice(0, count);
}
