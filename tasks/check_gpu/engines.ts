/** The part `engines`: which start here, and why the others don't. */
import { engineStatuses } from "../../engines/mod.ts";
import type { Finding } from "../shared/results.ts";
import { deviceOf, type PartRequest } from "./request.ts";

/** Starts an engine, and lets it compute a small product. */
export async function* startOne(request: PartRequest): AsyncGenerator<Finding> {
  const [{ engine: subject }] = request.combinations;
  const [{ available, reason }] = await engineStatuses([subject]);
  if (!available) {
    yield { subject, outcome: "absent", summary: reason, figures: {} };
    return;
  }
  const device = await deviceOf(subject);
  const where = { cpu: "the processor", cuda: "an NVIDIA GPU", webgpu: "a GPU by WebGPU" }[device];
  yield { subject, outcome: "ok", summary: `computes on ${where}`, figures: { device } };
}
