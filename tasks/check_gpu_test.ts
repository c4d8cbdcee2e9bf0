import { assert, assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { testOnUnix } from "../files/testing/system.ts";
import { type GpuCheckResult, gpuCheckResult, parse } from "./shared/results.ts";
import { inFolder, jsonOf, namesIn, runTaskIn } from "./testing/task_process.ts";

const small = ["--engine", "onnx", "--preset", "smoke", "--threads", "1"];

async function readResult(folder: string): Promise<GpuCheckResult> {
  const [name, ...more] = namesIn(folder).filter((name) => name.endsWith(".json"));
  assertEquals(more, []);
  return parse(gpuCheckResult, JSON.parse(await Deno.readTextFile(join(folder, name))));
}

Deno.test("check-gpu prints a row for each part and engine, and keeps the same rows", () =>
  inFolder(async (folder) => {
    const parts = ["parity", "losses", "training"];
    const chosen = parts.flatMap((part) => ["--part", part]);
    const { code, stdout, stderr } = await runTaskIn(folder, "check-gpu", ...small, ...chosen);
    assertEquals(code, 0, stdout + stderr);
    const { rows, agrees, preset, batch } = await readResult(folder);
    assertEquals([agrees, preset, batch], [true, "smoke", 8]);
    assertEquals(rows.map(({ part }) => part), ["engines", ...parts, "training"]);
    const lines = stdout.trimEnd().split("\n").slice(2, -2); // a head, and a summary below
    assertEquals(lines.length, rows.length);
    for (const [i, { part, subject, outcome, seconds, summary }] of rows.entries()) {
      const cells = lines[i].split(/ {2,}/);
      assertEquals([cells[0], cells[1]], [part, subject]);
      assertEquals(cells.slice(-3), [outcome, seconds.toFixed(1), summary]);
    }
    const [, parity, losses, training, resumed] = rows.map(({ figures }) => figures);
    assert(parity.compared as number > 50 && parity.difference as number <= 1e-5);
    // Fifty steps of each model, which learn something.
    const all = losses.losses as number[];
    assertEquals(all.length, 100);
    assert(all[49] < all[0] - 0.2 && all[99] < all[50] - 0.05, `${all}`);
    assert((training.idle_share as number) > 0 && (training.idle_share as number) < 1);
    assertEquals([resumed.different, resumed.tensors as number > 40], [0, true]);
  }));

Deno.test("check-gpu --json prints the file's object, and an engine that is not here is no failure", () =>
  inFolder(async (folder) => {
    const args = ["--engine", "onnx:webgpu", "--part", "machine", "--part", "parity"];
    const printed = await jsonOf(folder, "check-gpu", ...args);
    const kept = await readResult(folder);
    assertEquals(printed, kept);
    const engines = kept.rows.filter(({ part }) => part === "engines");
    assertEquals(engines.length, 1);
    const parity = kept.rows.filter(({ part }) => part === "parity");
    assertEquals(parity.length, engines[0].outcome === "ok" ? 1 : 0);
    const subjects = kept.rows.map(({ subject }) => subject);
    for (const name of ["memory", "NVIDIA driver", "CUDA", "WebGPU"]) {
      assert(subjects.includes(name));
    }
  }));

testOnUnix(
  "a POSIX shell",
  "what fails in check-gpu costs only its own rows, and the exit code is 1",
  () =>
    inFolder(async (folder) => {
      const python = join(folder, "python");
      const body = "#!/bin/sh\necho 'No module named torch' >&2; exit 1\n";
      await Deno.writeTextFile(python, body, { mode: 0o755 });
      const args = [...small, "--part", "speed", "--pytorch", python];
      const { code, stdout } = await runTaskIn(folder, "check-gpu", ...args);
      const { rows, agrees } = await readResult(folder);
      assertEquals([code, agrees], [1, false], stdout);
      assertEquals(rows.map(({ subject, outcome }) => [subject, outcome]), [
        ["onnx", "ok"], // it starts
        ["onnx", "ok"],
        ["pytorch", "failed"],
        ["pytorch compiled", "failed"],
      ]);
      const speed = rows[1].figures;
      assert(speed.ms_per_step as number > 0 && speed.peak_share as number > 0);
      assertMatch(rows[3].summary, /: No module named torch$/);
    }),
);

Deno.test("check-gpu does its work and says so where its file can't be written", () =>
  inFolder(async (folder) => {
    await Deno.writeTextFile(join(folder, "reports"), "");
    const { code, stdout, stderr } = await runTaskIn(
      folder,
      "check-gpu",
      ...small,
      "--part=engines",
    );
    assertEquals(code, 0, stderr);
    assertMatch(stdout, /^engines +onnx .*\n\n1 ok in \d+ s; not kept\n$/m);
    assertMatch(stderr, /^warning: results are not kept: /);
  }));
