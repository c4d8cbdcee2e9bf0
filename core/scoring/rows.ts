/**
 * Rows for the network: how text is cut into blocks, which characters the network sees, which
 * answers count, and how rows are packed into calls. `estimators.ts` makes figures of the answers.
 */
import { UserError } from "@tiny-diffusion/engines/errors";
import type { Random } from "../random.ts";
import type { Scorer } from "./scorer.ts";
import { sum } from "./statistics.ts";
import { MASK_TOKEN } from "../data/tokenizer.ts";

/** To watch a long computation, and to stop it. */
export interface ScoreOptions {
  /** Called after each call of the network with the rows scored, and how many there are. */
  onProgress?: (done: number, total: number) => void;
  /** Looked at before each call of the network. */
  signal?: AbortSignal;
}

// ---------------------------------------------------------------- blocks

/**
 * Cuts held-out text into consecutive blocks of `context` tokens that do not overlap; what is left
 * at the end is not used. Every estimator scores these blocks.
 *
 * @throws {UserError} If the text is shorter than one block.
 * @throws {RangeError} If a block would have nothing to score.
 */
export function cutIntoBlocks(tokens: Int32Array, context: number): Int32Array[] {
  if (!Number.isInteger(context) || context < 2) {
    throw new RangeError(
      `Cannot cut the validation text into blocks of ${context}: expected a context of at least 2, ` +
        "as the first character of a block is given and the others are scored",
    );
  }
  const count = Math.floor(tokens.length / context);
  if (count === 0) {
    throw new UserError({
      action: "cut the validation text into blocks",
      found: `it has ${tokens.length} characters, expected at least ${context} (the context of ` +
        "the model)",
      advice: "use a longer text or a model with a smaller context",
    });
  }
  return Array.from({ length: count }, (_, i) => tokens.slice(i * context, (i + 1) * context));
}

/**
 * Cuts a text into consecutive pieces of at most `length`, without a last one of a single token,
 * which would have nothing to score.
 */
export function* cutIntoPieces(text: Int32Array, length: number): Generator<Int32Array> {
  for (let start = 0; start + 1 < text.length; start += length) {
    yield text.subarray(start, start + length);
  }
}

/**
 * Takes `count` of `total` places, each in the middle of an equal share of them; all of them if
 * there are no more than that.
 */
export function spaceEvenly(total: number, count: number): number[] {
  if (!Number.isInteger(count) || count < 1) {
    throw new RangeError(`Cannot take ${count} blocks: expected an integer of at least 1`);
  }
  const taken = Math.min(count, total);
  const share = total / taken;
  return Array.from({ length: taken }, (_, i) => Math.floor((i + 0.5) * share));
}

// ---------------------------------------------------------------- rows

/** One row for the network, and the positions whose answers count. */
export interface Row {
  block: number;
  tokens: Int32Array;
  targets: Int32Array;
  scored: number[];
}

/**
 * A GPT's rows: the texts in pieces of `context`, in which each character but the first is the
 * target of the position before it. A shorter last piece is filled up on its right, where a GPT does
 * not look.
 *
 * @param context Default: the length of the texts.
 */
export function* nextCharacterRows(
  texts: Int32Array[],
  context = texts[0].length,
): Generator<Row> {
  for (const [block, text] of texts.entries()) {
    for (const piece of cutIntoPieces(text, context)) {
      const tokens = new Int32Array(context).fill(piece[0]);
      tokens.set(piece);
      const targets = tokens.slice();
      targets.copyWithin(0, 1);
      yield { block, tokens, targets, scored: range(0, piece.length - 1) };
    }
  }
}

/** Rows of the fixed-count NELBO: the masked positions are exactly the scored ones. */
export function* unmaskingRows(
  blocks: Int32Array[],
  passes: number,
  random: Random,
): Generator<Row & { pass: number }> {
  for (let pass = 0; pass < passes; pass++) {
    const counts = drawStratifiedCounts(blocks.length, blocks[0].length - 1, random);
    for (const [block, tokens] of blocks.entries()) {
      const masked = drawFrom(range(1, tokens.length), counts[block], random);
      yield { pass, block, tokens: hide(tokens, masked), targets: tokens, scored: masked };
    }
  }
}

