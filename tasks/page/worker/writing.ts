/** From a request of the page to text, by the function of `core/` that `deno task sample` uses too. */
import { makeTokenizer } from "../../../core/data/tokenizer.ts";
import type { TrainedNetwork } from "../../../core/language_model.ts";
import type { NgramTable } from "../../../core/ngrams/kneser_ney.ts";
import { defaultSampler } from "../../../core/sampling/defaults.ts";
import { samplers } from "../../../core/sampling/samplers/mod.ts";
import type { DefinedSampler } from "../../../core/sampling/samplers/sampler.ts";
import { write, type Writing } from "../../../core/sampling/write.ts";
import type { PageRequest } from "../messages.ts";

/**
 * Begins to write what the page asks for. A setting that is an option of the sampler goes to the
 * sampler; what is left out is as `deno task sample` has it.
 *
 * @param ngrams The table of the model's own text, for the sampler that needs one.
 * @throws {UserError} If the request can't be met, as `write` says.
 */
export async function beginWriting(
  network: TrainedNetwork,
  vocabulary: readonly string[],
  { seed, settings, kinds: _, source: _1, ...request }: PageRequest,
  { ngrams, signal }: { ngrams?: NgramTable; signal: AbortSignal },
): Promise<Writing> {
  const { kind } = network.model;
  const { sampler: name, ...values } = settings;
  const sampler: DefinedSampler = name === undefined ? defaultSampler : samplers[name];
  const { own = [], common = [] } = Object.groupBy(
    Object.entries(values),
    ([key]) => key in sampler.options ? "own" : "common",
  );
  const options = Object.fromEntries(common);
  if (kind === "gpt") delete options.topK; // the form has the diffusion model's
  if (ngrams) Object.assign(options, { ngrams });
  return await write(network, makeTokenizer(kind, vocabulary), request, {
    ...options,
    sampler: sampler.with(Object.fromEntries(own) as DefinedSampler["settings"]),
    seed,
    signal,
  });
}
