/** Trained weights on an engine, as generation sees them. */
import type { Engine, Program, Session } from "@tiny-diffusion/engines";
import type { HostTensors } from "@tiny-diffusion/engines/tensors";
import type { ModelConfig } from "../config.ts";
import { MASK_TOKEN } from "../data/tokenizer.ts";
import type { LanguageModel, TrainedNetwork } from "../language_model.ts";
import { windowLogits } from "../programs.ts";
import { Cache, cachePrograms, type Question } from "./cache.ts";
import { openLanes } from "./lanes.ts";

/** Options of loading a network. */
export interface NetworkOptions {
  /** GPT: number of networks. @default {1} */
  rows?: number;
  /**
   * GPT: characters that a table of n-grams may draft for each forward pass, which takes 1.4 times
   * as long with 11; fewer than the context has. @default {0}
   */
  drafts?: number;
  /**
   * Diffusion: characters that the network reads at once, at most (and by default) its context. The
   * time of a pass grows with it.
   */
  window?: number;
}

/**
 * Loads a network for one text at a time, see `loadNetworks`; dispose it when its text is done. An
 * example is in `write`.
 */
export async function loadNetwork(
  engine: Engine,
  model: LanguageModel,
  config: ModelConfig,
  weights: HostTensors,
  options: Omit<NetworkOptions, "rows"> = {},
): Promise<TrainedNetwork & Disposable> {
  const [network] = await loadNetworks(engine, model, config, weights, options);
  return network;
}

/**
 * Loads the networks for texts that are written at the same time, each by its own network. A GPT
 * reads one character in a forward pass, or its drafts too, with a cache; a diffusion model a whole
 * window.
 *
 * A forward pass of one of `rows` GPTs waits until all have asked for theirs: dispose each as soon
 * as its text is done. The last one frees the weights. Four rows take less than half the time of
 * four texts in turn, with drafts two thirds of it. Their logits are those of a network alone up to
 * the rounding of float32, since a larger product may be summed in another order.
 *
 * A diffusion model is always one network and gains nothing from more: one window already uses the
 * whole processor (docs/lab-log.md).
 */
export async function loadNetworks(
  engine: Engine,
  model: LanguageModel,
  config: ModelConfig,
  weights: HostTensors,
  { rows = 1, window = config.context, ...options }: NetworkOptions = {},
): Promise<(TrainedNetwork & Disposable)[]> {
  if (model.kind === "diffusion") {
    const session = await engine.load(weights, { logits: windowLogits(model, config, 1, window) });
    return [makeWindowNetwork(session, model, window, config.vocab)];
  }
  const drafts = Math.min(options.drafts ?? 0, config.context - 1);
  const session = await engine.load(weights, cachePrograms(config, rows, drafts + 1));
  const cache = new Cache(session, config, rows, drafts + 1);
  const lanes = openLanes<Question, Float32Array[]>(
    (questions) => cache.logits(questions),
    rows,
    () => session.dispose(),
  );
  const { context, vocab } = config;
  return lanes.map((lane) => {
    const network = {
      model,
      context,
      vocab,
      drafts,
      forwards: 0,
      async logits(tokens: ArrayLike<number>, count = 1) {
        network.forwards++;
        return await lane.ask({ tokens, count });
      },
      [Symbol.dispose]: () => lane[Symbol.dispose](),
    };
    return network;
  });
}

/** Makes a diffusion model's network: each forward pass reads one window of the text. */
function makeWindowNetwork(
  session: Session<{ logits: Program }>,
  model: LanguageModel,
  context: number,
  vocab: number,
): TrainedNetwork & Disposable {
  const network = {
    model,
    context,
    vocab,
    forwards: 0,
    async logits(text: ArrayLike<number>) {
      network.forwards++;
      const tokens = new Int32Array(context).fill(MASK_TOKEN);
      tokens.set(text);
      const { logits } = await session.run("logits", { tokens });
      return Array.from(
        { length: text.length },
        (_, i) => logits.subarray(i * vocab, (i + 1) * vocab),
      );
    },
    [Symbol.dispose]: () => session.dispose(),
  };
  return network;
}
