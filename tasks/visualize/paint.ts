/** Lines of styled text as the bytes that a terminal understands. */
import type { Line, Style } from "./view.ts";

/**
 * Select Graphic Rendition: from the 16 colours that every terminal has, and that a theme makes
 * readable. Without colours, new characters are still marked, by weight and inversion.
 */
const codes: Record<Style, { plain?: string; colour?: string }> = {
  plain: {},
  given: { plain: "2" },
  fresh: { plain: "1;7", colour: "35" },
  recent: { plain: "1", colour: "35" },
  hidden: { colour: "35" },
  waiting: { plain: "2", colour: "35" },
  again: { plain: "7", colour: "31" },
  border: { plain: "2", colour: "36" },
  title: { plain: "1" },
  quiet: { plain: "2" },
};

/** Paints one line; its text must be safe to show, see `characters.ts`. */
export function paintLine(line: Line, { colour }: { colour: boolean }): string {
  return line.map(({ text, style }) => {
    const { plain, colour: own } = codes[style];
    const all = [plain, colour ? own : undefined].filter((code) => code !== undefined).join(";");
    return all === "" ? text : `\x1b[${all}m${text}\x1b[0m`;
  }).join("");
}

/** Paints a whole screen: every line in its place, and nothing left of what was there before. */
export function paintScreen(
  lines: Line[],
  { columns, colour }: { columns: number; colour: boolean },
): string {
  const painted = lines.map((line, row) => {
    const width = line.reduce((sum, span) => sum + span.width, 0);
    // After a full line the cursor is still on its last cell, which "erase to the right" would
    // take.
    return `\x1b[${row + 1};1H${paintLine(line, { colour })}${width < columns ? "\x1b[K" : ""}`;
  });
  return painted.join("") + `\x1b[${lines.length};${columns}H`;
}
