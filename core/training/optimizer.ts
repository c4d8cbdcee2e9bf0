/**
 * AdamW and Muon as pure functions: a parameter, its gradient and its moments in, the new ones out.
 *
 * Moments are named after their parameter, as `adam.m/NAME`, and are stored with the weights in the
 * engine's state.
 */
import * as tf from "@tensorflow/tfjs-core";
import { mapValues } from "@std/collections/map-values";
import type { TrainingConfig } from "../config.ts";
import type {
  HostTensors,
  Scalar,
  Tensor,
  Tensor2D,
  Tensors,
  TensorSpec,
} from "@tiny-diffusion/engines/tensors";

const MUON_MOMENTUM = 0.95;
/** Coefficients of the quintic that pushes singular values towards 1 (Jordan et al., 2024). */
const NEWTON_SCHULZ = [3.4445, -4.7750, 2.0315];
const NEWTON_SCHULZ_STEPS = 5;

type Optimizer = TrainingConfig["optimizer"];

/** Muon is for matrices between hidden layers; embedding and head have a vocabulary on one side. */
function usesMuon(name: string, optimizer: Optimizer): boolean {
  return optimizer === "muon" && name.startsWith("blocks.");
}

function momentNames(name: string, optimizer: Optimizer): string[] {
  return usesMuon(name, optimizer) ? [`muon.m/${name}`] : [`adam.m/${name}`, `adam.v/${name}`];
}

/** Makes the moments of `weights` before the first step: zeros. */
export function initialMoments(weights: HostTensors, optimizer: Optimizer): HostTensors {
  return Object.fromEntries(
    Object.entries(weights).flatMap(([name, { shape, data }]) => {
      const zeros = () => ({ shape, data: new Float32Array(data.length) });
      return momentNames(name, optimizer).map((moment) => [moment, zeros()]);
    }),
  );
}

/** Declares the scalars that change from step to step, so are inputs of the recorded step. */
export const scheduleInputs: Record<string, TensorSpec> = {
  learningRate: { shape: [], dtype: "float32" },
  muonLearningRate: { shape: [], dtype: "float32" },
  adamStep: { shape: [], dtype: "float32" },
  adamEpsilon: { shape: [], dtype: "float32" },
};

/**
 * Returns the share of the learning rate that step `step` (the first is 1) uses: a rising one in the
 * warm-up, then as `schedule` says.
 */
export function scheduleShare(step: number, config: TrainingConfig): number {
  if (step <= config.warmup) return step / config.warmup;
  if (config.schedule === "constant") return 1;
  if (config.schedule === "wsd") {
    const decay = Math.floor(config.steps / 5);
    return Math.min(1, (config.steps - step + 1) / (decay + 1));
  }
  const progress = (step - config.warmup) / Math.max(1, config.steps - config.warmup);
  return 0.1 + 0.9 * (1 + Math.cos(Math.PI * Math.min(1, progress))) / 2;
}

/**
 * Computes the values of `scheduleInputs` at a step. Adam's corrections of its young moments, m / (1 -
 * beta1^t) and v / (1 - beta2^t), are folded into two scalars, which saves two passes over every
 * parameter: lr m̂ / (√v̂ + e) = [lr √c2 / c1] m / (√v + e √c2), with c = 1 - beta^t.
 */
export function scheduleAt(step: number, config: TrainingConfig): Record<string, Float32Array> {
  const share = scheduleShare(step, config);
  const learningRate = share * config.learningRate;
  const correction1 = 1 - config.beta1 ** step;
  const correction2 = Math.sqrt(1 - config.beta2 ** step);
  return {
    learningRate: Float32Array.of(learningRate),
    muonLearningRate: Float32Array.of(share * config.muonLearningRate),
    adamStep: Float32Array.of(learningRate * correction2 / correction1),
    adamEpsilon: Float32Array.of(config.epsilon * correction2),
  };
}

