/**
 * Several tasks at once in one folder. What counts: a file that is read is always whole; two that
 * would write the same run or the same pieces exclude each other, and the second says so before it
 * computes anything; all others do not disturb each other.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { loadTraining, loadWeights, trainingPath } from "../../core/checkpoint.ts";
import { loadCorpus } from "../../core/data/corpus.ts";
import { lockFile } from "../../files/lock.ts";
import { readResults } from "../report/read_results.ts";
import {
  assertFailed,
  exampleText,
  inFolder,
  inTrainedFolder,
  jsonOf,
  namesIn,
  runTaskIn,
} from "./task_process.ts";

const engine = ["--engine", "onnx", "--threads", "1"];
const data = ["--data", "text.txt"];
const leftOver = (folder: string) => namesIn(folder).filter((name) => /\.(tmp|lock)$/.test(name));

/** Does something again and again until `end` has come, and at least once. */
async function during<T>(end: Promise<T>, repeat: () => Promise<void>): Promise<T> {
  let hasEnded = false;
  end.catch(() => {}).finally(() => hasEnded = true);
  do await repeat(); while (!hasEnded);
  return await end;
}

Deno.test("while two models train, samples of the weights so far and pages are whole every time", () =>
  inFolder(async (folder) => {
    await Deno.writeTextFile(join(folder, "text.txt"), exampleText());
    const often = ["--preset", "smoke", "--eval-every", "1", "--steps", "60"];
    const trained = Promise.all(
      ["gpt", "diffusion"].map((model) =>
        jsonOf(folder, `train-${model}`, ...often, ...engine, ...data)
      ),
    );
    let samples = 0;
    await during(trained, async () => {
      for (const model of ["gpt", "diffusion"]) {
        const sampled = await runTaskIn(
          folder,
          "sample",
          "--model",
          model,
          "--length",
          "8",
          ...engine,
        );
        if (sampled.code === 0) samples++;
        else assertFailed(sampled, 1, "Cannot"); // before the first validation there is nothing
        assert(sampled.code === 0 || samples === 0 || model === "diffusion", sampled.stderr);
      }
      const page = await runTaskIn(folder, "report", "--no-model");
      assertEquals(page.code, 0, page.stderr);
      assert(!page.stderr.includes("Cannot use"), page.stderr);
      assert((await Deno.readTextFile(join(folder, "reports/index.html"))).endsWith("</html>\n"));
    });
    for (const model of ["gpt", "diffusion"] as const) {
      const path = join(folder, `weights/${model}-smoke.safetensors`);
      await loadWeights(path, { expectKind: model });
      assertEquals((await loadTraining(trainingPath(path))).counters.step, 60);
    }
    assert(samples > 0, "no sample was drawn while they trained");
    assertEquals((await readResults(join(folder, "reports"))).problems, []);
    assertEquals(leftOver(folder), []);
  }));

Deno.test("results of tasks that run at once, evaluations and samples, are all kept, and a page reads them whole", () =>
  inTrainedFolder(async (folder) => {
    const few = ["--blocks", "2", "--passes", "2", "--decoders", "0"];
    const evaluated = [...few, ...engine, ...data];
    const results = Promise.all([
      ...["gpt", "diffusion"].map((model) =>
        jsonOf(folder, "eval", "--model", model, ...evaluated)
      ),
      ...["1", "2"].map((seed) =>
        jsonOf(folder, "sample", "--model", "gpt", "--length", "8", "--seed", seed, ...engine)
      ),
    ]);
    await during(results, async () => {
      const page = await runTaskIn(folder, "report", "--no-model");
      assertEquals(page.code, 0, page.stderr);
      assert(!page.stderr.includes("Cannot use"), page.stderr);
    });
    const { evaluations, samples, problems } = await readResults(join(folder, "reports"));
    assertEquals([evaluations.length, samples.length, problems], [2, 2, []]);
    assertEquals(leftOver(folder), []);
  }));

Deno.test("of two evaluations that would keep the same pieces the second is refused before it computes, and then takes them", () =>
  inTrainedFolder(async (folder) => {
    const few = ["--blocks", "2", "--passes", "2", "--decoders", "0"];
    const args = ["--model", "diffusion", ...few, ...engine, ...data];
    const { rows } = await jsonOf(folder, "eval", ...args);
    const [journal] = namesIn(join(folder, "reports/partial"));
    const kept = await Deno.readFile(join(folder, "reports/partial", journal));
    {
      using _lock = await lockFile(join(folder, "reports/partial", journal)); // as an evaluation at work holds it
      const refused = await runTaskIn(folder, "eval", ...args);
      assertFailed(refused, 1, `${journal}": process ${Deno.pid} (since`);
      assert(!/(nelbo|masked-mean), row/.test(refused.stderr), refused.stderr);
      // Its advice can be followed.
      assert(refused.stderr.includes("or give another folder with --reports"), refused.stderr);
      assertEquals((await jsonOf(folder, "eval", ...args, "--reports", "mine")).rows, rows);
    }
    // For real, they may also come one after the other.
    const both = await Promise.all([1, 2].map(() => runTaskIn(folder, "eval", ...args)));
    assert(both.some(({ code }) => code === 0), both.map(({ stderr }) => stderr).join());
    for (const ended of both) if (ended.code !== 0) assertFailed(ended, 1, "is writing it; wait");
    assertEquals((await jsonOf(folder, "eval", ...args)).rows, rows);
    assertEquals(await Deno.readFile(join(folder, "reports/partial", journal)), kept);
    assertEquals(leftOver(folder), []);
  }));

Deno.test("the same text fetched by several tasks at once is there once, whole", () =>
  inFolder(async (folder) => {
    const text = exampleText(2000);
    await Deno.writeTextFile(join(folder, "mine.txt"), text);
    const all = await Promise.all(
      [1, 2, 3].map(() => jsonOf(folder, "fetch-data", "--file", "mine.txt")),
    );
    assertEquals(new Set(all.map(({ sha256 }) => sha256)).size, 1);
    assertEquals((await loadCorpus(join(folder, "data/mine.txt"))).text, text);
    assertEquals(namesIn(join(folder, "data")), ["mine.json", "mine.txt"]);
  }));

Deno.test("of two trainings that start at once under one name one is refused, or comes after the other, and their files don't mix", () =>
  inFolder(async (folder) => {
    await Deno.writeTextFile(join(folder, "text.txt"), exampleText());
    const smoke = ["--preset", "smoke", "--steps", "40", ...engine, ...data];
    const ended = await Promise.all(
      ["1", "2"].map((seed) => runTaskIn(folder, "train-gpt", ...smoke, "--seed", seed)),
    );
    const path = join(folder, "weights/gpt-smoke.safetensors");
    for (const one of ended) if (one.code !== 0) assertFailed(one, 1, "is writing it; wait until");
    const { command } = await loadWeights(path),
      { config } = await loadTraining(trainingPath(path));
    assertMatch(command!, new RegExp(`--seed ${config.seed}$`));
    assertEquals(ended[config.seed - 1].code, 0);
    assertEquals(leftOver(folder), []);
  }));

Deno.test("what a task that was killed while it kept a result has left, the next one takes away", () =>
  inTrainedFolder(async (folder) => {
    const results = join(folder, "reports/results");
    await Deno.mkdir(results, { recursive: true });
    await Deno.writeTextFile(join(results, ".2026-01-01T00-00-00-000Z-sample-0.json.tmp"), "{");
    await jsonOf(folder, "sample", "--model", "gpt", "--length", "8", ...engine);
    assertEquals(leftOver(folder), []);
  }));
