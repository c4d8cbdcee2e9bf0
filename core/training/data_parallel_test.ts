import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertLess,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { join } from "@std/path";
import fc from "fast-check";
import { loadTraining, loadWeights, trainingPath, type TrainingState } from "../checkpoint.ts";
import { type Config, makeConfig, type ModelKind } from "../config.ts";
import { changedEngine } from "../testing/changed_engine.ts";
import { type Engine, startEngine } from "@tiny-diffusion/engines";
import { UserError } from "@tiny-diffusion/engines/errors";
import { models } from "../models.ts";
import { drawStepInputs, drawWindows, initialState } from "./step.ts";
import { gradients } from "./gradients.ts";
import { seededRandom } from "../random.ts";
import { inFolder } from "../../files/testing/temporary_folder.ts";
import { makeCorpus } from "../data/corpus.ts";
import { makeTokenizer } from "../data/tokenizer.ts";
import type { TrainingObserver } from "./loop.ts";
import { train, type TrainingRun } from "./trainer.ts";
import {
  assignRows,
  gradientSums,
  layOutSums,
  makeParallelStepper,
  requireSameFacts,
} from "./data_parallel.ts";
import { assertSameWeights, ranksInProcess } from "../testing/ranks.ts";

const { engine: onnx } = await startEngine("onnx", { threads: 1 });

/** Some 6,000 characters of made-up sentences. */
const text = (() => {
  const random = seededRandom(1);
  const words = ["the", "king", "and", "queen", "of", "hearts", "speak", "softly", "to", "thee"];
  return Array.from({ length: 1200 }, () => words[random.integer(words.length)]).join(" ");
})();

const corpus = await makeCorpus(text);

/** All that a rank could get wrong is on: clipping, dropout, an average, a schedule. */
const everything = {
  clip: 0.5,
  dropout: 0.2,
  emaDecay: 0.9,
  warmup: 3,
  schedule: "cosine",
} as const;

function runOf(kind: ModelKind, path: string, changes: Partial<Config> = {}): TrainingRun {
  const model = models[kind], vocabulary = model.vocabulary(text);
  return {
    model,
    config: makeConfig(kind, "smoke", vocabulary.length, {
      ...{ steps: 12, evalEvery: 6, learningRate: 3e-3, ...everything },
      ...changes,
    }),
    corpus,
    engine: onnx,
    path,
  };
}

/**
 * Trains on `size` ranks at once, each with a session of its own. `interrupt`: aborts the signal of
 * a rank.
 */
async function trainTogether(
  run: TrainingRun,
  size: number,
  { observe = () => ({}), engineOf = () => run.engine }: {
    observe?: (rank: number, interrupt: () => void) => TrainingObserver;
    engineOf?: (rank: number) => Engine;
  } = {},
) {
  return await Promise.all(
    ranksInProcess(size).map((ranks) => {
      const interruption = new AbortController(), { rank } = ranks;
      const stepper = makeParallelStepper(run.model, run.config, ranks, interruption.signal);
      const observer = observe(rank, () => interruption.abort(new Error("Ctrl-C")));
      return train({ ...run, stepper, engine: engineOf(rank) }, observer, stepper.stop);
    }),
  );
}

const stateOf = (run: TrainingRun) => loadTraining(trainingPath(run.path));

