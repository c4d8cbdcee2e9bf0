import { assert, assertAlmostEquals, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { UserError } from "@tiny-diffusion/engines/errors";
import type { Fixed } from "../../language_model.ts";
import { seededRandom } from "../../random.ts";
import { maskedWindow } from "../../testing/masked_window.ts";
import { samplers } from "./mod.ts";
import { defineSampler, revealPerPass, scheduleSteps } from "./sampler.ts";

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

Deno.test("a setting out of its range is refused by the sampler", () => {
  assertThrows(() => samplers.threshold.with({ threshold: 0 }), UserError, "above 0 to 1");
  assertThrows(() => samplers.confidence.with({ denoisingSteps: 1.5 }), UserError, "whole number");
  assertThrows(() => samplers.entropy.with({ entropyBound: NaN }), UserError, "from 0 to Infinity");
  const grid = "linear" as "cosine";
  assertThrows(() => samplers.remask.with({ grid }), UserError, "expected cosine or uniform");
});

Deno.test("a setting of an option that the sampler lacks is refused, with the options that it has", () => {
  assertThrows(
    () => samplers.threshold.with({ treshold: 0.3 } as never),
    UserError,
    "Cannot use treshold in the sampler threshold: its options are threshold",
  );
});

Deno.test("a default out of its range is refused as the sampler is defined", () => {
  const define = (value: number) =>
    defineSampler({
      name: "a test's",
      source: "this test",
      options: { share: { type: "number", min: 0, max: 1, default: value, help: "a share" } },
      maxPasses: (count) => count,
      fill: () => revealPerPass(() => []),
    });
  assertEquals(define(1).settings, { share: 1 });
  assertThrows(() => define(7), UserError, "Cannot use share 7 in the sampler a test's");
});

Deno.test("a choice of nothing, of a position twice or of one that is not masked is refused, not repeated for ever", async () => {
  const fill = async (...choices: number[][]) => {
    let passes = 0;
    const sampler = revealPerPass((): Fixed[] =>
      choices[passes++].map((position) => ({ position, token: 1, confidence: 1 }))
    );
    const window = maskedWindow([0, 2, 3], () => Promise.resolve([]));
    return await Array.fromAsync(sampler(window, { temperature: 1 }, seededRandom(1)));
  };
  assertEquals((await fill([2], [3, 0])).length, 2);
  const refused: [choices: number[][], says: string][] = [
    [[[]], "fixed the positions [] in a pass"],
    [[[1]], "fixed the positions [1] in a pass"],
    [[[2], [0, 2]], "each at another of the masked positions [0,3]"],
    [[[2, 2]], "each at another of the masked positions [0,2,3]"],
  ];
  for (const [choices, says] of refused) {
    await assertRejects(() => fill(...choices), RangeError, says);
  }
});
