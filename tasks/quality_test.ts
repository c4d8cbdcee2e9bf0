import { assert, assertAlmostEquals, assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { computeEntropy } from "./quality/ngrams.ts";
import { loadWeights, saveWeights } from "../core/checkpoint.ts";
import { qualityFigures, type QualityRow } from "./shared/results.ts";
import { KILLED } from "../files/testing/system.ts";
import { readResults } from "./report/read_results.ts";
import {
  assertFailed,
  exampleText,
  inTrainedFolder,
  jsonOf,
  namesIn,
  runTaskIn,
  signalled,
} from "./testing/task_process.ts";

const text = ["--data", "text.txt"];
const engine = ["--engine", "onnx", "--threads", "1"];
const short = ["--length", "60", "--temperature", "0.5", "--temperature", "1"];

const inLongFolder = (test: (folder: string) => Promise<void>) =>
  inTrainedFolder(test, { text: exampleText(160) });

Deno.test("quality sets samples of both models next to held-out and shuffled text, the same way each time", () =>
  inLongFolder(async (folder) => {
    const flags = [...short, ...engine, ...text];
    const { rows, judges, halves } = await jsonOf(folder, "quality", "--", ...flags);
    assertEquals(
      (rows as QualityRow[]).map((row) => [row.source, row.sampler, row.temperature]),
      [
        ["held-out", null, null],
        ["shuffled-words", null, null],
        ["shuffled-characters", null, null],
        ["n-grams", null, 0.5],
        ["n-grams", null, 1],
        ["gpt", "autoregressive", 0.5],
        ["gpt", "autoregressive", 1],
        ["diffusion", "copula", 0.5],
        ["diffusion", "copula", 1],
      ],
    );
    assertEquals([judges.gpt.weights, judges.gpt.context], ["weights/gpt-smoke.safetensors", 32]);
    assertEquals(judges.independent, null); // no weights/judge.safetensors
    assertEquals(halves.length, 5);
    const of = (source: string) => (rows as QualityRow[]).find((row) => row.source === source)!;
    for (const { figures, texts, length, cost, source } of rows as QualityRow[]) {
      assertEquals(Object.keys(figures), [...qualityFigures]);
      assertEquals(length, 60);
      if (cost) assertEquals([texts, cost.forwards.mean <= 60], [3, true], source);
      // Weights that were never trained find every text about as likely as any other.
      assertAlmostEquals(figures.judge_gpt!.mean, Math.log2(65), 0.5, source);
    }
    // This validation text repeats the training text, so it is cheap, found there, and all words;
    // shuffled it is not.
    const [plain, shuffled] = [of("held-out").figures, of("shuffled-characters").figures];
    assert(plain.judge_ngram!.mean < 1 && shuffled.judge_ngram!.mean > 4);
    assert(plain.found_30!.mean > 0.5 && shuffled.found_30!.mean === 0);
    assertAlmostEquals(plain.entropy!.mean, shuffled.entropy!.mean, 1e-9);
    // The table alone spells as well as the text that it counted: real words don't tell.
    const control = of("n-grams").figures;
    assert(control.judge_ngram!.mean < 1 && control.real_words!.mean > 0.9);

    const { quality, problems } = await readResults(join(folder, "reports"));
    assertEquals(problems, []);
    assertEquals(quality.map(({ model }) => model).toSorted(), ["diffusion", "gpt"]);
    const { provenance, ...gpt } = quality.find(({ model }) => model === "gpt")!;
    assertEquals(gpt.rows, rows.slice(0, 7));
    assertMatch(provenance.command, /^deno task quality --length 60/);

    const again = await runTaskIn(folder, "quality", ...flags);
    assertEquals(again.code, 0, again.stderr);
    assert(!/, character/.test(again.stderr), "texts that were kept are written again");
    assertMatch(again.stdout, /^Sample quality, texts of 60 characters:\n\ntext +temp +GPT judge/);
    assertMatch(again.stdout, /^gpt autoregressive +0\.5 /m);

    const scored = ["--model", "gpt", "--blocks", "2", ...engine, ...text];
    const evaluated = await jsonOf(folder, "eval", ...scored);
    assertEquals(evaluated.quality.map(({ rows }: { rows: QualityRow[] }) => rows), [gpt.rows]);
    assertMatch((await runTaskIn(folder, "eval", ...scored)).stdout, /^gpt autoregressive +0\.5 /m);
  }));

Deno.test("quality takes several samplers, each with the flags that mean something to it, and either judge may be missing", () =>
  inLongFolder(async (folder) => {
    const gpt = join(folder, "weights/gpt-smoke.safetensors");
    await Deno.rename(gpt, join(folder, "other-gpt.safetensors"));
    const samplers = ["--sampler", "threshold", "--sampler", "entropy", "--entropy-bound", "1"];
    const judge = ["--independent-judge", "other-gpt.safetensors"];
    const flags = [...samplers, ...judge, ...short, ...engine, ...text];
    const { rows, judges } = await jsonOf(folder, "quality", ...flags);
    assertEquals([judges.gpt, judges.independent.weights], [null, "other-gpt.safetensors"]);
    const written = (rows as QualityRow[]).filter(({ source }) => source === "diffusion");
    assertEquals(
      written.map(({ sampler, settings }) => [sampler, settings["entropy-bound"] ?? null]),
      [
        ["threshold", null],
        ["threshold", null],
        ["entropy", 1],
        ["entropy", 1],
      ],
    );
    for (const { figures } of written) {
      assertEquals(figures.judge_gpt, null);
      assertAlmostEquals(figures.judge_independent!.mean, Math.log2(65), 0.5);
    }
  }));

Deno.test("quality killed at any moment resumes with the texts that it has, to the same figures", () =>
  inLongFolder(async (folder) => {
    const temperatures = short.slice(2);
    const flags = ["--model", "diffusion", "--length", "150", ...temperatures, ...engine, ...text];
    for (let time = 0; time < 2; time++) { // when the first characters of a text are there
      const ended = await signalled("SIGKILL", "diffusion, character", folder, "quality", ...flags);
      assertEquals(ended.code, KILLED, ended.stderr);
    }
    const ended = await signalled("SIGINT", "diffusion, character", folder, "quality", ...flags);
    if (Deno.build.os !== "windows") {
      assertEquals(ended.code, 130, ended.stderr);
      assertMatch(ended.stderr, /\nInterrupted: the texts .* are kept in .*, from where .*\n$/);
    }
    const { rows } = await jsonOf(folder, "quality", ...flags);
    const partial = join(folder, "reports/partial");
    const [name] = namesIn(partial).filter((name) => name.endsWith(".jsonl"));
    const lines = (await Deno.readTextFile(join(partial, name))).trimEnd().split("\n").slice(1);
    const texts = lines.map((line) => JSON.parse(line));
    assertEquals(new Set(texts.map(({ key }) => key)).size, 6);
    const entropies = texts.slice(0, 3).map(({ value: { text } }) => computeEntropy(text));
    const mean = entropies.reduce((a, b) => a + b) / 3;
    const [row] = (rows as QualityRow[]).filter(({ source }) => source === "diffusion");
    assertAlmostEquals(row.figures.entropy!.mean, mean, 1e-12);

    await Deno.remove(partial, { recursive: true });
    const fresh = await jsonOf(folder, "quality", ...flags);
    const figures = (rows: QualityRow[]) =>
      rows.map(({ figures, cost }) => [figures, cost?.forwards]);
    assertEquals(figures(fresh.rows), figures(rows));
  }));

Deno.test("quality takes the model from the file, and prints what it measured when a later model fails", () =>
  inLongFolder(async (folder) => {
    const path = join(folder, "weights/diffusion-smoke.safetensors");
    const { weights, ...saved } = await loadWeights(path);
    weights["lm_head.weight"].data.fill(3e38); // its logits overflow
    await saveWeights(path, { weights, ...saved });
    const flags = [...short, ...engine, ...text];
    const file = ["--weights", "weights/gpt-smoke.safetensors"];
    const [{ rows }, both] = await Promise.all([
      jsonOf(folder, "quality", ...flags, ...file),
      runTaskIn(folder, "quality", ...flags, "--json", "--reports", "text.txt"), // can't keep it
    ]);
    assertEquals(both.code, 1, both.stderr);
    assertMatch(both.stderr, /\nerror: Cannot choose a character: [^\n]+\n$/);
    const facts = (rows: QualityRow[]) => rows.map(({ source, figures }) => [source, figures]);
    assertEquals(facts(rows).map(([source]) => source).slice(-2), ["gpt", "gpt"]);
    assertEquals(facts(JSON.parse(both.stdout).rows), facts(rows));
  }));

Deno.test("quality refuses a lone temperature, too few texts, and what can't be measured", () =>
  inLongFolder(async (folder) => {
    const cases: [args: string[], code: number, says: string][] = [
      [
        ["--temperature", "0.8"],
        2,
        "Cannot measure at temperature 0.8 alone: expected two or more",
      ],
      [["--temperature", "0.8", "--temperature", "0.8"], 2, "expected two or more"],
      [["--count", "2"], 2, "at least 3"],
      [
        [...text, "--weights", "weights/gpt-smoke.safetensors", "--sampler", "entropy"],
        2,
        "Cannot use --sampler with --model gpt",
      ],
      [
        [...text, "--model", "gpt", "--sampler", "entropy"],
        2,
        "Cannot use --sampler with --model gpt",
      ],
      [[...text, "--length", "100000"], 1, "use a smaller --length or a longer text"],
      [[...text, "--judge", "none.safetensors"], 1, 'Cannot load "none.safetensors": no such file'],
      [
        [...text, "--judge", "weights/diffusion-smoke.safetensors"],
        1,
        "expected [65, 32] for a GPT",
      ],
      [[...text, "--prompt", "é"], 1, 'Cannot encode the prompt: "é"'],
      [["--data", "none.txt"], 1, 'Cannot read the text "none.txt": no such file'],
    ];
    const ended = await Promise.all(cases.map(([args]) => runTaskIn(folder, "quality", ...args)));
    ended.forEach((end, i) => assertFailed(end, cases[i][1], cases[i][2]));
    assertEquals(namesIn(folder).filter((name) => name.startsWith("reports")), []);
  }));

Deno.test("a GPT of another text does not judge unless it is named, and quality says so", () =>
  inLongFolder(async (folder) => {
    await Deno.writeTextFile(
      join(folder, "other.txt"),
      exampleText(160).replaceAll("moon", "möön"),
    );
    const flags = ["--model", "diffusion", ...short, ...engine, "--data", "other.txt"];
    const { code, stdout, stderr } = await runTaskIn(folder, "quality", ...flags, "--json");
    assertEquals(code, 0, stderr);
    assertEquals(JSON.parse(stdout).judges.gpt, null);
    assertMatch(
      stderr,
      /no GPT judges: weights\/gpt-smoke.safetensors was trained on another text/,
    );
    const named = ["--judge", "weights/gpt-smoke.safetensors"];
    const failed = await runTaskIn(folder, "quality", ...flags, ...named);
    assertFailed(failed, 1, 'Cannot encode a text for the judge: "ö"');
  }));
