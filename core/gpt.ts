/**
 * A GPT: predicts each character from those before it. `diffusion.ts` is this file with five
 * changes.
 */
// deno-lint-ignore-file no-unused-vars -- the parameters are those of `LanguageModel`, also where a GPT needs fewer
import type { TrainingConfig } from "./config.ts";
import { type Batch, makeBatch } from "./language_model.ts";
import type { Fixed, GenerationOptions, Network } from "./language_model.ts";
import { type Attend, attendLeft } from "./model.ts";
import type { Random } from "./random.ts";
import { candidates, draw } from "./sampling/draw.ts";
import { generateWithDrafts } from "./sampling/speculative.ts";
import { listCharacters } from "./data/tokenizer.ts";

/** The name of this model. */
export const kind = "gpt";

/** Lists the tokens of a text in order. */
export const vocabulary = (text: string): string[] => listCharacters(text);

/** The attention: computes what each position reads from which others. */
export const attend: Attend = attendLeft;

/**
 * Makes the examples of windows of `context + 1` tokens: at every position, the next character is
 * the target.
 */
export function batch(windows: Int32Array[], config: TrainingConfig, random: Random): Batch {
  return makeBatch(windows, (window, row) => {
    const tokens = window.slice(0, -1);
    const targets = window.slice(1);
    const lossWeights = Float32Array.from(targets, () => 1);
    return { tokens, targets, lossWeights };
  });
}

/**
 * Continues the prompt from left to right, one character per forward pass, or a few where a table of
 * n-grams drafts them.
 */
export async function* generate(
  network: Network,
  prompt: Int32Array,
  length: number,
  options: GenerationOptions,
  random: Random,
): AsyncGenerator<Fixed[]> {
  const { ngrams } = options;
  if (ngrams && network.drafts) {
    return yield* generateWithDrafts(network, prompt, length, { ...options, ngrams }, random);
  }
  const text = [...prompt], end = prompt.length + length;
  while (text.length < end) {
    const [logits] = await network.logits(text);
    const choice = candidates(logits, options), token = draw(choice, random);
    text.push(token);
    yield [{ position: text.length - 1, token, confidence: choice.mass }];
  }
}
