import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { kneserNey } from "../baselines.ts";
import { seededRandom } from "../../random.ts";
import { qualityFigures } from "../results.ts";
import { listCharacters, makeTokenizer } from "../../data/tokenizer.ts";
import { wordSet } from "./words.ts";
import { divergences, type Measures, qualityOf, referenceOf, spreadOf } from "./measure.ts";
import { memorisationIn } from "./memorisation.ts";
import { shuffledCharacters, shuffledWords } from "./reference_texts.ts";

const training = "the king is dead and the queen is at sea and all the house is asleep\n".repeat(9);
const text =
  "the queen is dead and the king is at sea and all the house is dead\nthe king is asleep\n";
const { encode } = makeTokenizer("gpt", listCharacters(training));
const measures: Measures = {
  ngram: { judge: kneserNey(encode(training), listCharacters(training).length), encode },
  context: 32,
  reference: referenceOf(training),
  words: wordSet(training),
  memorised: memorisationIn(training),
};

Deno.test("a spread is the mean and the deviation over what can be measured", () => {
  assertEquals(spreadOf([1, 3, NaN]), { mean: 2, sd: Math.SQRT2 });
  assertEquals(spreadOf([4]), { mean: 4, sd: null });
  assertEquals(spreadOf([NaN]), null);
});

Deno.test("every figure is there, null where there is no judge, and does not depend on the order of the texts", async () => {
  const texts = [text, text.slice(20), "the sea"];
  const figures = await qualityOf(texts, measures);
  assertEquals(Object.keys(figures), [...qualityFigures]);
  assertEquals(figures.judge_gpt, null);
  const again = await qualityOf(texts.toReversed(), measures);
  for (const name of qualityFigures) { // the mean is of three, in another order: 1e-12 of figures below 100
    assertAlmostEquals(again[name]?.mean ?? 0, figures[name]?.mean ?? 0, 1e-12, name);
  }
});

Deno.test("shuffling costs more bits, and takes the words or only their order", async () => {
  const random = seededRandom(4);
  const of = (text: string) => qualityOf([text], measures);
  const [plain, words, characters] = [
    await of(text),
    await of(shuffledWords(text, random)),
    await of(shuffledCharacters(text, random)),
  ];
  const mean = (figures: typeof plain, name: keyof typeof plain) => figures[name]!.mean;
  for (const name of ["judge_ngram", "jsd_3", "distinct_4"] as const) {
    assert(mean(plain, name) < mean(words, name), name);
    assert(mean(words, name) < mean(characters, name), name);
  }
  for (const name of ["entropy", "jsd_1"] as const) {
    assertAlmostEquals(mean(plain, name), mean(characters, name), 1e-12, name);
  }
  assertEquals([mean(plain, "real_words"), mean(words, "real_words")], [1, 1]);
  assert(mean(characters, "real_words") < 0.3);
  assert(mean(plain, "longest_match") > mean(words, "longest_match"));
});

Deno.test("a copy of the training text is found whole, and is no nearer to it than 0", async () => {
  const figures = await qualityOf([training], measures);
  assertEquals(figures.longest_match!.mean, training.length);
  assertEquals([figures.found_30!.mean, figures.found_50!.mean], [1, 1]);
  for (const bits of divergences(training, measures.reference)) assertAlmostEquals(bits, 0, 1e-12);
});
