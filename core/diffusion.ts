/**
 * A masked diffusion model of text: `gpt.ts` with five changes, marked below.
 *
 * The noise is the mask: at time t, from 0 to 1, each character is hidden with probability t. The
 * network learns p(hidden character | what is shown). Writing goes back from t = 1 to t = 0: each
 * forward pass reveals some characters, and which ones is the choice of a sampler
 * (`core/sampling/samplers/`).
 *
 * The bound on the likelihood (MDLM, arXiv:2406.07524; the `nelbo` of
 * `core/scoring/estimators.ts`) is, with t uniform,
 *   -log p(text) <= E[ 1/t  sum over the hidden i of -log p(character i | what is shown) ].
 * As in the original, the loss here leaves the 1/t out (`core/training/noise.ts`). The network does
 * not read t: the number of masks it sees tells it t.
 */
import { cutBlocks } from "./sampling/blocks.ts";
import type { TrainingConfig } from "./config.ts";
import { type Batch, makeBatch } from "./language_model.ts";
import type { Fixed, GenerationOptions, Network } from "./language_model.ts";
import { type Attend, attendBothSides } from "./model.ts";
import { lossWeight, maskShares } from "./training/noise.ts";
import type { Random } from "./random.ts";
import { listCharacters, makeMasks, MASK, MASK_TOKEN } from "./data/tokenizer.ts";

/** The name of this model. */
export const kind = "diffusion";

// change 1 of 5: one more token, the mask, stands for a hidden character
/** The token that stands for a hidden character. */
export const maskToken: number = MASK_TOKEN;
/** Lists the tokens of a text in order. */
export const vocabulary = (text: string): string[] => [MASK, ...listCharacters(text)];

/** The attention: computes what each position reads from which others. */
// change 2 of 5: attention sees both sides
export const attend: Attend = attendBothSides;

/**
 * Makes the examples of windows of `context + 1` tokens (the last is not used): hidden characters
 * are the targets.
 */
export function batch(windows: Int32Array[], config: TrainingConfig, random: Random): Batch {
  // change 3 of 5: the task is to uncover what is hidden, a random share t of each window
  const shares = maskShares(windows.length, config, random);
  return makeBatch(windows, (window, row) => {
    const t = shares[row];
    const targets = window.slice(0, -1);
    const hidden = targets.map(() => Number(random.uniform() < t));
    const tokens = targets.map((token, i) => hidden[i] ? maskToken : token);
    // change 4 of 5: only what is hidden counts
    const weight = lossWeight(t, targets.length, config);
    const lossWeights = Float32Array.from(hidden, (is) => is * weight);
    return { tokens, targets, lossWeights };
  });
}

/**
 * Continues the prompt and fills its masks, block by block; in a block the sampler fixes several
 * characters per pass.
 */
export async function* generate(
  network: Network,
  prompt: Int32Array,
  length: number,
  options: GenerationOptions,
  random: Random,
): AsyncGenerator<Fixed[]> {
  // change 5 of 5: a block starts as masks, and each forward pass fixes characters all over it
  const text = Int32Array.from([...prompt, ...makeMasks(length)]);
  const { context } = network, { overlap, sampler } = options;
  for (const { start, masked } of cutBlocks(text, { context, overlap })) {
    const window = text.subarray(start, start + context); // a view: what is written into it is in the text
    const before = text.subarray(0, start), forward = () => network.logits(window);
    const block = { masked, tokens: window, before, ngrams: options.ngrams, forward };
    for await (const fixed of sampler.fill(block, options, random)) {
      for (const { position, token } of fixed) window[position] = token;
      yield fixed.map((choice) => ({ ...choice, position: start + choice.position }));
    }
  }
}
