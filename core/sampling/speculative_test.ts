import { assert, assertEquals, assertGreater } from "@std/assert";
import { startEngine } from "@tiny-diffusion/engines";
import { makeConfig } from "../config.ts";
import * as gpt from "../gpt.ts";
import type { GenerationOptions, Network } from "../language_model.ts";
import { initialWeights } from "../model.ts";
import { kneserNey, type NgramTable } from "../ngrams/kneser_ney.ts";
import { type Random, seededRandom } from "../random.ts";
import { plainOptions } from "../testing/options.ts";
import { loadSlidingContext } from "../testing/sliding_context.ts";
import { chiSquare, TOY, toyGpt } from "../testing/toy_world.ts";
import { type Candidates, candidates, draw } from "./draw.ts";
import { loadNetwork } from "./network.ts";

const { length, vocab } = TOY;
const world = toyGpt();
const tokens = Array.from({ length: vocab }, (_, token) => token);

const known = new Map<string, Float32Array>();

/** The toy GPT's logits after a text, [vocab]. */
function logitsAfter(text: ArrayLike<number>): Float32Array {
  const seen = Array.from(text);
  const logits = known.get(`${seen}`) ?? Float32Array.from(
    Array.from(world([...seen, 0, 0, 0].slice(0, length)))
      .slice((seen.length - 1) * vocab, seen.length * vocab),
  );
  known.set(`${seen}`, logits);
  return logits;
}

/** The toy GPT; it counts its passes. */
function toy(drafts: number): Network & { passes: number } {
  return {
    context: length,
    vocab,
    drafts,
    passes: 0,
    logits(text, count = 1) {
      this.passes++;
      const lengths = Array.from({ length: count }, (_, i) => text.length - count + 1 + i);
      const all = lengths.map((length) => logitsAfter(Array.from(text).slice(0, length)));
      return Promise.resolve(all);
    },
  };
}

/** A table that says q(next | text). */
const tableOf = (q: (text: ArrayLike<number>) => ArrayLike<number>): NgramTable => ({
  name: "kneser-ney-2",
  order: 2,
  vocab,
  probability: (text, token) => q(text)[token],
  row: (text) => Float64Array.from(q(text)),
});

function probabilities({ tokens, probabilities, mass }: Candidates): number[] {
  const row = new Array<number>(vocab).fill(0);
  tokens.forEach((token, i) => row[token] = probabilities[i] / mass);
  return row;
}

/** The probability of each string of three characters after the character 1. */
function law(truncation: Partial<GenerationOptions> = {}): Map<string, number> {
  const all = new Map<string, number>();
  const visit = (text: number[], probability: number) => {
    if (text.length === length) return void all.set(`${text}`, probability);
    const p = probabilities(candidates(logitsAfter(text), plainOptions(truncation)));
    for (const token of tokens) visit([...text, token], probability * p[token]);
  };
  visit([1], 1);
  return all;
}

const TEXTS = 5_000;
const random = seededRandom(5);
const corpus = Int32Array.from({ length: 500 }, () => random.integer(3)); // no character 3 in it

const tables: Record<string, NgramTable> = {
  "says nothing": tableOf(() => tokens.map(() => 1 / vocab)),
  "was counted on another text": kneserNey(corpus, vocab, 2),
  "is the GPT": tableOf((text) => probabilities(candidates(logitsAfter(text), plainOptions()))),
  "finds half of the characters impossible": tableOf(() => [0, 0.9, 0.1, 0]),
  "is sure of one character": tableOf(() => [0, 0, 1, 0]),
};

/** Writes three characters after the character 1, many times. */
async function writeTexts(
  network: Network,
  ngrams: NgramTable,
  changes: Partial<GenerationOptions> = {},
): Promise<string[]> {
  const random = seededRandom(11), options = plainOptions({ ngrams, ...changes });
  const texts: string[] = [];
  for (let i = 0; i < TEXTS; i++) {
    const text = [1];
    for await (const fixed of gpt.generate(network, Int32Array.of(1), 3, options, random)) {
      for (const { position, token } of fixed) text[position] = token;
    }
    texts.push(`${text}`);
  }
  return texts;
}

for (const [name, ngrams] of Object.entries(tables)) {
  Deno.test(`with drafts of a table that ${name}, a GPT's texts follow its own law`, async () => {
    const network = toy(2);
    const { statistic, limit } = chiSquare(await writeTexts(network, ngrams), law());
    assert(statistic < limit, `chi-square ${statistic}, expected less than ${limit}`);
    // Three characters are two drafts and one more: a single pass where no draft is rejected.
    if (ngrams === tables["is the GPT"]) assertEquals(network.passes, TEXTS);
    else assertGreater(network.passes, 1.2 * TEXTS);
  });
}

