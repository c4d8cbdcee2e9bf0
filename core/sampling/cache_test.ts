import { assert, assertEquals, assertRejects } from "@std/assert";
import { Cache, cachePrograms } from "./cache.ts";
import { makeConfig } from "../config.ts";
import { type Session, startEngine, UserError } from "@tiny-diffusion/engines";
import * as gpt from "../gpt.ts";
import type { Network } from "../language_model.ts";
import { initialWeights } from "../model.ts";
import { seededRandom } from "../random.ts";
import type { HostTensors } from "@tiny-diffusion/engines/tensors";
import { plainOptions } from "../testing/options.ts";
import { loadSlidingContext } from "../testing/sliding_context.ts";
import { listCharacters, makeTokenizer } from "../data/tokenizer.ts";

const text = "ROMEO:\nFirst Citizen:\nBefore we proceed any further, hear me speak.\n";
const vocabulary = listCharacters(text);
const { encode } = makeTokenizer("gpt", vocabulary);
const config = makeConfig("gpt", "smoke", vocabulary.length);
const { context, vocab } = config;

/**
 * Ten times as large as at the start of training, so that logits and attention are far from
 * uniform.
 */
const weights: HostTensors = Object.fromEntries(
  Object.entries(initialWeights(config, seededRandom(3)))
    .map(([name, { shape, data }]) => [name, { shape, data: data.map((value) => 10 * value) }]),
);

const { engine } = await startEngine("onnx", { threads: 1 });
const session = await engine.load(weights, cachePrograms(config));
const LONGEST = 5 * context;
const uncached = await loadSlidingContext(engine, config, weights, { length: LONGEST });

/** Logits after the last token, all of them read anew. */
const fresh = async (tokens: number[]) => (await uncached.logits(tokens))[0];

function largestDifference(ours: Float32Array, theirs: Float32Array): number {
  assertEquals(ours.length, theirs.length);
  return ours.reduce((most, value, i) => Math.max(most, Math.abs(value - theirs[i])), 0);
}

const argmax = (values: Float32Array) => values.indexOf(Math.max(...values));

/**
 * What the design promises. The sums are the same ones in another order, so they differ by some
 * 1e-6 here; a wrong position or a slot too many changes logits of this network by 0.1 and more.
 */
const TOLERANCE = 1e-4;

const long = text.slice(0, context + 11);
const prompts = ["ROMEO:", "First Citizen:\n", "F", text.slice(0, context), long];
for (const prompt of prompts) {
  const shown = JSON.stringify(prompt.length > 15 ? `${prompt.slice(0, 15)}…` : prompt);
  Deno.test(`after ${shown} (${prompt.length}) the cache gives the logits and the text of a network without one`, async () => {
    const network = cached(session);
    const tokens = [...encode(prompt)], length = prompt.length + 3 * context;
    const greedy = [...tokens];
    while (tokens.length < length) {
      const [logits] = await network.logits(tokens);
      const expected = await fresh(greedy);
      const difference = largestDifference(logits, expected);
      assert(difference <= TOLERANCE, `logits after ${tokens.length} differ by ${difference}`);
      tokens.push(argmax(logits));
      greedy.push(argmax(expected));
    }
    assertEquals(tokens, greedy);
    assert(new Set(tokens.slice(prompt.length)).size > 3, "the text is too dull to tell anything");
  });
}

/** A cache as the network that one text sees. */
function cached(on = session, drafts = 0): Network & { passes: number } {
  const cache = new Cache(on, config, 1, drafts + 1);
  return {
    context,
    vocab,
    drafts,
    passes: 0,
    async logits(tokens, count = 1) {
      this.passes++;
      return (await cache.logits([{ tokens, count }]))[0];
    },
  };
}

/** The session, with what was run on it. */
function counted(): { session: Session; runs: string[] } {
  const runs: string[] = [];
  const run: typeof session.run = (name, inputs) => {
    runs.push(name);
    return session.run(name, inputs);
  };
  const { readState, writeState, dispose } = session;
  return { session: { run, readState, writeState, dispose }, runs };
}

Deno.test("nothing is read twice, however long the text gets", async () => {
  const { session, runs } = counted();
  const network = cached(session);
  const options = plainOptions();
  const steps = gpt.generate(network, encode("ROMEO:"), 100, options, seededRandom(1));
  assertEquals((await Array.fromAsync(steps)).length, 100);
  assertEquals(network.passes, 100);
  assertEquals(runs, ["start", ...new Array(100).fill("next")]); // all but the last of the prompt
});

Deno.test("of a long prompt only what all layers together see is read, and the logits are the same", async () => {
  const { session, runs } = counted();
  const prompt = Array.from({ length: LONGEST }, (_, i) => (7 * i * i + i) % vocab);
  const [logits] = await cached(session).logits(prompt);
  assert(largestDifference(logits, await fresh(prompt)) <= TOLERANCE);
  // Two layers see 31 characters each to the left of the last one, and `start` reads 32 at once.
  assertEquals(config.layers, 2);
  assertEquals(runs, ["start", "start", "next"]);
  // So much is needed: a character less, and the logits are others.
  const seen = prompt.slice(-(2 * (context - 1) + 1));
  const [same] = await cached().logits(seen);
  const [other] = await cached().logits(seen.slice(1));
  assert(largestDifference(logits, same) <= TOLERANCE);
  assert(largestDifference(logits, other) > TOLERANCE);
});

