import { UserError } from "@tiny-diffusion/engines/errors";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { makeTokenizer } from "../data/tokenizer.ts";
import * as diffusion from "../diffusion.ts";
import * as gpt from "../gpt.ts";
import type { LanguageModel, TrainedNetwork } from "../language_model.ts";
import { seededRandom } from "../random.ts";
import { plainOptions } from "../testing/options.ts";
import { defaultOptions } from "./defaults.ts";
import { samplers } from "./samplers/mod.ts";
import { limitPasses, type Step, write } from "./write.ts";

const characters = ["\n", "a", "b", "c", "d"];
const tokenizers = {
  gpt: makeTokenizer("gpt", characters),
  diffusion: makeTokenizer("diffusion", ["_", ...characters]),
};

/** A network with random logits, the same ones for the same text; it keeps what it was shown. */
function noisy(model: LanguageModel, context = 8): TrainedNetwork & { seen: number[][] } {
  const seen: number[][] = [];
  const vocab = tokenizers[model.kind].vocabulary.length;
  return {
    model,
    context,
    vocab,
    seen,
    get forwards() {
      return seen.length;
    },
    logits(tokens) {
      const text = Array.from(tokens);
      seen.push(text);
      const random = seededRandom(text.reduce((sum, token) => 7 * sum + token, 1) % 2 ** 31);
      const row = () => Float32Array.from({ length: vocab }, () => 3 * random.normal());
      return Promise.resolve(text.slice(model === gpt ? -1 : 0).map(row));
    },
  };
}

Deno.test("each step of a text changes the block in work, and the blocks come in order", async () => {
  const options = plainOptions({ sampler: samplers.remask.with({ remaskCap: 0.5 }), overlap: 3 });
  for (const template of ["ab____________________", "a{9..9}bcd{8..8}c", "________"]) {
    const writing = await write(noisy(diffusion), tokenizers.diffusion, { template }, options);
    let block = 0;
    const isIn = (place: number) => {
      const { start, masked } = writing.blocks[block];
      return masked.includes(place - start);
    };
    for await (const { changes } of writing) {
      if (!isIn(changes[0][0])) block++;
      assert(changes.every(([place]) => isIn(place)), `${template}: block ${block}`);
    }
    assertEquals(block, writing.blocks.length - 1);
  }
  const writing = await write(noisy(gpt), tokenizers.gpt, { prompt: "a", length: 20 }, options);
  assertEquals(writing.blocks, []);
});

