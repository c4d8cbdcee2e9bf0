import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { kneserNey } from "../../core/ngrams/kneser_ney.ts";
import { seededRandom } from "../../core/random.ts";
import { listCharacters, makeTokenizer } from "../../core/data/tokenizer.ts";
import type { QualityFigures } from "../shared/results.ts";
import { collectWords } from "../shared/words.ts";
import {
  countReference,
  measureDivergences,
  measureQuality,
  type Measures,
  summarize,
} from "./measure.ts";
import { makeCopyFinder } from "./memorisation.ts";
import { shuffleCharacters, shuffleWords } from "./reference_texts.ts";

const training = "the king is dead and the queen is at sea and all the house is asleep\n".repeat(9);
const text =
  "the queen is dead and the king is at sea and all the house is dead\nthe king is asleep\n";
const { encode } = makeTokenizer("gpt", listCharacters(training));
const measures: Measures = {
  ngram: { judge: kneserNey(encode(training), listCharacters(training).length), encode },
  context: 32,
  reference: countReference(training),
  words: collectWords(training),
  memorised: makeCopyFinder(training),
};

Deno.test("a spread is the mean and the deviation over what can be measured", () => {
  assertEquals(summarize([1, 3, NaN]), { mean: 2, sd: Math.SQRT2 });
  assertEquals(summarize([4]), { mean: 4, sd: null });
  assertEquals(summarize([NaN]), null);
});

Deno.test("every figure is there, null where there is no judge, and does not depend on the order of the texts", async () => {
  const texts = [text, text.slice(20), "the sea"];
  const figures = await measureQuality(texts, measures);
  assertEquals(Object.keys(figures).length, 16);
  assertEquals([figures.judge_gpt, figures.judge_independent], [null, null]);
  const again = await measureQuality(texts.toReversed(), measures);
  for (const name of Object.keys(figures) as (keyof QualityFigures)[]) { // the mean is of three, in another order: 1e-12 of figures below 100
    assertAlmostEquals(again[name]?.mean ?? 0, figures[name]?.mean ?? 0, 1e-12, name);
  }
});

Deno.test("shuffling costs more bits, and takes the words or only their order", async () => {
  const random = seededRandom(4);
  const of = (text: string) => measureQuality([text], measures);
  const [plain, words, characters] = [
    await of(text),
    await of(shuffleWords(text, random)),
    await of(shuffleCharacters(text, random)),
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
  const figures = await measureQuality([training], measures);
  assertEquals(figures.longest_match!.mean, training.length);
  assertEquals([figures.found_30!.mean, figures.found_50!.mean], [1, 1]);
  for (const bits of measureDivergences(training, measures.reference)) {
    assertAlmostEquals(bits, 0, 1e-12);
  }
});
