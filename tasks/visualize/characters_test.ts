import { assert, assertEquals } from "@std/assert";
import { shown, showText } from "./characters.ts";

/** Every code point that is a character, in the planes that have any and a corpus may hold. */
function* characters() {
  for (let code = 0; code < 0x32000; code++) {
    if (code < 0xd800 || code > 0xdfff) yield String.fromCodePoint(code);
  }
  for (let code = 0xe0000; code < 0xe0200; code++) yield String.fromCodePoint(code);
}

Deno.test("no character is shown as one that a terminal obeys, or that is not seen", () => {
  for (const character of characters()) {
    const { text, width } = shown(character);
    const code = `U+${character.codePointAt(0)!.toString(16)}`;
    assert(width === 1 || width === 2, code);
    assert(!/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u.test(text), code);
    // "◌" carries a mark; all else is one character
    assert([...text].length === (text.startsWith("◌") && character !== "◌" ? 2 : 1), code);
  }
});

Deno.test("escape sequences, tabs, marks and bidi controls are shown for what they are", () => {
  const expected: [string, string, number][] = [
    ...([["\x1b", "␛", 1], ["\x9b", "\ufffd", 1], ["\x7f", "␡", 1], ["\r", "␍", 1]] as const),
    ...([["\n", "↵", 1], ["\t", "⇥", 1], ["\u0301", "◌\u0301", 1]] as const),
    ...([["\u202e", "\ufffd", 1], ["\u200d", "\ufffd", 1], ["a", "a", 1], [" ", " ", 1]] as const),
    ...([["東", "東", 2], ["🌙", "🌙", 2], ["é", "é", 1], ["\ufffe", "\ufffd", 1]] as const),
  ].map((row) => [...row]);
  assertEquals(
    expected.map(([character]) => [character, shown(character).text, shown(character).width]),
    expected,
  );
});

Deno.test("a text keeps its lines and loses its escape sequences", () => {
  assertEquals(showText("a\x1b[2J\nb\r\n\tc"), "a␛[2J\nb␍\n⇥c");
});