for (
  const [kind, optimizer, size, causalRows] of [
    ["gpt", "adamw", 2, 0],
    ["gpt", "muon", 3, 0], // 3 do not divide the batch of 8
    ["diffusion", "adamw", 3, 0],
    ["diffusion", "muon", 2, 0],
    ["diffusion", "adamw", 3, 3], // 2 rows of the first rank, 1 of the second, none of the third
  ] as const
) {
  const dual = causalRows > 0 ? `with ${causalRows} causal rows ` : "";
  Deno.test(`${size} ranks train a ${kind} ${dual}by ${optimizer} to the weights of one process with the whole batch`, () =>
    inFolder(async (folder) => {
      const one = runOf(kind, join(folder, "one.safetensors"), { optimizer, causalRows });
      const losses: number[][] = Array.from({ length: size + 1 }, () => []);
      const observe = (rank: number): TrainingObserver => ({
        onStep: ({ lossNats }) => losses[rank].push(lossNats),
      });
      const expected = await train(one, observe(size));
      const together = { ...one, path: join(folder, "ranks.safetensors") };
      const results = await trainTogether(together, size, { observe });

      const [a, b] = [await stateOf(one), await stateOf(together)];
      assertSameWeights(a.weights, b.weights, one.config);
      const averages = ({ moments }: TrainingState) =>
        Object.fromEntries(Object.entries(moments).filter(([name]) => name.startsWith("ema/")));
      assertEquals(Object.keys(averages(a)).length, Object.keys(a.weights).length);
      assertSameWeights(averages(a), averages(b), one.config);
      assertEquals([a.random, a.counters.step], [b.random, b.counters.step]);
      // Losses are some 3 nats, sums of float32: off by a few 2^-24 of that, and by what the
      // weights differ.
      losses[0].forEach((loss, i) => assertAlmostEquals(loss, losses[size][i], 1e-5));
      for (const { step, bpc, bestStep } of results) {
        assertEquals([step, bestStep], [expected.step, expected.bestStep]);
        assertAlmostEquals(bpc, expected.bpc, 1e-5);
        assertEquals(bpc, results[0].bpc, "ranks decide by the same figure, to the bit");
      }
      assertEquals(losses.slice(1, size), losses.slice(0, size - 1), "so with the loss");
      const { scores } = await loadWeights(together.path);
      assertEquals(scores.val_bpc, results[0].bpc);
    }));
}

Deno.test("a mean of the ranks' means would be another gradient, far beyond the tolerance", async () => {
  const { model, config } = runOf("diffusion", "", { evenMaskShares: true });
  const { encode } = makeTokenizer("diffusion", model.vocabulary(text));
  const random = seededRandom(2), state = initialState(config, random);
  const windows = drawWindows(encode(corpus.train), config.batch, config.context, random);
  const inputs = drawStepInputs(model, config, windows, 1, random);
  const half = (part: number): typeof inputs =>
    Object.fromEntries(
      ["tokens", "targets", "lossWeights", "dropoutRows"].map((name) => {
        const size = inputs[name].length / 2;
        return [name, inputs[name].slice(part * size, (part + 1) * size)];
      }),
    );
  const whole = await onnx.load(state, { whole: gradients(model, config, config.batch) });
  const parts = await onnx.load(state, { sums: gradientSums(model, config, config.batch / 2) });
  const of = ({ tokens, targets, lossWeights, dropoutRows }: typeof inputs) => ({
    ...{ tokens, targets, lossWeights, dropoutRows, dropoutColumns: inputs.dropoutColumns },
  });
  const expected = await whole.run("whole", of(inputs));
  const first = (await parts.run("sums", of(half(0)))).sums;
  const second = (await parts.run("sums", of(half(1)))).sums;
  const { shapes, loss, weight } = layOutSums(config);
  assertEquals(
    first[weight] + second[weight],
    inputs.lossWeights.filter((weight) => weight === 1).length,
  );
  assertAlmostEquals(
    (first[loss] + second[loss]) / (first[weight] + second[weight]),
    expected.loss[0],
    1e-6 * expected.loss[0],
  );
  let at = 0;
  for (const [name, [rows, columns]] of shapes) {
    const gradient = expected[`gradient/${name}`], largest = Math.max(...gradient.map(Math.abs));
    let worst = 0, worstOfMeans = 0;
    for (let i = 0; i < rows * columns; i++, at++) {
      const ours = (first[at] + second[at]) / (first[weight] + second[weight]);
      const meanOfMeans = (first[at] / first[weight] + second[at] / second[weight]) / 2;
      worst = Math.max(worst, Math.abs(ours - gradient[i]) / largest);
      worstOfMeans = Math.max(worstOfMeans, Math.abs(meanOfMeans - gradient[i]) / largest);
    }
    // float32 sums over 256 characters: some 1e-6 of the largest entry, as in the parity with
    // PyTorch.
    assertLess(worst, 1e-5, name);
    assertLess(1e-2, worstOfMeans, name);
  }
  whole.dispose();
  parts.dispose();
});

