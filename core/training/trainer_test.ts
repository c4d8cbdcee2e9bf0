import {
  assert,
  assertEquals,
  assertLess,
  assertMatch,
  assertNotEquals,
  assertRejects,
} from "@std/assert";
import { join } from "@std/path";
import { loadTraining, loadWeights, trainingPath } from "../checkpoint.ts";
import { type Config, makeConfig, type ModelKind } from "../config.ts";
import { makeCorpus } from "../data/corpus.ts";
import { listCharacters, makeTokenizer } from "../data/tokenizer.ts";
import { changedEngine } from "../testing/changed_engine.ts";
import { type Engine, startEngine } from "@tiny-diffusion/engines";
import { UserError } from "@tiny-diffusion/engines/errors";
import { sha256Hex } from "../../files/read.ts";
import { models } from "../models.ts";
import { kneserNey } from "../ngrams/kneser_ney.ts";
import { seededRandom } from "../random.ts";
import { collectWords, measureRealWords } from "../../tasks/shared/words.ts";
import { type Patches, withPatchedDeno } from "../../files/testing/patched_deno.ts";
import { inFolder } from "../../files/testing/temporary_folder.ts";
import type { TrainingObserver } from "./loop.ts";
import { train, type TrainingRun } from "./trainer.ts";

/** Some 8,000 characters of made-up sentences: quickly learnt, not at once. */
const text = (() => {
  const random = seededRandom(1);
  const words = ["the", "king", "and", "queen", "of", "hearts", "speak", "softly", "to", "thee"];
  const word = () => words[random.integer(words.length)];
  return Array.from({ length: 300 }, () => `${word()} ${word()} ${word()} ${word()} ${word()}.\n`)
    .join("");
})();

const corpus = await makeCorpus(text);

const { engine: onnx } = await startEngine("onnx", { threads: 1 });

/** A run of preset smoke that writes into `folder`. */
function runIn(
  folder: string,
  kind: ModelKind,
  changes: Partial<Config> = {},
  rest: Partial<TrainingRun> = {},
): TrainingRun {
  const model = models[kind];
  const vocabulary = model.vocabulary(text);
  const config = { ...makeConfig(kind, "smoke", vocabulary.length), learningRate: 3e-3 };
  return {
    model,
    config: { ...config, steps: 20, evalEvery: 10, ...changes },
    corpus,
    engine: onnx,
    path: join(folder, `${kind}.safetensors`),
    groupSeconds: 0, // so that a signal is seen after the step that it comes in
    ...rest,
  };
}

/**
 * Trains and keeps what the run told, without its times. `abortAt`: the step after which a signal
 * comes.
 */
async function observed(run: TrainingRun, { abortAt }: { abortAt?: number } = {}) {
  const losses: number[] = [], validations: { step: number; bpc: number; best: boolean }[] = [];
  const controller = new AbortController();
  const observer: TrainingObserver = {
    onStep({ step, lossNats }) {
      losses.push(lossNats);
      if (step === abortAt) controller.abort(new Error("interrupted"));
    },
    onValidation: ({ step, bpc, best }) => validations.push({ step, bpc, best }),
  };
  const result = await train(run, observer, controller.signal);
  return { losses, validations, result };
}

const stateOf = (run: TrainingRun) => loadTraining(trainingPath(run.path));
const resumed = async (run: TrainingRun): Promise<TrainingRun> => ({
  ...run,
  resume: await stateOf(run),
});
const filesOf = (folder: string) => [...Deno.readDirSync(folder)].map(({ name }) => name).sort();

async function bytesOf(run: TrainingRun) {
  return [await Deno.readFile(run.path), await Deno.readFile(trainingPath(run.path))];
}

for (const kind of ["gpt", "diffusion"] as const) {
  Deno.test(`training makes a ${kind}'s loss fall, and its validation beats the frequencies of characters`, () =>
    inFolder(async (folder) => {
      const run = runIn(folder, kind, {
        steps: 300,
        evalEvery: 300,
        learningRate: 1e-2,
        evenMaskShares: true,
      });
      const { losses, result } = await observed(run);
      const mean = (values: number[]) => values.reduce((a, b) => a + b) / values.length;
      const first = mean(losses.slice(0, 20)), last = mean(losses.slice(-20));
      assertLess(last, 0.8 * first);
      assertEquals(losses.length, 300);

      const characters = [...text];
      const counts = Object.values(Object.groupBy(characters, (c) => c)).map((same) =>
        same!.length
      );
      const entropy = counts.reduce((sum, n) => {
        return sum - n / characters.length * Math.log2(n / characters.length);
      }, 0);
      assertLess(result.bpc, entropy);
      assertEquals(result.stopped, "done");
      // The mean since the validation before the last: here, of all steps.
      assert(Math.abs(result.lossNats - mean(losses)) < 1e-9);
      assertEquals(result.chars, 300 * 8 * 32);
    }));
}

