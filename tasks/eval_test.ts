import { assert, assertAlmostEquals, assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { scoreBaseline, trainBaselines } from "../core/scoring/baselines.ts";
import { loadWeights, saveWeights } from "../core/checkpoint.ts";
import { encodeCorpus, loadCorpus } from "../core/data/corpus.ts";
import type { ComparisonRow, DecoderPrices, EvaluationRow } from "./shared/results.ts";
import { KILLED, testOnUnix } from "../files/testing/system.ts";
import { listCharacters, makeTokenizer } from "../core/data/tokenizer.ts";
import { cutIntoBlocks, spaceEvenly } from "../core/scoring/rows.ts";
import { readResults } from "./report/read_results.ts";
import {
  assertFailed,
  exampleText,
  inFolder,
  inTrainedFolder,
  jsonOf,
  namesIn,
  runTaskIn,
  signalled,
  writeWeights,
} from "./testing/task_process.ts";

const engine = ["--engine", "onnx", "--threads", "1"];
const text = ["--data", "text.txt"];

Deno.test("eval without --model scores both models with every estimator, the same way each time", () =>
  inFolder(async (folder) => {
    await writeWeights(folder, {
      change(weights) { // a network that knows nothing
        for (const { data } of Object.values(weights)) data.fill(0);
      },
    });
    const counts = ["--blocks", "4", "--passes", "2", "--decoders", "4"];
    const flags = ["--", ...engine, ...text, ...counts];
    const { rows, comparisons, notes, decoders, quality } = await jsonOf(folder, "eval", ...flags);
    assertEquals((rows as EvaluationRow[]).map((row) => [row.model, row.estimator, row.weights]), [
      ["uniform", "exact", ""],
      ["unigram", "exact", ""],
      ["kneser-ney-6", "exact", ""],
      ["gpt", "exact", "weights/gpt-smoke.safetensors"],
      ["diffusion", "nelbo", "weights/diffusion-smoke.safetensors"],
      ["diffusion", "left-to-right", "weights/diffusion-smoke.safetensors"],
      ["diffusion", "masked-mean", "weights/diffusion-smoke.safetensors"],
    ]);
    assertEquals(Object.keys(notes), ["exact", "nelbo", "left-to-right", "masked-mean"]);
    assertMatch(notes["left-to-right"], /can be above or below/);
    assertMatch(
      notes["masked-mean"],
      /^(?=.*Not a likelihood).*It can't be compared with a GPT's loss/,
    );
    assertEquals(quality, []);
    assertEquals(
      (rows as EvaluationRow[]).slice(0, 3).map(({ nats }) => nats),
      await baselineNats(join(folder, "text.txt"), 4),
    );
    // What knows nothing costs the same in every block, and Kneser-Ney, which knows this text, is
    // better by far.
    assertEquals(
      (comparisons as ComparisonRow[]).map(({ a, b }) => [a.estimator, b.model, b.estimator]),
      [
        ["exact", "kneser-ney-6", "exact"],
        ["nelbo", "kneser-ney-6", "exact"],
        ["nelbo", "gpt", "exact"],
        ["left-to-right", "kneser-ney-6", "exact"],
        ["left-to-right", "gpt", "exact"],
      ],
    );
    for (const { b, difference, excludes_zero, context, blocks } of comparisons) {
      assertEquals([context, blocks], [32, 4]);
      if (b.model === "gpt") assertAlmostEquals(difference, 0, 5e-6);
      else assert(difference > 2 && excludes_zero, `${difference}`);
    }
    const models = (rows as EvaluationRow[]).slice(3);
    for (const { estimator, bpc, nats, context, blocks, chars, ...row } of models) {
      assertEquals(
        Object.keys(row).toSorted(),
        ["by_mask_share", "model", "passes", "se_blocks", "se_passes", "weights"],
      );
      assertEquals(context, 32);
      // Every character costs ln 65 (float32: off by a few 2^-24); only masked-mean gives the mask
      // its share.
      if (estimator === "masked-mean") {
        assertEquals(bpc, null);
        assertAlmostEquals(nats, Math.log(66), 5e-6);
      } else {
        assertAlmostEquals(bpc!, Math.log2(65), 5e-6);
        assertEquals([blocks, chars], [4, 4 * 31]);
      }
    }
    const [{ rows: prices, references, ...of }] = decoders as DecoderPrices[];
    assertEquals([of.weights, of.context, of.blocks], [models[1].weights, 32, 4]);
    assertEquals(references.map(({ model }) => model), ["kneser-ney-6", "gpt"]);
    assertEquals(prices.length, 2 * 2 * 5 + 1);
    for (const { draws, run, bpc, above_one } of prices) {
      if (draws === "independent" || run === 1) assertAlmostEquals(bpc, Math.log2(65), 5e-6);
      else assert(above_one < -1, `${above_one}`); // the table of this text alone knows something
    }
    const again = await jsonOf(folder, "eval", ...flags);
    assertEquals([again.rows, again.comparisons, again.decoders], [rows, comparisons, decoders]);

    const { evaluations, problems } = await readResults(join(folder, "reports"));
    assertEquals([evaluations.length, problems], [4, []]); // a file a model and a run
    const kept = evaluations.slice(0, 2).flatMap(({ rows }) => rows);
    assertEquals(kept.toSorted(byName), models.toSorted(byName));
    assertEquals(evaluations[0].baselines, rows.slice(0, 3));
    assertEquals(evaluations.flatMap((kept) => kept.decoders ?? []), [decoders[0], decoders[0]]);
    assertEquals(evaluations.slice(0, 2).flatMap((kept) => kept.comparisons).length, 5);

    const { stdout } = await runTaskIn(folder, "eval", ...flags, "--model", "gpt");
    assertMatch(stdout, /^model +estimator +bits\/char .*\nuniform +exact +6\.0224 /);
    assertMatch(stdout, /^gpt +exact +6\.0224 /m);
    assertMatch(stdout, /^gpt exact +kneser-ney-6 exact +\+.* yes, b is lower +4$/m);
  }));

/** Nats per character of the three baselines on `count` evenly spaced blocks of 32. */
async function baselineNats(path: string, count: number): Promise<number[]> {
  const corpus = await loadCorpus(path), characters = listCharacters(corpus.text);
  const { train, validation } = encodeCorpus(corpus, makeTokenizer("gpt", characters));
  const all = cutIntoBlocks(validation, 32);
  const blocks = spaceEvenly(all.length, count).map((index) => all[index]);
  return trainBaselines(train, characters.length).map((one) => scoreBaseline(one, blocks).nats);
}

const byName = (a: EvaluationRow, b: EvaluationRow) => a.estimator < b.estimator ? -1 : 1;

Deno.test("rows that are there are printed and kept when a later one fails", () =>
  inTrainedFolder(async (folder) => {
    const path = join(folder, "weights/diffusion-smoke.safetensors");
    const { weights, ...saved } = await loadWeights(path);
    weights["lm_head.weight"].data.fill(3e38); // its logits overflow
    await saveWeights(path, { weights, ...saved });
    const flags = [...engine, ...text, "--blocks", "4", "--passes", "2"];
    const [table, json, unkept] = await Promise.all([
      runTaskIn(folder, "eval", ...flags),
      runTaskIn(folder, "eval", ...flags, "--json", "--reports", "mine"),
      runTaskIn(folder, "eval", ...flags, "--reports", "text.txt"),
    ]);
    for (const { code, stderr } of [table, json, unkept]) {
      assertEquals(code, 1, stderr);
      assertMatch(stderr, /\nerror: Cannot [^\n]+\n$/);
    }
    const models = ["uniform", "unigram", "kneser-ney-6", "gpt"];
    assertEquals(JSON.parse(json.stdout).rows.map(({ model }: EvaluationRow) => model), models);
    for (const { stdout } of [table, unkept]) {
      for (const model of models) assert(stdout.includes(`\n${model} `), stdout);
      assert(!stdout.includes("nelbo"), stdout);
    }
    const { evaluations } = await readResults(join(folder, "reports"));
    assertEquals(evaluations.map(({ rows }) => rows.map(({ model }) => model)), [["gpt"]]);
  }));

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
      [
        ["--weights", "weights/gpt-smoke.safetensors", ...text, "--estimator", "nelbo"],
        2,
        'Cannot score "weights/gpt-smoke.safetensors": --estimator nelbo does not fit a gpt model',
      ],
      [["--against", "weights/gpt-smoke.safetensors"], 2, "expected --model gpt or --model diff"],
      [[...gpt, ...text, "--against", "none.safetensors"], 1, 'load "none.safetensors": no such'],
      [[...gpt, "--data", "none.txt"], 1, 'Cannot read the text "none.txt": no such file'],
      [[...gpt, "--data", "short.txt"], 1, "it has 2 characters, expected at least 32"],
      [[...gpt, "--data", "one.txt"], 1, "1 block(s) scored, expected at least 2"],
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
      [["--decoders", "1"], 2, "Cannot price decoders on 1 block: expected 0 or at least 2"],
      [["--decoders", "4", "--estimator", "nelbo"], 2, "Cannot use --decoders with --estimator"],
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
      [["--model", "gpt", "--weights", "x.safetensors"], "no such file; check the path"],
    ];
    for (const [args, says] of cases) {
      assertFailed(await runTaskIn(folder, "eval", ...text, ...args), 1, says);
    }
    assertEquals(namesIn(folder), ["text.txt"]);
  }));

