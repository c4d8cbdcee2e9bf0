/**
 * Data-parallel training: every rank holds the whole model, draws the whole batch from the same
 * random state, and computes the gradients of its share of the rows. The gradients are added up, and
 * every rank makes the same step. So there is nothing to send at the start, and a run can be resumed
 * with another number of ranks as if nothing had changed.
 *
 * Gradients travel as sums over characters, together with the number of characters, and are divided
 * only after those of all ranks are added up: how many characters are hidden differs from rank to
 * rank, so a mean of means would be another gradient.
 */
import * as tf from "@tensorflow/tfjs-core";
import type { Communicator, Program } from "@tiny-diffusion/engines";
import { UserError } from "@tiny-diffusion/engines/errors";
import { sizeOf, type Tensor } from "@tiny-diffusion/engines/tensors";
import type { Config } from "../config.ts";
import { sha256Hex } from "@tiny-diffusion/files/read";
import type { LanguageModel } from "../language_model.ts";
import { parameterShapes } from "../model.ts";
import { makeScorer } from "../scoring/scorer.ts";
import { averageInputs } from "./average.ts";
import { scheduleInputs } from "./optimizer.ts";
import {
  applyGradients,
  batchInputs,
  computeGradients,
  type StepInputs,
  validationNats,
} from "./step.ts";
import type { Stepper } from "./loop.ts";

/** The programs of a rank. */
export type ParallelPrograms = { gradientSums: Program; stepFromSums: Program; nats: Program };

/** A stepper whose steps all ranks make together. */
export interface ParallelStepper extends Stepper<ParallelPrograms> {
  /** Aborts on all ranks at the same step, soon after any was asked to stop; for `train`. */
  stop: AbortSignal;
}

/**
 * Makes the stepper of one of several ranks.
 *
 * @param interruption Asks this rank to stop.
 * @throws {UserError} If there are more ranks than windows in a batch.
 */
export function makeParallelStepper(
  model: LanguageModel,
  config: Config,
  ranks: Communicator,
  interruption?: AbortSignal,
): ParallelStepper {
  const { first, rows } = assignRows(ranks, config.batch);
  const causalRows = Math.max(0, Math.min(rows, config.causalRows - first));
  const layout = layOutSums(config);
  const stop = new AbortController();
  const programs = {
    gradientSums: gradientSums(model, config, rows, causalRows),
    stepFromSums: stepFromSums(config),
    nats: validationNats(model, config, rows),
  };

  /** Adds up `values` over all ranks, and in its entry `flag` asks whether any wants to stop. */
  async function addUp(values: Float32Array, flag: number): Promise<void> {
    values[flag] = interruption?.aborted ? 1 : 0;
    await ranks.sum(values);
    if (values[flag] > 0) stop.abort(interruption?.reason);
  }

  /** Takes from the whole batch's inputs those of a program, cut to this rank's rows. */
  function pickInputs({ inputs }: Program, all: StepInputs): StepInputs {
    return Object.fromEntries(
      Object.entries(inputs).map(([name, { shape }]) => {
        const size = sizeOf(shape);
        const start = first * size / shape[0];
        const isWhole = all[name].length === size; // belongs to no row, or there is one rank
        return [name, isWhole ? all[name] : all[name].subarray(start, start + size)];
      }),
    );
  }

  return {
    programs,
    async makeSteps(session, steps) {
      const outcomes = [];
      for (const inputs of steps) {
        const batch = pickInputs(programs.gradientSums, inputs);
        const { sums } = await session.run("gradientSums", batch);
        await addUp(sums, layout.flag);
        const found = pickInputs(programs.stepFromSums, { ...inputs, sums });
        const { loss, gradientNorm } = await session.run("stepFromSums", found);
        outcomes.push({ lossNats: loss[0], gradientNorm: gradientNorm[0] });
      }
      return outcomes;
    },
    groups: false, // so that all ranks stop after the same step
    scorer(session) {
      const own = makeScorer(config, rows, session);
      const { context } = config;
      const start = first * context;
      const end = start + rows * context;
      return {
        rows: config.batch,
        context,
        async nats(tokens, targets) {
          const all = new Float32Array(tokens.length + 1); // zeros except for our rows: sums are the answers
          all.set(await own.nats(tokens.subarray(start, end), targets.subarray(start, end)), start);
          await addUp(all, tokens.length);
          return all.subarray(0, tokens.length);
        },
      };
    },
    saves: ranks.rank === 0,
    stop: stop.signal,
  };
}