// Other engines go on from a copy of their state, bit for bit, in the suite of engines.
for (const kind of ["gpt", "diffusion"] as const) {
  // The second with all that a recipe can have, so with every kind of state.
  const recipes: Partial<Config>[] = [
    {},
    { optimizer: "muon", dropout: 0.2, emaDecay: 0.9, zeroProjections: true, clip: 1 },
  ];
  for (const recipe of recipes) {
    Deno.test(`20 steps of a ${kind} by ${recipe.optimizer ?? "adamw"} are 7, a signal and 13 more, bit for bit, and come again from the same seed`, async () => {
      await inFolder(async (one) => {
        await inFolder(async (two) => {
          const whole = runIn(one, kind, recipe), parts = runIn(two, kind, recipe);
          const expected = await observed(whole);

          const first = await observed(parts, { abortAt: 7 });
          assertEquals(first.result.stopped, "signal");
          assertEquals((await stateOf(parts)).counters.step, 7);
          const second = await observed(await resumed(parts));

          assertEquals([...first.losses, ...second.losses], expected.losses);
          assertEquals([...first.validations, ...second.validations], expected.validations);
          assertEquals(second.result.lossNats, expected.result.lossNats);
          assertEquals(await Deno.readFile(parts.path), await Deno.readFile(whole.path));
          const [a, b] = [await stateOf(parts), await stateOf(whole)];
          assertEquals([a.weights, a.moments, a.random], [b.weights, b.moments, b.random]);
        });
      });
    });
  }
}

Deno.test("steps done in groups give the same numbers as one by one, also across a signal", async () => {
  const groups: number[] = [];
  const engine: Engine = {
    ...onnx,
    async load(state, programs) {
      const session = await onnx.load(state, programs);
      return {
        run: (...call) => session.run(...call),
        runSteps(name, inputs) {
          groups.push(inputs.length);
          return session.runSteps!(name, inputs);
        },
        readState: (names) => session.readState(names),
        writeState: (entries) => session.writeState(entries),
        dispose: () => session.dispose(),
      };
    },
  };
  await inFolder(async (one) => {
    await inFolder(async (two) => {
      const recipe = { dropout: 0.1, emaDecay: 0.9, evalEvery: 9 };
      const whole = runIn(one, "diffusion", recipe);
      const parts = runIn(two, "diffusion", recipe, { engine, groupSeconds: 60 });
      const expected = await observed(whole);
      const first = await observed(parts, { abortAt: 5 });
      assertEquals(groups, [2, 4]); // after one alone; the signal is seen after them, at step 7
      assertEquals([first.result.stopped, first.result.step], ["signal", 7]);
      const second = await observed(await resumed(parts));
      // Again from one on; no group goes beyond a validation, or the end: 8, 9, 10 to 13, 14 to 18,
      // 19 and 20.
      assertEquals(groups.slice(2), [4, 5, 2]);
      assertEquals([...first.losses, ...second.losses], expected.losses);
      assertEquals([...first.validations, ...second.validations], expected.validations);
      assertEquals(await Deno.readFile(parts.path), await Deno.readFile(whole.path));
      const [a, b] = [await stateOf(parts), await stateOf(whole)];
      assertEquals([a.weights, a.moments, a.random], [b.weights, b.moments, b.random]);
    });
  });
});

