/// <reference lib="dom" />
import { assertAlmostEquals, assertEquals, assertStringIncludes } from "@std/assert";
import { exampleRun } from "../../testing/example_results.ts";
import { rendered } from "../../testing/rendered.ts";
import { parseRun } from "../read_results.ts";
import type { ReportData, RunEntry } from "../report_data.ts";
import { LossChart, makeCurves, training } from "./loss.tsx";

/** A run whose training losses are its validations, in nats. */
function twice(): RunEntry {
  const log = exampleRun("gpt").split("\n").filter((line) => !line.includes('"train"'));
  const run = parseRun("gpt", log.join("\n"));
  run.train = run.validation.map((line) => ({
    ...line,
    kind: "train",
    lossNats: line.bpc * Math.LN2,
    learningRate: 1,
  }));
  return { run, stale: [], other: [] };
}

const numbersOf = (path: Element) => path.getAttribute("d")!.match(/[\d.]+/g)!.map(Number);

Deno.test("LossChart draws training losses in bits, over characters, steps and seconds", () => {
  const entry = twice();
  const columns = ["chars", "step", "seconds"] as const;
  columns.forEach((column, axis) => {
    const chart = rendered(<LossChart curves={[makeCurves(entry)]} axis={axis} width={960} />);
    const [train, validation] = [...chart.querySelectorAll("[data-mark=line] path")].map(
      numbersOf,
    );
    assertEquals(train.length, 2 * entry.run.validation.length);
    // Plot rounds to a thousandth of a pixel
    train.forEach((value, i) => assertAlmostEquals(value, validation[i], 0.0011));

    const [from, to, left, right, low, high, bottom, top] = chart.getAttribute("data-scale")!
      .split(" ").map(Number);
    entry.run.validation.forEach((line, i) => {
      const x = left + (line[column] - from) / (to - from) * (right - left);
      const y = bottom + (line.bpc - low) / (high - low) * (top - bottom);
      assertAlmostEquals(validation[2 * i], x, 0.0011);
      assertAlmostEquals(validation[2 * i + 1], y, 0.0011);
    });
  });
});

Deno.test("samples of a run are stars at the height of its validations, and a list", () => {
  const { samples, validation } = parseRun("gpt", exampleRun("gpt"));
  const entry = twice();
  const chart = rendered(<LossChart curves={[makeCurves(entry)]} axis={1} width={960} />);
  const titles = [...chart.querySelectorAll("title")].map(({ textContent }) => textContent);
  assertEquals(titles, samples.map(({ step, text }) => `step ${step}: ${text.trim()}`));
  assertEquals(
    makeCurves(entry).samples.map(({ point }) => point[3]),
    samples.map(({ step }) => validation.find((line) => line.step === step)!.bpc),
  );
  const section = rendered(training({ runs: { gpt: entry } } as ReportData));
  const texts = [...section.querySelectorAll(".text")].map(({ textContent }) => textContent);
  assertEquals(texts, samples.map(({ text }) => text));
});

Deno.test("the loss section marks the best checkpoint, and holds the data that can be read off", () => {
  const entry = twice();
  const lowest = entry.run.validation.toSorted((a, b) => a.bpc - b.bpc)[0];
  const section = rendered(training({ runs: { gpt: entry } } as ReportData));
  assertStringIncludes(
    section.querySelector("figcaption")!.textContent!,
    `best ${lowest.bpc.toFixed(3)} at step ${lowest.step}.`,
  );
  const curves = JSON.parse(section.querySelector("#loss-data")!.textContent!);
  assertEquals(curves.map(({ name }: { name: string }) => name), [
    "GPT, validation",
    "GPT, training",
  ]);
  entry.run.validation.forEach(({ chars, step, seconds, bpc }, i) => {
    [chars, step, seconds, bpc].forEach((value, column) =>
      // written with six digits
      assertAlmostEquals(curves[0].points[i][column], value, value * 5.1e-6)
    );
  });
});
