import { assert, assertAlmostEquals, assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import type { EvaluationRow } from "../core/results.ts";
import { readResults } from "./report/read_results.ts";
import { assertFailed, exampleText, inFolder, jsonOf } from "./task_process.ts";
import { namesIn, runTaskIn, signalled, writeWeights } from "./task_process.ts";

const engine = ["--engine", "onnx", "--threads", "1"];
const text = ["--data", "text.txt"];

const inTrainedFolder = (test: (folder: string) => Promise<void>) =>
  inFolder(async (folder) => {
    await writeWeights(folder);
    await test(folder);
  });

Deno.test("eval without --model scores both models with every estimator, the same way each time", () =>
  inFolder(async (folder) => {
    await writeWeights(folder, {
      change(weights) { // a network that knows nothing
        for (const { data } of Object.values(weights)) data.fill(0);
      },
    });
    const flags = ["--", ...engine, ...text, "--blocks", "4", "--passes", "2"];
    const { rows } = await jsonOf(folder, "eval", ...flags) as { rows: EvaluationRow[] };
    assertEquals(rows.map(({ model, estimator, weights }) => [model, estimator, weights]), [
      ["gpt", "exact", "weights/gpt-smoke.safetensors"],
      ["diffusion", "nelbo", "weights/diffusion-smoke.safetensors"],
      ["diffusion", "left-to-right", "weights/diffusion-smoke.safetensors"],
      ["diffusion", "masked-mean", "weights/diffusion-smoke.safetensors"],
    ]);
    for (const { estimator, bpc, nats, context, blocks, chars, ...row } of rows) {
      assertEquals(
        Object.keys(row).toSorted(),
        ["by_mask_share", "model", "passes", "se_blocks", "se_passes", "weights"],
      );
      assertEquals(context, 32);
      // Every character costs ln 65 (float32: off by a few 2^-24); only masked-mean gives the mask its share.
      if (estimator === "masked-mean") {
        assertEquals(bpc, null);
        assertAlmostEquals(nats, Math.log(66), 5e-6);
      } else {
        assertAlmostEquals(bpc!, Math.log2(65), 5e-6);
        assertEquals([blocks, chars], [4, 4 * 31]);
      }
    }
    assertEquals((await jsonOf(folder, "eval", ...flags)).rows, rows);

    const { evaluations, problems } = await readResults(join(folder, "reports"));
    assertEquals([evaluations.length, problems], [4, []]); // a file a model and a run
    const kept = evaluations.slice(0, 2).flatMap(({ rows }) => rows);
    assertEquals(kept.toSorted(byName), rows.toSorted(byName));

    const { stdout } = await runTaskIn(folder, "eval", ...flags, "--model", "gpt");
    assertMatch(stdout, /^model +estimator +bits\/char .*\ngpt +exact +6\.0224 /);
  }));

const byName = (a: EvaluationRow, b: EvaluationRow) => a.estimator < b.estimator ? -1 : 1;

Deno.test("eval without --model scores what fits the text and says why it leaves out the rest", () =>
  inTrainedFolder(async (folder) => {
    const path = join(folder, "weights/gpt-smoke.safetensors");
    await Deno.truncate(path, 100);
    const ended = await runTaskIn(folder, "eval", ...engine, ...text, "--blocks=2", "--passes=2");
    assertEquals(ended.code, 0, ended.stderr);
    assertMatch(
      ended.stderr,
      /^left out the gpt model: Cannot read "weights\/gpt-smoke.safetensors"/m,
    );
    assertMatch(ended.stdout, /^diffusion +nelbo/m);
    assert(!/^gpt/m.test(ended.stdout), ended.stdout);

    await Deno.truncate(join(folder, "weights/diffusion-smoke.safetensors"), 100);
    const none = await runTaskIn(folder, "eval", ...engine, ...text);
    assertFailed(none, 1, 'Cannot read "weights/diffusion-smoke.safetensors"');
  }));

Deno.test("eval refuses a wrong command line with exit code 2, and what can't be scored with 1", () =>
  inTrainedFolder(async (folder) => {
    const unknown = exampleText() + "Où est-il? Là-bas! ".repeat(40);
    await Deno.writeTextFile(join(folder, "french.txt"), unknown);
    await Deno.writeTextFile(join(folder, "short.txt"), "To be, or not to be.");
    await Deno.writeTextFile(join(folder, "one.txt"), exampleText().slice(0, 400));
    await Deno.writeFile(join(folder, "binary.txt"), Uint8Array.of(1, 0, 2, 255));
    const gpt = ["--model", "gpt"];
    const cases: [args: string[], code: number, says: string][] = [
      [["--estimatr", "nelbo"], 2, 'did you mean "--estimator"?'],
      [["--passes", "1"], 2, "expected a whole number, at least 2"],
      [["--blocks", "many"], 2, 'Cannot use --blocks "many": expected a whole number, at least 2'],
      [[...gpt, "--estimator", "nelbo"], 2, "expected exact"],
      [["--weights", "weights/gpt-smoke.safetensors"], 2, "expected --model gpt or --model diff"],
      [[...gpt, "--data", "none.txt"], 1, 'Cannot read the text "none.txt": no such file'],
      [[...gpt, "--data", "short.txt"], 1, "it has 2 characters, expected at least 32"],
      [[...gpt, "--data", "one.txt"], 1, "Cannot estimate from 1 block(s)"],
      [[...gpt, "--data", "binary.txt"], 1, 'Cannot use "binary.txt" as a text'],
      [[...gpt, "--data", "french.txt"], 1, '"à" (U+00E0), "ù" (U+00F9) are not among the 65'],
      [["--data", "french.txt"], 1, "are not among the 65 characters of this model"],
      [
        [...gpt, ...text, "--weights", "weights/diffusion-smoke.safetensors"],
        1,
        "--model diffusion",
      ],
      [gpt, 1, 'none was fetched yet; run "deno task fetch-data", or give a file with --data'],
      [[...gpt, ...text, "--engine", "onnx:cuda"], 1, 'Cannot start the engine "onnx:cuda"'],
    ];
    const ended = await Promise.all(
      cases.map(([args]) => runTaskIn(folder, "eval", ...args)),
    );
    ended.forEach((end, i) => assertFailed(end, cases[i][1], cases[i][2]));
  }));

Deno.test("eval without any weights says which task makes some", () =>
  inFolder(async (folder) => {
    await Deno.writeTextFile(join(folder, "text.txt"), exampleText());
    const cases: [args: string[], says: string][] = [
      [[], 'nothing was trained yet; run "deno task train-gpt"'],
      [["--estimator", "nelbo"], 'nothing was trained yet; run "deno task train-diffusion"'],
      [["--model", "diffusion"], 'nothing was trained yet; run "deno task train-diffusion"'],
      [["--model", "gpt", "--weights", "x.safetensors"], "no such file; train a model first"],
    ];
    for (const [args, says] of cases) {
      assertFailed(await runTaskIn(folder, "eval", ...text, ...args), 1, says);
    }
    assertEquals(namesIn(folder), ["text.txt"]);
  }));

Deno.test("Ctrl-C, SIGTERM and kill -9 end eval at once, and leave no result or a whole one", () =>
  inTrainedFolder(async (folder) => {
    const flags = [...engine, ...text, "--passes", "100000"];
    for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGKILL", 137]] as const) {
      const ended = await signalled(signal, "diffusion nelbo", folder, "eval", ...flags);
      assertEquals([ended.code, ended.stdout], [code, ""], ended.stderr);
      assert(!/error|stack/i.test(ended.stderr), ended.stderr);
    }
    // The GPT's figures were there before the signal.
    const { evaluations, problems } = await readResults(join(folder, "reports"));
    assertEquals(evaluations.map(({ rows }) => rows.map(({ model }) => model)), [
      ...[["gpt"], ["gpt"], ["gpt"]],
    ]);
    assertEquals(problems, []);
  }));
