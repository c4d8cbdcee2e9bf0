import { assertAlmostEquals, assertEquals } from "@std/assert";
import fc from "fast-check";
import { scoreBaseline, trainBaselines, uniform, unigram } from "./baselines.ts";
import { kneserNey } from "../ngrams/kneser_ney.ts";
import { seededRandom } from "../random.ts";

const fromLetters = (text: string) => Int32Array.from(text, (letter) => letter.charCodeAt(0) - 97);

Deno.test("uniform scores log2 of the number of characters", () => {
  const { bpc, chars } = scoreBaseline(uniform(65), [new Int32Array(10), new Int32Array(10)]);
  assertAlmostEquals(bpc!, Math.log2(65), 1e-12);
  assertEquals(chars, 18);
});

Deno.test("unigram counts each character once more than it occurs", () => {
  const { probability } = unigram(fromLetters("aabac"), 4);
  const history = fromLetters("c");
  assertEquals([0, 1, 2, 3].map((token) => probability(history, token)), [
    4 / 9,
    2 / 9,
    2 / 9,
    1 / 9,
  ]);
});

Deno.test("Kneser-Ney of order 2 on six letters is what one gets by hand", () => {
  // "ababac": pairs ab 2, ba 2, ac 1, so the discount is 1 / (1 + 2 * 2) = 0.2. Contexts of a, b,
  // c: 1 each, so the discount there is 3 / (3 + 0) = 1, which leaves the uniform distribution, 1/3
  // each.
  const { probability } = kneserNey(fromLetters("ababac"), 3, 2);
  const afterA = [0, 1, 2].map((token) => probability(fromLetters("ca"), token));
  const spare = 0.2 * 2 / 3 / 3;
  for (const [i, expected] of [spare, 1.8 / 3 + spare, 0.8 / 3 + spare].entries()) {
    assertAlmostEquals(afterA[i], expected, 1e-12);
  }
  // c has no successor: back to the contexts. No history at all: letters 3, 2, 1 times, discount 1
  // / (1 + 2) = 1/3.
  assertAlmostEquals(probability(fromLetters("c"), 1), 1 / 3, 1e-12);
  assertAlmostEquals(probability(fromLetters(""), 0), (3 - 1 / 3) / 6 + 1 / 6 / 3, 1e-12);
});

Deno.test("Kneser-Ney prefers the character that follows many others to the one that is frequent after one", () => {
  // z occurs six times, but only after y; x three times, after three others.
  const { probability } = kneserNey(fromLetters("yzyzyzyzyzyzaxbxcxd"), 26, 2);
  const unseen = fromLetters("q");
  assertEquals(probability(unseen, 23) > probability(unseen, 25), true);
});

const texts = fc.array(fc.nat({ max: 4 }), { minLength: 1, maxLength: 300 });

Deno.test("the probabilities of all characters sum to 1 after any history, with none at 0", () => {
  fc.assert(fc.property(texts, fc.array(fc.nat({ max: 5 }), { maxLength: 9 }), (text, history) => {
    for (const baseline of trainBaselines(Int32Array.from(text), 6)) { // token 5 never occurs in training
      const all = [0, 1, 2, 3, 4, 5].map((c) => baseline.probability(Int32Array.from(history), c));
      assertAlmostEquals(all.reduce((a, b) => a + b), 1, 1e-12, baseline.name);
      assertEquals(all.every((p) => p > 0), true, baseline.name);
    }
  }));
});

/**
 * The same formula by plain string counting, in the form of Chen & Goodman's equation 23, slow and
 * without a tree.
 */
