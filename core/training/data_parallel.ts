/**
 * Data-parallel training: every rank holds the whole model, draws the whole batch from the same
 * random state, and computes the gradients of its rows of it. What they find is added up, and each
 * makes the same step. So there is nothing to send at the start, ranks may be of any number, and a
 * run goes on with another number of them as if nothing had changed.
 */
import type { Config } from "../config.ts";
import type { Program } from "@tiny-diffusion/engines";
import { sha256Hex } from "../files/read.ts";
import type { LanguageModel } from "../language_model.ts";
import { makeScorer } from "../scoring/rows.ts";
import { type Stepper, validationNats } from "./stepper.ts";
import { sizeOf } from "@tiny-diffusion/engines/tensors";
import type { Communicator } from "./mpi.ts";
import { gradientSums, layoutOf, stepFromSums } from "./gradient_sums.ts";

/** Steps that all ranks make together. */
export interface SharedStepper extends Stepper {
  /**
   * Aborts on all ranks at the same step, soon after the signal of any of them did; the one to give
   * to `train`.
   */
  stop: AbortSignal;
}

/**
 * Steps that this rank makes together with the others.
 *
 * @param interruption What asks this rank to stop.
 * @throws {RangeError} If there are more ranks than windows in a batch.
 */
export function shared(
  model: LanguageModel,
  config: Config,
  ranks: Communicator,
  interruption?: AbortSignal,
): SharedStepper {
  const { first, rows } = rowsOf(ranks, config.batch);
  const layout = layoutOf(config), stop = new AbortController();
  const programs = {
    gradientSums: gradientSums(model, config, rows),
    stepFromSums: stepFromSums(config),
    nats: validationNats(model, config, rows),
  };

  /**
   * Adds up, and by the way asks whether some rank wants to stop: `flag` is the place of that in
   * `values`.
   */
  const addUp = async (values: Float32Array, flag: number) => {
    values[flag] = interruption?.aborted ? 1 : 0;
    await ranks.sum(values);
    if (values[flag] > 0) stop.abort(interruption?.reason);
  };
  /**
   * This rank's rows of what the whole batch has. Whatever is as large here as there belongs to no
   * window.
   */
  const ownRows = <Values extends Float32Array | Int32Array>(values: Values, size: number) => {
    const start = values.length / config.batch * first;
    return values.length === size ? values : values.subarray(start, start + size) as Values;
  };
  const inputsOf = (program: Program, all: Record<string, Float32Array | Int32Array>) =>
    Object.fromEntries(
      Object.entries(program.inputs).map(([name, { shape }]) => [
        name,
        ownRows(all[name], sizeOf(shape)),
      ]),
    );

  return {
    programs,
    async step(runner, inputs) {
      const batch = inputsOf(programs.gradientSums, inputs);
      const { sums } = await runner.run("gradientSums", batch);
      await addUp(sums, layout.flag);
      const found = inputsOf(programs.stepFromSums, { ...inputs, sums });
      const { loss, gradientNorm } = await runner.run("stepFromSums", found);
      return { lossNats: loss[0], gradientNorm: gradientNorm[0] };
    },
    scorer(runner) {
      const own = makeScorer(config, rows, (inputs) => runner.run("nats", inputs));
      const size = rows * config.context;
      return {
        rows: config.batch,
        context: config.context,
        async nats(tokens, targets) {
          const all = new Float32Array(tokens.length + 1); // zeros but for our rows, so that sums are the answers
          const answers = await own.nats(ownRows(tokens, size), ownRows(targets, size));
          all.set(answers, first * config.context);
          await addUp(all, tokens.length);
          return all.subarray(0, tokens.length);
        },
      };
    },
    saves: ranks.rank === 0,
    stop: stop.signal,
  };
}

/** The rows of a batch that a rank takes: as many as the others, or one more or less. */
export function rowsOf(
  { rank, size }: Pick<Communicator, "rank" | "size">,
  batch: number,
): { first: number; rows: number } {
  if (size > batch) {
    throw new RangeError(
      `Cannot share a batch of ${batch} among ${size} ranks: each needs a window of text or more; ` +
        `start fewer ranks or raise --batch`,
    );
  }
  const start = (rank: number) => Math.floor(rank * batch / size);
  return { first: start(rank), rows: start(rank + 1) - start(rank) };
}

/**
 * Refuses ranks that are about to do different things, for example as one machine has another text.
 *
 * @param facts All that has to be the same, as JSON takes it.
 * @throws {Error} On one rank at least; the job ends with it.
 */
export async function requireAlike(ranks: Communicator, facts: unknown): Promise<void> {
  const hash = await sha256Hex(new TextEncoder().encode(JSON.stringify(facts)));
  const own = Float32Array.from(Uint8Array.fromHex(hash)), sums = own.slice(); // small integers: exact
  await ranks.sum(sums);
  if (sums.some((sum, i) => sum !== ranks.size * own[i])) {
    throw new Error(
      `Cannot train together: the ranks differ in settings, text, engine or checkpoint; ` +
        `give all machines the same files, such as a shared folder, and the same command`,
    );
  }
}