/** Makes one step of the optimizer; returns the new weights and moments, by their names. */
export function applyOptimizer(
  state: Tensors,
  gradients: Tensors,
  schedule: Tensors,
  config: TrainingConfig,
): Tensors {
  const newState: Tensors = {};
  for (const [name, gradient] of Object.entries(gradients)) {
    const names = [name, ...momentNames(name, config.optimizer)];
    const update = usesMuon(name, config.optimizer) ? muon : adamW;
    const updated = update(names.map((name) => state[name]), gradient, schedule, config);
    names.forEach((name, i) => newState[name] = updated[i]);
  }
  return newState;
}

/**
 * Scales all gradients together down to norm `limit` if they are longer (0 = never); `norm` is the
 * norm that they had.
 */
export function clipGradients(
  gradients: Tensors,
  limit: number,
): { clipped: Tensors; norm: Scalar } {
  const squares = Object.values(gradients).map((gradient) => tf.sum(tf.square(gradient)));
  // Not addN: on WebGPU it spoils other tensors.
  const norm = tf.sqrt(squares.reduce((a, b) => tf.add(a, b))) as Scalar;
  if (limit === 0) return { clipped: gradients, norm };
  const share = tf.minimum(1, tf.div(limit, tf.add(norm, 1e-6)));
  return { clipped: mapValues(gradients, (gradient) => tf.mul(gradient, share)), norm };
}

/** Adam with decoupled weight decay (Loshchilov & Hutter, arXiv:1711.05101), as in PyTorch. */
function adamW(
  [weight, m, v]: Tensor[],
  gradient: Tensor,
  { learningRate, adamStep, adamEpsilon }: Tensors,
  { beta1, beta2, weightDecay }: TrainingConfig,
): Tensor[] {
  const newM = tf.add(tf.mul(m, beta1), tf.mul(gradient, 1 - beta1));
  const newV = tf.add(tf.mul(v, beta2), tf.mul(tf.square(gradient), 1 - beta2));
  const step = tf.mul(tf.div(newM, tf.add(tf.sqrt(newV), adamEpsilon)), adamStep);
  return [tf.sub(decay(weight, learningRate, weightDecay), step), newM, newV];
}

/**
 * Muon (Jordan et al., 2024, https://kellerjordan.github.io/posts/muon): momentum whose matrix is
 * replaced by the nearest orthogonal one, so that no direction dominates the update. Nesterov's
 * look-ahead; tall matrices get longer steps.
 */
function muon(
  [weight, m]: Tensor[],
  gradient: Tensor,
  { muonLearningRate }: Tensors,
  { weightDecay }: TrainingConfig,
): Tensor[] {
  const newM = tf.add(tf.mul(m, MUON_MOMENTUM), gradient);
  const ahead = tf.add(gradient, tf.mul(newM, MUON_MOMENTUM));
  const [rows, columns] = weight.shape;
  const scale = Math.sqrt(Math.max(1, rows / columns));
  const step = tf.mul(tf.mul(orthogonalize(ahead as Tensor2D), scale), muonLearningRate);
  return [tf.sub(decay(weight, muonLearningRate, weightDecay), step), newM];
}

/**
 * Finds the nearest matrix whose singular values are about 1, by Newton-Schulz steps X <- a X + (b A + c
 * A²) X with A = X Xᵀ.
 */
export function orthogonalize(matrix: Tensor2D): Tensor2D {
  const [a, b, c] = NEWTON_SCHULZ;
  const tall = matrix.shape[0] > matrix.shape[1]; // A is smaller when X is wide
  let x = tall ? tf.transpose(matrix) : matrix;
  x = tf.div(x, tf.add(tf.sqrt(tf.sum(tf.square(x))), 1e-7));
  for (let i = 0; i < NEWTON_SCHULZ_STEPS; i++) {
    const square = tf.matMul(x, x, false, true);
    const polynomial = tf.add(tf.mul(square, b), tf.mul(tf.matMul(square, square), c));
    x = tf.add(tf.mul(x, a), tf.matMul(polynomial, x));
  }
  return tall ? tf.transpose(x) : x;
}

function decay(weight: Tensor, learningRate: Tensor, weightDecay: number): Tensor {
  return weightDecay === 0 ? weight : tf.mul(weight, tf.sub(1, tf.mul(learningRate, weightDecay)));
}