for (const model of [gpt, diffusion] as LanguageModel[]) {
  const tokenizer = tokenizers[model.kind];
  const options = plainOptions({ sampler: samplers.threshold.with({ threshold: 0.6 }) });

  Deno.test(`write gives the text and the steps of ${model.kind}'s generate`, async () => {
    const network = noisy(model);
    const request = { prompt: "abc", length: 20 };
    const writing = await write(network, tokenizer, request, { ...options, seed: 3 });
    assertEquals(writing.characters, [..."abc", ...new Array(20).fill("")]);
    assertEquals([writing.text, writing.forwards], ["abc", 0]);
    const steps: Step[] = [];
    for await (const step of writing) {
      steps.push(step);
      assertEquals([step.forwards, step.seconds], [writing.forwards, writing.seconds]);
    }
    assertEquals(network.forwards, writing.forwards);

    const prompt = tokenizer.encode("abc");
    const text = [...prompt];
    const generated = await Array.fromAsync(
      model.generate(noisy(model), prompt, 20, options, seededRandom(3)),
    );
    for (const { position, token } of generated.flat()) text[position] = token;
    assertEquals(writing.text, tokenizer.decode(text));
    assertEquals(
      steps.map(({ changes }) => changes),
      generated.map((fixed) =>
        fixed.map(({ position, token, confidence }) =>
          [position, tokenizer.decode([token]), confidence] as const
        )
      ),
    );
    steps.slice(1).forEach(({ seconds, forwards }, i) => {
      assert(seconds >= steps[i].seconds && forwards > steps[i].forwards);
    });
  });

  Deno.test(`a ${model.kind} without a prompt writes as many characters as it was asked for`, async () => {
    const network = noisy(model);
    const writing = await write(network, tokenizer, { prompt: "", length: 9 }, options);
    const positions: number[] = [];
    for await (const { changes } of writing) {
      positions.push(...changes.map(([position]) => position));
    }
    assertEquals(positions.toSorted((a, b) => a - b), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
    assertEquals(writing.text.length, 9);
    // A GPT has to be shown something: an empty line.
    if (model.kind === "gpt") assertEquals(network.seen[0], [...tokenizer.encode("\n")]);
  });

  Deno.test(`${model.kind}: an aborted text throws the reason, and keeps what is written`, async () => {
    const network = noisy(model);
    const stop = new AbortController();
    const reason = new Error("enough");
    const request = { prompt: "a", length: 30 };
    const writing = await write(network, tokenizer, request, { ...options, signal: stop.signal });
    let last: Step | undefined;
    const read = async () => {
      for await (const step of writing) {
        last = step;
        if (step.forwards === 2) stop.abort(reason);
      }
    };
    assertEquals(await assertRejects(read), reason);
    assertEquals([last!.forwards, writing.forwards, network.forwards], [2, 2, 2]);
    const written = writing.characters.filter((character) => character !== "");
    assert(written.length >= 3 && written.length < 31);
    assert(writing.characters.join("").startsWith(writing.text));
    assert(writing.text.startsWith("a"));
  });

  Deno.test(`${model.kind}: a text that is left after some steps can be finished`, async () => {
    const whole = await (await write(noisy(model), tokenizer, { prompt: "a", length: 9 })).finish();
    const writing = await write(noisy(model), tokenizer, { prompt: "a", length: 9 });
    const steps = writing[Symbol.asyncIterator]();
    await steps.next();
    assert(writing.text.length < 10);
    assertEquals(await writing.finish(), whole);
  });

  Deno.test(`${model.kind}: unknown characters and options out of their range are refused before any pass`, async () => {
    const network = noisy(model);
    const request = { prompt: "aé", length: 9 };
    const refused = () => write(network, tokenizer, request);
    await assertRejects(refused, UserError, 'Cannot encode the prompt: "é"');
    const hot = () => write(network, tokenizer, { prompt: "a", length: 9 }, { temperature: -1 });
    await assertRejects(hot, UserError, "temperature is -1");
    assertEquals(network.forwards, 0);
  });
}

Deno.test("a template is filled, its free gaps at the lengths that the model chooses first", async () => {
  const network = noisy(diffusion, 16);
  const request = { template: "ab__{2..5}c{0..3}d", length: 2 };
  const writing = await write(network, tokenizers.diffusion, request, { seed: 5 });
  const given = writing.characters.join("");
  assertEquals(given, "abcd");
  assert(writing.forwards > 0, "choosing lengths takes passes");
  const hidden = writing.characters.length - 4;
  assert(hidden >= 2 + 2 + 0 + 2 && hidden <= 2 + 5 + 3 + 2);
  const text = await writing.finish();
  assertEquals(text.length, 4 + hidden);
  const { forwards, characters } = limitPasses(
    "diffusion",
    tokenizers.diffusion,
    request,
    defaultOptions("diffusion", 16),
    16,
  );
  assertEquals(characters, 2 + 5 + 3 + 2);
  assert(writing.forwards <= forwards, `${writing.forwards} of ${forwards}`);
});

Deno.test("a template can't be filled by a GPT, and its unknown characters are named together", async () => {
  await assertRejects(
    () => write(noisy(gpt), tokenizers.gpt, { template: "a_" }),
    UserError,
    "Cannot fill a template with a GPT",
  );
  await assertRejects(
    () => write(noisy(diffusion), tokenizers.diffusion, { template: "é_ñ" }),
    UserError,
    'Cannot encode the template: "é" (U+00E9), "ñ" (U+00F1)',
  );
});

Deno.test("characters that are hidden again are empty until they are written anew", async () => {
  const sampler = samplers.remask.with({ denoisingSteps: 12, remaskCap: 0.5 });
  const request = { prompt: "a", length: 30 };
  const writing = await write(noisy(diffusion), tokenizers.diffusion, request, { sampler });
  let again = 0;
  for await (const { changes } of writing) {
    for (const [position, character] of changes) {
      assertEquals(writing.characters[position], character);
      if (character === "") again++;
    }
  }
  assert(again > 0);
  assertEquals(writing.text.length, 31);
});

Deno.test("the passes of a text are those of its blocks together", () => {
  const limit = (sampler: typeof samplers[keyof typeof samplers], length: number) =>
    limitPasses(
      "diffusion",
      tokenizers.diffusion,
      { prompt: "abc", length },
      { temperature: 1, overlap: 2, sampler },
      8,
    ).forwards;
  const confidence = samplers.confidence.with({ denoisingSteps: 4 });
  const remask = samplers.remask.with({ denoisingSteps: 4 });
  // 5, 6 and 3 masks
  assertEquals(limit(samplers.threshold, 14), 14);
  assertEquals(limit(confidence, 14), 4 + 4 + 3);
  assertEquals(limit(remask, 14), 12);
  assertEquals(limit(remask, 0), 0);
  const { forwards } = limitPasses(
    "gpt",
    tokenizers.gpt,
    { prompt: "abc", length: 14 },
    defaultOptions("gpt", 8),
    8,
  );
  assertEquals(forwards, 14);
});
