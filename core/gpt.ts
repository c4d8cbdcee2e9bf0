/** A GPT: predicts each character from those before it. `diffusion.ts` is the same file with five changes. */
// deno-lint-ignore-file no-unused-vars -- the parameters are those of `LanguageModel`, also where a GPT needs fewer
import type { TrainingConfig } from "./config.ts";
import { type Batch, emptyBatch } from "./language_model.ts";
import type { Fixed, GenerationOptions, Network } from "./language_model.ts";
import { crossEntropy, mean } from "./loss.ts";
import type { Random } from "./random.ts";
import { candidates, draw } from "./sampling.ts";
import type { Scalar, Tensor2D, Tensor3D } from "./tensors.ts";
import { charactersOf } from "./tokenizer.ts";
/** Which of the two models this is. */
export const kind = "gpt";

/** The token of a hidden character, where there is one. */
export const maskToken: undefined = undefined;
/** The tokens of a text in order. */
export const vocabulary = (text: string): string[] => charactersOf(text);

/** A position sees only itself and what is left of it. */
export const causal = true;

/** Examples from windows of `context + 1` tokens: each character is to be followed by the next. */
export function batch(windows: Int32Array[], config: TrainingConfig, random: Random): Batch {
  const context = windows[0].length - 1;
  const { tokens, targets, lossWeights } = emptyBatch(windows.length, context);
  windows.forEach((window, row) => {
    for (let i = 0, at = row * context; i < context; i++, at++) {
      tokens[at] = window[i];
      targets[at] = window[i + 1];
      lossWeights[at] = 1;
    }
  });
  return { tokens, targets, lossWeights };
}

/** Cross-entropy in nats, averaged over every position. `logits` is [batch, time, vocab], the others [batch, time]. */
export function loss(
  logits: Tensor3D,
  targets: Tensor2D,
  lossWeights: Tensor2D,
): Scalar {
  return mean(crossEntropy(logits, targets));
}

/** Goes on from the prompt, from left to right, one character a forward pass. */
export async function* generate(
  network: Network,
  prompt: Int32Array,
  length: number,
  options: GenerationOptions,
  random: Random,
): AsyncGenerator<Fixed[]> {
  const text = [...prompt], end = prompt.length + length;
  while (text.length < end) {
    const [logits] = await network.logits(text, text.length - 1);
    const choice = candidates(logits, options);
    const fixed = [{ position: text.length, token: draw(choice, random), confidence: choice.mass }];
    text.push(fixed[0].token);
    yield fixed;
  }
}
