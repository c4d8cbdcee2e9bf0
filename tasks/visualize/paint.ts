/** Lines of styled text as the bytes that a terminal understands. */
import type { Line, Style } from "./view.ts";

/**
 * Select Graphic Rendition: from the 16 colours that every terminal has, and that a theme makes
 * readable. Without colours, new characters are still marked, by weight and inversion.
 */
const colours: Record<Style, string> = {
  plain: "",
  given: "2",
  fresh: "1;7;35",
  recent: "1;35",
  hidden: "35",
  waiting: "2;35",
  again: "7;31",
  border: "36",
  title: "1",
  quiet: "2",
};
const noColours: Record<Style, string> = {
  plain: "",
  given: "2",
  fresh: "1;7",
  recent: "1",
  hidden: "",
  waiting: "2",
  again: "7",
  border: "2",
  title: "1",
  quiet: "2",
};

/** Paints one line; its text must be safe to show, see `characters.ts`. */
export function paintLine(line: Line, { colour }: { colour: boolean }): string {
  const codes = colour ? colours : noColours;
  return line.map(({ text, style }) =>
    codes[style] === "" ? text : `\x1b[${codes[style]}m${text}\x1b[0m`
  ).join("");
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
