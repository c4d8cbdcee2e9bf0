import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { scheduleSteps } from "./sampler.ts";

for (const grid of ["cosine", "uniform"] as const) {
  Deno.test(`the ${grid} grid falls from all hidden to none, each step from where the last one ended`, () => {
    for (const denoisingSteps of [1, 2, 3, 64, 1000]) {
      const steps = scheduleSteps({ denoisingSteps, grid });
      assertEquals([steps.length, steps[0].from, steps.at(-1)!.to], [denoisingSteps, 1, 0]);
      steps.forEach(({ from, to }, i) => {
        assert(from > to && to >= 0);
        if (i > 0) assertEquals(from, steps[i - 1].to);
      });
    }
  });
}

Deno.test("halfway, the uniform grid has half hidden, and the cosine grid 0.707", () => {
  const halfway = (grid: "cosine" | "uniform") => scheduleSteps({ denoisingSteps: 10, grid })[4].to;
  assertAlmostEquals(halfway("uniform"), 0.5, 1e-15);
  assertAlmostEquals(halfway("cosine"), Math.SQRT1_2, 1e-15);
});
