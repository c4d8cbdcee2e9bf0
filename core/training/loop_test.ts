import { assertEquals, assertThrows } from "@std/assert";
import { eagerEngine } from "../../engines/eager.ts";
import { UserError } from "../../engines/errors.ts";
import {
  decodeTraining,
  decodeWeights,
  encodeTraining,
  encodeWeights,
} from "../checkpoint_format.ts";
import { makeConfig } from "../config.ts";
import { makeCorpus } from "../data/corpus.ts";
import { writeSafetensors } from "../../files/safetensors.ts";
import * as gpt from "../gpt.ts";
import { runTraining, type TrainingStore, type TrainingTask } from "./loop.ts";

const corpus = await makeCorpus("the cat sat on the mat, and the rat sat on the cat; ".repeat(20));
const { length } = gpt.vocabulary(corpus.text);
const changes = { steps: 4, evalEvery: 2, layers: 1, batch: 2 };
const config = makeConfig("gpt", "smoke", length, changes);

/** Keeps the bytes of what a run leaves. */
function keepBytes() {
  const kept = { weights: new Uint8Array(), training: new Uint8Array() };
  const store: TrainingStore = {
    saveWeights: (model) => Promise.resolve(kept.weights = encodeWeights("kept", model)),
    saveTraining: (state) => Promise.resolve(kept.training = encodeTraining("kept", state)),
  };
  return { kept, store };
}

Deno.test("a run without files resumes from the bytes of its state, and ends with the same weights", async () => {
  const engine = await eagerEngine("cpu", () => Promise.resolve());
  const task: TrainingTask = { model: gpt, config, corpus, engine };
  const whole = keepBytes();
  await runTraining(task, whole.store);

  const parts = keepBytes();
  const stop = new AbortController();
  const observer = { onStep: ({ step }: { step: number }) => step === 3 && stop.abort() };
  const { stopped } = await runTraining(task, parts.store, observer, stop.signal);
  assertEquals(stopped, "signal");
  const resume = decodeTraining("kept", parts.kept.training);
  assertEquals(resume.counters.step, 3);
  await runTraining({ ...task, resume }, parts.store);
  const { weights } = decodeWeights("kept", parts.kept.weights);
  assertEquals(weights, decodeWeights("kept", whole.kept.weights).weights);
});

Deno.test("weights of another program are refused where they can't be converted", () => {
  const bytes = writeSafetensors({ w: { shape: [1], data: Float32Array.of(1) } });
  assertThrows(() => decodeWeights("w.safetensors", bytes), UserError, "deno task convert");
});
