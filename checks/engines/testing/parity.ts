/** Parity with the original's PyTorch code, by the figures that `check-gpu` compares. */
import { assert } from "@std/assert";
import { models } from "../../../core/models.ts";
import type { EngineCase } from "../../../engines/testing/engine_case.ts";
import {
  compareGradients,
  compareSteps,
  type Difference,
} from "../../../tasks/check_gpu/original.ts";

export const parityCases: EngineCase[] = Object.values(models).flatMap((model) =>
  [
    {
      name: `gives the original's logits, loss and gradients for its ${model.kind}`,
      run: async (engine) => assertNear(await compareGradients(engine, model)),
    },
    {
      name: `has the original's losses and weights after three AdamW steps of its ${model.kind}`,
      run: async (engine) => assertNear(await compareSteps(engine, model)),
    },
  ] satisfies EngineCase[]
);

function assertNear(differences: Difference[]): void {
  for (const { what, difference, allowed } of differences) {
    assert(difference <= allowed, `${what}: differs by ${difference}, allowed ${allowed}`);
  }
}
