/**
 * A character of the text as it may be shown. A corpus can hold anything, and a model can write
 * whatever a corpus holds: here every character that a terminal would obey, an XML file may not
 * hold, or no eye would see becomes one that is only seen.
 */
import { eastAsianWidth } from "get-east-asian-width";

/** The form of a character in the cells of a terminal. */
export interface Shown {
  text: string;
  /** 1, or 2 for the wide ones of East Asia and for emoji. */
  width: number;
}

const known = new Map<string, Shown>();

/**
 * A character as it is shown, one or two cells wide. Control characters become their pictures
 * ("␛"), a line end "↵", a tab "⇥"; a combining mark is shown on a dotted circle in its own cell,
 * as it is a separate token. What else would be invisible or turn the direction of writing around
 * becomes "�".
 */
export function shown(character: string): Shown {
  let result = known.get(character);
  if (!result) {
    const text = visible(character);
    known.set(character, result = { text, width: eastAsianWidth(text.codePointAt(0)!) });
  }
  return result;
}

function visible(character: string): string {
  const code = character.codePointAt(0)!;
  if (character === "\n") return "↵";
  if (character === "\t") return "⇥";
  if (code < 0x20) return String.fromCodePoint(0x2400 + code);
  if (code === 0x7f) return "␡";
  // C: controls (also C1, where one character starts an escape sequence), formats, surrogates,
  // private and unassigned ones
  if (/^[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]$/u.test(character)) return "\ufffd";
  // marks, and the parts of Hangul syllables that terminals join to the one before
  if (/^[\p{M}\u1160-\u11ff\ud7b0-\ud7ff]$/u.test(character)) return "◌" + character;
  return character;
}

/** A text as it is shown: lines stay lines. */
export function showText(text: string): string {
  return Array.from(text, (character) => character === "\n" ? "\n" : shown(character).text)
    .join("");
}
