/**
 * An exponential moving average of the weights (Polyak averaging; Izmailov et al.,
 * arXiv:1803.05407, for why it helps): calmer than the last weights while the learning rate is
 * high. It is kept next to the weights in the engine's state, as `ema/NAME`, unless `emaDecay` is 0.
 */
import * as tf from "@tensorflow/tfjs-core";
import type { HostTensors, Tensors, TensorSpec } from "@tiny-diffusion/engines/tensors";
import type { TrainingConfig } from "../config.ts";

const PREFIX = "ema/";

type Setting = Pick<TrainingConfig, "emaDecay">;

/** Returns the state's name of a weight as validation and export use it: its average's, if any. */
export function averageName(name: string, { emaDecay }: Setting): string {
  return emaDecay === 0 ? name : PREFIX + name;
}

/** Makes the average before the first step: the weights themselves. */
export function initialAverage(weights: HostTensors, config: Setting): HostTensors {
  if (config.emaDecay === 0) return {};
  const averages = Object.entries(weights).map(([name, { shape, data }]) =>
    [averageName(name, config), { shape, data: data.slice() }] as const
  );
  return Object.fromEntries(averages);
}

/** Declares the input of a step that `updateAverage` reads. */
export function averageInputs({ emaDecay }: Setting): Record<string, TensorSpec> {
  return emaDecay === 0 ? {} : { emaStep: { shape: [], dtype: "float32" } };
}

/** Computes the value of that input. */
export function averageAt(step: number, config: Setting): Record<string, Float32Array> {
  return config.emaDecay === 0 ? {} : { emaStep: Float32Array.of(averageStep(step, config)) };
}

/**
 * Returns the share of the way to the new weights that step `step` (the first is 1) moves the
 * average. A young average follows faster, since its first weights are poor.
 */
export function averageStep(step: number, { emaDecay }: Setting): number {
  return 1 - Math.min(emaDecay, step / (step + 9));
}

/** Moves the averages in `state` towards the weights that a step made. */
export function updateAverage(state: Tensors, weights: Tensors, { emaStep }: Tensors): Tensors {
  const averages = Object.entries(state).filter(([name]) => name.startsWith(PREFIX));
  return Object.fromEntries(averages.map(([name, average]) => {
    const weight = weights[name.slice(PREFIX.length)];
    return [name, tf.add(average, tf.mul(tf.sub(weight, average), emaStep))];
  }));
}
