import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  exampleEvaluation,
  exampleProvenance,
  exampleQuality,
  exampleRun,
  exampleSample,
} from "../testing/example_results.ts";
import { gather, type Hash } from "./gather.ts";
import { parseRun, type Results, type Run } from "./read_results.ts";

const WEIGHTS = "1".repeat(64);
const CORPUS = "2".repeat(64);

/** Files as the examples were made with them. */
const unchanged: Hash = (path) =>
  Promise.resolve({ sha256: path.startsWith("data/") ? CORPUS : WEIGHTS });

const run = (model: "gpt" | "diffusion"): Run => parseRun(`${model}.jsonl`, exampleRun(model));

function everything(): Results {
  return {
    samples: [exampleSample("gpt"), exampleSample("diffusion")],
    evaluations: [exampleEvaluation("gpt"), exampleEvaluation("diffusion")],
    quality: [exampleQuality("gpt"), exampleQuality("diffusion")],
    runs: [run("gpt"), run("diffusion")],
    problems: [],
  };
}

const nothing: Results = { samples: [], evaluations: [], quality: [], runs: [], problems: [] };

Deno.test("gather finds nothing stale and nothing missing in complete results of present files", async () => {
  const data = await gather(everything(), unchanged);
  const shown = [...data.evaluations, ...data.samples, ...Object.values(data.runs)];
  assertEquals(shown.length, 4 + 2 + 2);
  assertEquals(data.quality.length, 6 + 2 * 3); // the reference texts and controls once
  assertEquals(shown.flatMap((entry) => entry.stale), []);
  assertEquals(data.missing, []);
});

Deno.test("gather marks what was made with weights or a text that have changed or gone", async () => {
  const reasons: [string, Hash][] = [
    [
      "has changed since",
      (path) =>
        path.startsWith("weights/gpt")
          ? Promise.resolve({ sha256: "3".repeat(64) })
          : unchanged(path),
    ],
    [
      "is no longer there",
      (path) =>
        path.startsWith("weights/gpt")
          ? Promise.resolve({ reason: "is no longer there" })
          : unchanged(path),
    ],
  ];
  for (const [reason, hash] of reasons) {
    const data = await gather(everything(), hash);
    assertEquals(data.race.gpt!.stale, [`"weights/gpt-small.safetensors" ${reason}`]);
    assertEquals(data.race.diffusion!.stale, []);
    for (const { row, stale } of data.evaluations) {
      assertEquals(stale.length, row.model === "gpt" ? 1 : 0, row.estimator);
    }
  }
  const otherText: Hash = (path) =>
    path.startsWith("data/") ? Promise.resolve({ sha256: "4".repeat(64) }) : unchanged(path);
  const data = await gather(everything(), otherText);
  assertEquals(data.runs.gpt!.stale, ['"data/harbour.txt" has changed since']);
});

Deno.test("gather marks results of another text than the newest result's", async () => {
  const results = everything();
  const other = exampleProvenance("gpt", {
    corpus: "data/other.txt",
    corpusSha256: "5".repeat(64),
    date: "2020-01-01T00:00:00Z",
  });
  results.evaluations[0] = exampleEvaluation("gpt", other);
  const hash: Hash = (path) =>
    path === "data/other.txt" ? Promise.resolve({ sha256: "5".repeat(64) }) : unchanged(path);
  const data = await gather(results, hash);
  const marked = data.evaluations.filter((entry) => entry.other.length > 0);
  assertEquals(marked.map(({ row }) => row.model), ["gpt"]);
  assertStringIncludes(marked[0].other[0], "another text");
});

Deno.test("gather calls no result of another text stale, and shows first what is of the race's", async () => {
  const own = everything();
  const old = {
    corpus: "data/other.txt",
    corpusSha256: "5".repeat(64),
    date: "2020-01-01T00:00:00Z",
  };
  const results = structuredClone(own);
  for (const kind of ["samples", "evaluations", "quality"] as const) {
    for (const result of own[kind]) {
      const { provenance, ...rest } = structuredClone(result);
      (results[kind] as unknown[]).push({ ...rest, provenance: { ...provenance, ...old } });
    }
  }
  for (const { header, ...rest } of own.runs) {
    results.runs.push({ ...rest, header: { ...header, ...old } });
  }
  const hash: Hash = (path) =>
    path === "data/other.txt" ? Promise.resolve({ sha256: "5".repeat(64) }) : unchanged(path);
  for (const newestFirst of [true, false]) { // a figure of the other text may be newer
    if (!newestFirst) results.evaluations.reverse();
    const data = await gather(results, hash);
    const runs = Object.values(data.runs);
    const { samples, quality, baselines, comparisons, evaluations, race } = data;
    const all = [samples, quality, baselines, comparisons, evaluations, runs].flat();
    assertEquals(all.flatMap(({ stale }) => stale), []);
    const pair = [race.gpt!, race.diffusion!].map(({ result }) => result.provenance.corpus);
    assertEquals(pair, ["data/harbour.txt", "data/harbour.txt"]);
    assertEquals([evaluations, comparisons, runs].flat().flatMap(({ other }) => other), []);
    assert(samples.some(({ other }) => other[0]?.includes("another text")));
  }
});