const truncations = [{ temperature: 0.5 }, { topK: 2 }, { topP: 0.7, temperature: 2 }];
for (const truncation of truncations) {
  Deno.test(`with drafts and ${JSON.stringify(truncation)}, a GPT's texts follow its own law`, async () => {
    const texts = await writeTexts(toy(2), tables["was counted on another text"], truncation);
    const { statistic, limit } = chiSquare(texts, law(truncation));
    assert(statistic < limit, `chi-square ${statistic}, expected less than ${limit}`);
  });
}

Deno.test("the test of the law notices that rejected drafts are replaced by draws from p", () => {
  const random = seededRandom(11);
  const texts = Array.from({ length: TEXTS }, () => {
    const text = [1];
    while (text.length < length) {
      const p = candidates(logitsAfter(text), plainOptions());
      const draft = random.integer(vocab); // q says nothing
      const isKept = random.uniform() / vocab < probabilities(p)[draft];
      text.push(isKept ? draft : draw(p, random)); // not from max(0, p - q)
    }
    return `${text}`;
  });
  const { statistic, limit } = chiSquare(texts, law());
  assertGreater(statistic, 2 * limit);
});

const config = makeConfig("gpt", "smoke", 12);
const weights = Object.fromEntries(
  // ten times as large as at the start of training, so that there is something to choose
  Object.entries(initialWeights(config, seededRandom(1)))
    .map(([name, { shape, data }]) => [name, { shape, data: data.map((value) => 10 * value) }]),
);
const { engine } = await startEngine("onnx", { threads: 1 });

async function writeTokens(
  network: Network,
  changes: Partial<GenerationOptions>,
  random: Random = seededRandom(3),
): Promise<number[]> {
  const steps = await Array.fromAsync(
    gpt.generate(network, Int32Array.of(3, 1, 4), 120, plainOptions(changes), random),
  );
  return steps.flat().map(({ token }) => token);
}

Deno.test("at temperature 0, a GPT writes the same text with and without drafts, in fewer passes", async () => {
  using plain = await loadNetwork(engine, gpt, config, weights);
  const greedy = await writeTokens(plain, { temperature: 0 });
  // A table of the very text: it drafts well, but not always right.
  const ngrams = kneserNey(Int32Array.from([3, 1, 4, ...greedy]), config.vocab, 2);
  using network = await loadNetwork(engine, gpt, config, weights, { drafts: 5 });
  assertEquals(await writeTokens(network, { temperature: 0, ngrams }), greedy);
  assertEquals(plain.forwards, 120);
  assert(network.forwards > 20 && network.forwards < 90, `${network.forwards} passes`);
});

Deno.test("with drafts, a cache writes the text of a network without one", async () => {
  const uncached = await loadSlidingContext(engine, config, weights, { length: 123, drafts: 5 });
  const ngrams = kneserNey(corpus, config.vocab, 2);
  using cached = await loadNetwork(engine, gpt, config, weights, { drafts: 5 });
  assertEquals(await writeTokens(cached, { ngrams }), await writeTokens(uncached, { ngrams }));
});

Deno.test("a GPT whose context is shorter than its drafts checks as many as fit, and writes the same text", async () => {
  const short = { ...config, context: 8 };
  const ngrams = kneserNey(corpus, config.vocab, 2);
  using plain = await loadNetwork(engine, gpt, short, weights);
  using network = await loadNetwork(engine, gpt, short, weights, { drafts: 20 });
  assertEquals(network.drafts, 7);
  const greedy = { temperature: 0 };
  assertEquals(await writeTokens(network, { ...greedy, ngrams }), await writeTokens(plain, greedy));
});

Deno.test("without a table, or with no drafts, a GPT writes one character a pass", async () => {
  const ngrams = kneserNey(corpus, config.vocab, 2);
  using one = await loadNetwork(engine, gpt, config, weights);
  using several = await loadNetwork(engine, gpt, config, weights, { drafts: 5 });
  const text = await writeTokens(one, {});
  assertEquals(await writeTokens(one, { ngrams }), text);
  assertEquals(await writeTokens(several, {}), text);
  assertEquals([one.forwards, several.forwards], [240, 120]);
});
