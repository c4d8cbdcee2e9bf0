/**
 * Trains a small model and writes with it, with nothing around: no checkpoints, no flags, and it
 * writes no files. Takes about ten seconds:
 *
 *   deno run --allow-all examples/train_plain.ts [FILE]
 */
import {
  diffusion as model, // or `gpt as model`: everything below stays the same
  drawStepInputs,
  drawWindows,
  initialState,
  loadNetwork,
  makeConfig,
  makeTokenizer,
  parameterShapes,
  seededRandom,
  startEngine,
  trainStep,
  write,
} from "@tiny-diffusion/core";

const [file] = Deno.args;
const text = file ? await Deno.readTextFile(file) : "to be, or not to be: ".repeat(40);

// A character is a token.
const vocabulary = model.vocabulary(text);
const tokenizer = makeTokenizer(model.kind, vocabulary);
const tokens = tokenizer.encode(text);

// A step is a pure function over tensors, which the engine compiles once and then runs.
const config = makeConfig(model.kind, "small", vocabulary.length, {
  optimizer: "muon",
  evenMaskShares: true,
  context: 32,
});
const random = seededRandom(1);
const { engine } = await startEngine("onnx");
const state = initialState(config, random); // weights and the optimizer's moments
const session = await engine.load(state, { step: trainStep(model, config) });
for (let step = 1; step <= 120; step++) {
  const windows = drawWindows(tokens, config.batch, config.context, random);
  const inputs = drawStepInputs(model, config, windows, step, random);
  const { loss } = await session.run("step", inputs);
  if (step % 20 === 0) console.log(`step ${step}: loss ${loss[0].toFixed(2)} nats a character`);
}

const weights = await session.readState(Object.keys(parameterShapes(config)));
using network = await loadNetwork(engine, model, config, weights);
const writing = await write(network, tokenizer, { prompt: "to be", length: 120 });
console.log(await writing.finish());
session.dispose();
