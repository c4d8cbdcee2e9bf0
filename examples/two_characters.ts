/**
 * Why characters that are fixed in one pass need more than their own probabilities: a world of two
 * words of two characters, small enough to print whole. Run it: `deno run examples/two_characters.ts`
 */
import { computeLaw, kneserNey, seededRandom } from "@tiny-diffusion/core";

/** The words of the world, both equally likely. */
const WORDS = ["to", "be"];
const CHARACTERS = [..."beot"];
/** Token 0 is the mask, so character c is token c + 1. */
const encode = (word: string) => Int32Array.from(word, (one) => 1 + CHARACTERS.indexOf(one));

/** What is possible at all, words or not. */
const STRINGS = ["to", "be", "te", "bo"];

/** How likely each string is to be written. */
export interface TwoCharacters {
  /** A way to write. */
  name: string;
  /** Forward passes. */
  passes: number;
  /** Probability of each string. */
  law: { string: string; probability: number }[];
  /** Bits per character of the words of this world: its cross-entropy. */
  bits: number;
}

/** Computes the three laws: one character a pass, both at once independently, and by copula. */
export function compareLaws(): TwoCharacters[] {
  // A text of the world, from which the table learns which characters are neighbours.
  const random = seededRandom(1);
  const text = Array.from({ length: 1000 }, () => WORDS[random.integer(2)]).join("");
  const ngrams = kneserNey(encode(text).map((token) => token - 1), CHARACTERS.length, 2);

  /** A perfect network: at each position, the share of each character among the words that fit. */
  const network = (seen: Int32Array) => {
    const fitting = WORDS.map(encode)
      .filter((word) => seen.every((token, i) => token === 0 || token === word[i]));
    return [0, 1].map((i) =>
      Float32Array.from(
        { length: CHARACTERS.length + 1 },
        (_, token) => Math.log(fitting.filter((word) => word[i] === token).length / fitting.length),
      )
    );
  };
  const laws: [name: string, passes: number, probability: (word: Int32Array) => number][] = [
    ["one at a time", 2, ([first, second]) => {
      const nothing = network(Int32Array.of(0, 0));
      return Math.exp(nothing[0][first] + network(Int32Array.of(first, 0))[1][second]);
    }],
    ["both independently", 1, ([first, second]) => {
      const nothing = network(Int32Array.of(0, 0));
      return Math.exp(nothing[0][first] + nothing[1][second]);
    }],
    ["both by copula", 1, ([first, second]) => {
      const seen = Int32Array.of(0, 0);
      const view = { logits: network(seen), seen, before: new Int32Array(), ngrams };
      const now = Int32Array.of(first, 0);
      return computeLaw({ ...view, now: seen }, 0, 1)[first - 1] *
        computeLaw({ ...view, now }, 1, 1)[second - 1];
    }],
  ];
  return laws.map(([name, passes, probabilityOf]) => {
    const law = STRINGS.map((string) => ({ string, probability: probabilityOf(encode(string)) }));
    const words = law.filter(({ string }) => WORDS.includes(string));
    const bits = words.reduce((sum, { probability }) => sum - Math.log2(probability), 0) /
      words.length / 2;
    return { name, passes, law, bits };
  });
}

if (import.meta.main) {
  console.log(
    `                     passes ${STRINGS.map((s) => s.padStart(6)).join("")}  bits/char`,
  );
  for (const { name, passes, law, bits } of compareLaws()) {
    const shares = law.map(({ probability }) => probability.toFixed(3).padStart(6)).join("");
    console.log(`${name.padEnd(20)} ${passes} ${" ".repeat(5)} ${shares}  ${bits.toFixed(3)}`);
  }
}
