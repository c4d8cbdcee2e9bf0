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
  const words = {
    cpu: "computes on the processor",
    cuda: "computes on an NVIDIA GPU",
    webgpu: "computes by WebGPU", // on what, the part `machine` says
  };
  yield { subject, outcome: "ok", summary: words[device], figures: { device } };
}
