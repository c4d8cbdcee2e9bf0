import { assert, assertEquals, assertMatch } from "@std/assert";
import { engineNames } from "../engines/names.ts";
import { assertFailed, inFolder, jsonOf, runTaskIn, writeWeights } from "./testing/task_process.ts";

Deno.test("engines lists every engine with a reason in one line, and what auto is", () =>
  inFolder(async (folder) => {
    const { engines } = await jsonOf(folder, "engines", "--");
    assertEquals(engines.map(({ name }: { name: string }) => name), engineNames);
    for (const { name, available, reason } of engines) {
      assertEquals(typeof available, "boolean", name);
      assertMatch(reason, /^\S[^\n]+$/, name);
    }
    const available = engines.filter((engine: { available: boolean }) => engine.available);
    assert(available.some(({ name }: { name: string }) => name === "eager:cpu"));

    const { code, stdout, stderr } = await runTaskIn(folder, "engines");
    assertEquals([code, stderr], [0, ""]); // whatever the libraries would say
    for (const { name, available, reason } of engines) {
      assert(stdout.includes(`${available ? "yes" : "no "}  ${name} `), stdout);
      assert(stdout.includes(reason), stdout);
    }
    assertMatch(stdout, /\nauto is \S+: .+\n$/);
  }));

Deno.test("whatever --engine takes either computes or says in one line why it can't", () =>
  inFolder(async (folder) => {
    await writeWeights(folder);
    const flags = ["--model", "gpt", "--length", "3", "--data", "text.txt"];
    const { engines } = await jsonOf(folder, "engines");
    for (const name of ["auto", ...engineNames]) {
      const ended = await runTaskIn(folder, "sample", ...flags, "--engine", name);
      const status = engines.find((engine: { name: string }) => engine.name === name);
      if (ended.code !== 0) assertFailed(ended, 1, `Cannot start the engine "${name}": `);
      assert(!/is not a function/.test(ended.stderr), ended.stderr);
      if (name !== "auto") assertEquals(ended.code === 0, status?.available ?? false, ended.stderr);
    }
    assertFailed(
      await runTaskIn(folder, "sample", "--engine", "onxx"),
      2,
      'Cannot use --engine "onxx": expected auto, onnx,',
    );
  }));
