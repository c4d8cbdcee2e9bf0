/**
 * Templates: texts with gaps that a diffusion model fills, such as `To be, or ____ to be` or
 * `To be, {3..12} to be`.
 */

import { quoted } from "@tiny-diffusion/engines/errors";

/** A gap to fill. */
export interface Gap {
  /** Fewest characters in it. */
  min: number;
  /** Most characters in it. */
  max: number;
}

/** A piece of given text, or a gap. */
export type Piece = { given: string } | Gap;

/**
 * The pieces of a template, in order.
 *
 * @param gap Each of this character stands for one hidden one. `{3..12}` is a gap of 3 to 12; the
 * model chooses the length.
 * @throws {SyntaxError} If `gap` is not one character, the template has no gap, or a gap ends
 * before it begins.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { parseTemplate } from "@tiny-diffusion/core";
 *
 * assertEquals(parseTemplate("To be, __ {3..12}!"), [
 *   { given: "To be, " },
 *   { min: 2, max: 2 },
 *   { given: " " },
 *   { min: 3, max: 12 },
 *   { given: "!" },
 * ]);
 * ```
 */
export function parseTemplate(template: string, gap = "_"): Piece[] {
  if ([...gap].length !== 1) {
    throw new SyntaxError(
      `Cannot use ${quoted(gap)} as the gap: expected one character, such as "_"`,
    );
  }
  const pieces: Piece[] = [];
  for (const part of template.split(/(\{\d+\.\.\d+\})/)) {
    const bounds = /^\{(\d+)\.\.(\d+)\}$/.exec(part);
    if (bounds) pieces.push(gapOf(part, Number(bounds[1]), Number(bounds[2])));
    else pieces.push(...fixedPieces([...part], gap));
  }
  if (pieces.every((piece) => "given" in piece)) {
    throw new SyntaxError(
      `Cannot fill the template: it has no gap; write ${quoted(gap)} for each hidden ` +
        `character, or {3..12} for 3 to 12 of them`,
    );
  }
  return pieces;
}

function gapOf(shown: string, min: number, max: number): Piece {
  if (min > max || max === 0 || max > 1000) {
    const cut = shown.length > 40 ? shown.slice(0, 39) + "…" : shown;
    throw new SyntaxError(
      `Cannot fill the template: the gap ${cut} has no possible length; expected {MIN..MAX} with ` +
        `MIN at most MAX, and MAX from 1 to 1000`,
    );
  }
  return { min, max };
}

/** Runs of the gap character are gaps of their length, the rest is given. */
function fixedPieces(characters: string[], gap: string): Piece[] {
  const pieces: Piece[] = [];
  for (let from = 0, to = 0; from < characters.length; from = to) {
    const isGap = characters[from] === gap;
    while (to < characters.length && (characters[to] === gap) === isGap) to++;
    pieces.push(
      isGap ? { min: to - from, max: to - from } : { given: characters.slice(from, to).join("") },
    );
  }
  return pieces;
}
