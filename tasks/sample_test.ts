import { assert, assertEquals, assertMatch, assertNotEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { collectOptions, reservedKeys } from "../core/sampling/samplers/mod.ts";
import { testOnUnix } from "../files/testing/system.ts";
import { main as quality } from "./quality.ts";
import { main as writeSample } from "./sample.ts";
import { HelpRequest } from "./shared/flags.ts";
import type { SampleResult } from "./shared/results.ts";
import { main as visualize } from "./visualize.ts";
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

/** One thread of the engine that is everywhere, so that the same bytes come out. */
const engine = ["--engine", "onnx", "--threads", "1"];
const text = ["--data", "text.txt"];

const sample = (folder: string, model: string, ...args: string[]) =>
  jsonOf(folder, "sample", "--model", model, ...engine, ...text, ...args);

/**
 * All results, which must be as the report wants them: it refuses steps that don't lead to their
 * text.
 */
async function resultsIn(folder: string): Promise<SampleResult[]> {
  const { samples, problems } = await readResults(join(folder, "reports"));
  assertEquals(problems, []);
  return samples;
}

for (const model of ["gpt", "diffusion"] as const) {
  Deno.test(`the same seed gives the same ${model} sample, and --count takes seeds one apart`, () =>
    inTrainedFolder(async (folder) => {
      const flags = ["--length", "50", "--top-k", "20", "--temperature", "1"];
      const [three, again, second] = await Promise.all([
        sample(folder, model, ...flags, "--count", "3", "--seed", "5"),
        sample(folder, model, ...flags, "--count", "3", "--seed", "5"),
        sample(folder, model, ...flags, "--seed", "6"),
      ]);
      assertEquals(Object.keys(three), [
        ...["model", "weights", "prompt", "sampler", "engine", "drafts", "forwards_at_most"],
        "samples",
        ,
      ]);
      assertEquals(Object.keys(three.samples[0]), [
        ...["text", "seed", "forwards", "seconds", "chars_per_forward"],
      ]);
      assertEquals(three.forwards_at_most, 50);
      for (const { forwards, chars_per_forward } of three.samples) {
        assert(forwards <= 50);
        assertEquals(chars_per_forward, 50 / forwards);
      }
      const texts = (result: { samples: { text: string }[] }) => result.samples.map((s) => s.text);
      assertEquals(texts(three), texts(again));
      assertEquals(three.samples.map((s: { seed: number }) => s.seed), [5, 6, 7]);
      assertEquals(texts(second), [texts(three)[1]]);
      assertNotEquals(texts(three)[0], texts(three)[1]);
      for (const text of texts(three)) {
        assertEquals([text.slice(0, 16), text.length], [three.prompt, 16 + 50]);
      }
      assertEquals((await resultsIn(folder)).length, 3);
    }));

  Deno.test(`${model}: nothing to write, no prompt, and one longer than the context are all fine`, () =>
    inTrainedFolder(async (folder) => {
      const long = exampleText().slice(0, 100);
      const [none, empty, further] = await Promise.all([
        sample(folder, model, "--length", "0"),
        sample(folder, model, "--length", "70", "--prompt", ""),
        sample(folder, model, "--length", "70", `--prompt=${long}`),
      ]);
      assertEquals([none.samples[0].text, none.samples[0].forwards], [none.prompt, 0]);
      assertEquals(empty.samples[0].text.length, 70);
      assertEquals(further.samples[0].text.slice(0, 100), long);
      assertEquals(further.samples[0].text.length, 170);
      for (
        const { prompt, samples: [{ text, steps, realWords }], ...result } of await resultsIn(
          folder,
        )
      ) {
        const positions = steps.flatMap(({ changes }) => changes.map(([position]) => position));
        const expected = Array.from(text.slice(prompt.length), (_, i) => prompt.length + i);
        assertEquals(positions.toSorted((a, b) => a - b), expected);
        if (text === prompt) assertEquals(realWords, null);
        assert(result.realWordsHeldOut! > 0.9, `${result.realWordsHeldOut}`); // held-out text repeats itself
      }
    }));
}

Deno.test("a GPT's --top-k 1 is its --temperature 0, whatever the seed", () =>
  inTrainedFolder(async (folder) => {
    const [greedy, one] = await Promise.all([
      sample(folder, "gpt", "--length", "60", "--temperature", "0", "--seed", "1"),
      sample(folder, "gpt", "--length", "60", "--top-k", "1", "--seed", "2"),
    ]);
    assertEquals(greedy.samples[0].text, one.samples[0].text);
    assertEquals([greedy.sampler, one.sampler], ["greedy", "autoregressive"]);
  }));

Deno.test("a diffusion model never writes its mask, and writes an underscore of the text as such", () =>
  inFolder(async (folder) => {
    // Weights of zeros like all characters equally, and would draw the mask in one of 3 or 66
    // cases.
    const change = (weights: Record<string, { data: Float32Array | Int32Array }>) => {
      for (const { data } of Object.values(weights)) data.fill(0);
    };
    const draw = () =>
      sample(
        folder,
        "diffusion",
        "--length",
        "300",
        "--prompt",
        "",
        "--top-k",
        "2",
        "--temperature=1",
      );
    await writeWeights(folder, { text: "_a".repeat(400), change });
    const underscores = (await draw()).samples[0].text.split("_").length - 1;
    // Binomial(300, 1/2) leaves 100 to 200 once in 10^8; a mask drawn too would make it 2/3 of 300.
    assert(underscores > 100 && underscores < 200, `${underscores} of 300`);
    await writeWeights(folder, { change });
    assert(!(await draw()).samples[0].text.includes("_"));
    await resultsIn(folder);
  }));

Deno.test("sampling refuses a wrong command line with exit code 2, and an unknown character with 1", () =>
  inTrainedFolder(async (folder) => {
    const cases: [args: string[], code: number, says: string][] = [
      [["--temprature", "1"], 2, 'did you mean "--temperature"?'],
      [["--temperature", "-1"], 2, 'Cannot use --temperature "-1": expected a number, at least 0'],
      [["--temperature", "NaN"], 2, 'Cannot use --temperature "NaN"'],
      [["--length", "-1"], 2, "expected a whole number, at least 0"],
      [["--count", "0"], 2, "expected a whole number, at least 1"],
      [["--threshold", "0"], 2, "expected a number, above 0 and at most 1"],
      [["--threshold", "1.01"], 2, "expected a number, above 0 and at most 1"],
      [["--top-p", "1.5"], 2, "expected a number, above 0 and at most 1"],
      [["--top-k", "66"], 2, "expected at most 65, the characters of the model"],
      [["--model", "gpt", "--top-k", "66"], 2, "expected at most 65"],
      [["--overlap", "32"], 2, "expected less than the window, 32"],
      [["--prompt", "Où?"], 1, '"ù" (U+00F9) is not one of the 65 characters of this model'],
      [["--data", "none.txt"], 1, 'Cannot read the text "none.txt": no such file'],
      [
        ["--engine", "onnx", "--precision", "bf16"],
        1,
        "only tensorflow has that; leave out --precision",
      ],
    ];
    const ended = await Promise.all(cases.map(([args]) => runTaskIn(folder, "sample", ...args)));
    ended.forEach((end, i) => {
      assertFailed(end, cases[i][1], cases[i][2]);
      assert(!/^character \d/m.test(end.stderr), "it had started to write");
    });
    assertEquals(await resultsIn(folder), []);
  }));

Deno.test("the largest and smallest options that are allowed give a text", () =>
  inTrainedFolder(async (folder) => {
    const cases = [
      ["--overlap", "31"],
      ["--overlap", "0"],
      ["--top-k", "65"],
      ["--sampler", "threshold", "--threshold", "1e-9"],
      ["--temperature", "1e-300"],
      ["--temperature", "1e300"],
      ["--top-p", "1e-9"],
      ["--seed", "4294967295", "--count", "2"],
    ];
    const results = await Promise.all(
      cases.map((args) => sample(folder, "diffusion", "--length", "40", ...args)),
    );
    for (const { samples } of results) assertEquals(samples[0].text.length, 56);
    // A threshold of next to nothing fills a block at once, and blocks have 16 characters beside
    // the overlap.
    assertEquals(results[3].samples[0].forwards, Math.ceil(40 / 16));
    await resultsIn(folder);
  }));

Deno.test("where results can't be kept, sampling says so before it starts, and prints", () =>
  inTrainedFolder(async (folder) => {
    await Deno.writeTextFile(join(folder, "reports"), "");
    const ended = await runTaskIn(folder, "sample", ...text);
    assertEquals(ended.code, 0, ended.stderr);
    assert(ended.stdout.length > 1);
    const says =
      /warning: results are not kept: Cannot make the folder "reports.results": .*--reports/g;
    assertEquals(ended.stderr.match(says)?.length, 1, ended.stderr);
    assert(ended.stderr.search(says) < ended.stderr.indexOf("engine:"), ended.stderr);
    assert(ended.stderr.includes("\ntext: text.txt ("), ended.stderr);
  }));

const samplerCases = [
  ["--sampler", "threshold", "--threshold", "0.5"],
  ["--sampler", "confidence", "--denoising-steps", "4"],
  ["--sampler", "entropy", "--entropy-bound", "1"],
  ["--sampler", "ancestral", "--denoising-steps", "4", "--grid", "uniform"],
  ["--sampler", "remask", "--denoising-steps", "8", "--remask-cap", "0.3"],
];

Deno.test("every sampler writes its text within the passes that it stated", () =>
  inTrainedFolder(async (folder) => {
    await Promise.all(samplerCases.map(async (args) => {
      const flags = ["--length", "60", "--top-k", "20", "--count", "2", ...args];
      const one = await sample(folder, "diffusion", ...flags);
      assertEquals(one.sampler, args[1]);
      for (const { text, forwards } of one.samples) {
        assertEquals([text.slice(0, 16), text.length], [one.prompt, 76]);
        assert(forwards > 0 && forwards <= one.forwards_at_most, `${forwards}`);
      }
    }));
    // The file holds what the replay needs, characters that were hidden again included.
    const results = await resultsIn(folder);
    for (const { steps, forwards, blocks, text } of results.flatMap(({ samples }) => samples)) {
      assertEquals(steps.at(-1)!.forwards, forwards);
      assertEquals([blocks![0], blocks!.length], [16, 1 + Math.ceil((text.length - 32) / 16)]);
    }
    const hidden = ({ samples }: SampleResult) =>
      samples.flatMap(({ steps }) => steps.flatMap(({ changes }) => changes))
        .filter(([, character]) => character === "").length;
    assertEquals(results.filter((result) => hidden(result) > 0).map(({ sampler }) => sampler), [
      "remask",
    ]);
  }));

Deno.test("a template keeps what it gives and gets its gaps filled, also one longer than the context", () =>
  inTrainedFolder(async (folder) => {
    const flags = ["--temperature", "1", "--top-k", "20"];
    const long = `${exampleText().slice(0, 90)}___${exampleText().slice(90, 140)}_____`;
    const cases: [template: string, expected: RegExp][] = [
      ["To be, or ____ to be", /^To be, or [^_]{4} to be$/],
      ["___ be_", /^[^_]{3} be[^_]$/],
      ["____", /^[^_]{4}$/],
      ["To be, {3..6} to {0..2}be", /^To be, [^_]{3,6} to [^_]{0,2}be$/],
      [long, new RegExp(`^${RegExp.escape(long).replaceAll("_", "[^_]")}$`, "s")],
    ];
    const results = await Promise.all(cases.map(async ([template, expected]) => {
      const result = await sample(folder, "diffusion", ...flags, `--template=${template}`);
      const [{ text, forwards }] = result.samples;
      assertMatch(text, new RegExp(expected, "s"));
      assert(forwards <= result.forwards_at_most, `${forwards} of ${result.forwards_at_most}`);
      assertEquals(result.prompt, template);
      return result;
    }));
    const further = await sample(
      folder,
      "diffusion",
      ...flags,
      "--template",
      "To _",
      "--length",
      "9",
    );
    assertMatch(further.samples[0].text, /^To [^_]{10}$/s);
    const other = await sample(
      folder,
      "diffusion",
      ...flags,
      "--template",
      "To ? be",
      "--gap",
      "?",
    );
    assertMatch(other.samples[0].text, /^To [^?] be$/s);
    assertEquals((await resultsIn(folder)).length, results.length + 2);
  }));

Deno.test("the same seed chooses the same lengths and the same filling", () =>
  inTrainedFolder(async (folder) => {
    const flags = ["--temperature", "1", "--top-k", "20", "--template", "To {1..9} or {1..9} be"];
    const draw = (...more: string[]) => sample(folder, "diffusion", ...flags, ...more);
    const [one, again, several] = await Promise.all([draw(), draw(), draw("--count", "4")]);
    const texts = ({ samples }: typeof one) => samples.map(({ text }: { text: string }) => text);
    assertEquals(texts(one), texts(again));
    assertEquals(texts(several)[0], texts(one)[0]);
    assert(
      new Set(texts(several).map((text: string) => text.length)).size > 1,
      "always one length",
    );
  }));

Deno.test("a template that can't be filled is refused in one line, by the GPT with the reason", () =>
  inTrainedFolder(async (folder) => {
    const cases: [args: string[], code: number, says: string][] = [
      [
        ["--model", "gpt", "--template", "a_b"],
        2,
        "Cannot fill a template with a GPT: it sees only what is to the left",
      ],
      [
        ["--template", "ab"],
        2,
        'Cannot fill the template: it has no gap; write "_" for each hidden',
      ],
      [["--template", ""], 2, "Cannot fill the template: it has no gap"],
      [["--template", "a{3..2}b"], 2, "the gap {3..2} has no possible length"],
      [["--template", "a_b", "--prompt", "a"], 2, "Cannot use --prompt with --template"],
      [["--gap", "?"], 2, "Cannot use --gap alone: expected --template TEXT with it"],
      [
        ["--template", "a_b", "--gap", "??"],
        2,
        'Cannot use "??" as the gap: expected one character',
      ],
      [
        ["--template", "é_ñ"],
        1,
        'Cannot encode the template: "é" (U+00E9), "ñ" (U+00F1) are not among',
      ],
      [
        ["--template", "a{1..17}b"],
        1,
        "Cannot choose the length of the gap {1..17}: the network sees 32",
      ],
    ];
    const ended = await Promise.all(
      cases.map(([args]) => runTaskIn(folder, "sample", ...engine, ...text, ...args)),
    );
    ended.forEach((end, i) => assertFailed(end, cases[i][1], cases[i][2]));
    assertEquals(await resultsIn(folder), []);
  }));

Deno.test("weights whose logits overflow end in one line", () =>
  inFolder(async (folder) => {
    await writeWeights(folder, { change: ({ "lm_head.weight": head }) => head.data.fill(3e38) });
    const flags = ["--length", "5", "--sampler", "remask", "--count", "2"];
    const ended = await runTaskIn(folder, "sample", ...engine, ...text, ...flags);
    assertFailed(
      ended,
      1,
      "Cannot choose a character: the network's logits are not finite numbers",
    );
    assertEquals(await resultsIn(folder), []);
  }));

Deno.test("with a text that the weights never saw words are not counted, and shipped weights are told from one's own", () =>
  inTrainedFolder(async (folder) => {
    const weights = (name: string) => join(folder, "weights", `${name}.safetensors`);
    await Deno.writeTextFile(join(folder, "other.txt"), exampleText(50));
    const flags = [...engine, "--data", "other.txt", "--length", "20"];
    const own = await runTaskIn(folder, "sample", ...flags);
    const ending = "was trained on another text than other.txt";
    assertMatch(
      own.stderr,
      new RegExp(`^note: weights/diffusion-smoke.safetensors ${ending}$`, "m"),
    );
    assert(!own.stderr.includes("real words"), own.stderr);

    await Deno.copyFile(weights("diffusion-smoke"), weights("diffusion"));
    const shipped = "; these are the weights that come with the project, name your own with " +
      "--weights, such as weights/diffusion-smoke.safetensors";
    const [both, prompt] = await Promise.all([
      runTaskIn(folder, "sample", ...flags),
      runTaskIn(folder, "sample", ...flags, "--prompt", "Où"),
    ]);
    assert(both.stderr.includes(`${ending}${shipped}\n`), both.stderr);
    assertFailed(prompt, 1, shipped);
    await Deno.remove(weights("diffusion-smoke"));
    const alone = await runTaskIn(folder, "sample", ...flags);
    assertMatch(alone.stderr, /name your own with --weights$/m);
  }));

Deno.test("without a text that is known, words are not counted, and the text is written all the same", () =>
  inTrainedFolder(async (folder) => {
    const { code, stdout, stderr } = await runTaskIn(folder, "sample", ...engine, "--length", "20");
    assertEquals([code, stdout.length], [0, 37], stderr);
    assertMatch(stderr, /^real words are not counted: .*"deno task fetch-data"/m);
    const [{ samples: [{ realWords }], realWordsHeldOut, provenance }] = await resultsIn(folder);
    assertEquals([realWords, realWordsHeldOut, provenance.corpus], [null, null, ""]);
    const report = await runTaskIn(folder, "report");
    assertEquals(report.code, 0, report.stderr);
    assert(!/stale|Cannot use/.test(report.stderr), report.stderr);
    const page = await Deno.readTextFile(join(folder, "reports/index.html"));
    assert(!/NaN|null %|of the words it wrote/.test(page.replace(/<script.*?<\/script>/gs, "")));
  }));

testOnUnix(
  "signals",
  "Ctrl-C and SIGTERM end sampling with the text so far, kill -9 without, and none leaves a result",
  () =>
    inTrainedFolder(async (folder) => {
      const flags = ["--length", "100000", ...engine, ...text];
      const cases = [
        ["SIGINT", 130, "--model=gpt"],
        ["SIGINT", 130, "--sampler=remask"],
        ["SIGINT", 130, "--json"],
        ["SIGTERM", 143, "--model=gpt"],
        ["SIGKILL", 137, "--model=gpt"],
      ] as const;
      await Promise.all(cases.map(async ([signal, code, flag]) => {
        const ended = await signalled(signal, "passes 1", folder, "sample", ...flags, flag);
        const { stdout, stderr } = ended;
        assertEquals(ended.code, code, stderr);
        assert(!/error|stack/i.test(stderr), stderr);
        if (signal === "SIGKILL") return assertEquals(stdout, "");
        const [, done] = /\nInterrupted at character (\d+) of 100000\n$/.exec(stderr) ?? [];
        assert(Number(done) > 0, stderr);
        if (flag === "--json") return assertEquals(stdout, "");
        assert(stdout.startsWith(exampleText().slice(0, 16)), stdout);
        if (flag !== "--model=gpt") return;
        // A GPT hides nothing: all that is written is settled. It stands after the prompt, before
        // the last line end.
        const length = 16 + Number(done);
        assertEquals(stdout.length, length + Number(stdout.at(length) === "\n"));
      }));
      assertEquals(namesIn(join(folder, "reports")), ["results"]);
    }),
);

Deno.test("every flag next to those of the samplers' options is reserved, so that no option can replace it", async () => {
  const options = collectOptions();
  for (const main of [writeSample, visualize, quality]) {
    const { table } = await assertRejects(() => main(["--help"]), HelpRequest);
    const others = Object.keys(table).filter((key) => !options.has(key));
    assert(others.includes("sampler"));
    assertEquals(others.filter((key) => !reservedKeys.includes(key)), []);
  }
});
