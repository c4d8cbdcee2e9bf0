/**
 * Templates: texts with gaps that a diffusion model fills, such as `To be, or ____ to be` or
 * `To be, {3..12} to be`.
 */

import { quoted, UserError } from "@tiny-diffusion/engines/errors";

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
 * Splits a template into its pieces.
 *
 * @param gap The character that stands for one hidden character. `{3..12}` is a gap of 3 to 12; the
 * model chooses the length.
 * @throws {UserError} If `gap` is not one character, the template has no gap, or a gap ends before
 * it begins.
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
    throw new UserError({
      action: `use ${quoted(gap)} as the gap`,
      found: 'expected one character, such as "_"',
    });
  }
  const pieces: Piece[] = [];
  for (const part of template.split(/(\{\d+\.\.\d+\})/)) {
    const bounds = /^\{(\d+)\.\.(\d+)\}$/.exec(part);
    if (bounds) pieces.push(readGap(part, Number(bounds[1]), Number(bounds[2])));
    else pieces.push(...splitRuns([...part], gap));
  }
  if (pieces.every((piece) => "given" in piece)) {
    throw new UserError({
      action: "fill the template",
      found: "it has no gap",
      advice: `write ${quoted(gap)} for each hidden character, or {3..12} for 3 to 12 of them`,
    });
  }
  return pieces;
}

function readGap(shown: string, min: number, max: number): Piece {
  if (min > max || max === 0 || max > 1000) {
    const cut = shown.length > 40 ? shown.slice(0, 39) + "…" : shown;
    throw new UserError({
      action: "fill the template",
      found: `the gap ${cut} has no possible length`,
      advice: "expected {MIN..MAX} with MIN at most MAX, and MAX from 1 to 1000",
    });
  }
  return { min, max };
}

/** Makes a gap of each run of the gap character, and given text of the rest. */
function splitRuns(characters: string[], gap: string): Piece[] {
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