Deno.test("gather shows of the same figure only the newest", async () => {
  const results = everything();
  const old = exampleEvaluation("gpt", exampleProvenance("gpt", { date: "2020-01-01T00:00:00Z" }));
  old.rows[0] = { ...old.rows[0], bpc: 9 };
  results.evaluations.push(old); // newest first
  const data = await gather(results, unchanged);
  assertEquals(data.evaluations.filter(({ row }) => row.bpc === 9), []);
  assertEquals(data.evaluations.length, 4);
});

Deno.test("gather puts samples of one prompt next to each other, even if newer ones have others", async () => {
  const results = everything();
  const alone = exampleSample("gpt", { prompt: "What", text: "What now?" });
  results.samples.unshift(alone);
  const data = await gather(results, unchanged);
  assertEquals(data.race.gpt!.result.prompt, data.race.diffusion!.result.prompt);

  const apart = await gather({ ...results, samples: [alone, results.samples[2]] }, unchanged);
  assertEquals(apart.race.gpt!.result, alone);
  assertEquals(apart.missing.map(({ command }) => command), [
    "deno task sample --model gpt --weights weights/gpt-small.safetensors --prompt 'MIRANDA:\n'",
  ]);
});

Deno.test("gather takes the newest of samples and runs that are equally good", async () => {
  const results = everything();
  const newest = exampleSample("diffusion");
  results.samples.unshift(newest);
  results.runs = [run("gpt"), run("diffusion"), ...results.runs];
  const data = await gather(results, unchanged);
  assert(data.race.diffusion!.result === newest);
  assert(data.runs.gpt!.run === results.runs[0] && data.runs.diffusion!.run === results.runs[1]);
});

Deno.test("gather prefers a fresh sample to a newer stale one", async () => {
  const stale = exampleSample("gpt", {
    provenance: exampleProvenance("gpt", { weightsSha256: "6".repeat(64) }),
  });
  const results = everything();
  results.samples.unshift(stale);
  assertEquals((await gather(results, unchanged)).race.gpt!.result, results.samples[1]);
  const only = { ...results, samples: [stale, results.samples[2]] };
  assertEquals((await gather(only, unchanged)).race.gpt!.result, stale);
});

Deno.test("gather says which command makes each thing that is missing", async () => {
  const commands = async (results: Partial<Results>) =>
    (await gather({ ...nothing, ...results }, unchanged)).missing.map(({ command }) => command);
  assertEquals(await commands({}), ["deno task quickstart"]);

  const { samples, evaluations, quality, runs } = everything();
  assertEquals(await commands({ samples, evaluations, quality, runs: [runs[0]] }), [
    "deno task train-diffusion",
  ]);
  assertEquals(await commands({ samples: [samples[1]], evaluations, quality, runs }), [
    "deno task sample --model gpt --weights weights/gpt-small.safetensors --prompt 'MIRANDA:\n'",
  ]);
  const noBound = structuredClone(evaluations);
  noBound[1].rows.shift();
  assertEquals(await commands({ samples, evaluations: noBound, quality, runs }), [
    "deno task eval --model diffusion --weights weights/diffusion-small.safetensors --estimator nelbo",
  ]);
  assertEquals(await commands({ samples, evaluations, quality: [quality[0]], runs }), [
    "deno task quality --model diffusion",
  ]);
  assertEquals((await commands({ evaluations })).length, 5); // two runs, two samples, quality
});

Deno.test("gather asks for no sample of a GPT that continues a template", async () => {
  const template = "Wh__ now?";
  const sample = exampleSample("diffusion", { text: "What now?", prompt: "" });
  const { samples, ...rest } = everything();
  for (
    const filled of [
      { ...sample, settings: { ...sample.settings, template } },
      { ...sample, prompt: template }, // as earlier versions stored it
    ]
  ) {
    const alone = await gather({ ...rest, samples: [filled] }, unchanged);
    assertEquals(alone.missing.map(({ what }) => what), ["sample of the GPT"]);
    assert(alone.missing.every(({ command }) => !command.includes("--prompt")));
    const both = await gather({ ...rest, samples: [samples[0], filled] }, unchanged);
    assertEquals(both.missing, []);
  }
});

Deno.test("gather notes what was made with other weights than those of the race", async () => {
  const results = everything();
  const old = exampleProvenance("diffusion", {
    weights: "weights/old.safetensors",
    weightsSha256: WEIGHTS.replaceAll("1", "7"),
    date: "2020-01-01T00:00:00Z",
  });
  results.samples.push(exampleSample("diffusion", { provenance: old }));
  results.evaluations.push(exampleEvaluation("diffusion", old));
  results.quality.push(exampleQuality("diffusion", old));
  const hash: Hash = (path) =>
    path.includes("old") ? Promise.resolve({ sha256: "7".repeat(64) }) : unchanged(path);
  const data = await gather(results, hash);
  const note = 'made with other weights ("weights/old.safetensors") than the race ' +
    '("weights/diffusion-small.safetensors")';
  const marked = [...data.samples, ...data.evaluations, ...data.comparisons, ...data.quality]
    .filter(({ other }) => other.length > 0);
  assertEquals(marked.map(({ other }) => other), Array(1 + 3 + 1 + 3).fill([note]));
  assertEquals(marked.flatMap(({ stale }) => stale), []);
});
