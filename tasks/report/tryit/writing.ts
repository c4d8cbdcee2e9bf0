/**
 * From a request of the page to text, by the function of `core/` that `deno task sample` uses too.
 */
import type { Tokenizer } from "../../../core/data/tokenizer.ts";
import * as diffusion from "../../../core/diffusion.ts";
import { defaultSampler } from "../../../core/sampling/defaults.ts";
import { samplers } from "../../../core/sampling/samplers/mod.ts";
import type { DefinedSampler } from "../../../core/sampling/samplers/sampler.ts";
import type { TrainedNetwork } from "../../../core/language_model.ts";
import { WindowNetwork } from "../../../core/sampling/window_network.ts";
import { write, type Writing } from "../../../core/sampling/write.ts";
import type { PageRequest } from "./messages.ts";

/** Runs the exported file once: int32 tokens [context] to logits [context, vocab]. */
export type RunOnce = (tokens: Int32Array) => Promise<Float32Array>;

/**
 * Makes a network of the exported file, whatever runs it: onnxruntime-web in the page,
 * onnxruntime-node in Deno.
 */
export function makeNetwork(
  run: RunOnce,
  { context, vocab }: { context: number; vocab: number },
): WindowNetwork {
  const session = {
    run: async (_: "logits", inputs: Record<string, Float32Array | Int32Array>) => ({
      logits: await run(inputs.tokens as Int32Array),
    }),
  };
  return new WindowNetwork(session, diffusion, context, vocab);
}

/**
 * Begins to write what the page asks for. A setting that is an option of the sampler goes to the
 * sampler; what is left out is as `deno task sample` has it.
 *
 * @throws {UserError} If the request can't be met, as `write` says.
 */
export async function writeRequest(
  network: TrainedNetwork,
  tokenizer: Tokenizer,
  { seed, settings = {}, ...request }: PageRequest,
  signal?: AbortSignal,
): Promise<Writing> {
  const { sampler: name, ...values } = settings;
  const sampler: DefinedSampler = name === undefined ? defaultSampler : samplers[name];
  const { own = [], common = [] } = Object.groupBy(
    Object.entries(values),
    ([key]) => key in sampler.options ? "own" : "common",
  );
  return await write(network, tokenizer, request, {
    ...Object.fromEntries(common),
    sampler: sampler.with(Object.fromEntries(own) as DefinedSampler["settings"]),
    seed,
    signal,
  });
}
