import { assertEquals, assertLess } from "@std/assert";
import fc from "fast-check";
import { seededRandom } from "../../core/random.ts";
import { buildSuffixArray, findMatchLengths } from "./suffix_array.ts";

const letters = (text: string) => Int32Array.from(text, (letter) => letter.charCodeAt(0));

Deno.test("the suffixes of banana are a, ana, anana, banana, na, nana", () => {
  assertEquals([...buildSuffixArray(letters("banana"))], [5, 3, 1, 0, 4, 2]);
  assertEquals([...buildSuffixArray(letters("aaaa"))], [3, 2, 1, 0]);
  assertEquals([...buildSuffixArray([])], []);
});

/** Few letters and many repeats, where doubling takes several rounds. */
const text = fc.oneof(
  fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 60 }),
  fc.string({ unit: fc.constantFrom("a", "b", "c", "é", "z"), maxLength: 40 }),
  fc.tuple(fc.string({ unit: fc.constantFrom("a", "b"), minLength: 1, maxLength: 4 }), fc.nat(9))
    .map(([part, times]) => part.repeat(times)),
);

Deno.test("the order is that of sorting the suffixes as strings", () => {
  fc.assert(fc.property(text, (text) => {
    const suffixes = Array.from(text, (_, start) => text.slice(start));
    assertEquals(
      [...buildSuffixArray(letters(text))].map((start) => text.slice(start)),
      suffixes.sort(),
    );
  }));
});

Deno.test("match lengths are those of a search for ever longer pieces", () => {
  fc.assert(fc.property(text, text, (passage, text) => {
    const found = findMatchLengths(
      letters(passage),
      letters(text),
      buildSuffixArray(letters(text)),
    );
    const searched = Array.from(passage, (_, from) => {
      let length = 0;
      while (
        from + length < passage.length && text.includes(passage.slice(from, from + length + 1))
      ) {
        length++;
      }
      return length;
    });
    assertEquals([...found], searched);
  }));
});

Deno.test("a text that repeats itself is sorted in about the time of one that does not", () => {
  const size = 60_000, random = seededRandom(1);
  const time = (text: Int32Array) => {
    const start = performance.now();
    buildSuffixArray(text);
    return performance.now() - start;
  };
  const prose = Int32Array.from({ length: size }, () => random.integer(60));
  time(prose); // the first call is compiled
  const usual = time(prose);
  // 16 rounds for equal letters against 4: plain sorting of the suffixes would take thousands of
  // times as long
  assertLess(time(new Int32Array(size)), 100 * usual + 100);
});
