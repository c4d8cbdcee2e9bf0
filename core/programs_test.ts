import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import * as tf from "@tiny-diffusion/engines/tfjs";
import { makeConfig } from "./config.ts";
import type { Program } from "@tiny-diffusion/engines";
import { type Attend, forward, parameterShapes } from "./model.ts";
import { models } from "./models.ts";
import { attentionShares, targetNats, windowLogits } from "./programs.ts";
import { seededRandom } from "./random.ts";
import type { Tensor2D, Tensors } from "@tiny-diffusion/engines/tensors";

await tf.setBackend("cpu");

const vocab = 7, rows = 2, context = 6;
const random = seededRandom(1);
const tokens = Int32Array.from({ length: rows * context }, () => random.integer(vocab));
const targets = Int32Array.from({ length: rows * context }, () => 1 + random.integer(vocab - 1));

const configOf = (kind: "gpt" | "diffusion") => makeConfig(kind, "smoke", vocab, { context });
/** Far from those of a fresh network, so that no two characters are equally likely. */
const weights: Tensors = Object.fromEntries(
  Object.entries(parameterShapes(configOf("gpt"))).map(([name, [to, from]]) => [
    name,
    tf.tensor2d(Float32Array.from({ length: to * from }, () => 0.3 * random.normal()), [to, from]),
  ]),
);

/** What a program gives for the tokens and targets. */
async function outputOf(program: Program, name: string, state = weights): Promise<Float32Array> {
  const all: Record<string, Int32Array> = { tokens, targets };
  const inputs = Object.fromEntries(
    Object.entries(program.inputs).map(([key, { shape }]) => [
      key,
      tf.tensor(all[key], shape, "int32"),
    ]),
  );
  return await program.body(state, inputs).outputs[name].data() as Float32Array;
}

for (
  const [kind, keepMask] of [["gpt", false], ["diffusion", false], ["diffusion", true]] as const
) {
  const never = kind === "diffusion" && !keepMask;
  Deno.test(
    `the nats of a ${kind}'s targets are -log softmax of its logits${
      never ? ", over all but the mask" : keepMask ? " with the mask where that is asked for" : ""
    }`,
    async () => {
      const config = configOf(kind), model = models[kind];
      const logits = await outputOf(windowLogits(model, config, rows), "logits");
      const nats = await outputOf(targetNats(model, config, rows, { keepMask }), "nats");
      assertEquals([logits.length, nats.length], [rows * context * vocab, rows * context]);
      for (let at = 0; at < nats.length; at++) {
        const row = [...logits.subarray(at * vocab, (at + 1) * vocab)].slice(never ? 1 : 0);
        const total = row.reduce((sum, logit) => sum + Math.exp(logit), 0);
        const expected = Math.log(total) - logits[at * vocab + targets[at]];
        // logits of size 10 in float32: off by some 1e-6
        assertAlmostEquals(nats[at], expected, 1e-5);
      }
    },
  );
}

Deno.test("without the mask, the probabilities of all characters sum to 1", async () => {
  const config = configOf("diffusion");
  const logits = await outputOf(windowLogits(models.diffusion, config, rows), "logits");
  const share = Math.exp(logits[0]) /
    [...logits.subarray(0, vocab)].reduce((sum, logit) => sum + Math.exp(logit), 0);
  assert(share > 1e-3, "the mask has too little to lose for this to say anything");
  let sum = 0;
  for (let character = 1; character < vocab; character++) {
    const before = targets.slice();
    targets[0] = character;
    sum += Math.exp(-(await outputOf(targetNats(models.diffusion, config, rows), "nats"))[0]);
    targets.set(before);
  }
  assertAlmostEquals(sum, 1, 1e-5);
});

for (const kind of ["gpt", "diffusion"] as const) {
  Deno.test(`attention shares of a ${kind} are the softmax of queries times keys, and a GPT's none to the right`, async () => {
    const config = configOf(kind);
    const window = tf.tensor2d(tokens.slice(0, context), [1, context], "int32");
    const program = attentionShares(models[kind], config);
    const { shares } = program.body(weights, { tokens: window }).outputs;
    assertEquals(shares.shape, [config.layers, context, context]);
    const found = await shares.data();

    const scores: Float32Array[] = []; // by layer: [heads, time, time]
    const attend: Attend = (heads, layer) => {
      scores[layer] = tf.matMul(heads.query, heads.key, false, true).dataSync() as Float32Array;
      return models[kind].attend(heads, layer);
    };
    forward(window as Tensor2D, weights, config, { attend });
    for (let layer = 0; layer < config.layers; layer++) {
      for (let i = 0; i < context; i++) {
        const last = kind === "gpt" ? i : context - 1;
        const expected = new Float64Array(context);
        for (let head = 0; head < config.heads; head++) {
          const row = (head * context + i) * context;
          const powers = Array.from(scores[layer].subarray(row, row + last + 1), Math.exp);
          const total = powers.reduce((sum, power) => sum + power, 0);
          powers.forEach((power, j) => expected[j] += power / total / config.heads);
        }
        for (let j = 0; j < context; j++) {
          // float32 sums of a few terms below 1
          assertAlmostEquals(found[(layer * context + i) * context + j], expected[j], 1e-6);
        }
      }
    }
  });
}