testOnUnix(
  "signals",
  "Ctrl-C, SIGTERM and kill -9 end eval at once and leave no result or a whole one, and the first two say what is kept",
  () =>
    inTrainedFolder(async (folder) => {
      const flags = [...engine, ...text, "--passes", "100000"];
      for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGKILL", 137]] as const) {
        const ended = await signalled(signal, "diffusion nelbo", folder, "eval", ...flags);
        assertEquals([ended.code, ended.stdout], [code, ""], ended.stderr);
        assert(!/error|stack/i.test(ended.stderr), ended.stderr);
        if (signal === "SIGKILL") continue;
        assertMatch(ended.stderr, /\nInterrupted: nothing is kept of nelbo, which starts anew\n$/);
      }
      // The GPT's figures were there before the signal.
      const { evaluations, problems } = await readResults(join(folder, "reports"));
      assertEquals(evaluations.map(({ rows }) => rows.map(({ model }) => model)), [
        ...[["gpt"], ["gpt"], ["gpt"]],
      ]);
      assertEquals(problems, []);

      // A row that is there is kept, whatever happens to the next.
      const all = ["--model", "diffusion", "--passes", "2", "--blocks", "600", ...engine, ...text];
      await signalled("SIGINT", "left-to-right, row", folder, "eval", ...all);
      const [newest] = (await readResults(join(folder, "reports"))).evaluations;
      assertEquals(newest.rows.map(({ estimator }) => estimator), ["nelbo"]);
      assertEquals(newest.comparisons?.length, 1);

      const estimator = ["--estimator", "left-to-right", "--blocks", "600"];
      const kept = ["--model", "diffusion", ...estimator, ...engine, ...text];
      const ended = await signalled("SIGINT", "left-to-right, row", folder, "eval", ...kept);
      const [, path] = /\nInterrupted: the blocks .* are kept in (\S+), from where.*\n$/
        .exec(ended.stderr) ?? [];
      assert(path && namesIn(folder).includes(join(path)), ended.stderr);
    }, { text: exampleText(4000) }),
);

