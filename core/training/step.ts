/**
 * One training step: the examples and random numbers that it reads, and the program that an engine
 * runs for it. Forward pass, loss, gradients by autodiff, optimizer, average.
 */
import * as tf from "@tensorflow/tfjs-core";
import { mapValues } from "@std/collections/map-values";
import type { Program } from "@tiny-diffusion/engines";
import type {
  HostTensors,
  Scalar,
  Tensor,
  Tensor2D,
  Tensor3D,
  Tensors,
  TensorSpec,
} from "@tiny-diffusion/engines/tensors";
import type { Config } from "../config.ts";
import { drawDropout, dropoutInputs, makeDropout } from "../dropout.ts";
import * as gpt from "../gpt.ts";
import type { Batch, LanguageModel } from "../language_model.ts";
import { crossEntropy, forward, initialWeights, parameterShapes } from "../model.ts";
import { targetNats } from "../programs.ts";
import type { Random } from "../random.ts";
import { averageAt, averageInputs, averageName, initialAverage, updateAverage } from "./average.ts";
import {
  applyOptimizer,
  clipGradients,
  initialMoments,
  scheduleAt,
  scheduleInputs,
} from "./optimizer.ts";

/** The inputs of a step or of one of its programs, by name. */
export type StepInputs = Record<string, Float32Array | Int32Array>;

/** Makes the state before the first step: fresh weights, their moments, and their average if any. */
export function initialState(config: Config, random: Random): HostTensors {
  return addMoments(initialWeights(config, random), config);
}

/** Lists the names of the state's tensors. */
export function stateNames(config: Config): string[] {
  const empty = { shape: [0], data: new Float32Array() };
  return Object.keys(addMoments(mapValues(parameterShapes(config), () => empty), config));
}

/** Adds what the optimizer and the average of a run need before its first step to its weights. */
export function addMoments(weights: HostTensors, config: Config): HostTensors {
  return {
    ...weights,
    ...initialMoments(weights, config.optimizer),
    ...initialAverage(weights, config),
  };
}

/**
 * Draws `count` random windows of `context + 1` tokens: as many as the model reads and the one after
 * them. They share the memory of `tokens`, of which there must be at least that many.
 */
export function drawWindows(
  tokens: Int32Array,
  count: number,
  context: number,
  random: Random,
): Int32Array[] {
  return Array.from({ length: count }, () => {
    const start = random.integer(tokens.length - context);
    return tokens.subarray(start, start + context + 1);
  });
}

/**
 * Draws what `trainStep` reads in its step `step` (the first is 1): examples from `windows`, the
 * noise of dropout, the schedule.
 */
export function drawStepInputs(
  model: LanguageModel,
  config: Config,
  windows: Int32Array[],
  step: number,
  random: Random,
): StepInputs {
  return {
    ...drawExamples(model, config, windows, random),
    ...drawDropout(config, config.causalRows || windows.length, random),
    ...scheduleAt(step, config),
    ...averageAt(step, config),
  };
}

/** Draws the examples; the first `causalRows` windows are a GPT's. */
function drawExamples(
  model: LanguageModel,
  config: Config,
  windows: Int32Array[],
  random: Random,
): Batch {
  const { causalRows } = config;
  if (causalRows === 0) return model.batch(windows, config, random);
  const left = gpt.batch(windows.slice(0, causalRows), config, random);
  const both = model.batch(windows.slice(causalRows), config, random);
  return {
    tokens: Int32Array.from([...left.tokens, ...both.tokens]),
    targets: Int32Array.from([...left.targets, ...both.targets]),
    lossWeights: Float32Array.from([...left.lossWeights, ...both.lossWeights]),
  };
}

/** Declares what the loss of `rows` windows reads, of which the first `causalRows` are a GPT's. */
export function batchInputs(
  rows: number,
  config: Config,
  causalRows = config.causalRows,
): Record<string, TensorSpec> {
  const shape = [rows, config.context];
  return {
    tokens: { shape, dtype: "int32" },
    targets: { shape, dtype: "int32" },
    lossWeights: { shape, dtype: "float32" },
    ...dropoutInputs(config, config.causalRows > 0 ? causalRows : rows),
  };
}

