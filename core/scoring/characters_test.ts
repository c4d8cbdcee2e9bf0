import { assertAlmostEquals, assertEquals } from "@std/assert";
import { startEngine } from "@tiny-diffusion/engines";
import { makeConfig, type ModelKind } from "../config.ts";
import { initialWeights } from "../model.ts";
import { models } from "../models.ts";
import { seededRandom } from "../random.ts";
import { loadNetwork } from "../sampling/network.ts";
import { scoreCharacters } from "./characters.ts";
import { loadScorer, type Scorer } from "./scorer.ts";

const VOCAB = 20;
const { engine } = await startEngine("onnx", { threads: 1 });
const random = seededRandom(3);
const drawText = (length: number) =>
  Int32Array.from({ length }, () => 1 + random.integer(VOCAB - 1));

/** Random weights, large enough that the network is not indifferent. */
function makeModel(kind: ModelKind) {
  const config = makeConfig(kind, "smoke", VOCAB);
  const weights = initialWeights(config, seededRandom(5));
  for (const { data } of Object.values(weights)) data.forEach((x, i) => data[i] = 3 * x);
  return { model: models[kind], config, weights };
}

async function bitsOf(kind: ModelKind, text: Int32Array) {
  const { model, config, weights } = makeModel(kind);
  const time = Math.min(config.context, text.length);
  using scorer = await loadScorer(engine, model, config, weights, { rows: 3, time });
  return await scoreCharacters(scorer, kind, text);
}

/** -log2 of the softmax of logits at a token; `from` leaves out the tokens before it. */
function toBits(logits: Float32Array, token: number, from = 0): number {
  const powers = Array.from(logits.subarray(from), Math.exp);
  const total = powers.reduce((sum, power) => sum + power, 0);
  return -Math.log2(powers[token - from] / total);
}

for (const length of [12, 32]) {
  Deno.test(`of a GPT each of ${length} characters costs what a pass over those to its left says`, async () => {
    const text = drawText(length);
    const bits = await bitsOf("gpt", text);
    assertEquals(bits[0], NaN);
    const { model, config, weights } = makeModel("gpt");
    using network = await loadNetwork(engine, model, config, weights);
    for (let i = 1; i < length; i++) {
      const [logits] = await network.logits(text.subarray(0, i));
      // float32 through two different programs
      assertAlmostEquals(bits[i], toBits(logits, text[i]), 1e-4, `character ${i}`);
    }
  });

  Deno.test(`of a diffusion model each of ${length} characters costs what a pass says that hides it alone`, async () => {
    const text = drawText(length);
    const bits = await bitsOf("diffusion", text);
    const { model, config, weights } = makeModel("diffusion");
    using network = await loadNetwork(engine, model, config, weights, { window: length });
    for (let i = 0; i < length; i++) {
      const logits = await network.logits(text.with(i, 0));
      assertAlmostEquals(bits[i], toBits(logits[i], text[i], 1), 1e-4, `character ${i}`);
    }
  });
}

Deno.test("in a text of three contexts each character but a GPT's first is scored once, with half a context in sight", async () => {
  const context = 8;
  const text = Int32Array.from({ length: 29 }, (_, i) => i + 1); // its own position, from 1
  for (const kind of ["gpt", "diffusion"] as const) {
    const seen = new Map<number, number[]>(); // by target: the tokens that it may see
    const scorer: Scorer = {
      rows: 2,
      context,
      nats(tokens, targets) {
        for (const [i, target] of targets.entries()) {
          const row = Math.floor(i / context) * context;
          const visible = tokens.slice(row, kind === "gpt" ? i + 1 : row + context);
          if (kind === "gpt" || tokens[i] === 0) {
            const known = [...visible].filter((token) => token !== 0);
            if (known.length >= (seen.get(target)?.length ?? 0)) seen.set(target, known);
          }
        }
        return Promise.resolve(Float32Array.from(targets, (target) => target * Math.LN2));
      },
    };
    const bits = await scoreCharacters(scorer, kind, text);
    // each one's nats are found at its own place: a token's bits are its number
    bits.forEach((value, i) => {
      if (kind === "gpt" && i === 0) return assertEquals(value, NaN);
      assertAlmostEquals(value, i + 1, 1e-5); // float32
      const known = seen.get(i + 1)!;
      if (kind === "gpt") assertEquals(known.length >= Math.min(i, context / 2), true, `${i}`);
      else assertEquals([known.length, known.includes(i + 1)], [context - 1, false], `${i}`);
    });
  }
});