Deno.test("eval --against compares two weights files on the same blocks and masks, and a file with itself is not better", () =>
  inTrainedFolder(async (folder) => {
    const { weights, ...saved } = await loadWeights(
      join(folder, "weights/diffusion-smoke.safetensors"),
    );
    for (const { data } of Object.values(weights)) data.forEach((w, i) => data[i] = 1.2 * w);
    await saveWeights(join(folder, "other.safetensors"), { weights, ...saved });
    const flags = ["--model", "diffusion", "--estimator", "nelbo", ...engine, ...text];
    const against = async (path: string): Promise<[EvaluationRow[], ComparisonRow[]]> => {
      const result = await jsonOf(folder, "eval", ...flags, "--passes", "4", "--against", path);
      return [result.rows.slice(3), result.comparisons];
    };
    const [rows, comparisons] = await against("other.safetensors");
    assertEquals(rows.map(({ weights }) => weights), [
      "other.safetensors",
      "weights/diffusion-smoke.safetensors",
    ]);
    const twins = comparisons.filter(({ a, b }) => a.model === b.model);
    assertEquals(twins.map(({ a, b }) => [a.weights, b.weights]), [
      ["weights/diffusion-smoke.safetensors", "other.safetensors"],
    ]);
    assertAlmostEquals(twins[0].difference, rows[1].bpc! - rows[0].bpc!, 1e-9);
    // the masks are the same, so the error is smaller than those of the two figures alone
    assert(twins[0].se_blocks < Math.hypot(rows[0].se_blocks, rows[1].se_blocks));

    const [, same] = await against("weights/diffusion-smoke.safetensors");
    const { difference, se_blocks, excludes_zero } = same.find(({ a, b }) => a.model === b.model)!;
    assertEquals([difference, se_blocks, excludes_zero], [0, 0, false]);
  }));