/**
 * One step of training on a batch. Outputs `loss`, in nats, and `gradientNorm`, of all gradients
 * together before they were clipped.
 */
export function trainStep(model: LanguageModel, config: Config): Program {
  return {
    inputs: {
      ...batchInputs(config.batch, config),
      ...scheduleInputs,
      ...averageInputs(config),
    },
    body(state, inputs) {
      const { loss, gradients } = computeGradients(model, config, state, inputs);
      const { norm, newState } = applyGradients(state, gradients, inputs, config);
      return { outputs: { loss, gradientNorm: norm }, newState };
    },
  };
}

/** Computes the loss of a batch and, by autodiff, its gradient by each weight. */
export function computeGradients(
  model: LanguageModel,
  config: Config,
  state: Tensors,
  inputs: Tensors,
  causalRows = config.causalRows,
): { loss: Scalar; gradients: Tensors } {
  const names = Object.keys(parameterShapes(config));
  const named = (values: Tensor[]) =>
    Object.fromEntries(names.map((name, i) => [name, values[i]] as const));
  const computeLoss = (...weights: Tensor[]) => {
    const logits = batchLogits(model, config, named(weights), inputs, causalRows);
    const nats = crossEntropy(logits, inputs.targets as Tensor2D); // [B, T]
    return weightedMean(nats, inputs.lossWeights as Tensor2D);
  };
  const { value, grads } = tf.valueAndGrads(computeLoss)(names.map((name) => state[name]));
  return { loss: value as Scalar, gradients: named(grads) };
}

/** The logits of a batch whose first `causalRows` rows attend to the left, as a GPT's. */
function batchLogits(
  model: LanguageModel,
  config: Config,
  weights: Tensors,
  { tokens, ...noise }: Tensors,
  causalRows: number,
): Tensor3D {
  const drop = makeDropout(noise, config);
  const { attend } = model;
  const rows = tokens.shape[0];
  const passes = config.causalRows === 0 ? [{ rows, attend, drop }] : [
    { rows: causalRows, attend: gpt.attend, drop },
    { rows: rows - causalRows, attend },
  ].filter(({ rows }) => rows > 0);
  if (passes.length === 1) return forward(tokens as Tensor2D, weights, config, passes[0]);
  const parts: Tensor2D[] = tf.split(tokens as Tensor2D, passes.map(({ rows }) => rows));
  return tf.concat(passes.map((pass, i) => forward(parts[i], weights, config, pass)));
}

/** The mean over all positions of a batch, each counted `weights` times. Both are [batch, time]. */
export function weightedMean(x: Tensor2D, weights: Tensor2D): Scalar {
  return tf.div(tf.sum(tf.mul(weights, x)), tf.maximum(tf.sum(weights), 1)); // 0 where none counts
}

/** Makes the optimizer's step. `norm` is that of the gradients before they were clipped. */
export function applyGradients(
  state: Tensors,
  gradients: Tensors,
  inputs: Tensors,
  config: Config,
): { norm: Scalar; newState: Tensors } {
  const { clipped, norm } = clipGradients(gradients, config.clip);
  const moved = applyOptimizer(state, clipped, inputs, config);
  return { norm, newState: { ...moved, ...updateAverage(state, moved, inputs) } };
}

/** `targetNats` of the weights that are validated and exported: the average where there is one. */
export function validationNats(model: LanguageModel, config: Config, rows: number): Program {
  const { inputs, body } = targetNats(model, config, rows);
  const names = Object.keys(parameterShapes(config));
  return {
    inputs,
    body(state, inputs) {
      const averages = names.map((name) => [name, state[averageName(name, config)]]);
      return body(Object.fromEntries(averages), inputs);
    },
  };
}
