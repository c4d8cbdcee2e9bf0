/**
 * Cuts a text with hidden characters into windows that a diffusion model fills one after the other.
 */
import { MASK_TOKEN } from "../data/tokenizer.ts";

/** A window of the text, and what is filled in it. */
export interface Block {
  /** Where the window starts in the text. */
  start: number;
  /**
   * The positions to fill, counted from `start`, in ascending order. Other masks of the window wait
   * for a later block.
   */
  masked: number[];
}

/**
 * Cuts a text into the windows in which its masks are filled, from left to right; each mask belongs
 * to one of them.
 *
 * - A window starts so that the first mask in it sees up to half a window of what was given before
 *   it, or `overlap` characters if the model itself wrote them: the rest is then free for more.
 * - A window ends with the text if it would reach beyond it.
 * - Where given text follows after a window, its last `overlap` masks are left to the next one,
 *   which sees both sides.
 *
 * @param text Tokens; each mask is to be filled.
 * @param context Characters in a window.
 */
export function cutBlocks(
  text: ArrayLike<number>,
  { context, overlap }: { context: number; overlap: number },
): Block[] {
  const tokens = Array.from(text);
  const hidden = tokens.flatMap((token, position) => token === MASK_TOKEN ? [position] : []);
  const lastGiven = tokens.findLastIndex((token) => token !== MASK_TOKEN);
  const blocks: Block[] = [];
  for (let next = 0; next < hidden.length;) {
    const first = hidden[next];
    const followsMask = next > 0 && hidden[next - 1] === first - 1;
    const seen = Math.min(followsMask ? overlap : Math.max(overlap, context >> 1), context - 1);
    const start = Math.max(0, Math.min(first - seen, text.length - context));
    const end = start + context;
    const until = lastGiven < end ? end : Math.max(first + 1, end - overlap);
    const masked: number[] = [];
    while (hidden[next] < until) masked.push(hidden[next++] - start);
    blocks.push({ start, masked });
  }
  return blocks;
}
