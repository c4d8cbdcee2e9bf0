/** Trains, and leaves two files: the best weights, and the state to resume from. */
import { saveTraining, saveWeights, trainingPath } from "../checkpoint.ts";
import {
  runTraining,
  type TrainingObserver,
  type TrainingResult,
  type TrainingStore,
  type TrainingTask,
} from "./loop.ts";

/** A run: what to train on which text, on what engine, and where to save it. */
export interface TrainingRun extends TrainingTask {
  /** The file for the best weights; the state is saved next to it. */
  path: string;
}

/**
 * Trains until `config.steps`, until patience or the time runs out, or until `signal` aborts; saves
 * in each case.
 *
 * A run with a deadline starts by timing a validation and a checkpoint, and stops early enough for
 * one more of each: its last validation is one more than those of a run that was never stopped, and
 * the steps are the same.
 *
 * @throws {UserError} If the loss is not a number (a checkpoint stays as it is), the
 * validation text is shorter than one block, a file cannot be written, or no step fits before
 * the deadline.
 *
 * ```ts
 * import { assertLess } from "@std/assert";
 * import { diffusion, loadWeights, makeConfig, makeCorpus, startEngine, train } from "@tiny-diffusion/core";
 *
 * const corpus = await makeCorpus("the cat sat on the mat, and the rat sat on the cat; ".repeat(20));
 * const { length } = diffusion.vocabulary(corpus.text);
 * const folder = await Deno.makeTempDir();
 * const { bpc } = await train({
 *   model: diffusion,
 *   config: makeConfig("diffusion", "smoke", length, { steps: 15 }),
 *   corpus,
 *   engine: (await startEngine("onnx")).engine,
 *   path: `${folder}/cats.safetensors`,
 * });
 * assertLess(bpc, Math.log2(length)); // better than knowing nothing
 * const { weights } = await loadWeights(`${folder}/cats.safetensors`); // the best ones
 * await Deno.remove(folder, { recursive: true });
 * ```
 */
export async function train(
  run: TrainingRun,
  observer: TrainingObserver = {},
  signal?: AbortSignal,
): Promise<TrainingResult> {
  const { path } = run;
  const store: TrainingStore = {
    saveWeights: (model) => saveWeights(path, model, { dtype: "float16" }),
    saveTraining: (state) => saveTraining(trainingPath(path), state),
  };
  return await runTraining(run, store, observer, signal);
}
