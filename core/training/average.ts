/**
 * An exponential moving average of the weights (Polyak averaging; Izmailov et al.,
 * arXiv:1803.05407, for why it helps): calmer than the last weights while the learning rate is
 * high. It is kept beside the weights in the engine's state, as `ema/NAME`.
 */
import * as tf from "@tensorflow/tfjs";
import type { ModelConfig, TrainingConfig } from "../config.ts";
import { parameterShapes } from "../model.ts";
import type { HostTensors, Tensor, Tensors } from "@tiny-diffusion/engines/tensors";

type Setting = Pick<TrainingConfig, "emaDecay">;

const averageName = (name: string) => `ema/${name}`;

/** The average before the first step: the weights themselves. Empty without averaging. */
export function initialAverage(weights: HostTensors, { emaDecay }: Setting): HostTensors {
  if (emaDecay === 0) return {};
  return Object.fromEntries(
    Object.entries(weights).map(([name, { shape, data }]) => [
      averageName(name),
      { shape, data: data.slice() },
    ]),
  );
}

/**
 * How far step `step` (the first is 1) moves the average. A young one follows faster, as its first
 * weights were no good.
 */
export function averageStep(step: number, { emaDecay }: Setting): number {
  return 1 - Math.min(emaDecay, step / (step + 9));
}

/** The averages after a step that made `weights`, by their names in the state. */
export function movedAverage(
  state: Tensors,
  weights: Tensors,
  emaStep: Tensor,
  { emaDecay }: Setting,
): Tensors {
  if (emaDecay === 0) return {};
  return Object.fromEntries(
    Object.entries(weights).map(([name, weight]) => {
      const average = state[averageName(name)];
      return [averageName(name), tf.add(average, tf.mul(tf.sub(weight, average), emaStep))];
    }),
  );
}

/**
 * The names under which the state holds the weights that validation and export use, by parameter:
 * those of the average, if any.
 */
export function exportedNames(config: ModelConfig & Setting): Record<string, string> {
  return Object.fromEntries(
    Object.keys(parameterShapes(config))
      .map((name) => [name, config.emaDecay === 0 ? name : averageName(name)]),
  );
}
