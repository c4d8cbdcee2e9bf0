import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { UserError } from "../engines/errors.ts";
import { testOnUnix } from "../files/testing/system.ts";
import { UsageError } from "./shared/flags.ts";
import {
  assertFailed,
  denoArguments,
  exampleText,
  inFolder,
  jsonOf,
  namesIn,
  runTaskIn,
  signalled,
  writeWeights,
} from "./testing/task_process.ts";
import { main } from "./visualize.ts";

/** One thread of the engine that is everywhere, so that the same bytes come out. */
const engine = ["--engine", "onnx", "--threads", "1"];
// all characters are likely, as these models have learned nothing
const flags = [...engine, "--top-k", "20", "--temperature", "1", "--data", "text.txt"];

const inTrainedFolder = (test: (folder: string) => Promise<void>, text = exampleText()) =>
  inFolder(async (folder) => {
    await writeWeights(folder, { text });
    await test(folder);
  });

Deno.test("the texts are those of sample with the same seed, and 2 blocks of context 32 are 32 characters", () =>
  inTrainedFolder(async (folder) => {
    const sampled = (model: string) =>
      jsonOf(folder, "sample", "--model", model, ...flags, "--length", "32", "--seed", "3");
    const [watched, gpt, diffusion] = await Promise.all([
      jsonOf(folder, "visualize", ...flags, "--compare", "--blocks", "2", "--seed", "3"),
      sampled("gpt"),
      sampled("diffusion"),
    ]);
    assertEquals(Object.keys(watched), ["prompt", "seed", "engine", "models", "svg"]);
    assertEquals(
      watched.models.map((
        { model, text, forwards }: Record<string, unknown>,
      ) => [model, text, forwards]),
      [diffusion, gpt].map(({ model, samples: [{ text, forwards }] }) => [model, text, forwards]),
    );
    assertEquals([watched.prompt, watched.svg], [diffusion.prompt, null]);
  }));

Deno.test("where stdout is no terminal it gets the text, in whole lines and nothing else", () =>
  inTrainedFolder(async (folder) => {
    const blocks = [
      "--blocks",
      "4",
      "--prompt-len",
      "40",
      "--sampler",
      "remask",
      "--remask-cap",
      "0.3",
    ];
    const [plain, json, two] = await Promise.all([
      runTaskIn(folder, "visualize", ...flags, ...blocks),
      jsonOf(folder, "visualize", ...flags, ...blocks),
      runTaskIn(folder, "visualize", ...flags, "--compare", "--blocks", "1"),
    ]);
    const [{ text }] = json.models;
    assertEquals([plain.code, plain.stdout], [0, text.endsWith("\n") ? text : text + "\n"]);
    assertEquals(text.slice(0, 40), exampleText().slice(0, 40));
    assertEquals(text.length, 40 + 16 + 3 * 16);
    assertMatch(plain.stderr, /Diffusion, sampler remask: step \d+ {2}0\/64 hidden/);
    assertMatch(two.stdout, /^Diffusion, sampler copula:\nFirst[^]*\nGPT:\nFirst/);
  }));

Deno.test("a film is kept with its text in it, of a template too", () =>
  inTrainedFolder(async (folder) => {
    const template = ["--template", "Who __ there? {2..5}!", "--svg", "film.svg"];
    const { models: [{ text }], svg } = await jsonOf(folder, "visualize", ...flags, ...template);
    assertMatch(text, /^Who .{2} there\? .{2,5}!$/s);
    const film = await Deno.readTextFile(join(folder, svg));
    const written = text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
    assert(film.includes(`.\n${written}</desc>`), film.slice(0, 500));
    assert(film.startsWith("<?xml") && film.endsWith("</svg>\n"));
    assertEquals(namesIn(folder).filter((name) => name.includes(".svg")), ["film.svg"]);
  }));

