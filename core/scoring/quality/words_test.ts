import { assertAlmostEquals, assertEquals } from "@std/assert";
import { realWordShare, wordSet, wordsOf } from "./words.ts";

Deno.test("an apostrophe belongs to a word only between letters", () => {
  assertEquals(wordsOf("'Tis o'er, the dogs' 'king'--don’t!"), [
    "tis",
    "o'er",
    "the",
    "dogs",
    "king",
    "don't",
  ]);
});

Deno.test("digits, dashes and line ends separate words, accents don't", () => {
  assertEquals(wordsOf("to-day\n2nd CAFÉ e\u0301te"), ["to", "day", "nd", "café", "e\u0301te"]);
});

Deno.test("each occurrence counts, and the words that may be cut do not", () => {
  const words = wordSet("The king shall die");
  // counted: king KING xyzzy king shall; "ing" and "di" are left out
  assertAlmostEquals(realWordShare("ing king KING xyzzy king shall di", words), 4 / 5, 1e-12);
});

Deno.test("a text of two words or fewer has no share", () => {
  assertEquals(realWordShare("to be", wordSet("to be")), NaN);
  assertEquals(realWordShare("", wordSet("to be")), NaN);
});

Deno.test("a word that names a property of every object is not real unless the text has it", () => {
  assertEquals(realWordShare("a constructor b", wordSet("a b")), 0);
});
