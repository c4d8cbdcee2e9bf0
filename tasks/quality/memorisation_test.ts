import { assertAlmostEquals, assertEquals } from "@std/assert";
import fc from "fast-check";
import { makeCopyFinder } from "./memorisation.ts";

Deno.test("the longest match and the share of n-grams are those counted by hand", () => {
  const memorised = makeCopyFinder("to be or not to be");
  const copied = memorised("so be or naught");
  assertEquals(copied.longest, 9); // "o be or n"
  // of the 13 3-grams, the seven that start within that passage and end there
  assertAlmostEquals(copied.found(3), 7 / 13, 1e-12);
  assertEquals(copied.found(15), 0);
  assertEquals(copied.found(16), NaN);
});

Deno.test("a passage of the training text is found whole, and a text without its letters not at all", () => {
  const memorised = makeCopyFinder(
    "Full fathom five thy father lies; 🌊 of his bones are coral made",
  );
  const passage = memorised("thy father lies; 🌊 of his");
  assertEquals([passage.longest, passage.found(10)], [25, 1]); // the wave is one character
  const foreign = memorised("東京は夜");
  assertEquals([foreign.longest, foreign.found(1)], [0, 0]);
  assertEquals(memorised("").longest, 0);
});

Deno.test("longer n-grams are never found more often than shorter ones, and none beyond the longest match", () => {
  const words = fc.array(fc.constantFrom("a", "b", " "), { maxLength: 30 }).map((all) =>
    all.join("")
  );
  fc.assert(fc.property(words, words, (training, text) => {
    const { longest, found } = makeCopyFinder(training)(text);
    for (let n = 1; n < text.length; n++) {
      assertEquals(found(n) > 0, n <= longest);
      // starts that match n + 1 characters match n; the last start of n may fall away
      assertEquals(
        found(n + 1) * (text.length - n) <= found(n) * (text.length - n + 1) + 1e-9,
        true,
      );
    }
  }));
});
