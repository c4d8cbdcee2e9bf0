import { assertAlmostEquals, assertEquals } from "@std/assert";
import { collectWords, measureRealWords, splitWords } from "./words.ts";

Deno.test("an apostrophe belongs to a word only between letters", () => {
  assertEquals(splitWords("'Tis o'er, the dogs' 'king'--don’t!"), [
    "tis",
    "o'er",
    "the",
    "dogs",
    "king",
    "don't",
  ]);
});

Deno.test("digits, dashes and line ends separate words, accents don't", () => {
  assertEquals(splitWords("to-day\n2nd CAFÉ e\u0301te"), ["to", "day", "nd", "café", "e\u0301te"]);
});

Deno.test("each occurrence counts, and the words that may be cut do not", () => {
  const words = collectWords("The king shall die");
  // counted: king KING xyzzy king shall; "ing" and "di" are left out
  assertAlmostEquals(measureRealWords("ing king KING xyzzy king shall di", words), 4 / 5, 1e-12);
});

Deno.test("a text of two words or fewer has no share", () => {
  assertEquals(measureRealWords("to be", collectWords("to be")), NaN);
  assertEquals(measureRealWords("", collectWords("to be")), NaN);
});

Deno.test("a word that names a property of every object is not real unless the text has it", () => {
  assertEquals(measureRealWords("a constructor b", collectWords("a b")), 0);
});
