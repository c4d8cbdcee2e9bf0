import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import * as tf from "@tiny-diffusion/engines/tfjs";
import {
  averageAt,
  averageInputs,
  averageName,
  averageStep,
  initialAverage,
  updateAverage,
} from "./average.ts";

await tf.setBackend("cpu");

const weights = { w: { shape: [2], data: Float32Array.of(1, -2) } };

Deno.test("the average of weights that stay is those weights, from the first step on", async () => {
  const emaDecay = 0.9, average = initialAverage(weights, { emaDecay });
  assertEquals(Object.keys(average), ["ema/w"]);
  let state = { "ema/w": tf.tensor(average["ema/w"].data) as tf.Tensor };
  for (let step = 1; step <= 30; step++) {
    const emaStep = tf.scalar(averageStep(step, { emaDecay }));
    const moved = updateAverage(state, { w: tf.tensor1d([1, -2]) }, { emaStep });
    state = { "ema/w": moved["ema/w"] };
  }
  assertEquals([...await state["ema/w"].data()], [1, -2]);
});

Deno.test("an old average keeps `emaDecay` of itself at each step, a young one less", () => {
  assertAlmostEquals(averageStep(10_000, { emaDecay: 0.99 }), 0.01, 1e-12);
  assertAlmostEquals(averageStep(1, { emaDecay: 0.99 }), 0.9, 1e-12);
  for (let step = 1; step < 2000; step++) {
    assert(averageStep(step + 1, { emaDecay: 0.99 }) <= averageStep(step, { emaDecay: 0.99 }));
  }
});

Deno.test("one step moves the average by the given share of the way", async () => {
  const moved = updateAverage(
    { "ema/w": tf.tensor1d([1, 0]) },
    { w: tf.tensor1d([2, -4]) },
    { emaStep: tf.scalar(0.25) },
  );
  assertEquals([...await moved["ema/w"].data()], [1.25, -1]);
});

Deno.test("without averaging nothing is kept, and the weights themselves are exported", () => {
  const off = { emaDecay: 0 };
  assertEquals(initialAverage(weights, off), {});
  assertEquals([averageInputs(off), averageAt(1, off)], [{}, {}]);
  assertEquals(updateAverage({}, { w: tf.scalar(1) }, {}), {});
  const head = "lm_head.weight";
  assertEquals(averageName(head, off), head);
  assertEquals(averageName(head, { emaDecay: 0.5 }), `ema/${head}`);
});
