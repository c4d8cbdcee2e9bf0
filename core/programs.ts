/**
 * The programs that training, evaluation and sampling ask an engine to run: the model, the loss and
 * the optimiser put together for fixed shapes.
 */
import * as tf from "@tensorflow/tfjs";
import { initialAverage, movedAverage } from "./training/average.ts";
import type { Config, ModelConfig } from "./config.ts";
import { drawDropout, dropoutInputs, dropoutOf } from "./dropout.ts";
import type { Program } from "@tiny-diffusion/engines";
import type { LanguageModel } from "./language_model.ts";
import { crossEntropy, weightedMean } from "./loss.ts";
import { forward, initialWeights, parameterShapes } from "./model.ts";
import { clip, initialMoments, scheduleAt, scheduleInputs, updated } from "./training/optimizer.ts";
import type { Random } from "./random.ts";
import type {
  HostTensors,
  Scalar,
  Tensor,
  Tensor2D,
  Tensor3D,
  Tensors,
  TensorSpec,
} from "@tiny-diffusion/engines/tensors";

const tokensOf = (rows: number, time: number): TensorSpec => ({
  shape: [rows, time],
  dtype: "int32",
});

/**
 * The weights among all that the state holds, each under its own name or the one that `names`
 * gives.
 */
export function weightsOf(
  state: Tensors,
  config: ModelConfig,
  names: Record<string, string> = {},
): Tensors {
  return Object.fromEntries(
    Object.keys(parameterShapes(config)).map((name) => [name, state[names[name] ?? name]]),
  );
}

/** Loss of a batch and its gradient by each weight, by autodiff. */
export function lossAndGradients(
  model: LanguageModel,
  config: Config,
  weights: Tensors,
  { tokens, targets, lossWeights, ...noise }: Tensors,
): { loss: Scalar; gradients: Tensors } {
  const names = Object.keys(weights);
  const lossOf = (...values: Tensor[]) => {
    const named = Object.fromEntries(names.map((name, i) => [name, values[i]]));
    const drop = dropoutOf(noise, config);
    const logits = forward(tokens as Tensor2D, named, config, { attend: model.attend, drop });
    return weightedMean(crossEntropy(logits, targets as Tensor2D), lossWeights as Tensor2D);
  };
  const { value, grads } = tf.valueAndGrads(lossOf)(names.map((name) => weights[name]));
  return {
    loss: value as Scalar,
    gradients: Object.fromEntries(names.map((name, i) => [name, grads[i]])),
  };
}

/** What a step reads of `rows` windows: the examples, and the noise of dropout. */
export function batchInputs(rows: number, config: Config): Record<string, TensorSpec> {
  return {
    tokens: tokensOf(rows, config.context),
    targets: tokensOf(rows, config.context),
    lossWeights: { shape: [rows, config.context], dtype: "float32" },
    ...dropoutInputs(config, rows),
  };
}

/**
 * What `trainStep` needs for its step `step` (the first is 1): examples from `windows`, fresh
 * noise, the schedule.
 */
export function trainInputs(
  model: LanguageModel,
  config: Config,
  windows: Int32Array[],
  step: number,
  random: Random,
): Record<string, Float32Array | Int32Array> {
  return {
    ...model.batch(windows, config, random),
    ...drawDropout(config, windows.length, random),
    ...scheduleAt(step, config),
  };
}

/**
 * What `trainStep` keeps from step to step, before the first: fresh weights, their moments, their
 * average.
 */
export function initialState(config: Config, random: Random): HostTensors {
  const weights = initialWeights(config, random);
  return {
    ...weights,
    ...initialMoments(weights, config.optimizer),
    ...initialAverage(weights, config),
  };
}

/**
 * One step of training on a batch: forward, backward, optimiser. Outputs `loss`, in nats, and
 * `gradientNorm`, of all gradients together before they were clipped.
 */
