import { assert, assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { loadCorpus } from "../../core/data/corpus.ts";
import { testOnLinux, testOnUnix } from "../../files/testing/system.ts";
import { writeExample } from "./example_results.ts";
import { readResults } from "../report/read_results.ts";
import { runProgram } from "../shared/process.ts";
import { quoteForShell } from "../shared/text.ts";
import {
  assertFailed,
  denoArguments,
  exampleText,
  inFolder,
  inTrainedFolder,
  jsonOf,
  namesIn,
  runTaskIn,
  signalled,
} from "./task_process.ts";

const common = "engine precision seed data threads json";
const training =
  "preset steps batch lr set out resume eval-every sample-every patience until split distributed " +
  `reports ${common}`;

/** The flags that scripts rely on. Later ones may be added, none of these may go. */
const contract: Record<string, string> = {
  "fetch-data": "url file force dataset json",
  "train-gpt": training,
  "train-diffusion": training,
  "sample":
    "model weights prompt template gap length count sampler denoising-steps temperature top-k " +
    `top-p threshold entropy-bound grid remask-cap overlap window drafts as-original heads block-size ` +
    `reports ${common}`,
  "visualize":
    "compare blocks speed svg prompt-len prompt template gap temperature top-k top-p sampler threshold " +
    `denoising-steps overlap drafts as-original weights gpt-weights heads block-size ${common}`,
  "eval": `model weights against blocks estimator passes text heads block-size reports ${common}`,
  "quality": "model weights judge independent-judge temperature count length prompt top-k top-p " +
    `sampler drafts as-original heads block-size reports ${common}`,
  "report": "out no-model reports json",
  "serve": "port no-open reports json",
  "page": "out json",
  "bench": `preset model batch set steps pytorch ${common}`,
  "check-gpu": "engine precision part preset batch pytorch threads reports json",
  "engines": "json",
  "convert": "heads block-size json",
  "bundle": "engine with-data with-weights split out json",
  "ngrams": "data folder json",
  "quickstart": `file ${common}`,
  "setup-tensorflow": "cuda prefix uninstall json",
  "setup-onnx-cuda": "libraries prefix uninstall json",
};

Deno.test("the files in tasks/ are the tasks of deno.json, and each is in the contract", async () => {
  const root = fromFileUrl(new URL("../..", import.meta.url));
  const { tasks } = JSON.parse(await Deno.readTextFile(join(root, "deno.json")));
  const files = [...Deno.readDirSync(join(root, "tasks"))].map(({ name }) => name)
    .filter((name) => name.endsWith(".ts") && !name.endsWith("_test.ts"));
  const named = files.map((name) => name.slice(0, -".ts".length).replaceAll("_", "-")).sort();
  const development = ["test", "test-docs", "ok"]; // commands of Deno's own, for those who change this
  const listed = Object.keys(tasks).filter((name) => !development.includes(name)).sort();
  assertEquals(listed, named);
  for (const name of named) {
    const script = `tasks/${name.replaceAll("-", "_")}.ts`;
    assert(tasks[name].command.endsWith(` ${script}`), `${name} does not run ${script}`);
  }
  assertEquals(Object.keys(contract).sort(), named);
});

for (const [task, flags] of Object.entries(contract)) {
  Deno.test(`${task} --help names its flags in lines of 100 characters, and a slip gets the right one`, () =>
    inFolder(async (folder) => {
      const [help, slip] = await Promise.all([
        runTaskIn(folder, task, "--", "--help"),
        runTaskIn(folder, task, "--jsom"),
      ]);
      assertEquals([help.code, help.stderr], [0, ""]);
      const lines = help.stdout.trimEnd().split("\n");
      assertEquals(lines.filter((line) => [...line].length > 100), []);
      for (const flag of [...flags.split(" "), "help"]) {
        assert(lines.some((line) => line.startsWith(`  --${flag} `)), `--${flag} is missing`);
      }
      assert(lines[0].startsWith(`deno task ${task} `), lines[0]);
      const last = lines.at(-1)!.replace(/^ {2}mpirun -n \d+ /, "  ");
      assert(last.startsWith(`  deno task ${task}`), "examples come last");
      assertFailed(slip, 2, 'Unknown flag "--jsom"; did you mean "--json"?');
      assertEquals(namesIn(folder), []);
    }));
}

Deno.test("from a text in other scripts to the page, each task gives the JSON that scripts rely on", () =>
  inFolder(async (folder) => {
    const text = "Où est «l'été»? 東京は夜の七時。🌙🌊 _snake_case_\r\nΠάντα ῥεῖ.\tЁлка!\n".repeat(
      40,
    );
    await Deno.writeTextFile(join(folder, "mein Text.txt"), text);
    const fields = async (task: string, names: string, ...args: string[]) => {
      const result = await jsonOf(folder, task, ...args);
      const missing = names.split(" ").filter((name) => !(name in result));
      assertEquals(missing, [], `${task} --json`);
      return result;
    };
    const engine = ["--engine", "onnx", "--threads", "1"];
    const models = ["gpt", "diffusion"];

    const fetched = "path bytes sha256 source";
    const { path, sha256 } = await fields("fetch-data", fetched, "--file", "mein Text.txt");
    assertEquals((await loadCorpus(join(folder, path))).text, text);
    const trained = "steps seconds chars_per_second loss val_bpc engine precision weights";
    const runs = await Promise.all(
      models.map((model) => fields(`train-${model}`, trained, ...engine, "--preset", "smoke")),
    );
    const sampled = "model weights prompt sampler engine samples";
    const samples = await Promise.all(
      models.map((model) =>
        fields(
          "sample",
          sampled,
          ...engine,
          "--model",
          model,
          "--length",
          "40",
          "--prompt",
          "🌙夜é",
        )
      ),
    );
    const { rows } = await fields("eval", "rows", ...engine, "--blocks", "2", "--passes", "2");
    const page = await fields("report", "path bytes");
    const converted = "in out tensors parameters";
    await fields("convert", converted, runs[0].weights, "gpt.pt");

    for (const { samples: [{ text: written }] } of samples) {
      assert(written.startsWith("🌙夜é") && [...written].length === 43, written);
    }
    assertEquals(rows.length, 3 + 4); // of baselines, and of models
    const { evaluations, problems, runs: logs, ...kept } = await readResults(
      join(folder, "reports"),
    );
    assertEquals([problems, logs.length, kept.samples.length], [[], 2, 2]);
    for (const { provenance } of [...evaluations, ...kept.samples]) {
      assertEquals([provenance.corpus, provenance.corpusSha256], [path, sha256]);
    }
    const html = await Deno.readTextFile(join(folder, page.path));
    assertEquals(new TextEncoder().encode(html).length, page.bytes);
    assert(!html.includes("stale</strong>"), "a result counts as stale");
    const left = namesIn(folder).filter((name) => /\.(tmp|lock)$/.test(name));
    assertEquals(left, []);
  }));

/** Runs command lines on a terminal of their own, and returns what they wrote there. */
async function onTerminal(folder: string, settings: string, lines: string[][]): Promise<string> {
  const commands = lines.map(([task, ...args]) => {
    const [run, ...rest] = denoArguments(task, args);
    // Quiet: Deno may have to say that it fetches something, in colours of its own.
    return [Deno.execPath(), run, "--quiet", ...rest].map((word) => quoteForShell(word)).join(" ");
  });
  const script = ["-qec", [settings, ...commands].join("; "), "/dev/null"];
  return (await runProgram("script", script, { cwd: folder })).stdout;
}

testOnLinux(
  "with TERM=dumb or NO_COLOR, no task writes an escape code to a terminal",
  () =>
    inTrainedFolder(async (folder) => {
      const common = ["--data", "text.txt", "--engine", "onnx", "--threads", "1"];
      const train = ["train-gpt", "--preset", "smoke", "--steps", "2", ...common];
      const gpt = ["--model", "gpt", ...common];
      const work = [
        ["fetch-data", "--file", "text.txt"],
        [...train, "--out", "a.safetensors"],
        ["sample", "--length", "9", ...gpt],
        ["visualize", "--blocks", "1", ...common],
        ["eval", "--blocks", "2", ...gpt],
        ["quality", "--length", "50", "--temperature", "0", "--temperature", "1", ...gpt],
        ["convert", "weights/gpt-smoke.safetensors", "gpt.onnx"],
        ["report", "--no-model"],
      ];
      const slips = Object.keys(contract).map((task) => [task, "--jsom"]);
      const [dumb, plain, usual] = await Promise.all([
        onTerminal(folder, "unset NO_COLOR; export TERM=dumb", [...work, ["sample", "--jsom"]]),
        onTerminal(folder, "export TERM=xterm NO_COLOR=1", [work[3], ...slips]),
        onTerminal(folder, "unset NO_COLOR; export TERM=xterm", [
          [...train, "--out", "b.safetensors"],
          ["sample", "--jsom"],
        ]),
      ]);
      assertEquals([dumb, plain].map((written) => written.includes("\x1b")), [false, false]);
      assertEquals(dumb.split("error: ").length, 1 + 1, dumb); // the slip
      assertEquals(plain.split('did you mean "--json"').length, 1 + slips.length, plain);
      // Elsewhere there are some: of the progress, and of an error.
      assert(usual.includes("\x1b[2Kstep 2") && usual.includes("\x1b[1m\x1b[31merror:"), usual);
    }, { text: exampleText(160) }),
);

testOnLinux(
  "a text that stdout does not take is in the results, or in the film, all the same",
  () =>
    inTrainedFolder(async (folder) => {
      const flags = ["--data", "text.txt", "--engine", "onnx", "--threads", "1"];
      const run = async (...words: string[]) => {
        const [task, ...args] = words;
        const all = [Deno.execPath(), ...denoArguments(task, [...args, ...flags])];
        const line = `${all.map((word) => quoteForShell(word)).join(" ")} > /dev/full`;
        const { code, stderr } = await runProgram("sh", ["-c", line], { cwd: folder });
        assertEquals(code, 1, stderr);
        assertMatch(stderr, /\nerror: Cannot write to stdout: No space left on device [^\n]+\n$/);
      };
      const sample = ["sample", "--model", "gpt", "--length", "9"];
      await Promise.all([
        run(...sample),
        run(...sample, "--json"),
        run("visualize", "--blocks", "1", "--svg", "film.svg", "--json"),
      ]);
      const { samples, problems } = await readResults(join(folder, "reports"));
      assertEquals([samples.map(({ samples }) => samples.length), problems], [[1, 1], []]);
      assertMatch(await Deno.readTextFile(join(folder, "film.svg")), /<\/svg>\s*$/);
    }),
);

testOnUnix(
  "signals",
  "a report that is stopped at any moment leaves the old page or the new one, whole",
  () =>
    inFolder(async (folder) => {
      const read = () => Deno.readTextFile(join(folder, "reports/index.html"));
      assertEquals((await runTaskIn(folder, "report", "--no-model")).code, 0);
      const old = await read();
      await writeExample(folder);
      for (const [i, delay] of [100, 200, 300, 400, 500, 600].entries()) {
        const signal = (["SIGINT", "SIGTERM", "SIGKILL"] as const)[i % 3];
        const { code, stderr } = await signalled(signal, delay, folder, "report", "--no-model");
        assert([0, 130, 143, 137].includes(code), stderr);
        const page = await read();
        assert(page === old || page.includes("Watch them write") && page.endsWith("</html>\n"));
      }
      assertEquals((await runTaskIn(folder, "report", "--no-model")).code, 0);
      assert((await read()).includes("Watch them write"));
      assertEquals(namesIn(join(folder, "reports")).filter((name) => /^\./.test(name)), []);
    }),
);
