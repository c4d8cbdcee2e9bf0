import { assert, assertEquals, assertGreater, assertNotEquals } from "@std/assert";
import type { SavedModel } from "../../../core/checkpoint_format.ts";
import { makeCorpus } from "../../../core/data/corpus.ts";
import type { Config } from "../../../core/config.ts";
import { listCharacters, makeTokenizer } from "../../../core/data/tokenizer.ts";
import { models } from "../../../core/models.ts";
import { kneserNey } from "../../../core/ngrams/kneser_ney.ts";
import { runTraining } from "../../../core/training/loop.ts";
import { startEngine } from "../../../engines/mod.ts";
import { exampleText } from "../../testing/task_process.ts";
import type { FromWorker } from "../messages.ts";
import type { Keeper } from "./keep.ts";
import { beginLearner, configOf, restoreLearner } from "./learner.ts";
import { makeGate } from "./turns.ts";

const { engine } = await startEngine("onnx", { threads: 1 });
const corpus = await makeCorpus(exampleText(200));
const characters = listCharacters(corpus.text);
const { encode } = makeTokenizer("gpt", characters);
const table = kneserNey(encode(corpus.train), characters.length);
const shape = {
  preset: "smoke",
  layers: 1,
  width: 32,
  context: 32,
  batch: 4,
  steps: { gpt: 60, diffusion: 60 },
} as const;

/** A database in memory, which copies as IndexedDB does. */
function makeKeeper(): Keeper {
  const kept = new Map<string, unknown>();
  return {
    read: <Value>(key: string) =>
      Promise.resolve(structuredClone(kept.get(key)) as Value | undefined),
    write: (key, value) => Promise.resolve(void kept.set(key, structuredClone(value))),
    remove: (key) => Promise.resolve(void kept.delete(key)),
  };
}

/** Trains as the tasks do, and returns the best weights. */
async function trainBest(config: Config, start?: SavedModel): Promise<SavedModel> {
  const saved: SavedModel[] = [];
  await runTraining({ model: models[config.kind], config, corpus, engine, start }, {
    saveWeights: (model) => Promise.resolve(saved.push(model)),
    saveTraining: () => Promise.resolve(),
  });
  return saved.at(-1)!;
}

for (const kind of ["gpt", "diffusion"] as const) {
  Deno.test(`a ${kind} that is stopped and taken up again has learned what a training of the task learns`, async () => {
    const config = configOf(kind, corpus, shape, 7);
    const told: FromWorker[] = [];
    let onTold = (_: FromWorker) => {};
    const around = {
      engine,
      corpus,
      countNgrams: () => table,
      waitForGpt: () => Promise.resolve(undefined),
      gate: makeGate(),
      keeper: makeKeeper(),
      tell(message: FromWorker) {
        told.push(structuredClone(message));
        onTold(message);
      },
    };
    const first = beginLearner(config, around);
    onTold = (message) => {
      if (message.type === "train" && message.point.step === 20) around.gate.hold("pause");
    };
    const running = first.run();
    while (!around.gate.isHeldBy("pause")) await new Promise((resolve) => setTimeout(resolve, 5));
    const stopped = first.stop();
    around.gate.release("pause");
    await Promise.all([stopped, running]);
    const second = (await restoreLearner(kind, around))!;
    await second.run();
    assertEquals(told.at(-1), { type: "learned", kind });

    const steps = told.flatMap((message) => message.type === "train" ? [message.point.step] : []);
    assertEquals(steps, Array.from({ length: 60 }, (_, i) => i + 1));
    // One that was due when it was stopped is left out.
    const last = told.findLast((message) => message.type === "sample")!.sample;
    assertEquals(last.step, 60);
    // Only the diffusion model writes with the table, which spells as the text that it counted.
    if (kind === "gpt") assertEquals(last.tableRealWords, undefined);
    else assertGreater(last.tableRealWords!, 0.9);

    assertEquals(second.best()!.weights, (await trainBest(config)).weights);
  });
}

Deno.test("a diffusion model that starts from the GPT waits for it, after a reload, too, and learns what --from teaches it", async () => {
  const told: FromWorker["type"][] = [];
  const done: SavedModel[] = [];
  const around = {
    engine,
    corpus,
    countNgrams: () => table,
    waitForGpt: () => Promise.resolve(done.at(0)),
    gate: makeGate(),
    keeper: makeKeeper(),
    tell: (message: FromWorker) => told.push(message.type),
  };
  const config = configOf("diffusion", corpus, shape, 7);
  const first = beginLearner(config, around, true);
  await first.run(); // the GPT was stopped
  assertEquals([first.isDone(), await first.current(), told], [false, undefined, ["learner"]]);

  done.push(await trainBest(configOf("gpt", corpus, shape, 7)));
  const second = (await restoreLearner("diffusion", around))!;
  await second.run();
  assert(second.isDone());
  assertEquals(second.best()!.weights, (await trainBest(config, done[0])).weights);
  assertNotEquals(second.best()!.weights, (await trainBest(config)).weights);
});