Deno.test("left-to-right killed at any moment resumes with the blocks that it has, to the same figure", () =>
  inFolder(async (folder) => {
    await writeWeights(folder, { text: exampleText(4000) });
    const flags = ["--model", "diffusion", "--estimator", "left-to-right", ...engine, ...text];
    const all = ["--blocks", "600"];
    const partial = () => join(folder, "reports/partial");
    const blocks = async () => {
      const [name] = namesIn(partial()).filter((name) => name.endsWith(".jsonl"));
      const lines = (await Deno.readTextFile(join(partial(), name))).trimEnd().split("\n");
      return new Map(
        lines.slice(1).map((line) => JSON.parse(line)).map(({ key, value }) => [key, value]),
      );
    };
    const { rows: [, , , some] } = await jsonOf(folder, "eval", ...flags, "--blocks", "4");
    const first = await blocks();
    assertEquals([first.size, some.blocks], [4, 4]);

    for (let time = 0; time < 2; time++) { // after the first call of a block that was not kept yet
      const ended = await signalled(
        "SIGKILL",
        "left-to-right, row",
        folder,
        "eval",
        ...flags,
        ...all,
      );
      assertEquals(ended.code, KILLED, ended.stderr);
    }
    const { rows: [, , , whole], comparisons } = await jsonOf(folder, "eval", ...flags, ...all);
    const kept = await blocks();
    for (const [block, nats] of first) {
      assertEquals(kept.get(block), nats, "a block was scored twice");
    }
    assertEquals(whole.blocks, 600);
    assertEquals(comparisons.map(({ blocks }: ComparisonRow) => blocks), [600]);

    await Deno.remove(partial(), { recursive: true });
    const { rows: [, , , fresh] } = await jsonOf(folder, "eval", ...flags, ...all);
    assertEquals(fresh, whole);
  }));

Deno.test("decoders are priced on with the blocks that a killed run kept, to the same prices", () =>
  inFolder(async (folder) => {
    await writeWeights(folder, { text: exampleText(4000) });
    const few = ["--blocks", "2", "--passes", "2", "--decoders", "5"];
    const flags = ["--model", "diffusion", ...few, ...engine, ...text];
    const { decoders: [whole] } = await jsonOf(folder, "eval", ...flags);
    const partial = join(folder, "reports/partial");
    const [name] = namesIn(partial).filter((name) => /^decoders-.*\.jsonl$/.test(name));
    const path = join(partial, name);
    const lines = (await Deno.readTextFile(path)).trimEnd().split("\n");
    assertEquals(lines.length, 1 + 5); // what they belong to, and the blocks

    // The last line is torn, as kill -9 may leave it.
    await Deno.writeTextFile(path, `${lines.slice(0, 4).join("\n")}\n${lines[4].slice(0, 40)}`);
    const { decoders: [resumed] } = await jsonOf(folder, "eval", ...flags);
    assertEquals(resumed, whole);
    assertEquals((await Deno.readTextFile(path)).trimEnd().split("\n"), lines);

    // Kept blocks are not priced again: the prices follow what the file says.
    const { key, value } = JSON.parse(lines[1]);
    for (const cost of value) cost.nats *= 2;
    lines[1] = JSON.stringify({ key, value });
    await Deno.writeTextFile(path, `${lines.join("\n")}\n`);
    const { decoders: [doubled] } = await jsonOf(folder, "eval", ...flags);
    assert(doubled.rows[0].bpc > whole.rows[0].bpc);
  }));

