/**
 * Text that a table of n-grams writes by itself: the control of sample quality. A table knows the
 * five characters before a place and nothing else, so a figure that it reaches as well as a network
 * does not show what the network has learned.
 */
import type { Random } from "../../core/random.ts";
import { candidates, draw } from "../../core/sampling/draw.ts";
import type { NgramTable } from "../../core/ngrams/kneser_ney.ts";

/**
 * Draws characters one after the other, each from the table's probabilities at a temperature.
 *
 * @param prompt Characters before the first one, as the table numbers them.
 * @returns The characters drawn, [length].
 */
export function writeFromTable(
  table: NgramTable,
  prompt: Int32Array,
  length: number,
  { temperature, random }: { temperature: number; random: Random },
): Int32Array {
  const text = new Int32Array(prompt.length + length);
  text.set(prompt);
  const row = new Float64Array(table.vocab);
  for (let at = prompt.length; at < text.length; at++) {
    const history = text.subarray(Math.max(0, at - table.order + 1), at);
    const logits = Float32Array.from(table.row(history, row), Math.log);
    text[at] = draw(candidates(logits, { temperature }), random);
  }
  return text.subarray(prompt.length);
}
