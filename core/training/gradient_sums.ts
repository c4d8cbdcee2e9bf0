/**
 * A training step in two programs, between which the ranks add up what they found: `trainStep` of
 * `../programs.ts`, cut in two.
 *
 * Gradients travel as sums over characters, with the number of characters beside them, and are
 * divided only after all ranks' are added up: how many characters are hidden differs from rank to
 * rank, so a mean of means would be another gradient.
 */
import * as tf from "@tensorflow/tfjs";
import type { Config } from "../config.ts";
import type { Program } from "@tiny-diffusion/engines";
import type { LanguageModel } from "../language_model.ts";
import { parameterShapes } from "../model.ts";
import { scheduleInputs } from "./optimizer.ts";
import { batchInputs, lossAndGradients, stepped, weightsOf } from "../programs.ts";
import { sizeOf, type Tensor } from "@tiny-diffusion/engines/tensors";

/**
 * How the numbers lie in the one buffer that is added up: the gradients in the order of the
 * parameters, and after them the loss, the weight of the characters that count (their number,
 * unless the loss weighs them), and a number that the host may set, which the programs leave alone.
 * A count is exact up to 2^24 characters a step.
 */
export function layoutOf(config: Config) {
  const shapes = Object.entries(parameterShapes(config));
  const gradients = shapes.reduce((total, [, shape]) => total + sizeOf(shape), 0);
  return {
    shapes,
    loss: gradients,
    weight: gradients + 1,
    flag: gradients + 2,
    size: gradients + 3,
  };
}

/** Sums over the characters of `rows` windows: output `sums`, laid out as `layoutOf` says. */
export function gradientSums(model: LanguageModel, config: Config, rows: number): Program {
  return {
    inputs: batchInputs(rows, config),
    body(state, inputs) {
      const { loss, gradients } = lossAndGradients(model, config, weightsOf(state, config), inputs);
      const { shapes } = layoutOf(config);
      const flat = (tensor: Tensor) => tf.reshape<tf.Rank.R1>(tensor, [-1]);
      const means = [...shapes.map(([name]) => gradients[name]), loss].map(flat);
      const weight = flat(tf.sum(inputs.lossWeights));
      return {
        outputs: { sums: tf.concat([tf.mul(tf.concat(means), weight), weight, tf.zeros([1])]) },
      };
    },
  };
}

/**
 * The step that follows from all ranks' sums: outputs `loss` and `gradientNorm` as `trainStep`
 * gives them.
 */
export function stepFromSums(config: Config): Program {
  const { shapes, size } = layoutOf(config);
  return {
    inputs: { sums: { shape: [size], dtype: "float32" }, ...scheduleInputs },
    body(state, { sums, ...schedule }) {
      const sizes = [...shapes.map(([, shape]) => sizeOf(shape)), 1, 1, 1];
      const pieces = tf.split(sums, sizes);
      const [loss, weight] = pieces.slice(shapes.length).map((piece) => tf.reshape(piece, []));
      const meanOf = (sum: Tensor) => tf.div(sum, tf.maximum(weight, 1));
      const gradients = Object.fromEntries(
        shapes.map(([name, shape], i) => [name, meanOf(tf.reshape(pieces[i], shape))]),
      );
      const { norm, newState } = stepped(state, gradients, schedule, config);
      return { outputs: { loss: meanOf(loss), gradientNorm: norm }, newState };
    },
  };
}