/**
 * A row for each scored character: it and all that follow are masked, and only its own answer
 * counts.
 */
export function* prefixRows(blocks: Int32Array[]): Generator<Row> {
  for (const [block, tokens] of blocks.entries()) {
    for (const next of range(1, tokens.length)) {
      const hidden = hide(tokens, range(next, tokens.length));
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
      if (deck.length === 0) deck = drawFrom(range(0, blocks.length), blocks.length, random);
      const block = deck.pop()!;
      const tokens = blocks[block];
      const share = random.uniform();
      const masked = range(0, tokens.length).filter(() => random.uniform() < share);
      yield { batch, block, tokens: hide(tokens, masked), targets: tokens, scored: masked };
    }
  }
}

/**
 * Draws how many characters to mask in each block of a pass, each from 1 to `scored`. The range is
 * cut into as many strata as there are blocks, and each block draws within its own stratum, in
 * random order: together they cover the range evenly, and the count of each block alone is uniform,
 * whether or not the number of blocks divides `scored`.
 */
export function drawStratifiedCounts(blocks: number, scored: number, random: Random): number[] {
  const strata = drawFrom(range(0, blocks), blocks, random);
  return strata.map((stratum) => {
    const share = (stratum + random.uniform()) / blocks;
    return Math.min(scored, 1 + Math.floor(share * scored)); // the share can round up to 1
  });
}

// ---------------------------------------------------------------- calls of the network

/**
 * Feeds rows to the network in calls of `scorer.rows`, and yields each with the sum of nats over
 * its scored positions.
 */
export async function* score<R extends Row>(
  scorer: Scorer,
  rows: Iterable<R>,
  total: number,
  options: ScoreOptions & { keepMask?: boolean },
): AsyncGenerator<{ row: R; nats: number }> {
  for await (const { row, nats } of scoreEach(scorer, rows, total, options)) {
    yield { row, nats: sum(nats) };
  }
}

/** The same with the nats of each of the row's scored positions, in their order. */
export async function* scoreEach<R extends Row>(
  scorer: Scorer,
  rows: Iterable<R>,
  total: number,
  { keepMask = false, onProgress, signal }: ScoreOptions & { keepMask?: boolean },
): AsyncGenerator<{ row: R; nats: number[] }> {
  let done = 0;
  for (const call of inGroups(rows, scorer.rows)) {
    signal?.throwIfAborted();
    const answer = await ask(scorer, call, keepMask);
    for (const [i, row] of call.entries()) {
      yield { row, nats: row.scored.map((position) => answer[i * scorer.context + position]) };
    }
    done += call.length;
    onProgress?.(done, total);
  }
}

async function ask(scorer: Scorer, call: Row[], keepMask: boolean): Promise<Float32Array> {
  const { rows, context } = scorer;
  const tokens = new Int32Array(rows * context);
  const targets = new Int32Array(rows * context);
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

/** Replaces the tokens at `masked` by the mask. */
export function hide(tokens: Int32Array, masked: number[]): Int32Array {
  const hidden = tokens.slice();
  for (const position of masked) hidden[position] = MASK_TOKEN;
  return hidden;
}

/** Lists the integers from `start` up to, not including, `end`. */
export function range(start: number, end: number): number[] {
  return Array.from({ length: end - start }, (_, i) => start + i);
}

/**
 * Draws `count` of the items in random order, each set and order as likely as any other. Reorders
 * the array that it is given.
 */
export function drawFrom<Item>(items: Item[], count: number, random: Random): Item[] {
  for (let i = 0; i < count; i++) {
    const other = i + random.integer(items.length - i);
    [items[i], items[other]] = [items[other], items[i]];
  }
  return items.slice(0, count);
}
