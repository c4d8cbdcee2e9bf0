/** The window of a text that begins with it, as tests of samplers see it. */
import { makeMasks } from "../data/tokenizer.ts";
import type { MaskedWindow } from "../language_model.ts";

/**
 * Makes a window with nothing left of it. Without `tokens` it ends with its last masked position,
 * and a sampler that reads what it wrote itself needs them.
 */
export function maskedWindow(
  masked: number[],
  forward: MaskedWindow["forward"],
  tokens: Int32Array = Int32Array.from(makeMasks(Math.max(...masked) + 1)),
): MaskedWindow {
  return { masked, tokens, before: new Int32Array(), forward };
}
