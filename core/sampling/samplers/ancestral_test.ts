import { assert, assertEquals } from "@std/assert";
import type { Fixed } from "../../language_model.ts";
import { seededRandom } from "../../random.ts";
import { maskedWindow } from "../../testing/masked_window.ts";
import { ancestral } from "./ancestral.ts";
import { scheduleSteps } from "./sampler.ts";

const row = Float32Array.of(9, 0, 0);

async function run(count: number, changes: Partial<typeof ancestral.settings>) {
  const { fill, settings } = ancestral.with(changes);
  let passes = 0;
  const masked = Array.from({ length: count }, (_, i) => i);
  const hidden = maskedWindow(masked, () => (passes++, Promise.resolve(Array(count).fill(row))));
  const steps: Fixed[][] = await Array.fromAsync(fill(hidden, { temperature: 1 }, seededRandom(2)));
  return { steps, passes, settings };
}

for (const grid of ["cosine", "uniform"] as const) {
  Deno.test(`with the ${grid} grid, the share still hidden after each step is the grid's`, async () => {
    const count = 20_000;
    const { steps, settings } = await run(count, { denoisingSteps: 5, grid });
    let hidden = count;
    scheduleSteps(settings).forEach(({ to }, i) => {
      hidden -= steps[i].length;
      // Binomial: 4 standard errors
      assert(Math.abs(hidden / count - to) <= 4 * Math.sqrt(to * (1 - to) / count), `step ${i}`);
    });
  });
}

Deno.test("with many more steps than characters, ancestral costs a pass a character at most", async () => {
  const { steps, passes } = await run(5, { denoisingSteps: 100_000 });
  assertEquals(passes, 5); // two of 5 in one of 100,000 steps: once in some 10,000 seeds
  assertEquals(steps.flat().map(({ position }) => position).sort(), [0, 1, 2, 3, 4]);
});
