/**
 * What others can build with nothing but the public list: a sampler, an engine, a training program.
 */
import { assert, assertEquals, assertLess, assertMatch } from "@std/assert";
import {
  cutIntoBlocks,
  defaultOptions,
  defineSampler,
  diffusion,
  drawEach,
  type Engine,
  evaluate,
  gpt,
  initialWeights,
  loadNetwork,
  loadScorer,
  loadWeights,
  makeConfig,
  makeCorpus,
  makeTokenizer,
  nodesInOrder,
  record,
  revealPerPass,
  seededRandom,
  startEngine,
  train,
  write,
} from "@tiny-diffusion/core";

const text = "the cat sat on the mat, and the rat sat on the cat; ".repeat(40);

Deno.test("a sampler of ten lines from outside fills text from right to left", async () => {
  const rightToLeft = defineSampler({
    name: "right-to-left",
    source: "this test",
    options: { atOnce: { type: "integer", min: 1, default: 1, help: "characters of a pass" } },
    maxPasses: (count, { atOnce }) => Math.ceil(count / atOnce),
    fill: ({ atOnce }) =>
      revealPerPass(({ logits, masked }, truncation, random) =>
        drawEach(masked.toReversed().slice(0, atOnce), logits, truncation, random)
      ),
  });
  const config = makeConfig("diffusion", "smoke", 20), random = seededRandom(1);
  const { engine } = await startEngine("eager:cpu");
  const weights = initialWeights(config, random);
  using network = await loadNetwork(engine, diffusion, config, weights);
  const options = { ...defaultOptions("diffusion", 8), sampler: rightToLeft };
  const order: number[] = [];
  for await (const fixed of diffusion.generate(network, Int32Array.of(1, 2), 6, options, random)) {
    for (const { position, token } of fixed) {
      order.push(position);
      assert(token > 0 && token < config.vocab, `token ${token}`);
    }
  }
  assertEquals(order, [7, 6, 5, 4, 3, 2]);
  assertEquals(network.forwards, rightToLeft.maxPasses(6));
});

Deno.test("an engine from outside sees every program and its graph, and changes no figure", async () => {
  const seen: string[] = [];
  const observed = (engine: Engine): Engine => ({
    ...engine,
    name: `observed ${engine.name}`,
    async load(state, programs) {
      for (const [name, program] of Object.entries(programs)) {
        const products = nodesInOrder(record(name, program, state))
          .filter(({ kernel }) => kernel === "BatchMatMul");
        seen.push(`${name}: ${products.length} products`);
      }
      const session = await engine.load(state, programs);
      const run: typeof session.run = (name, inputs) => {
        seen.push(`run ${name}`);
        return session.run(name, inputs);
      };
      return {
        run,
        readState: (names) => session.readState(names),
        writeState: (entries) => session.writeState(entries),
        dispose: () => session.dispose(),
      };
    },
  });
  const { encode, vocabulary } = makeTokenizer("gpt", gpt.vocabulary(text));
  const config = makeConfig("gpt", "smoke", vocabulary.length), rows = 2;
  const weights = initialWeights(config, seededRandom(1));
  const blocks = cutIntoBlocks(encode(text).subarray(0, 2 * config.context), config.context);
  const { engine } = await startEngine("eager:cpu");
  const bpc = async (engine: Engine) => {
    using scorer = await loadScorer(engine, gpt, config, weights, { rows });
    return (await evaluate(scorer, blocks, { estimator: "exact" })).bpc;
  };
  assertEquals(await bpc(observed(engine)), await bpc(engine));
  // embedding, 8 in each of 2 layers (queries, keys, values, scores, their values, projection, two
  // of the MLP), head
  assertEquals(seen, ["nats: 18 products", "run nats"]);
});

Deno.test("ten lines train a model that knows more than how often each character occurs, and it writes", async () => {
  const vocabulary = diffusion.vocabulary(text);
  const tokenizer = makeTokenizer("diffusion", vocabulary);
  const changes = { steps: 60, optimizer: "muon", learningRate: 0.01 } as const;
  const config = makeConfig("diffusion", "smoke", vocabulary.length, changes);
  const tokens = tokenizer.encode(text);
  const corpus = { ...await makeCorpus(text), train: text, validation: text.slice(0, 320) };
  const { engine } = await startEngine("onnx");
  const folder = await Deno.makeTempDir(), path = `${folder}/cats.safetensors`;
  const { bpc } = await train({ model: diffusion, config, corpus, engine, path });
  const { weights } = await loadWeights(path);
  await Deno.remove(folder, { recursive: true });

  const counts = Object.values(Object.groupBy(tokens, String)).map((same) => same!.length);
  const entropy = counts.map((count) => count / tokens.length)
    .reduce((sum, share) => sum - share * Math.log2(share), 0); // 3.24 bits; 60 steps came to 2.1
  assertLess(bpc, entropy - 0.5);

  using network = await loadNetwork(engine, diffusion, config, weights);
  const writing = await write(network, tokenizer, { prompt: "the cat ", length: 40 }, { seed: 1 });
  assertMatch(await writing.finish(), /^the cat [a-z,; ]{40}$/);
});

Deno.test("the examples of every file in core, files and engines are run by deno task test-docs, which deno task test runs", async () => {
  const config = new URL("../deno.json", import.meta.url);
  const { tasks } = JSON.parse(await Deno.readTextFile(config));
  assertMatch(tasks["test-docs"].command, /^deno test --doc .* core files engines$/);
  assertMatch(tasks.test.command, /deno task test-docs/);
});
