import { assertAlmostEquals, assertEquals } from "@std/assert";
import { scoreBaseline } from "../../core/scoring/baselines.ts";
import { kneserNey } from "../../core/ngrams/kneser_ney.ts";
import { scoreExactly } from "../../core/scoring/estimators.ts";
import { TOY, toyGpt, toyNats, toyScorer, toyStrings } from "../../core/testing/toy_world.ts";
import { nextCharacterRows } from "../../core/scoring/rows.ts";
import { judgeByBaseline, judgeByGpt } from "./judge.ts";

const gpt = toyGpt(), scorer = toyScorer(gpt);
const tokens = (text: string) => Int32Array.from(text, Number);

Deno.test("a GPT judges a text of its context as its exact likelihood says", async () => {
  const strings = toyStrings();
  const { perBlock } = await scoreExactly(scorer, strings);
  const judged = await judgeByGpt(scorer, strings);
  for (const [i, bits] of judged.entries()) {
    assertAlmostEquals(bits, perBlock[i] / Math.LN2, 1e-12);
  }
});

Deno.test("the probabilities by which a GPT judges all texts with one first character sum to 1", async () => {
  for (const length of [2, 3, 4]) {
    const strings = toyStrings(length).filter(([first]) => first === 2);
    const bits = await judgeByGpt(scorer, strings);
    const total = bits.reduce((sum, bpc) => sum + 2 ** (-bpc * (length - 1)), 0);
    assertAlmostEquals(total, 1, 1e-6, `length ${length}`); // float32 roundings of up to 27 terms
  }
});

Deno.test("a long text is judged in pieces of the context, the last one shorter, each with a given first character", async () => {
  const text = tokens("1231321"); // 1231, 321
  const [bits] = await judgeByGpt(scorer, [text]);
  const nats = (piece: string) =>
    [...piece].slice(1).map((_, i) => {
      const filled = tokens(piece.padEnd(TOY.length, "1"));
      return toyNats(gpt(filled), i, Number(piece[i + 1]));
    });
  const all = [...nats("1231"), ...nats("321")];
  assertEquals(all.length, 5);
  assertAlmostEquals(bits, all.reduce((a, b) => a + b) / 5 / Math.LN2, 1e-6); // float32
});

Deno.test("a single character left at the end, or alone, has nothing to judge", async () => {
  assertEquals([...nextCharacterRows([tokens("12312"), tokens("1")], 4)].length, 1);
  const [five, four, one] = await judgeByGpt(scorer, ["12312", "1231", "1"].map(tokens));
  assertEquals([five, one], [four, NaN]);
  const judge = kneserNey(tokens("12313"), 4);
  assertEquals(judgeByBaseline(judge, tokens("1"), 4), NaN);
});

Deno.test("a baseline judges the same characters from the same pieces", () => {
  const judge = kneserNey(tokens("123123112321313"), 4, 3);
  const blocks = ["1231", "3212"].map(tokens);
  const { bpc } = scoreBaseline(judge, blocks);
  assertAlmostEquals(judgeByBaseline(judge, tokens("12313212"), 4), bpc!, 1e-12);
});
