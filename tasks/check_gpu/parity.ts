/** The part `parity`: an engine next to the original. */
import { models } from "../../core/models.ts";
import { tolerance } from "../../engines/tolerance.ts";
import type { Finding } from "../shared/results.ts";
import { compareGradients, compareSteps, type Difference } from "./original.ts";
import { type PartRequest, startPart } from "./request.ts";

/**
 * The largest difference that CUDA's own exponentials and divisions, good to 2 units in the last
 * place, and sums in any order may make in float32. `check-gpu` switches TF32 off for this part.
 */
const CUDA_TOLERANCE = 1e-4;

/** Compares both models on one engine with the original. */
export async function* compareOne(request: PartRequest): AsyncGenerator<Finding> {
  const { engine, device } = await startPart(request);
  const allowed = device === "cuda"
    ? Math.max(CUDA_TOLERANCE, tolerance(engine))
    : tolerance(engine);
  const all: Difference[] = [];
  for (const model of Object.values(models)) {
    const compared = [
      ...await compareGradients(engine, model, allowed),
      ...await compareSteps(engine, model, allowed),
    ];
    all.push(...compared.map((each) => ({ ...each, what: `${model.kind}: ${each.what}` })));
  }
  const worst = all.reduce((a, b) => excess(b) > excess(a) ? b : a);
  const agrees = all.every((each) => each.difference <= each.allowed);
  const { what, difference } = worst;
  const numbers = `${difference.toExponential(1)}, allowed ${worst.allowed.toExponential(1)}`;
  yield {
    subject: engine.name,
    precision: engine.precision,
    outcome: agrees ? "ok" : "differs",
    summary: agrees
      ? `${all.length} figures of the original agree; nearest to its limit: ${what} ${numbers}`
      : `${what} ${numbers}`,
    figures: { compared: all.length, worst: what, difference, allowed: worst.allowed },
  };
}

/** The difference as a share of what is allowed; NaN counts as endless. */
function excess({ difference, allowed }: Difference): number {
  return Number.isNaN(difference) ? Infinity : difference / allowed;
}
