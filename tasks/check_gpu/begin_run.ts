/** A run of training on random words, to compare engines with. */
import { type Config, makeConfig, type ModelKind, type PresetName } from "../../core/config.ts";
import { makeTokenizer } from "../../core/data/tokenizer.ts";
import { models } from "../../core/models.ts";
import { seededRandom } from "../../core/random.ts";
import { drawStepInputs, drawWindows, initialState, trainStep } from "../../core/training/step.ts";

const words = ["the", "king", "and", "queen", "of", "hearts", "speak", "softly", "to", "thee"];

/** Makes a text of `count` random words, the same each time. */
export function makeWords(count: number, random = seededRandom(1)): string {
  return Array.from({ length: count }, () => words[random.integer(words.length)]).join(" ");
}

/** Begins a run on such a text, the same each time: its state, and the inputs of its steps. */
export function beginRun(
  kind: ModelKind,
  preset: PresetName,
  steps: number,
  changes: Partial<Config> = {},
) {
  const model = models[kind];
  const random = seededRandom(1);
  const text = makeWords(400, random);
  const vocabulary = model.vocabulary(text);
  const config = makeConfig(kind, preset, vocabulary.length, changes);
  const tokens = makeTokenizer(kind, vocabulary).encode(text);
  const state = initialState(config, random);
  const inputs = Array.from({ length: steps }, (_, i) => {
    const windows = drawWindows(tokens, config.batch, config.context, random);
    return drawStepInputs(model, config, windows, i + 1, random);
  });
  return { model, config, state, inputs, program: trainStep(model, config) };
}
