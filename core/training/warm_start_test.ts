import { assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { UserError } from "@tiny-diffusion/engines/errors";
import { makeConfig } from "../config.ts";
import * as diffusion from "../diffusion.ts";
import * as gpt from "../gpt.ts";
import { initialWeights } from "../model.ts";
import { seededRandom } from "../random.ts";
import { transferWeights } from "./warm_start.ts";

const { vocabulary } = gpt;
const config = makeConfig("gpt", "smoke", 3);
const trained = {
  config,
  vocabulary: vocabulary("abd"),
  weights: initialWeights(config, seededRandom(1)),
};

Deno.test("weights of a GPT start a diffusion model of another text: rows go by their characters", () => {
  const tokens = diffusion.vocabulary("abcd");
  const own = makeConfig("diffusion", "smoke", tokens.length);
  const fresh = initialWeights(own, seededRandom(2));
  const weights = transferWeights(fresh, own, tokens, trained);

  const row = (of: typeof fresh, name: string, index: number) =>
    Array.from(of[name].data.subarray(index * own.width, (index + 1) * own.width));
  for (const name of ["token_emb.weight", "lm_head.weight"]) {
    for (const [index, token] of tokens.entries()) {
      const before = trained.vocabulary.indexOf(token);
      const expected = before < 0 ? row(fresh, name, index) : row(trained.weights, name, before);
      assertEquals(row(weights, name, index), expected, `${name} of ${token}`);
    }
    assertNotEquals(row(weights, name, 1), row(fresh, name, 1));
  }
  assertEquals(weights["blocks.1.mlp.c_fc.weight"], trained.weights["blocks.1.mlp.c_fc.weight"]);
});

Deno.test("weights of another size are refused", () => {
  const wider = { ...config, width: 64 };
  const fresh = initialWeights(wider, seededRandom(2));
  assertThrows(
    () => transferWeights(fresh, wider, trained.vocabulary, trained),
    UserError,
    "they have width 32, the run has 64",
  );
});
