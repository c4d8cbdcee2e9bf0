import { assertEquals, assertNotEquals } from "@std/assert";
import fc from "fast-check";
import { seededRandom } from "../../core/random.ts";
import { cutText, halve, shuffleCharacters, shuffleWords } from "./reference_texts.ts";

const words = (text: string) => (text.match(/\S+/g) ?? []).toSorted();
const verse = "  To be, or not\nto be:\n\nthat is 🌙 the question ";

Deno.test("shuffled characters are the same characters, and the emoji stays whole", () => {
  const shuffled = shuffleCharacters(verse, seededRandom(1));
  assertNotEquals(shuffled, verse);
  assertEquals([...shuffled].toSorted(), [...verse].toSorted());
});

Deno.test("shuffled words are the same words, with the white space where it was", () => {
  fc.assert(fc.property(fc.string({ unit: fc.constantFrom("a", "b", " ", "\n") }), (text) => {
    const shuffled = shuffleWords(text, seededRandom(2));
    assertEquals(words(shuffled), words(text));
    assertEquals(shuffled.match(/\s+/g), text.match(/\s+/g));
  }));
  assertNotEquals(shuffleWords(verse, seededRandom(1)), verse);
});

Deno.test("each of the 6 orders of three characters comes up about equally often", () => {
  const random = seededRandom(3), seen = new Map<string, number>();
  for (let i = 0; i < 6000; i++) {
    const order = shuffleCharacters("abc", random);
    seen.set(order, (seen.get(order) ?? 0) + 1);
  }
  assertEquals(seen.size, 6);
  // 1,000 expected of each, with a deviation of 29: five of them
  for (const [order, count] of seen) assertEquals(Math.abs(count - 1000) < 145, true, order);
});

Deno.test("halves and pieces are cut by characters", () => {
  assertEquals(halve("a🌙b🌊c"), ["a🌙b", "🌊c"]);
  assertEquals(cutText("a🌙b🌊c", 2), ["a🌙", "b🌊"]);
  assertEquals(cutText("ab", 3), []);
});
