import { assertEquals } from "@std/assert";
import type { QualityRow } from "../../shared/results.ts";
import { exampleProvenance, exampleQuality } from "../../testing/example_results.ts";
import type { QualityEntry } from "../report_data.ts";
import { pickMeasurements, pickTemperature } from "./quality_series.ts";

function entries(
  model: "gpt" | "diffusion",
  { length = 2000, other = [] as string[], weightsSha256 = "1".repeat(64) } = {},
): QualityEntry[] {
  const result = exampleQuality(model, exampleProvenance(model, { weightsSha256 }));
  return result.rows.map((row) => ({ row: { ...row, length }, result, stale: [], other }));
}

Deno.test("pickMeasurements takes what is of the race's weights before what there is more of", () => {
  const other = ["made with other weights"];
  const more = [
    ...entries("gpt", { length: 500, other }),
    ...entries("diffusion", { length: 500, other }),
  ];
  const measured = pickMeasurements([...more, ...entries("gpt")])!;
  assertEquals(measured.entries.map(({ row }) => row.length), [2000, 2000, 2000]);
  assertEquals(measured.references.map(({ row }) => row.source), [
    ...["held-out", "shuffled-words", "shuffled-characters"],
    ...["n-grams", "n-grams", "n-grams"],
  ]);
  assertEquals(pickMeasurements([]), undefined);
});

Deno.test("pickMeasurements makes one series of each sampler and its temperatures, and tells weights apart", () => {
  const twice = [
    ...entries("diffusion"),
    ...entries("diffusion", { weightsSha256: "8".repeat(64) }),
  ];
  const [first] = twice.filter(({ row }) => row.sampler !== null);
  first.row.sampler = "entropy";
  first.row.settings = { temperature: 0.5, "entropy-bound": 0.5 };
  for (const { result } of twice.slice(twice.length / 2)) {
    result.provenance.weights = "weights/new.safetensors";
  }
  const { series } = pickMeasurements(twice)!;
  assertEquals(
    series.map(({ name, entries }) => [name, entries.map(({ row }) => row.temperature)]),
    [
      ["Diffusion, entropy, bound 0.5, diffusion-small", [0.5]],
      ["Diffusion, threshold, diffusion-small", [0.8, 1]],
      ["Diffusion, threshold, new", [0.5, 0.8, 1]],
    ],
  );
  assertEquals(series.map(({ index }) => index), [0, 1, 2]);
});

Deno.test("pickMeasurements tells apart what was written with another top-k or window, and names only what differs", () => {
  const few = entries("diffusion");
  const many = entries("diffusion");
  for (const { row } of few) Object.assign(row.settings, { "top-k": 2, window: 64, overlap: 32 });
  for (const { row } of many) {
    Object.assign(row.settings, { "top-k": 65, window: 256, overlap: 64 });
  }
  const names = () =>
    pickMeasurements([...few, ...many, ...entries("gpt")])!.series.map(({ name }) => name);
  assertEquals(names(), [
    "GPT, autoregressive",
    "Diffusion, threshold, top-k 2, window 64",
    "Diffusion, threshold, top-k 65, window 256",
  ]);
  for (const { row } of few) Object.assign(row.settings, { window: 256 });
  assertEquals(names().slice(1), [
    "Diffusion, threshold, top-k 2, overlap 32",
    "Diffusion, threshold, top-k 65, overlap 64",
  ]);
});

Deno.test("pickTemperature is that of most rows, and that nearest to 0.8 among equals", () => {
  const of = (...temperatures: number[]) => ({
    entries: temperatures.map((temperature) =>
      ({ row: { temperature } as QualityRow }) as QualityEntry
    ),
  });
  assertEquals(pickTemperature(of(0.5, 0.8, 1, 1)), 1);
  assertEquals(pickTemperature(of(0.5, 0.7, 1)), 0.7);
  assertEquals(pickTemperature(of(0)), 0);
});