Deno.test("when one rank has to stop, all stop at the same step, and another number of ranks resumes to the same weights", () =>
  inFolder(async (folder) => {
    const whole = runOf("diffusion", join(folder, "whole.safetensors"));
    await train(whole);
    const parts = { ...whole, path: join(folder, "parts.safetensors") };
    const observe = (rank: number, interrupt: () => void): TrainingObserver => ({
      onStep: ({ step }) => {
        if (rank === 1 && step === 4) interrupt();
      },
    });
    const stopped = await trainTogether(parts, 2, { observe });
    assertEquals(stopped.map(({ stopped, step }) => [stopped, step]), [["signal", 5], [
      "signal",
      5,
    ]]);
    await trainTogether({ ...parts, resume: await stateOf(parts) }, 3);
    const [a, b] = [await stateOf(whole), await stateOf(parts)];
    assertEquals([a.random, a.counters.step], [b.random, b.counters.step]);
    assertSameWeights(a.weights, b.weights, whole.config);
  }));

Deno.test("a rank that is to stop while all validate stops them in the same validation", () =>
  inFolder(async (folder) => {
    const run = runOf("diffusion", join(folder, "run.safetensors"));
    let calls = 0, interrupt = () => {};
    const observe = (rank: number, mine: () => void) => (rank === 1 && (interrupt = mine), {});
    const engineOf = (rank: number) =>
      changedEngine(onnx, (_, program) => {
        if (rank === 1 && program === "nats" && ++calls === 2) interrupt();
      });
    const results = await trainTogether(run, 2, { observe, engineOf });
    assertEquals(results.map(({ stopped, step }) => [stopped, step]), [["signal", 6], [
      "signal",
      6,
    ]]);
    assertEquals(calls, 2);
    assertEquals((await stateOf(run)).counters.validatedStep, 0);
  }));

Deno.test("a gradient of one rank that is no number ends the run on all ranks, and spoils no file", () =>
  inFolder(async (folder) => {
    const run = runOf("gpt", join(folder, "run.safetensors"));
    let steps = 0;
    const engineOf = (rank: number) =>
      changedEngine(onnx, ({ sums }, program) => {
        if (rank === 1 && program === "gradientSums" && ++steps === 8) sums[17] = NaN;
      });
    const failed = await assertRejects(
      () => trainTogether(run, 2, { engineOf }),
      UserError,
      "the loss of step 8",
    );
    assertEquals(failed.message.split("\n").length, 1);
    assertEquals((await stateOf(run)).counters.step, 6);
    await loadWeights(run.path);
  }));

Deno.test("every row of a batch belongs to one rank, and no rank has two more than another", () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 70 }), fc.nat(200), (size, more) => {
    const batch = size + more;
    const parts = Array.from({ length: size }, (_, rank) => assignRows({ rank, size }, batch));
    parts.forEach(({ first }, rank) => {
      assertEquals(first, rank === 0 ? 0 : parts[rank - 1].first + parts[rank - 1].rows);
    });
    assertEquals(parts.reduce((total, { rows }) => total + rows, 0), batch);
    const counts = parts.map(({ rows }) => rows);
    assert(Math.max(...counts) - Math.min(...counts) <= 1 && Math.min(...counts) > 0);
  }));
  const error = assertThrows(() => assignRows({ rank: 0, size: 9 }, 8), UserError);
  assertEquals(
    error.message,
    "Cannot share a batch of 8 among 9 ranks: each needs a window of text or more; " +
      "start fewer ranks or raise --batch",
  );
});

Deno.test("ranks that were not started alike are refused", async () => {
  const check = (facts: (rank: number) => unknown, size: number) =>
    Promise.allSettled(
      ranksInProcess(size).map((ranks) => requireSameFacts(ranks, facts(ranks.rank))),
    );
  const alike = await check(() => ({ text: "1234", step: 7 }), 3);
  assertEquals(alike.map(({ status }) => status), ["fulfilled", "fulfilled", "fulfilled"]);
  for (const [odd, size] of [[0, 2], [1, 2], [2, 3], [0, 5]]) {
    const results = await check(
      (rank) => ({ text: rank === odd ? "1235" : "1234", step: 7 }),
      size,
    );
    const errors = results.flatMap((result) => result.status === "rejected" ? [result.reason] : []);
    assert(errors.length > 0);
    assert(errors[0].message.startsWith("Cannot train together: the ranks differ in"), errors[0]);
  }
});
