/** Networks to score with: loaded here, or made of a program that is loaded already. */
import type { Engine } from "@tiny-diffusion/engines";
import type { HostTensors } from "@tiny-diffusion/engines/tensors";
import type { ModelConfig } from "../config.ts";
import { yieldToEventLoop } from "../event_loop.ts";
import type { LanguageModel } from "../language_model.ts";
import { targetNats } from "../programs.ts";

/**
 * The network as an estimator sees it: it takes rows of tokens, and gives negative log-probabilities
 * of targets.
 */
export interface Scorer {
  /**
   * Rows of one call. Where an estimator has fewer left, it fills up with a repeated row and
   * ignores the answer.
   */
  rows: number;
  /** Characters of a row. */
  context: number;
  /**
   * Nats of each target at its position, [rows, context] flattened: for a GPT `-log p(targets[i] |
   * tokens[0..i])`, for diffusion `-log p(targets[i] | tokens)`. The mask token, 0, gets no
   * probability unless `keepMask` says so.
   */
  nats(
    tokens: Int32Array,
    targets: Int32Array,
    options?: { keepMask?: boolean },
  ): Promise<Float32Array>;
}

/** Runs a program that `targetNats` made. */
export type RunNats = (
  inputs: { tokens: Int32Array; targets: Int32Array },
) => Promise<Record<string, Float32Array>>;

/**
 * Makes a scorer of a loaded network.
 *
 * @param rows The rows of those programs.
 * @param run Runs the program in which the mask token gets no probability.
 * @param runWithMask Runs the one in which it keeps its probability; only `masked-mean` needs it.
 */
export function makeScorer(
  { context }: { context: number },
  rows: number,
  run: RunNats,
  runWithMask?: RunNats,
): Scorer {
  return {
    rows,
    context,
    async nats(tokens, targets, { keepMask = false } = {}) {
      await yieldToEventLoop();
      const runProgram = keepMask ? runWithMask : run;
      if (!runProgram) throw new TypeError("Cannot keep the mask: its program is not loaded");
      return (await runProgram({ tokens, targets })).nats;
    },
  };
}

/** Chooses the rows of one call: enough for the matrix kernels, few enough to see progress. */
export function chooseRows(context: number): number {
  return Math.max(4, Math.min(64, context, Math.floor(2048 / context)));
}

/**
 * Loads a network to score with.
 *
 * @param options.rows Rows of one call. Default: as `chooseRows` says.
 * @param options.keepMask Load what `masked-mean` needs, too. Default false.
 */
export async function loadScorer(
  engine: Engine,
  model: LanguageModel,
  config: ModelConfig,
  weights: HostTensors,
  { rows = chooseRows(config.context), keepMask = false }: { rows?: number; keepMask?: boolean } =
    {},
): Promise<Scorer & Disposable> {
  const nats = targetNats(model, config, rows);
  const natsWithMask = keepMask ? targetNats(model, config, rows, { keepMask }) : nats;
  const session = await engine.load(weights, keepMask ? { nats, natsWithMask } : { nats });
  const scorer = makeScorer(
    config,
    rows,
    (inputs) => session.run("nats", inputs),
    keepMask ? (inputs) => session.run("natsWithMask", inputs) : undefined,
  );
  return { ...scorer, [Symbol.dispose]: () => session.dispose() };
}
