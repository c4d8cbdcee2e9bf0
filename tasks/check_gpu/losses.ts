/**
 * The part `losses`: fifty training steps of both models. Their losses go to the task, which
 * compares them with those of the CPU engine.
 */
import type { Finding } from "../shared/results.ts";
import { beginRun } from "./begin_run.ts";
import { type Device, type PartRequest, startPart } from "./request.ts";

const STEPS = 50;
/** The shapes are the preset's, but less of everything, so that a CPU takes seconds. */
const less = { layers: 2, batch: 4 };

/** Trains a GPT, then a diffusion model. */
export async function* trainFiftySteps(request: PartRequest): AsyncGenerator<Finding> {
  const { engine, device } = await startPart(request);
  const losses: number[] = [];
  for (const kind of ["gpt", "diffusion"] as const) {
    const { state, inputs, program } = beginRun(kind, request.preset, STEPS, less);
    const session = await engine.load(state, { step: program });
    for (const each of inputs) losses.push((await session.run("step", each)).loss[0]);
    session.dispose();
  }
  const fall = (from: number) =>
    `${losses[from].toFixed(3)} to ${losses[from + STEPS - 1].toFixed(3)}`;
  yield {
    subject: engine.name,
    precision: engine.precision,
    outcome: losses.every(Number.isFinite) ? "ok" : "differs",
    summary: `loss of a GPT from ${fall(0)}, of a diffusion model from ${fall(STEPS)}`,
    figures: { losses, device },
  };
}

/**
 * The largest difference of a loss within these steps that rounding explains.
 *
 * bf16 is off by 2^-9 in each factor, and moves a run off its path: by 0.026 in 12 seeds of both
 * models, where two runs jump over the same bump one step apart. NVIDIA's TF32 has 2 bits more.
 */
export function lossTolerance(device: Device, precision: string): number {
  if (precision === "bf16") return 0.05;
  return { cpu: 1e-4, webgpu: 2e-3, cuda: 0.02 }[device];
}

/** Compares the losses of a finding with those of the CPU engine. */
export function compareLosses(finding: Finding, reference: Finding | undefined): Finding {
  const { losses, device } = finding.figures as { losses: number[]; device: Device };
  if (reference === undefined) {
    return { ...finding, summary: `${finding.summary}; nothing to compare with` };
  }
  const theirs = reference.figures.losses as number[];
  const allowed = lossTolerance(device, finding.precision!);
  const differences = losses.map((loss, i) => Math.abs(loss - theirs[i]));
  const largest = Math.max(...differences);
  const first = differences.findIndex((difference) => !(difference <= allowed));
  const isNear = first < 0;
  const place = `step ${first % STEPS + 1} of the ${first < STEPS ? "GPT" : "diffusion model"}`;
  return {
    ...finding,
    outcome: isNear ? finding.outcome : "differs",
    summary: `${losses.length} losses differ from ${reference.subject}'s by ` +
      `${largest.toExponential(1)} at most, allowed ${allowed.toExponential(1)}` +
      (isNear ? "" : `; first above it in ${place}`),
    figures: {
      ...finding.figures,
      largest_difference: largest,
      allowed,
      ...isNear ? {} : { first_step_above: first % STEPS + 1 },
    },
  };
}