export function trainStep(model: LanguageModel, config: Config): Program {
  return {
    inputs: { ...batchInputs(config.batch, config), ...scheduleInputs },
    body(state, inputs) {
      const weights = weightsOf(state, config);
      const { loss, gradients } = lossAndGradients(model, config, weights, inputs);
      const { norm, newState } = stepped(state, gradients, inputs, config);
      return { outputs: { loss, gradientNorm: norm }, newState };
    },
  };
}

/** The state after a step with these gradients, and their norm before they were clipped. */
export function stepped(
  state: Tensors,
  gradients: Tensors,
  schedule: Tensors,
  config: Config,
): { norm: Scalar; newState: Tensors } {
  const { clipped, norm } = clip(gradients, config.clip);
  const moved = updated(state, clipped, schedule, config);
  const average = movedAverage(state, weightsOf(moved, config), schedule.emaStep, config);
  return { norm, newState: { ...moved, ...average } };
}

/** Loss and gradients alone, for tests: outputs `loss`, and `gradient/NAME` for each weight. */
export function gradients(model: LanguageModel, config: Config, rows: number): Program {
  return {
    inputs: batchInputs(rows, config),
    body(state, inputs) {
      const weights = weightsOf(state, config);
      const { loss, gradients } = lossAndGradients(model, config, weights, inputs);
      const named = Object.entries(gradients).map(([name, tensor]) => [`gradient/${name}`, tensor]);
      return { outputs: { loss, ...Object.fromEntries(named) } };
    },
  };
}

/**
 * Logits of every position of `rows` windows: input `tokens` [rows, time], output `logits`
 * [rows, time, vocab].
 *
 * @param time Characters of a window, at most and by default the model's context.
 */
export function windowLogits(
  model: LanguageModel,
  config: ModelConfig,
  rows: number,
  time = config.context,
): Program {
  return {
    inputs: { tokens: tokensOf(rows, time) },
    body: (state, { tokens }) => ({
      outputs: { logits: forward(tokens as Tensor2D, state, config, { attend: model.attend }) },
    }),
  };
}

/**
 * -log p(target) of every position of `rows` windows: inputs `tokens` and `targets` [rows, time],
 * output `nats` [rows, time].
 *
 * @param keepMask Leave the mask token's logit in the softmax, as the original's loss does.
 * @param names Where the state holds each parameter, if not under its own name.
 *
 * ```ts
 * import { assertAlmostEquals } from "@std/assert";
 * import { gpt, initialWeights, makeConfig, seededRandom, startEngine, targetNats } from "@tiny-diffusion/core";
 *
 * const config = makeConfig("gpt", "smoke", 65);
 * const { engine } = await startEngine("onnx");
 * const weights = initialWeights(config, seededRandom(1));
 * const session = await engine.load(weights, { nats: targetNats(gpt, config, 1) });
 * const window = new Int32Array(config.context);
 * const { nats } = await session.run("nats", { tokens: window, targets: window });
 * session.dispose();
 * // What has learned nothing finds all 65 characters about as likely.
 * assertAlmostEquals(nats[0], Math.log(65), 0.2);
 * ```
 */
export function targetNats(
  model: LanguageModel,
  config: ModelConfig,
  rows: number,
  { keepMask = false, names }: { keepMask?: boolean; names?: Record<string, string> } = {},
): Program {
  return {
    inputs: { tokens: tokensOf(rows, config.context), targets: tokensOf(rows, config.context) },
    body(state, { tokens, targets }) {
      let logits = forward(
        tokens as Tensor2D,
        weightsOf(state, config, names),
        config,
        { attend: model.attend },
      );
      if (model.maskToken !== undefined && !keepMask) logits = without(model.maskToken, logits);
      return { outputs: { nats: crossEntropy(logits, targets as Tensor2D) } };
    },
  };
}

/**
 * Takes all probability from one token. A large finite number, since minus infinity times the zero
 * of a one-hot target would be NaN.
 */
function without(token: number, logits: Tensor3D): Tensor3D {
  const never = Array.from({ length: logits.shape[2] }, (_, i) => i === token ? -1e9 : 0);
  return tf.add(logits, tf.tensor1d(never));
}