for (const kind of ["gpt", "diffusion"] as const) {
  Deno.test(`samples of a ${kind} on the way change no number of the run, and come again after a signal`, () =>
    inFolder(async (folder) => {
      const run = runIn(folder, kind, { emaDecay: 0.9 });
      const samples: [step: number, text: string][] = [];
      const onSample: TrainingObserver["onSample"] = ({ step, text }) => samples.push([step, text]);
      await train({ ...run, sampleEvery: 8, groupSeconds: 1 }, { onSample });
      const files = await bytesOf(run);
      assertEquals(samples.map(([step, text]) => [step, text.length]), [[8, 160], [16, 160]]);
      const [[, first], [, second]] = samples;
      assertNotEquals(first, second);
      assert([...first].every((character) => text.includes(character)), first);

      await train(run);
      assertEquals((await bytesOf(run))[0], files[0]);
      const stop = new AbortController();
      const onStep: TrainingObserver["onStep"] = ({ step }) => step === 12 && stop.abort("here");
      await train(run, { onStep }, stop.signal);
      await train({ ...await resumed(run), sampleEvery: 8 }, { onSample });
      assertEquals(samples, [[8, first], [16, second], [16, second]]);
    }));
}

Deno.test("samples that are written with a table of n-grams have its words, and change no number of the run", () =>
  inFolder(async (folder) => {
    const run = runIn(folder, "diffusion");
    const characters = listCharacters(text);
    const table = kneserNey(makeTokenizer("gpt", characters).encode(text), characters.length);
    const words = collectWords(text);
    const shares: number[] = [];
    const onSample: TrainingObserver["onSample"] = (sample) =>
      shares.push(measureRealWords(sample.text, words));
    await train({ ...run, sampleEvery: 20 }, { onSample });
    const [weights] = await bytesOf(run);
    await train({ ...run, sampleEvery: 20, makeSampleNgrams: () => table }, { onSample });
    assertEquals((await bytesOf(run))[0], weights);
    const [without, withTable] = shares;
    assert(without < 0.2 && withTable > 0.5, `${shares}`);
  }));

Deno.test("a run's loss is the mean of the steps since the validation before the last", () =>
  inFolder(async (folder) => {
    const mean = (values: number[]) => values.reduce((a, b) => a + b) / values.length;
    const run = runIn(folder, "gpt", { steps: 20, evalEvery: 5 });
    const { losses, result } = await observed(run);
    assertEquals(result.lossNats, mean(losses.slice(15)));
    const later = { ...run, config: { ...run.config, steps: 28 } };
    const { losses: more, result: stopped } = await observed(await resumed(later), { abortAt: 23 });
    assertEquals(stopped.lossNats, mean(more));
  }));

Deno.test("another seed gives another beginning, other batches and other weights", () =>
  inFolder(async (folder) => {
    const outcome = async (seed: number) => {
      const run = runIn(folder, "gpt", { steps: 5, seed });
      const { losses } = await observed(run);
      // Not the whole files: the seed itself stands in them.
      return { losses, weights: (await loadWeights(run.path)).weights };
    };
    const one = await outcome(1), two = await outcome(2);
    one.losses.forEach((loss, i) => assert(loss !== two.losses[i], `step ${i + 1}`));
    for (const [name, { data }] of Object.entries(one.weights)) {
      assert(`${data}` !== `${two.weights[name].data}`, name);
    }
  }));

Deno.test("a run stopped while it validates resumes and gives the same figures", () =>
  inFolder(async (folder) => {
    const expected = await observed(runIn(folder, "diffusion"));
    await Deno.remove(trainingPath(runIn(folder, "diffusion").path));

    // 18 blocks in two passes are five calls of eight rows; the signal comes during the second call
    // of the first validation.
    const controller = new AbortController();
    let calls = 0;
    const engine = changedEngine(onnx, (_, program) => {
      if (program === "nats" && ++calls === 2) controller.abort(new Error("interrupted"));
    });
    const validations: unknown[] = [];
    const onValidation: TrainingObserver["onValidation"] = ({ step, bpc, best }) => {
      validations.push({ step, bpc, best });
    };
    const run = runIn(folder, "diffusion", {}, { engine });
    const { stopped, step } = await train(run, { onValidation }, controller.signal);
    assertEquals({ stopped, step, calls }, { stopped: "signal", step: 10, calls: 2 });
    assertEquals(validations, []);

    const second = await observed(await resumed(runIn(folder, "diffusion")));
    assertEquals(second.validations, expected.validations);
    assertEquals(second.losses, expected.losses.slice(10));
    assertEquals(second.result.lossNats, expected.result.lossNats);
  }));

