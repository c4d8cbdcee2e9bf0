/**
 * The part `losses`: fifty training steps of both models. Their losses go to the task, which
 * compares them with those of the CPU engine.
 */
import { type Config, makeConfig, type ModelKind, type PresetName } from "../../core/config.ts";
import { makeTokenizer } from "../../core/data/tokenizer.ts";
import { models } from "../../core/models.ts";
import { seededRandom } from "../../core/random.ts";
import { drawStepInputs, drawWindows, initialState, trainStep } from "../../core/training/step.ts";
import type { Finding } from "../shared/results.ts";
import { type Device, type PartRequest, startPart } from "./request.ts";

const STEPS = 50;
/** The shapes are the preset's, but less of everything, so that a CPU takes seconds. */
const less = { layers: 2, batch: 4 };
const words = ["the", "king", "and", "queen", "of", "hearts", "speak", "softly", "to", "thee"];

/** Makes a text of `count` random words, the same each time. */
export function makeWords(count: number, random = seededRandom(1)): string {
  return Array.from({ length: count }, () => words[random.integer(words.length)]).join(" ");
}

/** Begins a run on such a text, the same each time: its state, and the inputs of its steps. */
export function beginRun(
  kind: ModelKind,
  preset: PresetName,
  steps: number,
  changes: Partial<Config> = {},
) {
  const model = models[kind];
  const random = seededRandom(1);
  const text = makeWords(400, random);
  const vocabulary = model.vocabulary(text);
  const config = makeConfig(kind, preset, vocabulary.length, changes);
  const tokens = makeTokenizer(kind, vocabulary).encode(text);
  const state = initialState(config, random);
  const inputs = Array.from({ length: steps }, (_, i) => {
    const windows = drawWindows(tokens, config.batch, config.context, random);
    return drawStepInputs(model, config, windows, i + 1, random);
  });
  return { model, config, state, inputs, program: trainStep(model, config) };
}

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
