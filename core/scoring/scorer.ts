/** Networks to score with: loaded here, or made of a session that is loaded already. */
import type { Engine, Program, Session } from "@tiny-diffusion/engines";
import type { HostTensors } from "@tiny-diffusion/engines/tensors";
import type { ModelConfig } from "../config.ts";
import { yieldToEventLoop } from "../event_loop.ts";
import type { LanguageModel } from "../language_model.ts";
import { targetNats } from "../programs.ts";

/** The network as an estimator sees it. */
export interface Scorer {
  /** Rows of one call. */
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

/**
 * Makes a scorer of a session whose programs have `rows` rows.
 *
 * @param sessionWithMask Has the `targetNats` that keeps the mask; only `masked-mean` needs it.
 */
export function makeScorer(
  { context }: { context: number },
  rows: number,
  session: Pick<Session<{ nats: Program }>, "run">,
  sessionWithMask?: Pick<Session<{ natsWithMask: Program }>, "run">,
): Scorer {
  return {
    rows,
    context,
    async nats(tokens, targets, { keepMask = false } = {}) {
      await yieldToEventLoop();
      const inputs = { tokens, targets };
      if (!keepMask) return (await session.run("nats", inputs)).nats;
      if (!sessionWithMask) throw new TypeError("internal: no program that keeps the mask");
      return (await sessionWithMask.run("natsWithMask", inputs)).nats;
    },
  };
}

/**
 * Loads a network to score with.
 *
 * @param options.rows Rows of one call. Default: as `chooseRows` says.
 * @param options.time Characters of a row, at most and by default the model's context.
 * @param options.keepMask Load what `masked-mean` needs, too. Default false.
 */
export async function loadScorer(
  engine: Engine,
  model: LanguageModel,
  config: ModelConfig,
  weights: HostTensors,
  { rows = chooseRows(config), time = config.context, keepMask = false }: {
    rows?: number;
    time?: number;
    keepMask?: boolean;
  } = {},
): Promise<Scorer & Disposable> {
  const nats = targetNats(model, config, rows, { time });
  const natsWithMask = targetNats(model, config, rows, { time, keepMask });
  const session = await engine.load(weights, keepMask ? { nats, natsWithMask } : { nats });
  const scorer = makeScorer({ context: time }, rows, session, keepMask ? session : undefined);
  return { ...scorer, [Symbol.dispose]: () => session.dispose() };
}

/** Chooses the rows of one call: enough for the matrix kernels, few enough to see progress. */
function chooseRows({ context }: ModelConfig): number {
  return Math.max(4, Math.min(64, context, Math.floor(2048 / context)));
}
