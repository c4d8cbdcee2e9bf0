import { assert, assertEquals } from "@std/assert";
import type { Sample, SampleResult } from "../../shared/results.ts";
import { exampleProvenance, exampleSample, PROMPT } from "../../testing/example_results.ts";
import { gather } from "../gather.ts";
import { makeRace, type Race, type Replay } from "./race.tsx";

const race = async (...samples: SampleResult[]): Promise<Race> => {
  const nothing = { evaluations: [], quality: [], runs: [], problems: [] };
  const hash = (path: string) =>
    Promise.resolve({ sha256: (path.startsWith("data/") ? "2" : "1").repeat(64) });
  return makeRace(await gather({ samples, ...nothing }, hash));
};

/** The steps of a sample from what the page holds of them. */
function unpack({ text, steps, times, passes }: Replay): Sample["steps"] {
  const final = [...text];
  let position = 0;
  let tenths = 0;
  let forwards = 0;
  return steps.map((step, i) => {
    const queue = [...step];
    const changes: Sample["steps"][number]["changes"] = [];
    while (queue.length > 0) {
      position += Number(queue.shift());
      const confidence = Number(queue.shift()) / 100;
      const character = typeof queue[0] === "string" ? String(queue.shift()) : final[position];
      changes.push([position, character, confidence]);
    }
    forwards += passes[i];
    return { seconds: (tenths += times[i]) / 1e4, forwards, changes };
  });
}

Deno.test("what the page holds of a sample leads through the same steps to the same text", async () => {
  const { replays } = await race(exampleSample("gpt"), exampleSample("diffusion"));
  assertEquals(replays.map(({ model }) => model), ["gpt", "diffusion", "gpt", "diffusion"]);
  const results = [exampleSample("gpt"), exampleSample("diffusion")];
  const samples = [0, 1].flatMap((i) => results.map(({ samples }) => samples[i]));
  replays.forEach((replay, i) => {
    assertEquals(replay.text, samples[i].text);
    const steps = unpack(replay);
    assertEquals(
      steps.map(({ changes }) => changes.map(([position, character]) => [position, character])),
      samples[i].steps.map(({ changes }) => changes.map((change) => change.slice(0, 2))),
    );
    steps.forEach(({ seconds, changes }, j) => {
      const from = samples[i].steps[j];
      // written in tenths of a millisecond, and confidences in whole per cents: half of that, and
      // rounding
      assert(Math.abs(seconds - from.seconds) < 0.501e-4, `${seconds} ${from.seconds}`);
      changes.forEach(([, , confidence], k) =>
        assert(Math.abs(confidence - from.changes[k][2]) < 0.00501)
      );
    });
  });
});

Deno.test("the race starts with the pair of the newest samples of one prompt", async () => {
  const other = exampleSample("gpt", { text: "What now?", prompt: "What" });
  const { replays, first } = await race(other, exampleSample("gpt"), exampleSample("diffusion"));
  assertEquals(first, { gpt: 0, diffusion: 1 });
  assertEquals(replays.map(({ prompt }) => prompt), [
    PROMPT,
    PROMPT,
    "What",
    PROMPT,
    PROMPT,
    "What",
  ]);
});

Deno.test("samples that would make the page heavy are counted instead of shown, the pair first", async () => {
  const text = PROMPT + "la ".repeat(6000);
  const long = exampleSample("gpt", { text });
  const provenance = exampleProvenance("gpt", { weightsSha256: "9".repeat(64) }); // stale: not of the pair
  const all = [{ ...long, provenance }, exampleSample("gpt"), exampleSample("diffusion")];
  const { replays, leftOut } = await race(...all, { ...long, provenance }, { ...long, provenance });
  assertEquals(replays.slice(0, 2).map(({ text }) => text), [
    exampleSample("gpt").samples[0].text,
    exampleSample("diffusion").samples[0].text,
  ]);
  assertEquals(replays.length + leftOut, 2 * 5);
  assert(leftOut > 0 && leftOut < 6, `${leftOut} left out`);
  assert(JSON.stringify(replays).length < 500_000);
});

Deno.test("the replay of a sample that masks again without a pass ends at its number of passes", async () => {
  const example = exampleSample("diffusion");
  const [{ steps, forwards }] = example.samples;
  assert(steps.length > forwards, `${steps.length} steps, ${forwards} passes`);
  const old = structuredClone(example); // as 1.0.0 wrote it
  for (const step of old.samples.flatMap(({ steps }) => steps)) delete step.forwards;
  const { replays } = await race(example, old);
  for (const { passes } of [replays[0], replays[1]]) {
    const sums = passes.map((_, i) => passes.slice(0, i + 1).reduce((sum, n) => sum + n));
    assertEquals(sums, steps.map(({ forwards }) => forwards));
  }
});

Deno.test("passes before the first step, which chose the lengths of gaps, are in the replay", async () => {
  const example = exampleSample("diffusion");
  for (const sample of example.samples) {
    sample.forwards += 12;
    for (const step of sample.steps) step.forwards! += 12;
  }
  const old = structuredClone(example);
  for (const step of old.samples.flatMap(({ steps }) => steps)) delete step.forwards;
  const { replays } = await race(example, old);
  assertEquals([replays[0].passes[0], replays[1].passes[0]], [13, 13]);
});

Deno.test("a block's border is where it begins, and a sample that doesn't say has none", async () => {
  const example = exampleSample("diffusion");
  const old = structuredClone(example);
  for (const sample of old.samples) delete sample.blocks;
  const { replays } = await race(example, old);
  assertEquals(replays[0].borders, example.samples[0].blocks!.slice(1));
  assert(replays[0].borders.length > 5);
  assertEquals(replays[1].borders, []);
});