Deno.test("a diffusion model with a causal mode is scored as both models, written with and converted as a GPT", () =>
  inFolder(async (folder) => {
    await writeWeights(folder);
    const trained = await loadWeights(join(folder, "weights/diffusion-smoke.safetensors"));
    const both = join(folder, "both.safetensors");
    await saveWeights(both, { ...trained, config: { ...trained.config, causalRows: 4 } });

    const score = async (weights: string, ...args: string[]) => {
      const flags = ["--", ...engine, ...text, "--blocks", "2", "--passes", "2"];
      const { rows } = await jsonOf(folder, "eval", ...flags, "--weights", weights, ...args);
      return (rows as EvaluationRow[]).slice(3).map(({ model, estimator, nats }) =>
        [model, estimator, nats] as const
      );
    };
    const rows = await score("both.safetensors");
    assertEquals(rows.map(([model, estimator]) => `${model} ${estimator}`), [
      "diffusion nelbo",
      "diffusion left-to-right",
      "diffusion masked-mean",
      "gpt exact",
    ]);
    assertEquals(await score("both.safetensors", "--estimator", "exact"), rows.slice(3));

    const taken = ["--model", "gpt", "both.safetensors", "gpt.safetensors"];
    assertEquals((await runTaskIn(folder, "convert", ...taken)).code, 0);
    assertEquals(await score("gpt.safetensors"), rows.slice(3));

    const write = ["--length", "5", "--model", "gpt", ...engine];
    const texts = await Promise.all(["both.safetensors", "gpt.safetensors"].map(async (weights) => {
      const { samples } = await jsonOf(folder, "sample", "--", ...write, "--weights", weights);
      return samples[0].text;
    }));
    assertEquals(texts[0], texts[1]);
  }));

Deno.test("eval --text gives the bits of each character under both models, and refuses what doesn't fit", () =>
  inFolder(async (folder) => {
    await writeWeights(folder, {
      change(weights) { // a network that knows nothing
        for (const { data } of Object.values(weights)) data.fill(0);
      },
    });
    const own = "to be, or not to be\n".repeat(3);
    await Deno.writeTextFile(join(folder, "own.txt"), own);
    const result = await jsonOf(folder, "eval", ...engine, "--text", "own.txt");
    assertEquals(result.text, own);
    assertEquals(result.models.map(({ model }: { model: string }) => model), ["gpt", "diffusion"]);
    for (const { model, bits, mean_bits } of result.models) {
      assertEquals(bits.length, own.length);
      assertEquals(bits.indexOf(null), model === "gpt" ? 0 : -1);
      // every character costs log2 65, in float32
      assertAlmostEquals(mean_bits, Math.log2(65), 1e-5);
    }
    const listed = await runTaskIn(
      folder,
      "eval",
      ...engine,
      "--model",
      "gpt",
      "--text",
      "own.txt",
    );
    assertMatch(listed.stdout, /^gpt \(weights[^\n]+to its left: 6.02 bits per character\n\n/);
    assertFailed(
      await runTaskIn(folder, "eval", "--text", "own.txt", "--blocks", "3"),
      2,
      "Cannot use --blocks with --text",
    );
    await Deno.writeTextFile(join(folder, "own.txt"), "\u{1f600} ".repeat(6000));
    assertFailed(
      await runTaskIn(folder, "eval", "--text", "own.txt"),
      1,
      "it has 12,000 characters, expected at most 10,000",
    );
  }));