/** Assigns a rank its rows of a batch: as many as the others have, or one more or less. */
export function assignRows(
  { rank, size }: Pick<Communicator, "rank" | "size">,
  batch: number,
): { first: number; rows: number } {
  if (size > batch) {
    throw new UserError({
      action: `share a batch of ${batch} among ${size} ranks`,
      found: "each needs a window of text or more",
      advice: "start fewer ranks or raise --batch",
    });
  }
  const start = (rank: number) => Math.floor(rank * batch / size);
  return { first: start(rank), rows: start(rank + 1) - start(rank) };
}

/**
 * Refuses ranks that are about to do different things, for example as one machine has another text.
 *
 * @param facts All that has to be the same, as JSON takes it.
 * @throws {UserError} On one rank at least; the job ends with it.
 */
export async function requireSameFacts(ranks: Communicator, facts: unknown): Promise<void> {
  const hash = await sha256Hex(new TextEncoder().encode(JSON.stringify(facts)));
  const own = Float32Array.from(Uint8Array.fromHex(hash)); // small integers: their sums are exact
  const sums = own.slice();
  await ranks.sum(sums);
  if (sums.some((sum, i) => sum !== ranks.size * own[i])) {
    throw new UserError({
      action: "train together",
      found: "the ranks differ in settings, text, engine or checkpoint",
      advice: "give all machines the same files, such as a shared folder, and the same command",
    });
  }
}

// ---------------------------------------------------------------- programs

/**
 * Lays out the one buffer that is added up: the gradients in the order of the parameters, then the
 * loss, the weight of the characters that count (their number, unless the loss weighs them), and a
 * flag for the host, which the programs leave at 0. A count is exact up to 2^24 characters a step.
 */
export function layOutSums(config: Config) {
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

/** Computes `sums` over the characters of `rows` windows, the first `causalRows` a GPT's. */
export function gradientSums(
  model: LanguageModel,
  config: Config,
  rows: number,
  causalRows = config.causalRows,
): Program {
  return {
    inputs: batchInputs(rows, config, causalRows),
    body(state, inputs) {
      const { loss, gradients } = computeGradients(model, config, state, inputs, causalRows);
      const { shapes } = layOutSums(config);
      const flat = (tensor: Tensor) => tf.reshape<tf.Rank.R1>(tensor, [-1]);
      const means = [...shapes.map(([name]) => gradients[name]), loss].map(flat);
      const weight = flat(tf.sum(inputs.lossWeights));
      return {
        outputs: { sums: tf.concat([tf.mul(tf.concat(means), weight), weight, tf.zeros([1])]) },
      };
    },
  };
}

/** Makes the step that follows from all ranks' sums; outputs are those of `trainStep`. */
export function stepFromSums(config: Config): Program {
  const { shapes, size } = layOutSums(config);
  return {
    inputs: {
      sums: { shape: [size], dtype: "float32" },
      ...scheduleInputs,
      ...averageInputs(config),
    },
    body(state, { sums, ...inputs }) {
      const sizes = [...shapes.map(([, shape]) => sizeOf(shape)), 1, 1, 1];
      const pieces = tf.split(sums, sizes);
      const [loss, weight] = pieces.slice(shapes.length).map((piece) => tf.reshape(piece, []));
      const meanOf = (sum: Tensor) => tf.div(sum, tf.maximum(weight, 1));
      const gradients = Object.fromEntries(
        shapes.map(([name, shape], i) => [name, meanOf(tf.reshape(pieces[i], shape))]),
      );
      const { norm, newState } = applyGradients(state, gradients, inputs, config);
      return { outputs: { loss: meanOf(loss), gradientNorm: norm }, newState };
    },
  };
}
