import { assertEquals } from "@std/assert";
import * as fc from "fast-check";
import type { Fixed } from "../../language_model.ts";
import { seededRandom } from "../../random.ts";
import { maskedWindow } from "../../testing/masked_window.ts";
import { confidence } from "./confidence.ts";

/** Position i is surer of character 1 the larger i is; the mask, entry 0, does not count. */
const logits = Array.from({ length: 300 }, (_, i) => Float32Array.of(99, i / 10, 0, 0));

function fill(masked: number[], settings: { denoisingSteps: number }): Promise<Fixed[][]> {
  const hidden = maskedWindow(masked, () => Promise.resolve(logits));
  const { fill } = confidence.with(settings);
  return Array.fromAsync(fill(hidden, { temperature: 1 }, seededRandom(1)));
}
const positionsOf = (steps: Fixed[][]) => steps.map((fixed) => fixed.map((one) => one.position));

Deno.test("confidence fixes the surest first, in equal parts, the larger ones before", async () => {
  assertEquals(positionsOf(await fill([1, 2, 3, 4, 5, 6, 7], { denoisingSteps: 3 })), [
    ...[[7, 6, 5], [4, 3], [2, 1]],
  ]);
});

Deno.test("confidence takes exactly as many passes as there are steps, or characters", async () => {
  await fc.assert(fc.asyncProperty(
    fc.integer({ min: 1, max: 300 }),
    fc.integer({ min: 1, max: 80 }),
    async (count, denoisingSteps) => {
      const masked = Array.from({ length: count }, (_, i) => i);
      const sizes = (await fill(masked, { denoisingSteps })).map(({ length }) => length);
      assertEquals(sizes.length, Math.min(count, denoisingSteps));
      // As LLaDA parts them: n div steps each, and one more in each of the first n mod steps.
      const steps = sizes.length, least = Math.floor(count / steps);
      assertEquals(sizes, sizes.map((_, i) => least + (i < count % steps ? 1 : 0)));
    },
  ));
});

Deno.test("where all are equally sure, confidence goes from left to right", async () => {
  const even = maskedWindow([2, 5, 9], () => Promise.resolve(Array(10).fill(logits[0])));
  const { fill } = confidence.with({ denoisingSteps: 3 });
  const steps = await Array.fromAsync(fill(even, { temperature: 1 }, seededRandom(1)));
  assertEquals(positionsOf(steps), [[2], [5], [9]]);
});
