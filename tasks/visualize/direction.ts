/**
 * Writing from right to left, and letters that join, for drawings that place each character by
 * itself, where nothing else would order and shape them.
 */
import bidiFactory from "bidi-js";
import { shown } from "./characters.ts";

// Its types describe a module of another kind than the one that npm's entry is.
const bidi = (bidiFactory as unknown as typeof bidiFactory.default)();

export interface VisualLine {
  /** Positions from left to right. */
  order: number[];
  /** Whether its paragraph begins at the right. */
  isRightToLeft: boolean;
}

/** The directions of a text of one character each, "" where one is hidden. */
export interface Directions {
  isRightToLeft(position: number): boolean;
  /** Orders the characters of a line; `first` and `last` are positions, both inclusive. */
  orderLine(first: number, last: number): VisualLine;
}

/** Finds the directions of a text, each paragraph by its first letter, as the page does. */
export function findDirections(characters: string[]): Directions {
  const text = characters.map(withDirection).join("");
  const found = bidi.getEmbeddingLevels(text);
  return {
    isRightToLeft: (position) => found.levels[position] % 2 === 1,
    orderLine(first, last) {
      const { level } = found.paragraphs.find(({ end }) => first <= end)!;
      const length = last + 1 - first;
      // As a text of its own: within a longer one bidi-js 1.1.0 does not see where the line ends.
      const order = bidi.getReorderedIndices(text.slice(first, last + 1), {
        levels: found.levels.slice(first, last + 1),
        paragraphs: [{ start: 0, end: length - 1, level }],
      });
      return { order: order.map((i) => first + i), isRightToLeft: level % 2 === 1 };
    },
  };
}

/** One UTF-16 unit that has the direction of a character as it is shown. */
function withDirection(character: string): string {
  if (character === "\n" || /^\p{M}$/u.test(character)) {
    return character.length === 1 ? character : "a";
  }
  const { text } = shown(character || "█");
  if (text.length === 1) return text;
  return /\p{L}/u.test(text) ? "a" : "█";
}

/**
 * Gives a character the form that it has between two others: Arabic letters join, and brackets
 * open to the other side where the text runs from right to left.
 */
export function shape(character: string, isRightToLeft: boolean, before = "", after = ""): string {
  if (isRightToLeft) character = bidi.getMirroredCharacter(character) ?? character;
  const forms = joining.get(character);
  if (!forms) return character;
  const joinsBefore = forms.length > 1 && joinsNext(before);
  const joinsAfter = forms.length > 2 && joinsPrevious(after);
  return forms[Number(joinsBefore) + 2 * Number(joinsAfter)];
}

const TATWEEL = "\u0640";
const joinsNext = (letter: string) => letter === TATWEEL || joining.get(letter)?.length === 4;
const joinsPrevious = (letter: string) =>
  letter === TATWEEL || (joining.get(letter)?.length ?? 0) > 1;

/**
 * Arabic letters and their forms in Unicode's own order: isolated, final, and, if the letter joins
 * to both sides, initial and medial.
 */
const joining = new Map<string, string[]>();
for (const [first, last] of [[0xfe80, 0xfef4], [0xfb50, 0xfbff]]) {
  for (let code = first; code <= last; code++) {
    const form = String.fromCodePoint(code);
    const letter = form.normalize("NFKC");
    if (letter.length > 1 || letter === form) continue; // ligatures, and signs
    joining.set(letter, [...joining.get(letter) ?? [], form]);
  }
}
