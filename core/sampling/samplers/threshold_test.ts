import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import type { Fixed, Truncation } from "../../language_model.ts";
import { seededRandom } from "../../random.ts";
import { maskedWindow } from "../../testing/masked_window.ts";
import { threshold } from "./threshold.ts";

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

type Options = Partial<Truncation> & { threshold?: number };

/** A threshold that everything reaches. */
const NONE = Number.MIN_VALUE;

/** What the first pass over some logits fixes. */
async function chosen(
  { threshold: least = 0.95, ...truncation }: Options = {},
  positions = masked,
  seed = 1,
  logits = window,
): Promise<Fixed[]> {
  const hidden = maskedWindow(positions, () => Promise.resolve(logits));
  const { fill } = threshold.with({ threshold: least });
  const steps = fill(hidden, { temperature: 1, topK: 1, ...truncation }, seededRandom(seed));
  return (await steps.next()).value;
}
const positions = async (options: Options, among = masked) =>
  (await chosen(options, among)).map(({ position }) => position);

Deno.test("every position as confident as the threshold is filled, in order", async () => {
  assertEquals(await positions({}), [0, 4]);
  assertEquals(await positions({ threshold: 0.9 - 1e-6 }), [0, 2, 4]);
  assertEquals(await positions({ threshold: NONE }), [0, 2, 3, 4]);
});

Deno.test("the confidence is what the top k characters have together", async () => {
  const confidences = (await chosen({ topK: 2, threshold: NONE })).map(({ confidence }) =>
    confidence
  );
  // float32 logits of these sizes are off by up to 2^-24 of 4
  [0.99, 0.95, 0.75, 0.99].forEach((mass, i) => assertAlmostEquals(confidences[i], mass, 1e-6));
  assertEquals(await positions({ topK: 2, threshold: 0.98 }), [0, 4]);
});

Deno.test("where nothing is confident enough, the most confident position alone is filled", async () => {
  assertEquals(await positions({ threshold: 0.99 }), [4]);
  assertEquals(await positions({ threshold: 0.99 }, [2, 3]), [2]);
  assertEquals(await positions({ threshold: 0.99 }, [3]), [3]);
});

Deno.test("with threshold 1 one position is filled at a time, however sure the network is", async () => {
  const sure = [logitsOf(1, 1e-30, 1e-30), logitsOf(1e-30, 1, 1e-30)];
  for (const topK of [1, 2, undefined]) {
    assertEquals((await chosen({ threshold: 1, topK }, [0, 1], 1, sure)).length, 1);
    assertEquals((await positions({ threshold: 1, topK })).length, 1);
  }
});

Deno.test("at temperature 0 the likeliest character is taken, and the untempered mass decides where", async () => {
  for (const seed of [1, 2, 3]) {
    const fixed = await chosen({ temperature: 0, threshold: NONE }, masked, seed);
    assertEquals(fixed.map(({ token }) => token), [1, 3, 1, 2]);
  }
  assertEquals(await positions({ temperature: 0 }), [0, 4]);
  assertAlmostEquals((await chosen({ temperature: 0, threshold: NONE }))[2].confidence, 0.4, 1e-6);
});

Deno.test("a low temperature makes the network surer, a high one less", async () => {
  assertEquals(await positions({ temperature: 0.5 }), [0, 2, 4]); // 0.9² / (0.9² + 2 * 0.05²) = 0.994
  assertEquals((await positions({ temperature: 2 })).length, 1);
});

Deno.test("the mask is never drawn, nor a character outside the top k", async () => {
  for (let seed = 0; seed < 300; seed++) {
    for (const { token } of await chosen({ threshold: NONE, topK: undefined }, masked, seed)) {
      assert(token >= 1 && token <= 3);
    }
    const [, , third] = await chosen({ threshold: NONE, topK: 2 }, masked, seed);
    assert(third.token === 1 || third.token === 2);
  }
});

Deno.test("without truncation every position is equally sure, and the first is filled first", async () => {
  assertEquals(await positions({ topK: undefined, threshold: 1 }), [0]);
  assertEquals(await positions({ topK: undefined, threshold: 1 }, [3, 4]), [3]);
  assertEquals(await positions({ topK: undefined, threshold: 0.9999 }), masked);
});