Deno.test("a finished run that is resumed does nothing and reports the same again", () =>
  inFolder(async (folder) => {
    const run = runIn(folder, "gpt");
    const { result: { seconds: _, idleShare: __, ...before } } = await observed(run);
    const bytes = await Deno.readFile(run.path);
    const again = await observed(await resumed(run));
    const { seconds: ___, idleShare: ____, ...after } = again.result;
    assertEquals([again.losses, again.validations, after], [[], [], before]);
    assertEquals(await Deno.readFile(run.path), bytes);
  }));

Deno.test("a state that lacks a moment, an average or the random state is refused before the engine starts", () =>
  inFolder(async (folder) => {
    const run = runIn(folder, "gpt", { emaDecay: 0.9, steps: 2 });
    await observed(run);
    const whole = await stateOf(run);
    for (const name of ["adam.v/lm_head.weight", "ema/lm_head.weight"]) {
      assert(name in whole.moments, Object.keys(whole.moments).join());
      const { [name]: _, ...moments } = whole.moments;
      await assertRejects(
        () => train({ ...run, resume: { ...whole, moments } }),
        UserError,
        `Cannot resume: the saved state lacks "${name}"`,
      );
    }
    await assertRejects(
      () => train({ ...run, resume: { ...whole, random: {} } }),
      UserError,
      "lacks the random state of the batches",
    );
  }));

for (
  const [what, spoil] of [
    ["loss", { loss: Float32Array.of(NaN) }],
    ["gradient", { gradientNorm: Float32Array.of(Infinity) }],
  ] as const
) {
  Deno.test(`a ${what} that is no number ends a run in one line and leaves its files as they were`, () =>
    inFolder(async (folder) => {
      const run = runIn(folder, "gpt", { steps: 30 });
      await observed(run, { abortAt: 15 });
      const before = await bytesOf(run);
      let steps = 15;
      const engine = changedEngine(onnx, (answer, program) => {
        if (program === "trainStep" && ++steps === 18) Object.assign(answer, spoil);
      });
      const error = await assertRejects(
        async () => await train({ ...await resumed(run), engine }),
        UserError,
      );
      assertMatch(
        error.message,
        /^Cannot continue training: the loss of step 18 is .*; .* a lower --lr \(with Muon also --set muonLearningRate=X\)$/,
      );
      assertEquals(await bytesOf(run), before);
    }));
}