Deno.test("escape sequences and control characters of a corpus reach nobody", () =>
  inTrainedFolder(
    async (folder) => {
      const args = ["--temperature", "1", "--top-k", "9", "--blocks", "3", "--svg", "film.svg"];
      const { stdout, code, stderr } = await runTaskIn(folder, "visualize", ...engine, ...args);
      assertEquals(code, 0, stderr);
      assertMatch(stdout, /␛/); // with so few characters, this one is certain to come up
      // deno-lint-ignore no-control-regex -- that is what is looked for
      const control = /[\x00-\x09\x0b-\x1f\x7f-\x9f]/;
      assert(!control.test(stdout));
      assert(!control.test(await Deno.readTextFile(join(folder, "film.svg"))));
    },
    "\x1b[2J\x1b]0;title\x07\x9b31m\r\x7f\b".repeat(40),
  ));

Deno.test("mistakes are told in one line, and with the exit code of their kind", () =>
  inTrainedFolder(async (folder) => {
    await Deno.rename(join(folder, "weights/gpt-smoke.safetensors"), join(folder, "gpt.st"));
    const diffusion = "weights/diffusion-smoke.safetensors";
    const cases: [code: number, says: string, ...args: string[]][] = [
      [2, "Cannot use --compare with --template: a GPT sees only", "--compare", "--template", "a_"],
      [1, 'Cannot write "no/film.svg": there is no folder "no"', "--svg", "no/film.svg"],
      [1, "Cannot find weights of the gpt model", "--compare"],
      [1, "GPT weights, give them as --gpt-weights with --compare", "--weights", "gpt.st"],
      [1, "diffusion weights, give them as --weights", "--compare", "--gpt-weights", diffusion],
    ];
    await Promise.all(cases.map(async ([code, says, ...args]) => {
      const ended = await runTaskIn(folder, "visualize", ...engine, ...args);
      assertFailed(ended, code, says);
      assert(!ended.stderr.includes("engine:"), `something was computed: ${ended.stderr}`);
    }));
    const weights = ["--weights", join(folder, "weights/diffusion-smoke.safetensors")];
    for (
      const [says, ...args] of [
        ["Cannot use --blocks with --template", "--template", "a_", "--blocks", "2"],
        ["Cannot use --prompt with --prompt-len", "--prompt", "a", "--prompt-len", "3"],
        ["Cannot use --gap alone", "--gap", "#"],
        ["Cannot fill the template: it has no gap", "--template", "abc"],
        ['Cannot use --speed "-1"', "--speed=-1"],
        ["Cannot use --grid with the sampler entropy", "--grid", "uniform"],
      ]
    ) await assertRejects(() => main([...weights, ...args]), UsageError, says);
    await assertRejects(
      () => main([...weights, "--prompt", "é"]),
      UserError,
      "Cannot encode the prompt",
    );
  }));

testOnUnix(
  "signals",
  "Ctrl-C ends it with 130, and leaves no film where none was",
  () =>
    inTrainedFolder(async (folder) => {
      const args = [...flags, "--blocks", "100", "--longest-run", "1", "--svg", "film.svg"];
      const { code, stderr } = await signalled("SIGINT", "engine:", folder, "visualize", ...args);
      assertEquals(code, 130, stderr);
      assertEquals(namesIn(folder).filter((name) => name.includes("film")), []);
    }),
);

testOnUnix("bash", "a reader that has gone is no error", () =>
  inTrainedFolder(async (folder) => {
    const args = denoArguments("visualize", [...flags, "--blocks", "12"]);
    const command = `"$0" "$@" 2> err | head -n 1; echo "\${PIPESTATUS[0]}"`;
    const { stdout } = await new Deno.Command("bash", {
      args: ["-c", command, Deno.execPath(), ...args],
      cwd: folder,
    }).output();
    assertEquals(new TextDecoder().decode(stdout), "First Citizen:\n0\n");
    assert(!(await Deno.readTextFile(join(folder, "err"))).includes("error"));
  }));
