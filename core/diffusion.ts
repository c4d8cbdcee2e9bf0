/** A masked diffusion model: predicts hidden characters from those shown. `gpt.ts` with five changes, marked below. */
import { blocksOf } from "./blocks.ts";
import type { TrainingConfig } from "./config.ts";
import { type Batch, emptyBatch } from "./language_model.ts";
import type { Fixed, GenerationOptions, Network } from "./language_model.ts";
import { crossEntropy, weightedMean } from "./loss.ts";
import { hiddenWeight, maskShares } from "./noise.ts";
import type { Random } from "./random.ts";
import type { Scalar, Tensor2D, Tensor3D } from "./tensors.ts";
import { charactersOf, MASK } from "./tokenizer.ts";
/** Which of the two models this is. */
export const kind = "diffusion";

/** The token of a hidden character, where there is one. */
export const maskToken = 0; // change 1 of 5: a mask token
/** The tokens of a text in order. */
export const vocabulary = (text: string): string[] => [MASK, ...charactersOf(text)]; // change 1 of 5

/** A position sees both sides. */
export const causal = false; // change 2 of 5: attention in both directions

/** Examples from windows of `context + 1` tokens (the last is not used): hidden characters are to be found again. */
export function batch(windows: Int32Array[], config: TrainingConfig, random: Random): Batch {
  const context = windows[0].length - 1;
  const { tokens, targets, lossWeights } = emptyBatch(windows.length, context);
  const shares = maskShares(windows.length, config, random); // change 4 of 5: from next to hidden character
  windows.forEach((window, row) => {
    for (let i = 0, at = row * context; i < context; i++, at++) {
      const hidden = random.uniform() < shares[row]; // change 4 of 5
      tokens[at] = hidden ? maskToken : window[i]; // change 4 of 5
      targets[at] = window[i]; // change 4 of 5
      lossWeights[at] = hidden ? hiddenWeight(shares[row], context, config) : 0; // change 5 of 5: only hidden ones count
    }
  });
  return { tokens, targets, lossWeights };
}

/** Cross-entropy in nats, averaged over hidden characters. `logits` is [batch, time, vocab], the others [batch, time]. */
export function loss(
  logits: Tensor3D,
  targets: Tensor2D,
  lossWeights: Tensor2D,
): Scalar {
  return weightedMean(lossWeights, crossEntropy(logits, targets)); // change 5 of 5
}

/** Goes on from the prompt and fills its masks, block by block; in a block the sampler fixes several characters a pass. */
export async function* generate(
  network: Network,
  prompt: Int32Array,
  length: number,
  options: GenerationOptions,
  random: Random,
): AsyncGenerator<Fixed[]> {
  const text = Int32Array.from([...prompt, ...new Array<number>(length).fill(maskToken)]); // change 3 of 5: blocks, in parallel
  const { context } = network, { overlap, sampler } = options; // change 3 of 5
  for (const { start, masked } of blocksOf(text, { mask: maskToken, context, overlap })) { // change 3 of 5
    const window = text.subarray(start, start + context); // change 3 of 5
    const hidden = { masked, mask: maskToken, look: () => network.logits(window, 0) }; // change 3 of 5
    for await (const fixed of sampler.fill(hidden, options, random)) { // change 3 of 5
      for (const { position, token } of fixed) window[position] = token; // change 3 of 5
      yield fixed.map((choice) => ({ ...choice, position: start + choice.position })); // change 3 of 5
    }
  }
}