Deno.test("a learning rate far too large is reported as such, without a checkpoint that is not there", () =>
  inFolder(async (folder) => {
    const run = runIn(folder, "diffusion", { learningRate: 1e30, evalEvery: 20 });
    const { message } = await assertRejects(() => train(run), UserError);
    assertMatch(
      message,
      /^Cannot continue training: the loss of step [^;]+; nothing was saved yet, try a lower --lr \(/,
    );
    assertEquals(filesOf(folder), []);
  }));

Deno.test("weights that outgrow float16 end a run with what grew and what to do, and nothing is replaced", () =>
  inFolder(async (folder) => {
    const run = runIn(folder, "gpt", { learningRate: 1e5, steps: 2, evalEvery: 1 });
    const { message } = await assertRejects(() => train(run), UserError);
    assertMatch(
      message,
      /^Cannot continue training: at step 1 a weight of "\S+" has grown to -?1.00e\+5, [^;]+; nothing was saved yet, try a lower --lr/,
    );
    assertEquals(filesOf(folder), []);
    const good = runIn(folder, "gpt", { steps: 2, evalEvery: 1 });
    await train(good);
    const before = await bytesOf(good);
    const later = await resumed(good);
    const config = { ...later.config, learningRate: 1e7, steps: 9 };
    let bits = 1; // better and better, whatever the weights
    const engine = changedEngine(onnx, (answer, program) => {
      if (program === "nats") answer.nats.fill(bits *= 0.9);
    });
    await assertRejects(
      () => train({ ...later, config, engine }),
      UserError,
      "; the last checkpoint is as it was, try a lower --lr",
    );
    assertEquals(await bytesOf(good), before);
  }));

/** Makes validations come out as `figures` in nats, one after another. */
function validating(figures: number[], callsEach: number): Engine {
  let calls = 0;
  return changedEngine(onnx, (answer, program) => {
    if (program === "nats") answer.nats.fill(figures[Math.floor(calls++ / callsEach)]);
  });
}

/**
 * 1,6xx characters of validation text are 25 or so blocks, so a GPT's validation takes this many
 * calls of eight rows.
 */
const validationCalls = (run: TrainingRun) =>
  Math.ceil(Math.min(64, Math.floor(run.corpus.validation.length / 32)) / 8);

Deno.test("the best weights are kept though later ones are worse, and the state is the last one", () =>
  inFolder(async (folder) => {
    const run = runIn(folder, "gpt", { steps: 20, evalEvery: 5 });
    const engine = validating([3, 2, 2.5, 2.25], validationCalls(run));
    const { validations, result } = await observed({ ...run, engine });
    assertEquals(validations.map(({ best }) => best), [true, true, false, false]);
    assertEquals([result.bestStep, result.step, result.bpc], [10, 20, 2 / Math.LN2]);

    const best = await loadWeights(run.path), last = await stateOf(run);
    assertEquals([best.step, best.scores], [10, { val_bpc: 2 / Math.LN2 }]);
    assertEquals([last.counters.step, last.counters.sinceBest, last.bestScore], [
      20,
      2,
      2 / Math.LN2,
    ]);
    // What was best after 10 steps, rounded to float16.
    const ten = runIn(folder, "gpt", { steps: 10 }, { path: join(folder, "ten.safetensors") });
    await train(ten);
    assertEquals(best.weights, (await loadWeights(ten.path)).weights);
  }));

Deno.test("a run stops after as many validations without a better one as patience allows, also across a signal", () =>
  inFolder(async (folder) => {
    const run = runIn(folder, "gpt", { steps: 100, evalEvery: 5 }, { patience: 2 });
    const calls = validationCalls(run);
    const { result } = await observed({
      ...run,
      engine: validating([3, 2, 2.5, 2, 1], calls), // as good as the best is no better
    });
    assertEquals([result.stopped, result.step, result.bestStep], ["patience", 20, 10]);

    const engine = validating([3, 2, 2.5, 2, 1], calls);
    await observed({ ...run, engine }, { abortAt: 17 });
    const { result: second } = await observed({ ...await resumed(run), engine });
    assertEquals([second.stopped, second.step, second.bestStep], ["patience", 20, 10]);
  }));

/** A disk that is full from the write on for which `isFull` says so. */
function fullDisk(isFull: (path: string) => boolean): Required<Patches> {
  const { open } = Deno;
  const { write } = Deno.FsFile.prototype;
  const paths = new WeakMap<Deno.FsFile, string>();
  return {
    deno: {
      async open(path, options) {
        const file = await open(path, options);
        paths.set(file, String(path));
        return file;
      },
    },
    file: {
      write(this: Deno.FsFile, bytes) {
        if (!isFull(paths.get(this) ?? "")) return write.call(this, bytes);
        // Some bytes still fit.
        if (bytes.length > 1000) return write.call(this, bytes.subarray(0, 1000));
        return Promise.reject(Object.assign(new Error("ENOSPC"), { code: "ENOSPC" }));
      },
    },
  };
}

for (const [what, suffix] of [["state", ".training."], ["best weights", "gpt.safetensors"]]) {
  Deno.test(`a disk that is full while the ${what} are written leaves the last good files, and the run can be resumed`, () =>
    inFolder(async (folder) => {
      const other = runIn(folder, "gpt", {}, { path: join(folder, "other.safetensors") });
      const expected = await observed(other);
      const run = runIn(folder, "gpt");
      await observed(run, { abortAt: 12 });
      const [, before] = await bytesOf(run);

      const resumedRun = await resumed(run);
      const disk = fullDisk((path) => path.includes(suffix));
      const error = await withPatchedDeno(disk, () =>
        assertRejects(
          async () => await train(resumedRun),
          Error,
          "no space left on the disk",
        ));
      assertEquals(error.message.split("\n").length, 1);
      assertEquals(await Deno.readFile(trainingPath(run.path)), before);
      await loadWeights(run.path);
      assertEquals(filesOf(folder).filter((name) => name.endsWith(".tmp")), []);

      const { losses } = await observed(await resumed(run));
      assertEquals(losses, expected.losses.slice(12));
      assertEquals(await Deno.readFile(run.path), await Deno.readFile(other.path));
    }));
}

Deno.test("a run that ends right after its first weights is not mixed with one whose files it replaces", () =>
  inFolder(async (folder) => {
    const other = runIn(folder, "gpt", {}, { path: join(folder, "other.safetensors") });
    await train(other);
    await train(runIn(folder, "gpt", { seed: 1, steps: 40 }));

    const run = runIn(folder, "gpt");
    let isReplaced = false;
    const { rename } = Deno;
    const disk = fullDisk((path) => isReplaced && path.includes(".training."));
    disk.deno.rename = async (from, to) => {
      await rename(from, to);
      isReplaced ||= to === run.path;
    };
    await withPatchedDeno(disk, () => assertRejects(() => train(run), Error, "no space left"));
    await train(await resumed(run));
    // By hash, as the difference of two whole files takes forever to print.
    const [found, expected] = await Promise.all(
      [run, other].map(async ({ path }) => sha256Hex(await Deno.readFile(path))),
    );
    assertEquals(found, expected);
  }));

Deno.test("a checkpoint is written when the time for it has come, not only after a validation", () =>
  inFolder(async (folder) => {
    const run = runIn(folder, "gpt", { steps: 5, evalEvery: 5 }, { checkpointSeconds: 0 });
    const steps: number[] = [];
    await train(run, { onCheckpoint: (step) => steps.push(step) });
    assertEquals([...new Set(steps)], [1, 2, 3, 4, 5]);
  }));

Deno.test("a run with a deadline ends before it, validated and saved, and resumes with the same steps", () =>
  inFolder(async (folder) => {
    const run = runIn(folder, "gpt", { steps: 1_000_000, evalEvery: 1_000_000 });
    const until = performance.now() + 4000;
    const { losses, validations, result } = await observed({ ...run, until });
    assertLess(performance.now(), until);
    assertEquals([result.stopped, result.bestStep], ["time", result.step]);
    assertEquals(validations.map(({ step }) => step), [result.step]);
    assertEquals((await stateOf(run)).counters.step, result.step);
    assertEquals((await loadWeights(run.path)).step, result.step);

    const steps = result.step + 10;
    const { losses: more } = await observed({
      ...await resumed(run),
      config: { ...run.config, steps },
    });
    const straight = runIn(folder, "gpt", { steps, evalEvery: 1_000_000 });
    assertEquals([...losses, ...more], (await observed(straight)).losses);
  }));

Deno.test("a resumed run without time for a step says so, and keeps what it had", () =>
  inFolder(async (folder) => {
    const run = runIn(folder, "gpt", { steps: 10 });
    await train(run);
    const [weights] = await bytesOf(run);
    const { counters: { seconds: _, ...counters }, ...state } = await stateOf(run);
    const longer = await resumed({ ...run, config: { ...run.config, steps: 20 }, until: 1 });
    await assertRejects(() => train(longer), UserError, "there is no time for a step");
    assertEquals((await bytesOf(run))[0], weights);
    const kept = await stateOf(run);
    assertEquals({ ...kept.counters, seconds: 0 }, { ...counters, seconds: 0 });
    assertEquals(kept.weights, state.weights);
  }));

Deno.test("with averaging, the average of the weights is what is validated and exported", () =>
  inFolder(async (folder) => {
    const run = runIn(folder, "gpt", { steps: 10, evalEvery: 10, emaDecay: 0.9 });
    await train(run);
    const { weights, moments } = await stateOf(run);
    const exported = (await loadWeights(run.path)).weights;
    for (const [name, { data }] of Object.entries(exported)) {
      const average = moments[`ema/${name}`].data;
      // float16 has 11 bits; below 2^-14 its numbers are 2^-24 apart
      const close = (a: number, b: number) => Math.abs(a - b) <= Math.abs(b) * 2 ** -11 + 2 ** -25;
      assert(data.every((value, i) => close(value, average[i])), name);
      assert(!data.every((value, i) => close(value, weights[name].data[i])), name);
    }
  }));

Deno.test("with zero projections a fresh network's branches add nothing", () =>
  inFolder(async (folder) => {
    const run = runIn(folder, "gpt", {
      steps: 1,
      evalEvery: 1,
      zeroProjections: true,
      warmup: 1000,
    });
    await train(run);
    const { weights } = await stateOf(run);
    for (const [name, { data }] of Object.entries(weights)) {
      const largest = Math.max(...data.map(Math.abs));
      // One step of AdamW moves an entry by at most the learning rate, here a thousandth of 3e-3.
      assertEquals(largest < 1e-5, name.endsWith("c_proj.weight"), `${name} ${largest}`);
    }
  }));
