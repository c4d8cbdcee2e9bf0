import { assertEquals, assertMatch } from "@std/assert";
import type { Finding } from "../shared/results.ts";
import { compareLosses } from "./losses.ts";

const found = (subject: string, losses: number[], device = "webgpu"): Finding => ({
  subject,
  precision: "f32",
  outcome: "ok",
  summary: "loss of a GPT from 3 to 1",
  figures: { losses, device },
});
const theirs = found("onnx", Array.from({ length: 100 }, (_, i) => 3 - i / 50), "cpu");

/** The losses of the reference, those from one step on changed by so much. */
const changed = (step: number, by: number) =>
  (theirs.figures.losses as number[]).map((loss, i) => i < step ? loss : loss + by);

Deno.test("losses within what rounding explains agree, and the largest difference is said", () => {
  const { outcome, summary, figures } = compareLosses(found("x", changed(20, 5e-4)), theirs);
  assertEquals(outcome, "ok");
  assertMatch(summary, /^100 losses differ from onnx's by 5\.0e-4 at most, allowed 2\.0e-3$/);
  assertEquals(Math.abs(figures.largest_difference as number - 5e-4) < 1e-9, true);
});

Deno.test("losses that leave the reference's differ, from a step that is named, NaN included", () => {
  for (const by of [0.5, NaN]) {
    const { outcome, summary, figures } = compareLosses(found("x", changed(57, by)), theirs);
    assertEquals([outcome, figures.first_step_above], ["differs", 8]);
    assertMatch(summary, /; first above it in step 8 of the diffusion model$/);
  }
  assertMatch(compareLosses(found("x", changed(0, 1)), theirs).summary, /step 1 of the GPT$/);
});

Deno.test("without the reference's losses nothing is claimed about an engine's", () => {
  const { outcome, summary } = compareLosses(found("x", changed(0, 9)), undefined);
  assertEquals([outcome, summary], ["ok", "loss of a GPT from 3 to 1; nothing to compare with"]);
});