function kneserNeyBySearch(text: string, alphabet: string, order: number) {
  const counts = (length: number, longest: boolean) => {
    const found = new Map<string, Set<string> | number>();
    for (let i = 0; i + length <= text.length; i++) {
      const ngram = text.slice(i, i + length);
      if (longest) found.set(ngram, (found.get(ngram) as number ?? 0) + 1);
      else {
        const before = found.get(ngram) as Set<string> ?? new Set();
        if (i > 0) before.add(text[i - 1]);
        found.set(ngram, before);
      }
    }
    return new Map([...found].map(([ngram, n]) => [ngram, typeof n === "number" ? n : n.size]));
  };
  const probability = (history: string, next: string, longest: boolean): number => {
    const lower = history === "" ? 1 / alphabet.length : 0;
    const ofLength = counts(history.length + 1, longest);
    const times = (n: number) => [...ofLength.values()].filter((count) => count === n).length;
    const [n1, n2, n3, n4] = [1, 2, 3, 4].map(times);
    const y = n1 ? n1 / (n1 + 2 * n2) : 0.5;
    const d = n1 && n2 && n3 && n4
      ? [
        0,
        y,
        Math.min(2, Math.max(0, 2 - 3 * y * n3 / n2)),
        Math.min(3, Math.max(0, 3 - 4 * y * n4 / n3)),
      ]
      : [0, y, y, y];
    const followers = [...alphabet].map((c) => ofLength.get(history + c) ?? 0);
    const total = followers.reduce((a, b) => a + b);
    const shorter = history === "" ? lower : probability(history.slice(1), next, false);
    if (total === 0) return shorter;
    const count = ofLength.get(history + next) ?? 0;
    const spare = followers.reduce((a, n) => a + d[Math.min(n, 3)], 0);
    return (count - d[Math.min(count, 3)]) / total + spare / total * shorter;
  };
  return (history: string, next: string) =>
    probability(history.slice(Math.max(0, history.length - order + 1)), next, true);
}

Deno.test("Kneser-Ney of order 4 equals a search through the text, with three discounts and with one", () => {
  const letters = "abcdef", random = seededRandom(1);
  const often = "aaaaaabbbbcccdde"; // f never occurs
  const long = Array.from({ length: 700 }, () => often[random.integer(often.length)]).join("");
  for (const text of [long, long.slice(0, 30)]) {
    const ours = kneserNey(fromLetters(text), 6, 4), search = kneserNeyBySearch(text, letters, 4);
    for (const history of ["", "a", "cb", "abc", "bbac", "ccccc", long.slice(100, 110)]) {
      for (const next of letters) {
        const { 0: token } = fromLetters(next);
        assertAlmostEquals(
          ours.probability(fromLetters(history), token),
          search(history, next),
          1e-12,
          `${history}|${next}`,
        );
      }
    }
  }
});

Deno.test("no history reaches back beyond a block, and the first character is given", () => {
  const training = fromLetters("abcabcabcabcabcabcacbacb");
  const model = kneserNey(training, 3);
  const whole = fromLetters("abcabc");
  const blocks = [whole.slice(0, 3), whole.slice(3)];
  const byHand = blocks.map((block) =>
    -(Math.log(model.probability(block.slice(0, 1), block[1])) +
      Math.log(model.probability(block.slice(0, 2), block[2]))) / 2
  );
  assertEquals([...scoreBaseline(model, blocks).perBlock], byHand);
});

Deno.test("the probabilities of all characters sum to 1, and a history that was never seen falls back", () => {
  fc.assert(fc.property(texts, fc.array(fc.nat({ max: 5 }), { maxLength: 9 }), (text, history) => {
    const { probability } = kneserNey(Int32Array.from(text), 6, 4);
    const row = Array.from({ length: 6 }, (_, c) => probability(Int32Array.from(history), c));
    assertAlmostEquals(row.reduce((a, b) => a + b), 1, 1e-12);
  }));
});

Deno.test("seventeen million n-grams, more than a Map can hold, are counted", () => {
  const random = seededRandom(3);
  const text = Int32Array.from({ length: 2_300_000 }, () => random.integer(1000));
  text.copyWithin(2_299_000, 0, 1000); // said twice
  const { probability } = kneserNey(text, 1000, 9);
  const row = Array.from({ length: 1000 }, (_, c) => probability(text.subarray(500, 510), c));
  assertAlmostEquals(row.reduce((a, b) => a + b), 1, 1e-9);
  // Of two occurrences one discount, at most 1, is taken.
  assertEquals(row[text[510]] >= 0.5, true);
});

Deno.test("a row of Kneser-Ney holds the probability of each character", () => {
  fc.assert(fc.property(texts, fc.array(fc.nat({ max: 5 }), { maxLength: 9 }), (text, history) => {
    const { probability, row } = kneserNey(Int32Array.from(text), 6, 4);
    for (const [character, share] of row(history).entries()) {
      assertAlmostEquals(share, probability(history, character), 1e-12);
    }
  }));
});
