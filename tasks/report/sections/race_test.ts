import { assert, assertEquals } from "@std/assert";
import type { Sample, SampleResult } from "../../shared/results.ts";
import { exampleProvenance, exampleSample, PROMPT } from "../../testing/example_results.ts";
import { gather } from "../gather.ts";
import { findBorders, makeRace, type Race, type Replay } from "./race.tsx";

const race = async (...samples: SampleResult[]): Promise<Race> => {
  const nothing = { evaluations: [], quality: [], runs: [], problems: [] };
  const hash = (path: string) =>
    Promise.resolve({ sha256: (path.startsWith("data/") ? "2" : "1").repeat(64) });
  return makeRace(await gather({ samples, ...nothing }, hash));
};

/** The steps of a sample from what the page holds of them. */
function unpack({ text, steps, times }: Replay): Sample["steps"] {
  const final = [...text];
  let position = 0;
  let tenths = 0;
  return steps.map((step, i) => {
    const queue = [...step];
    const changes: Sample["steps"][number]["changes"] = [];
    while (queue.length > 0) {
      position += Number(queue.shift());
      const confidence = Number(queue.shift()) / 100;
      const character = typeof queue[0] === "string" ? String(queue.shift()) : final[position];
      changes.push([position, character, confidence]);
    }
    return { seconds: (tenths += times[i]) / 1e4, changes };
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

Deno.test("block borders stand where the sampler began each block, and nowhere if they don't fit the steps", () => {
  const result = exampleSample("diffusion");
  const [sample] = result.samples;
  const borders = findBorders(result, sample);
  // The first block has context - seen positions to fill, the later ones context - overlap = 48.
  assertEquals(borders.slice(1).map((border, i) => border - borders[i]), [
    ...Array(borders.length - 1).fill(48),
  ]);
  const places = new Set(sample.steps.flatMap(({ changes }) => changes.map(([at]) => at)));
  let reached = 0;
  for (const { changes } of sample.steps) {
    const blocks = changes.map(([at]) => borders.filter((border) => border <= at).length);
    assertEquals(new Set(blocks).size, 1, "one step, one block");
    assert(blocks[0] >= reached, "no step goes back to an earlier block");
    reached = blocks[0];
  }
  assertEquals(reached, borders.length);
  assertEquals(places.size, [...sample.text].length - [...PROMPT].length);

  const backwards = { ...sample, steps: sample.steps.toReversed() };
  assertEquals(findBorders(result, backwards), []);
  assertEquals(findBorders({ ...result, settings: {} }, sample), []);
});
