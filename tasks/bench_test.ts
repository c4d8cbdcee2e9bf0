import { assert, assertAlmostEquals, assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { testOnUnix } from "../files/testing/system.ts";
import { assertFailed, inFolder, jsonOf, namesIn, runTaskIn } from "./testing/task_process.ts";

const smoke = ["--preset", "smoke", "--steps", "5", "--threads", "1"];

Deno.test("bench times each engine that it is given, and its numbers belong together", () =>
  inFolder(async (folder) => {
    const engines = ["--engine", "onnx", "--engine", "eager:wasm"];
    const { rows, peak_gflops } = await jsonOf(folder, "bench", "--", ...smoke, ...engines);
    assertEquals(rows.map(({ engine }: { engine: string }) => engine), ["onnx", "eager:wasm"]);
    // 2 FLOPs a weight and character, forward, and twice that backward; attention comes on top, at
    // this size below a half.
    const products = 3 * 2 * (2 * 12 * 32 ** 2 + 2 * 66 * 32) * 8 * 32;
    for (const row of rows) {
      assertEquals([row.model, row.preset, row.precision], ["diffusion", "smoke", "f32"]);
      assert(row.ms_per_step_min > 0 && row.ms_per_step_min <= row.ms_per_step_median);
      const flops = row.gflops * row.ms_per_step_median * 1e6;
      assertAlmostEquals(row.peak_share, row.gflops / peak_gflops, 1e-9);
      assert(flops > products && flops < 1.5 * products, `${flops} FLOPs, expected ${products}`);
      assert(row.peak_rss_mb >= row.first_rss_mb && row.peak_rss_mb >= row.last_rss_mb);
      assert(row.peak_rss_mb > 50 && row.peak_rss_mb < 5000, `${row.peak_rss_mb} MB`);
    }
    assertEquals(namesIn(folder), []);
  }));

Deno.test("bench --data sizes the network for the characters of that text", () =>
  inFolder(async (folder) => {
    const characters = Array.from({ length: 1000 }, (_, i) => String.fromCodePoint(0x4e00 + i));
    await Deno.writeTextFile(join(folder, "text.txt"), characters.join(""));
    const gflops = async (...args: string[]) => {
      const result = await jsonOf(folder, "bench", ...smoke, "--engine", "onnx", ...args);
      return result.rows[0].gflops * result.rows[0].ms_per_step_median;
    };
    // Of the head, the only product that grows: 2 FLOPs a weight and character, 3 for forward and
    // backward; 256 characters a step. The embedding is a product with as many entries again, and
    // has a gradient for its weights only.
    const [large, usual] = await Promise.all([gflops("--data", "text.txt"), gflops()]);
    const more = large - usual;
    const head = 2 * (1001 - 66) * 32 * 256 / 1e6;
    assert(more > 3 * head && more < 6 * head, `${more} MFLOP more, expected 3 to 6 times ${head}`);
    const missing = await runTaskIn(folder, "bench", ...smoke, "--data", "none.txt");
    assertFailed(missing, 1, 'Cannot read the text "none.txt": no such file');
  }));

testOnUnix(
  "a POSIX shell",
  "bench says in one line which contestant can't run",
  () =>
    inFolder(async (folder) => {
      const script = async (name: string, body: string) => {
        await Deno.writeTextFile(join(folder, name), `#!/bin/sh\n${body}\n`, { mode: 0o755 });
        return ["--engine", "onnx", "--pytorch", join(folder, name)];
      };
      const ready = `echo '{"name":"pytorch"}'; read steps`;
      const cases: [args: string[], code: number, says: string][] = [
        [["--steps", "4"], 2, "expected a whole number, at least 5"],
        [["--engine", "onnx", "--engine", "onnx:cuda"], 1, 'Cannot start the engine "onnx:cuda": '],
        [["--engine", "onnx", "--precision", "bf16"], 1, "only tensorflow has that"],
        [
          ["--engine", "onnx", "--pytorch", "none"],
          1,
          'Cannot start PyTorch in "none": there is no',
        ],
        [await script("silent", "exit 0"), 1, "its process ended without a message"],
        [await script("other", "echo hello"), 1, 'it answered "hello", expected figures as JSON'],
        [await script("bare", "echo 'No module named torch' >&2"), 1, "No module named torch"],
        [await script("mortal", `${ready}; echo killed >&2; exit 9`), 1, 'mortal": killed'],
      ];
      const ended = await Promise.all(
        cases.map(([args]) => runTaskIn(folder, "bench", "--preset", "smoke", ...args)),
      );
      ended.forEach((end, i) => assertFailed(end, cases[i][1], cases[i][2]));
    }),
);

Deno.test("bench prints a line for each engine where no JSON is asked for", () =>
  inFolder(async (folder) => {
    const { stdout } = await runTaskIn(
      folder,
      "bench",
      ...smoke,
      "--engine",
      "onnx",
      "--model=gpt",
    );
    assertMatch(
      stdout,
      /^gpt, smoke, batch 8, 1 threads, 5 rounds of 1 steps in turns; peak \d+ GFLOPS \(float32\)\nonnx +f32 /,
    );
    assertMatch(
      stdout,
      / ms\/step \(min [\d.]+\) +\d+ GFLOPS, \d+ % of the peak +\d+ MB \(first round \d+, last \d+\)\n$/,
    );
  }));

Deno.test("of several precisions bench leaves out those that an engine lacks, and says so", () =>
  inFolder(async (folder) => {
    const args = [...smoke, "--engine", "onnx", "--precision", "f32", "--precision", "bf16"];
    const { stdout, stderr } = await runTaskIn(folder, "bench", ...args, "--json");
    const { rows } = JSON.parse(stdout);
    assertEquals(rows.map(({ precision }: { precision: string }) => precision), ["f32"]);
    assertMatch(stderr, /^left out: .*"onnx".* only tensorflow has that/m);
  }));
