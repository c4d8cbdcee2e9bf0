import { assert, assertEquals, assertLess, assertThrows } from "@std/assert";
import type { Corpus } from "./corpus.ts";
import { drawWindows, encodeCorpus } from "./dataset.ts";
import { seededRandom } from "../random.ts";
import { UserError } from "@tiny-diffusion/engines/errors";
import { makeTokenizer } from "./tokenizer.ts";

Deno.test("a dataset is both parts of a corpus in tokens", () => {
  const corpus = { train: "abba", validation: "ca" } as Corpus;
  const { train, validation } = encodeCorpus(
    corpus,
    makeTokenizer("diffusion", ["_", "a", "b", "c"]),
  );
  assertEquals([[...train], [...validation]], [[1, 2, 2, 1], [3, 1]]);
  const foreign = { train: "abba", validation: "cé" } as Corpus;
  assertThrows(
    () => encodeCorpus(foreign, makeTokenizer("gpt", ["a", "b", "c"])),
    UserError,
    "Cannot encode the text",
  );
});

Deno.test("windows are stretches of the text, from its first to its last character, each equally often", () => {
  const tokens = Int32Array.from({ length: 20 }, (_, i) => 100 + i), context = 4;
  const windows = drawWindows(tokens, 16_000, context, seededRandom(1));
  const starts = new Array(20).fill(0);
  for (const window of windows) {
    const start = window[0] - 100;
    assertEquals([...window], [...tokens.subarray(start, start + 5)]);
    assertEquals(window.length, 5);
    starts[start]++;
  }
  assertEquals(starts.slice(16), [0, 0, 0, 0]); // no window reaches beyond the end
  const chiSquare = starts.slice(0, 16).reduce((sum, n) => sum + (n - 1000) ** 2 / 1000, 0);
  assertLess(chiSquare, 37.7); // the upper 0.1 % point with 15 degrees of freedom
});

Deno.test("a text of just one window gives that one", () => {
  const tokens = Int32Array.of(1, 2, 3, 4, 5);
  const windows = drawWindows(tokens, 3, 4, seededRandom(1));
  assert(windows.every((window) => `${window}` === `${tokens}`));
});
