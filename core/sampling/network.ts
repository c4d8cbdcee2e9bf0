/** Trained weights on an engine, as generation sees them. */
import type { Engine } from "@tiny-diffusion/engines";
import type { HostTensors } from "@tiny-diffusion/engines/tensors";
import type { ModelConfig } from "../config.ts";
import type { LanguageModel } from "../language_model.ts";
import { windowLogits } from "../programs.ts";
import { Cache, next, prefill, type Question } from "./cache.ts";
import { openLanes } from "./lanes.ts";
import { type TrainedNetwork, WindowNetwork } from "./window_network.ts";

/** A network on an engine; dispose it when its text is done. */
export interface LoadedNetwork extends TrainedNetwork, Disposable {}

/**
 * Loads a network for one text at a time: a GPT reads one character in a forward pass, with a
 * cache, a diffusion model a whole window. See `write` for an example.
 *
 * @param options.window Diffusion: characters that the network reads at once, at most (and by
 * default) its context. The time of a pass grows with it.
 */
export async function loadNetwork(
  engine: Engine,
  model: LanguageModel,
  config: ModelConfig,
  weights: HostTensors,
  { window = config.context }: { window?: number } = {},
): Promise<LoadedNetwork> {
  if (model.kind === "gpt") return (await loadNetworks(engine, model, config, weights, 1))[0];
  const programs = { logits: windowLogits(model, config, 1, window) };
  const session = await engine.load(weights, programs);
  return new WindowNetwork(session, model, window, config.vocab);
}

/**
 * Loads a GPT for `rows` texts that are written at the same time, each by its own network. A
 * forward pass of one waits until all have asked for theirs: dispose each as soon as its text is
 * done. The last one frees the weights.
 *
 * Four rows take less than half the time of four texts in turn. There is no such thing for a
 * diffusion model: its pass over a window keeps a processor busy already (docs/lab-log.md).
 *
 * Logits are those of a network alone up to the rounding of float32, since a larger product may be
 * summed in another order.
 */
export async function loadNetworks(
  engine: Engine,
  model: LanguageModel,
  config: ModelConfig,
  weights: HostTensors,
  rows: number,
): Promise<LoadedNetwork[]> {
  if (model.kind !== "gpt") throw new TypeError("internal: only GPTs write texts together");
  const programs = { prefill: prefill(config), next: next(config, rows) };
  const session = await engine.load(weights, programs);
  const cache = new Cache(session, config, rows);
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
      forwards: 0,
      logits(tokens: ArrayLike<number>, from: number) {
        network.forwards++;
        return lane.ask({ tokens, from });
      },
      [Symbol.dispose]: () => lane[Symbol.dispose](),
    };
    return network;
  });
}
