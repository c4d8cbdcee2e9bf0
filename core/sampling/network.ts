/** Trained weights on an engine, as generation sees them. */
import { Cache, next, prefill } from "./cache.ts";
import type { ModelConfig, ModelKind } from "../config.ts";
import type { Engine, Session } from "@tiny-diffusion/engines";
import { type Lane, lanesOf } from "./lanes.ts";
import type { Network, Question } from "../language_model.ts";
import { models } from "../models.ts";
import { windowLogits } from "../programs.ts";
import type { HostTensors } from "@tiny-diffusion/engines/tensors";

/** A network on an engine; dispose it when its text is done. */
export interface LoadedNetwork extends Network, Disposable {
  /** Forward passes so far, of this one's own text. */
  readonly forwards: number;
}

/**
 * Loads what generation needs: a GPT reads one character at a time with a cache, a diffusion model
 * a whole window.
 *
 * @param options.window As of `loadNetworks`.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { gpt, initialWeights, loadNetwork, makeConfig } from "@tiny-diffusion/core";
 * import { seededRandom, startEngine, usualOptions } from "@tiny-diffusion/core";
 *
 * const config = makeConfig("gpt", "smoke", 65), random = seededRandom(1);
 * const { engine } = await startEngine("onnx");
 * using network = await loadNetwork(engine, config, initialWeights(config, random));
 * const options = usualOptions(config.context);
 * const written: number[] = [];
 * for await (const [{ token }] of gpt.generate(network, Int32Array.of(1, 2, 3), 5, options, random)) {
 *   written.push(token);
 * }
 * assertEquals(written.length, 5);
 * assertEquals(network.forwards, 5); // one for each character
 * ```
 */
export async function loadNetwork(
  engine: Engine,
  config: ModelConfig & { kind: ModelKind },
  weights: HostTensors,
  options: { window?: number } = {},
): Promise<LoadedNetwork> {
  const [network] = await loadNetworks(engine, config, weights, { ...options, rows: 1 });
  return network;
}

/**
 * Loads `rows` networks over programs that compute them together, each for a text of its own. A
 * forward pass of one waits until all have asked for theirs: dispose each as soon as its text is
 * done. The last one frees the weights.
 *
 * Their logits are those of a network alone up to the rounding of float32, since a larger product
 * may be summed in another order.
 *
 * @param options.rows How many texts are written together.
 * @param options.window Diffusion: characters that the network reads at once, at most (and by
 *   default) its context. The time of a pass grows with it.
 */
export async function loadNetworks(
  engine: Engine,
  config: ModelConfig & { kind: ModelKind },
  weights: HostTensors,
  { rows, window = config.context }: { rows: number; window?: number },
): Promise<LoadedNetwork[]> {
  if (config.kind === "gpt") {
    const programs = { prefill: prefill(config), next: next(config, rows) };
    const session = await engine.load(weights, programs);
    const cache = new Cache(session, config, rows);
    return lanesOf(rows, (asked: (Question | undefined)[]) => cache.logits(asked), close(session))
      .map((lane) => new LaneNetwork(config.context, config.vocab, lane));
  }
  const one = windowLogits(models.diffusion, config, 1, window);
  const all = windowLogits(models.diffusion, config, rows, window);
  const session = await engine.load(weights, rows === 1 ? { one } : { one, all });
  const windows = new Windows(session, rows, window, config.vocab);
  return lanesOf(rows, (asked: (Question | undefined)[]) => windows.logits(asked), close(session))
    .map((lane) => new LaneNetwork(window, config.vocab, lane));
}

const close = (session: Session) => () => session.dispose();

/** One text's share of a network. */
class LaneNetwork implements LoadedNetwork {
  forwards = 0;
  constructor(
    readonly context: number,
    readonly vocab: number,
    readonly lane: Lane<Question, Float32Array[]>,
  ) {}

  logits(tokens: ArrayLike<number>, from: number): Promise<Float32Array[]> {
    this.forwards++;
    return this.lane.ask({ tokens, from });
  }

  [Symbol.dispose](): void {
    this.lane[Symbol.dispose]();
  }
}

/**
 * The network without a cache: every call computes whole windows, over a session that has the
 * programs `one` and `all`.
 */
class Windows {
  constructor(
    readonly session: Session,
    readonly rows: number,
    readonly window: number,
    readonly vocab: number,
  ) {}

  async logits(asked: (Question | undefined)[]): Promise<Float32Array[][]> {
    const rows = asked.flatMap((question, row) => question === undefined ? [] : [row]);
    // Half a batch costs as much as a whole one: few rows go one by one.
    const groups = 2 * rows.length > this.rows && this.rows > 1 ? [rows] : rows.map((row) => [row]);
    const answers: Float32Array[][] = new Array(asked.length);
    const { window, vocab } = this;
    for (const group of groups) {
      const together = group.length > 1;
      const tokens = new Int32Array((together ? this.rows : 1) * window);
      group.forEach((row, i) => tokens.set(asked[row]!.tokens, i * window)); // what is missing stays the mask, 0
      const { logits } = await this.session.run(together ? "all" : "one", { tokens });
      group.forEach((row, i) => {
        const { tokens: { length }, from } = asked[row]!;
        const at = (position: number) => (i * window + position) * vocab;
        answers[row] = Array.from(
          { length: length - from },
          (_, j) => logits.subarray(at(from + j), at(from + j + 1)),
        );
      });
    }
    return answers;
  }
}
