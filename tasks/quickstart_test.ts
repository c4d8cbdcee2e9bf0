import { assert, assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { testOnUnix } from "../files/testing/system.ts";
import { planSteps } from "./quickstart.ts";
import { assertFailed, inFolder, runTaskIn, writeWeights } from "./testing/task_process.ts";

const settings = { engine: "auto", precision: "f32", seed: 1337 };

Deno.test("quickstart fetches, trains, samples, scores and reports, in this order, on the same weights", () => {
  const steps = planSteps({ ...settings, file: "my book.txt", threads: 2 });
  assertEquals(steps.map(([name]) => name), [
    ...["fetch-data", "train-gpt", "train-diffusion", "sample", "sample", "eval", "report"],
  ]);
  assertEquals(steps[0], ["fetch-data", "--file", "my book.txt"]);
  const compute = "--engine auto --precision f32 --seed 1337 --threads 2";
  assertEquals(steps[1].join(" "), `train-gpt --preset quickstart ${compute}`);
  assertEquals(
    steps[2].join(" "),
    `train-diffusion --preset quickstart --from weights/gpt-quickstart.safetensors ${compute}`,
  );
  for (const step of steps.slice(3, 6)) {
    assertMatch(step.join(" "), /--model (\w+) --weights weights\/\1-quickstart.safetensors/);
    assert(step.join(" ").endsWith(compute), step.join(" "));
  }
  assertEquals(planSteps(settings)[0], ["fetch-data"]);
  assertEquals(planSteps(settings).at(-1), ["report", "--no-model"]);

  const ofOwn = planSteps({ ...settings, precision: "bf16", data: "texts/mine.txt" });
  assertEquals(ofOwn.map(([name]) => name), steps.slice(1).map(([name]) => name));
  for (const step of ofOwn.slice(0, 5)) {
    assert(step.join(" ").includes("--precision bf16"), step.join(" "));
    assert(step.join(" ").endsWith("--data texts/mine.txt"), step.join(" "));
  }
});

Deno.test("quickstart refuses --file beside --data before it starts anything", () =>
  inFolder(async (folder) => {
    const ended = await runTaskIn(folder, "quickstart", "--file", "a.txt", "--data", "a.txt");
    assertFailed(ended, 2, "Cannot use --file with --data: expected one of them");
    assert(!ended.stderr.includes("$ deno task"), ended.stderr);
  }));

Deno.test("a step that fails gives its exit code, and has said why itself", () =>
  inFolder(async (folder) => {
    const missing = join(folder, "none.txt");
    const [failed, wrong, fine] = await Promise.all([
      stepIn(["fetch-data", "--file", missing]),
      stepIn(["fetch-data", "--fil", missing]),
      stepIn(["report", "--help"]),
    ]);
    assertEquals([failed.code, failed.stdout], [1, ""]);
    assert(failed.stderr.includes(`$ deno task fetch-data --file ${missing}\n`), failed.stderr);
    assertMatch(failed.stderr, /^error: Cannot read the text .*: no such file/m);
    assertEquals(wrong.code, 2);
    assertMatch(wrong.stderr, /^error: Unknown flag "--fil"; did you mean "--file"\?/m);
    // With --json, stdout is for the one object alone: what a step prints there goes to stderr.
    assertEquals([fine.code, fine.stdout], [0, ""]);
    assertMatch(fine.stderr, /^deno task report \[flags\]/m);
  }));

testOnUnix(
  "signals",
  "SIGTERM goes on to the step that runs, and both end",
  () =>
    inFolder(async (folder) => {
      await writeWeights(folder);
      const weights = join(folder, "weights/gpt-smoke.safetensors");
      const data = ["--data", join(folder, "text.txt")];
      const flags = [
        "--model=gpt",
        "--weights",
        weights,
        ...data,
        "--length=1000000",
        "--engine=onnx",
      ];
      // The streams end only when the step has ended too, as it has them from us.
      const { code, stderr } = await stepIn(["sample", ...flags], "passes 1");
      assertEquals(code, 143, stderr);
      assertMatch(stderr, /^Interrupted during sample$/m);
    }),
);

/**
 * Runs a step in a process of its own, as quickstart with --json would; sends SIGTERM once it has
 * said `words`.
 */
async function stepIn(step: [string, ...string[]], words?: string) {
  const [quickstart, run] = ["quickstart.ts", "shared/run.ts"].map((name) =>
    import.meta.resolve(`./${name}`)
  );
  const script = `import { runStep } from ${JSON.stringify(quickstart)};
    import { runTask } from ${JSON.stringify(run)};
    const step = ${JSON.stringify(step)} as Parameters<typeof runStep>[0];
    await runTask(async () => Deno.exit(await runStep(step, { json: true })), []);`;
  const config = fromFileUrl(new URL("../deno.json", import.meta.url));
  const process = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--ext=ts", "--config", config, script],
    env: { NO_COLOR: "1" },
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const stdout = process.stdout.text();
  let stderr = "";
  let sent = words === undefined;
  for await (const text of process.stderr.pipeThrough(new TextDecoderStream())) {
    stderr += text;
    if (!sent && stderr.includes(words!)) {
      process.kill("SIGTERM");
      sent = true;
    }
  }
  return { code: (await process.status).code, stdout: await stdout, stderr };
}
