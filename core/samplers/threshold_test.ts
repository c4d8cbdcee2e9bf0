import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import type { GenerationOptions } from "../language_model.ts";
import { seededRandom } from "../random.ts";
import { threshold } from "./threshold.ts";

const MASK = 0;

/** Logits of probabilities; the mask's, entry 0, is the largest of all and must not matter. */
const logitsOf = (...probabilities: number[]) =>
  Float32Array.of(9, ...probabilities.map((p) => Math.log(p)));

/** Three characters at five positions, from sure to undecided. Position 1 is not masked. */
const window = [
  logitsOf(0.96, 0.03, 0.01),
  logitsOf(1, 1e-9, 1e-9),
  logitsOf(0.05, 0.05, 0.9),
  logitsOf(0.4, 0.35, 0.25),
  logitsOf(0.02, 0.97, 0.01),
];
const masked = [0, 2, 3, 4];

function chosen(options: Partial<GenerationOptions> = {}, positions = masked, seed = 1) {
  const all = { temperature: 1, topK: 1, threshold: 0.95, overlap: 1, sampler: threshold };
  return threshold(window, positions, MASK, { ...all, ...options }, seededRandom(seed));
}
const positions = (options: Partial<GenerationOptions>, among = masked) =>
  chosen(options, among).map(({ position }) => position);

Deno.test("every position as confident as the threshold is filled, in order", () => {
  assertEquals(positions({}), [0, 4]);
  assertEquals(positions({ threshold: 0.9 - 1e-6 }), [0, 2, 4]);
  assertEquals(positions({ threshold: 0 }), [0, 2, 3, 4]);
});

Deno.test("the confidence is what the top k characters have together", () => {
  const confidences = chosen({ topK: 2, threshold: 0 }).map(({ confidence }) => confidence);
  // float32 logits of these sizes are off by up to 2^-24 of 4
  [0.99, 0.95, 0.75, 0.99].forEach((mass, i) => assertAlmostEquals(confidences[i], mass, 1e-6));
  assertEquals(positions({ topK: 2, threshold: 0.98 }), [0, 4]);
});

Deno.test("where nothing is confident enough, the most confident position alone is filled", () => {
  assertEquals(positions({ threshold: 0.99 }), [4]);
  assertEquals(positions({ threshold: 0.99 }, [2, 3]), [2]);
  assertEquals(positions({ threshold: 0.99 }, [3]), [3]);
});

Deno.test("with threshold 1 one position is filled at a time, however sure the network is", () => {
  const sure = [logitsOf(1, 1e-30, 1e-30), logitsOf(1e-30, 1, 1e-30)];
  for (const topK of [1, 2, undefined]) {
    const options = { temperature: 1, topK, threshold: 1, overlap: 1, sampler: threshold };
    assertEquals(threshold(sure, [0, 1], MASK, options, seededRandom(1)).length, 1);
    assertEquals(positions({ threshold: 1, topK }).length, 1);
  }
});

Deno.test("at temperature 0 the likeliest character is taken, and the untempered mass decides where", () => {
  for (const seed of [1, 2, 3]) {
    const fixed = chosen({ temperature: 0, threshold: 0 }, masked, seed);
    assertEquals(fixed.map(({ token }) => token), [1, 3, 1, 2]);
  }
  assertEquals(positions({ temperature: 0 }), [0, 4]);
  assertAlmostEquals(chosen({ temperature: 0, threshold: 0 })[2].confidence, 0.4, 1e-6);
});

Deno.test("a low temperature makes the network surer, a high one less", () => {
  assertEquals(positions({ temperature: 0.5 }), [0, 2, 4]); // 0.9² / (0.9² + 2 * 0.05²) = 0.994
  assertEquals(positions({ temperature: 2 }).length, 1);
});

Deno.test("the mask is never drawn, nor a character outside the top k", () => {
  for (let seed = 0; seed < 300; seed++) {
    for (const { token } of chosen({ threshold: 0, topK: undefined }, masked, seed)) {
      assert(token >= 1 && token <= 3);
    }
    const [, , third] = chosen({ threshold: 0, topK: 2 }, masked, seed);
    assert(third.token === 1 || third.token === 2);
  }
});