Deno.test("another prefix, a shorter text and the same text again are noticed", async () => {
  const network = cached(session);
  const sequences = [
    "First Citizen",
    "First Citizen:",
    "FirstMCitizen:", // the same length, another character in the middle
    "First Citizen:",
    "First Citizen:", // nothing new
    "First",
    "First C", // two more at once
    "First Ci",
  ];
  for (const sequence of sequences) {
    const tokens = [...encode(sequence)];
    const [logits] = await network.logits(tokens);
    const difference = largestDifference(logits, await fresh(tokens));
    assert(difference <= TOLERANCE, `after ${JSON.stringify(sequence)} off by ${difference}`);
  }
});

Deno.test("two texts through one session do not see each other", async () => {
  const one = cached(session), two = cached(session);
  for (let length = 1; length <= 8; length++) {
    for (const [network, prompt] of [[one, "First Ci"], [two, "Before w"]] as const) {
      const tokens = [...encode(prompt.slice(0, length))];
      const [logits] = await network.logits(tokens);
      assert(largestDifference(logits, await fresh(tokens)) <= TOLERANCE);
    }
  }
});

Deno.test("a GPT refuses to continue an empty text", async () => {
  const network = cached(session);
  await assertRejects(() => network.logits([]), UserError, "Cannot predict a character: the");
});

Deno.test("more positions than a cache reads at once are refused", async () => {
  const tokens = encode("First Citizen");
  await assertRejects(() => cached().logits(tokens, 2), RangeError, "expected at most 1");
});

Deno.test("a question further to the left than the first one of a long text gets the same logits", async () => {
  // One layer and as many characters at once as the context has: what the first question needs is
  // read in one pass, and starts too late for the second.
  const short = { ...config, layers: 1, context: 4 };
  const cache = new Cache(await engine.load(weights, cachePrograms(short, 1, 4)), short, 1, 4);
  const whole = await loadSlidingContext(engine, short, weights, { length: 12 });
  const tokens = encode("First Citizen").slice(0, 12);
  for (const count of [1, 3]) {
    const [answers] = await cache.logits([{ tokens, count }]);
    const expected = await whole.logits(tokens, count);
    assertEquals(answers.length, count);
    for (const [i, logits] of answers.entries()) {
      assert(largestDifference(logits, expected[i]) <= TOLERANCE, `count ${count}, the ${i}th`);
    }
  }
});

Deno.test("several texts in one cache, each in its own row, get the logits that each gets alone", async () => {
  const rows = 3;
  const together = new Cache(
    await engine.load(weights, cachePrograms(config, rows)),
    config,
    rows,
  );
  const texts = ["First Citizen:\nBefore we", "ROMEO:\nspeak", "hear"];
  let compared = 0;
  // The texts come one after the other into the cache, go on at the same time, and end at different
  // times.
  for (let round = 0; round < 30; round++) {
    const lengths = texts.map((_, row) => round - 3 * row + 1);
    const asked = texts.map((text, row) => {
      if (lengths[row] < 1 || lengths[row] > text.length) return undefined;
      return { tokens: encode(text.slice(0, lengths[row])), count: 1 };
    });
    const answers = await together.logits(asked);
    for (const [row, question] of asked.entries()) {
      if (question === undefined) continue;
      const [logits] = answers[row];
      const difference = largestDifference(logits, await fresh([...question.tokens]));
      assert(difference <= TOLERANCE, `row ${row} after ${lengths[row]} is off by ${difference}`);
      compared++;
    }
  }
  assertEquals(compared, texts.join("").length);
});

Deno.test("several positions at once get the logits that each gets alone, whatever was read before", async () => {
  const drafts = 4, rows = 2;
  const together = new Cache(
    await engine.load(weights, cachePrograms(config, rows, drafts + 1)),
    config,
    rows,
    drafts + 1,
  );
  const random = seededRandom(1);
  let compared = 0;
  // Each text goes on from one of the positions that were just read, as where drafts are rejected.
  const texts = [[...encode("ROMEO:\n")], [...encode("First Citizen:\nBefore we")]];
  while (texts[0].length < 3 * context) {
    const counts = texts.map(() => 1 + random.integer(drafts + 1));
    const asked = texts.map((text, row) => [
      ...text,
      ...Array.from({ length: counts[row] - 1 }, () => random.integer(vocab)),
    ]);
    const answers = await together.logits(
      asked.map((tokens, row) => ({ tokens, count: counts[row] })),
    );
    for (const [row, logits] of answers.entries()) {
      assertEquals(logits.length, counts[row]);
      for (const [i, ours] of logits.entries()) {
        const seen = asked[row].slice(0, texts[row].length + i);
        const difference = largestDifference(ours, await fresh(seen));
        assert(difference <= TOLERANCE, `row ${row}, ${seen.length} characters: ${difference}`);
        compared++;
      }
      const kept = random.integer(logits.length);
      texts[row] = [...asked[row].slice(0, texts[row].length + kept), random.integer(vocab)];
    }
  }
  assert(compared > 100, `${compared} compared`);
});
