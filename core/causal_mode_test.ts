import { assertAlmostEquals, assertEquals } from "@std/assert";
import * as tf from "@tiny-diffusion/engines/tfjs";
import { mapValues } from "@std/collections/map-values";
import type { SavedModel } from "./checkpoint.ts";
import { hasCausalMode, takeCausalMode } from "./causal_mode.ts";
import { makeConfig } from "./config.ts";
import * as diffusion from "./diffusion.ts";
import * as gpt from "./gpt.ts";
import { forward, initialWeights } from "./model.ts";
import { seededRandom } from "./random.ts";

await tf.setBackend("cpu");

const vocabulary = diffusion.vocabulary("abcd");
const config = makeConfig("diffusion", "smoke", vocabulary.length, { causalRows: 4 });
const weights = initialWeights(config, seededRandom(1));

Deno.test("the causal mode gives each character the logits of the whole network that attends to the left", async () => {
  const saved: SavedModel = { config, vocabulary, weights, scores: { val_bpc: 2 } };
  const causal = takeCausalMode(saved);
  assertEquals(causal.vocabulary, gpt.vocabulary("abcd"));
  assertEquals([causal.config.kind, causal.config.vocab, causal.scores], ["gpt", 4, {}]);

  const logits = async (tokens: number[], { config, weights }: SavedModel) => {
    const state = mapValues(weights, ({ shape, data }) => tf.tensor(data, shape));
    const row = tf.tensor2d([tokens], undefined, "int32");
    const all = await forward(row, state, config, { attend: gpt.attend }).array();
    return all[0];
  };
  const characters = [0, 3, 1, 1, 2];
  const whole = await logits(characters.map((c) => c + 1), saved);
  for (const [i, row] of (await logits(characters, causal)).entries()) {
    // The same products of float32; one-hot rows of another length may add zeros in another order.
    for (const [c, logit] of row.entries()) assertAlmostEquals(logit, whole[i][c + 1], 1e-6);
  }
});

Deno.test("only a diffusion model that was trained on causal rows has a causal mode", () => {
  assertEquals(hasCausalMode(config), true);
  assertEquals(hasCausalMode(makeConfig("diffusion", "smoke", 5)), false);
  assertEquals(hasCausalMode(makeConfig("gpt", "smoke", 4)), false);
});
