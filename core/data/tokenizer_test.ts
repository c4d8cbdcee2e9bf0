import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import fc from "fast-check";
import { UserError } from "@tiny-diffusion/engines/errors";
import { listCharacters, makeTokenizer, MASK, MASK_TOKEN } from "./tokenizer.ts";

/** Any text of whole code points: ASCII, control characters and emoji alike. */
const anyText = fc.string({ unit: "binary", maxLength: 200 });

Deno.test("listCharacters lists each character once, by code point and not by UTF-16 unit", () => {
  // UTF-16 puts the emoji (0xD83D...) before U+FB01, code points after it.
  assertEquals(listCharacters("ba😀ab\ufb01\n"), ["\n", "a", "b", "\ufb01", "😀"]);
});

Deno.test("listCharacters gives a sorted list of distinct characters that make up the whole text", () => {
  fc.assert(fc.property(anyText, (text) => {
    const codes = listCharacters(text).map((character) => character.codePointAt(0)!);
    codes.forEach((code, i) => assert(i === 0 || codes[i - 1] < code));
    assertEquals(new Set(codes), new Set([...text].map((character) => character.codePointAt(0)!)));
  }));
});

for (const kind of ["gpt", "diffusion"] as const) {
  const mask = kind === "diffusion";
  Deno.test(`decode gives back what encode got, ${mask ? "with" : "without"} a mask`, () => {
    fc.assert(fc.property(anyText, (text) => {
      const { encode, decode } = makeTokenizer(kind, vocabularyOf(text, mask));
      const tokens = encode(text);
      assertEquals(tokens.length, [...text].length);
      assert(!mask || !tokens.includes(MASK_TOKEN), "a character became the mask");
      assertEquals(decode(tokens), text);
    }));
  });
}

Deno.test("a text with the mask's display character keeps it as an ordinary token", () => {
  const { encode, decode } = makeTokenizer("diffusion", vocabularyOf("a_b", true));
  assertEquals(MASK_TOKEN, 0);
  assertEquals([...encode("a_b")], [2, 1, 3]); // "_" is U+005F, before "a"
  assertEquals(decode([0, 1, 2], "█"), "█_a");
  assertEquals(decode([0, 1, 2]), "__a");
});

Deno.test("a diffusion tokenizer refuses the mask's display character unless the text had it", () => {
  const { encode } = makeTokenizer("diffusion", vocabularyOf("ab", true));
  assertThrows(() => encode("a_"), UserError, `"_" (U+005F) is not one of the 2 characters`);
});

Deno.test("encode names an unknown character and what to do about it", () => {
  const { encode } = makeTokenizer("gpt", ["a", "b"]);
  const error = assertThrows(() => encode("abé", "the prompt"), UserError);
  assertEquals(
    error.message,
    `Cannot encode the prompt: "é" (U+00E9) is not one of the 2 characters of this model; ` +
      `remove it or train on a text that has it`,
  );
});

Deno.test("encode says how to type a line end where a shell handed on a backslash", () => {
  const { encode } = makeTokenizer("gpt", ["a", "n"]);
  const says =
    '; type line ends as such and not as "\\n", remove it or train on a text that has it';
  assertThrows(() => encode("a\\n", "the prompt"), UserError, says);
});

Deno.test("encode names five of many unknown characters, each once, and counts the rest", () => {
  const { encode } = makeTokenizer("gpt", ["a"]);
  const { message } = assertThrows(() => encode("zzyyxwvut\n😀"), UserError);
  assertMatch(message, /"z" \(U\+007A\), "y".*"x".*"w".*"v" \(U\+0076\) and 4 more are not among/);
});

Deno.test("control characters are escaped in an error, so that it stays one line", () => {
  const { message } = assertThrows(() => makeTokenizer("gpt", ["a"]).encode("\n\u001b"));
  assertMatch(message, /"\\n" \(U\+000A\), "\\u001b" \(U\+001B\)/);
});

Deno.test("half a surrogate pair is refused by both, with its place", () => {
  assertThrows(() => listCharacters("ab\ud83d"), UserError, "U+D83D at index 2 is half");
  const { encode } = makeTokenizer("gpt", ["a"]);
  assertThrows(() => encode("😀\udc00a"), UserError, "U+DC00 at index 2 is half");
});

Deno.test("a text with too many different characters is refused unless the limit is raised", () => {
  const text = Array.from({ length: 1025 }, (_, i) => String.fromCodePoint(0x4e00 + i)).join("");
  assertThrows(
    () => listCharacters(text),
    UserError,
    "1,025 different characters, expected at most",
  );
  assertEquals(listCharacters(text, { limit: 1025 }).length, 1025);
  assertEquals(listCharacters(text.slice(1)).length, 1024);
});

Deno.test("a vocabulary with a repeated or a longer entry is refused", () => {
  assertThrows(() => makeTokenizer("gpt", ["a", "b", "a"]), UserError, "both token 0 and 2");
  for (const entry of ["ab", "", "\ud83d"]) {
    assertThrows(() => makeTokenizer("gpt", ["a", entry]), UserError, "entry 1 is");
  }
});

Deno.test("decode refuses a token outside the vocabulary", () => {
  const { decode } = makeTokenizer("gpt", ["a", "b"]);
  for (const token of [2, -1, 0.5, NaN]) {
    assertThrows(() => decode([0, token]), RangeError, "expected 0 to 1");
  }
});

function vocabularyOf(text: string, mask: boolean): string[] {
  return [...(mask ? [MASK] : []), ...listCharacters(text)];
}
