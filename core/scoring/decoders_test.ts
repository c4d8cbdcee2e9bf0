import { assert, assertAlmostEquals, assertEquals, assertLess, assertRejects } from "@std/assert";
import { UserError } from "@tiny-diffusion/engines/errors";
import { kneserNey } from "../ngrams/kneser_ney.ts";
import { seededRandom } from "../random.ts";
import { copula } from "../sampling/samplers/copula.ts";
import { maskedWindow } from "../testing/masked_window.ts";
import {
  chiSquare,
  TOY,
  toyNats,
  toyNetwork,
  toyScorer,
  toyStrings,
  toyWorld,
} from "../testing/toy_world.ts";
import { type DecoderCost, type DecoderPrice, priceDecoders } from "./decoders.ts";
import { scoreLeftToRight } from "./estimators.ts";

const world = toyWorld(), network = toyNetwork(world);
const ngrams = kneserNey(Int32Array.from({ length: 60 }, (_, i) => (i * i + (i >> 2)) % 3), 3, 3);
const options = { runs: [1, 2, 3], entropyBudgets: [1], drawnPasses: 2, networkWeight: 1 };

/** The strings that begin with 2, as many as the decoders can write after it. */
const strings = toyStrings().filter(([given]) => given === 2);

const prices = await priceDecoders(network, ngrams, strings, options);

const isLeftToRight = ({ order }: DecoderPrice) => order === "left-to-right";
const nameOf = ({ draws, run, entropyBudget }: DecoderPrice) => `${draws} ${run} ${entropyBudget}`;

/** The probabilities that a decoder gives to the strings. */
const lawOf = ({ perBlock }: DecoderPrice) => perBlock.map((bpc) => 2 ** (-bpc * (TOY.length - 1)));

Deno.test("the probabilities that a decoder from left to right gives to all strings sum to 1", () => {
  const decoders = prices.filter(isLeftToRight);
  assertEquals(decoders.length, 7); // three lengths in two ways, and a budget
  for (const decoder of decoders) {
    const total = lawOf(decoder).reduce((a, b) => a + b);
    assertAlmostEquals(total, 1, 1e-9, nameOf(decoder)); // float64 sums
  }
});

Deno.test("one character a pass from left to right costs what the estimator left-to-right says, with or without copula", async () => {
  const { bpc } = await scoreLeftToRight(toyScorer(world), strings);
  const ones = prices.filter((price) => isLeftToRight(price) && price.run === 1);
  assertEquals(ones.map(({ draws }) => draws), ["independent", "copula"]);
  // both read float32: the scorer nats, the network logits
  for (const one of ones) assertAlmostEquals(one.bpc, bpc!, 1e-6);
  for (const one of ones) assertAlmostEquals(one.aboveOne, 0, 1e-6);
});

Deno.test("independent runs cost the sum over the rows in which they and all after them are hidden", () => {
  const [, a, b, c] = strings[5];
  const nats = (seen: number[], position: number, token: number) =>
    toyNats(world(seen), position, token);
  const expected = nats([2, 0, 0, 0], 1, a) + nats([2, 0, 0, 0], 2, b) + nats([2, a, b, 0], 3, c);
  const price = prices.find((one) => nameOf(one) === "independent 2 null")!;
  assertAlmostEquals(lawOf(price)[5], Math.exp(-expected), 1e-6); // float32 logits
  assertAlmostEquals(price.charactersPerPass, 1.5, 1e-12);
});

Deno.test("the sampler copula draws with the probabilities that the decoder is priced by", async () => {
  const settings = { longestRun: copula.settings.longestRun, entropyBudget: 1, networkWeight: 0.7 };
  const changes = { ...options, networkWeight: 0.7 };
  const weighted = await priceDecoders(network, ngrams, strings, changes);
  const probabilities = lawOf(weighted.find(({ entropyBudget }) => entropyBudget === 1)!);
  const law = new Map(strings.map((string, i) => [`${string}`, probabilities[i]]));
  const drawn: string[] = [];
  const random = seededRandom(5);
  for (let i = 0; i < 4000; i++) {
    const text = Int32Array.of(2, 0, 0, 0);
    const window = { ...maskedWindow([1, 2, 3], () => network.logits(text), text), ngrams };
    for await (const run of copula.with(settings).fill(window, { temperature: 1 }, random)) {
      for (const { position, token } of run) text[position] = token;
    }
    drawn.push(`${text}`);
  }
  const { statistic, limit } = chiSquare(drawn, law);
  assertLess(statistic, limit);
});

Deno.test("in a drawn order one character a pass costs the mean over all orders", async () => {
  const string = strings[7];
  const mean = (values: number[]) => values.reduce((a, b) => a + b) / values.length;
  /** Nats of the hidden ones, the next one being any of them. */
  const expect = (seen: number[], hidden: number[]): number =>
    hidden.length === 0 ? 0 : mean(hidden.map((next) =>
      toyNats(world(seen), next, string[next]) +
      expect(seen.with(next, string[next]), hidden.filter((other) => other !== next))
    ));
  const expected = expect([2, 0, 0, 0], [1, 2, 3]) / Math.LN2;
  const many = await priceDecoders(network, ngrams, Array(200).fill(string), options);
  const { bpc, seBlocks } = many.find(({ order, run }) => order === "drawn" && run === 1)!;
  const [bits, error] = [bpc, seBlocks].map((value) => value * (TOY.length - 1));
  assert(Math.abs(bits - expected) < 4 * error, `${bits} ${expected} ± ${error}`);
  assertLess(error, 0.05 * expected); // small enough to mean something
});

Deno.test("a single block is refused, as it has no error", async () => {
  await assertRejects(
    () => priceDecoders(network, ngrams, [strings[0]], options),
    UserError,
    "expected at least 2",
  );
});

Deno.test("blocks that were priced before are not read again, and the prices are the same", async () => {
  const kept = new Map<number, DecoderCost[]>();
  const onBlock = (block: number, costs: DecoderCost[]) => {
    // as a journal gives them back
    kept.set(block, JSON.parse(JSON.stringify(costs)));
  };
  await priceDecoders(network, ngrams, strings, { ...options, onBlock });
  assertEquals(kept.size, strings.length);
  for (const block of [1, 4, 5]) kept.delete(block);
  let passes = 0;
  const counted: typeof network = {
    ...network,
    logits(...question) {
      passes++;
      return network.logits(...question);
    },
  };
  const known = (block: number) => kept.get(block);
  assertEquals(await priceDecoders(counted, ngrams, strings, { ...options, known }), prices);
  assertEquals(passes, 3 * (TOY.length - 1 + 3 * 2)); // three beginnings, two orders of three runs
});
