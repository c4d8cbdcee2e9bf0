/**
 * How a text with hidden characters is cut into windows that a diffusion model fills one after the
 * other.
 */

import type { GenerationOptions } from "./samplers/sampler.ts";

export interface Block {
  /** Where the window starts in the text. */
  start: number;
  /**
   * The positions to fill, counted from `start`, rising. Other masks of the window wait for a later
   * block.
   */
  masked: number[];
}

/**
 * The windows in which the masks of `text` are filled, from left to right; each mask belongs to one
 * of them.
 *
 * A window starts so that the first mask in it sees up to half a window of what was given before
 * it, or `overlap` characters if the model itself wrote them: the rest of the window is then free
 * for more. A window ends with the text if it would reach beyond it. Where given text follows after
 * a window, its last `overlap` masks are left to the next one, which sees both sides.
 *
 * @param context Characters in a window.
 */
export function blocksOf(
  text: ArrayLike<number>,
  { mask, context, overlap }: { mask: number; context: number; overlap: number },
): Block[] {
  const hidden = Array.from(text, (_, position) => position).filter((i) => text[i] === mask);
  const lastGiven = Array.from(text).findLastIndex((token) => token !== mask);
  const blocks: Block[] = [];
  for (let next = 0; next < hidden.length;) {
    const first = hidden[next], goesOn = next > 0 && hidden[next - 1] === first - 1;
    const seen = Math.min(goesOn ? overlap : Math.max(overlap, context >> 1), context - 1);
    const start = Math.max(0, Math.min(first - seen, text.length - context));
    const end = start + context;
    const until = lastGiven < end ? end : Math.max(first + 1, end - overlap);
    const masked: number[] = [];
    while (hidden[next] < until) masked.push(hidden[next++] - start);
    blocks.push({ start, masked });
  }
  return blocks;
}

/** Most forward passes that it takes to fill the blocks. */
export function passesOf(blocks: Block[], options: GenerationOptions): number {
  return blocks.reduce(
    (sum, { masked }) => sum + options.sampler.passes(masked.length, options),
    0,
  );
}
