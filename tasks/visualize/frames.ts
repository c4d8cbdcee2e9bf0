/**
 * The moments of a generation, each made from the one before and what a step changed. Nothing here
 * draws or generates.
 */
import type { Block } from "../../core/sampling/blocks.ts";
import type { Step } from "../../core/sampling/write.ts";

/** A character of the text, or the place of one. */
export interface Cell {
  /** Empty where it is hidden. */
  character: string;
  /** The step that fixed it, or hid it again; 0 if it is as it was at the start. */
  step: number;
  /** The block that it is filled in; -1 if it was given. */
  block: number;
}

/** A generation at one moment. */
export interface Frame {
  /**
   * The text so far: of a diffusion model with all that is still hidden, of a GPT only what is
   * written.
   */
  cells: readonly Cell[];
  /** Characters to write in all, and how many are written. */
  total: number;
  written: number;
  /** Steps and forward passes so far, and the seconds that they took. */
  step: number;
  forwards: number;
  seconds: number;
  /** Blocks in all (0 for a GPT), and the one in work, from 0 on. */
  blocks: number;
  block: number;
}

/**
 * The frame before the first step.
 *
 * @param characters What is given, with "" for each hidden character.
 * @param total Characters to write: the hidden ones, or those that a GPT writes.
 * @param blocks Of a diffusion model, as `cutBlocks` cuts them.
 */
export function startFrames(characters: string[], total: number, blocks: Block[] = []): Frame {
  const cells = characters.map((character): Cell => ({ character, step: 0, block: -1 }));
  blocks.forEach(({ start, masked }, block) => {
    for (const position of masked) cells[start + position].block = block;
  });
  const nothing = { written: 0, step: 0, forwards: 0, seconds: 0, block: 0 };
  return { cells, total, blocks: blocks.length, ...nothing };
}

/**
 * The frame after one more step.
 *
 * @throws {RangeError} If a change is neither in the text nor right after it, or changes what was
 * given: a bug of the sampler.
 */
export function applyStep(frame: Frame, { changes, forwards, seconds }: Step): Frame {
  const cells = [...frame.cells], step = frame.step + 1;
  let { written, block } = frame;
  for (const [position, character] of changes) {
    if (position === cells.length) cells.push({ character: "", step: 0, block: 0 });
    const before = cells[position];
    if (!before || before.block < 0) {
      throw new RangeError(`internal: step ${step} changes character ${position}, which is given`);
    }
    written += Number(character !== "") - Number(before.character !== "");
    block = Math.max(block, before.block);
    cells[position] = { character, step, block: before.block };
  }
  return { ...frame, cells, written, step, forwards, seconds, block };
}

/** The text, with `mask` for each hidden character. */
export function joinCells({ cells }: Frame, mask: string): string {
  return cells.map(({ character }) => character || mask).join("");
}

/**
 * Counts the characters from the start on that can't change any more, though generation continues:
 * those before the block in work, as a sampler may hide a character of that block again.
 */
export function countSettled({ cells, block }: Frame): number {
  const first = cells.findIndex((cell) => cell.block >= block);
  return first === -1 ? cells.length : first;
}

/**
 * Counts the characters that fill exactly so many blocks after a prompt: what the first window has
 * left of its context, and `context - overlap` for each further one.
 */
export function countForBlocks(
  blocks: number,
  prompt: number,
  { context, overlap }: { context: number; overlap: number },
): number {
  const seen = Math.min(prompt, Math.max(overlap, context >> 1), context - 1);
  return context - seen + (blocks - 1) * (context - overlap);
}
