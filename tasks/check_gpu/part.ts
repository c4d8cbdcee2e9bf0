/** The process of one part of `check-gpu`: it writes a line of JSON for each finding. */
import { runTask } from "../shared/run.ts";
import type { GpuCheckPart } from "../shared/results.ts";
import { startOne } from "./engines.ts";
import { DONE } from "./jobs.ts";
import { trainFiftySteps } from "./losses.ts";
import { describeMachine } from "./machine.ts";
import { compareOne } from "./parity.ts";
import type { Part, PartRequest } from "./request.ts";
import { sampleBoth } from "./sampling.ts";
import { measureSpeed } from "./speed.ts";
import { trainAndResume } from "./training.ts";

const parts: Record<GpuCheckPart, Part> = {
  machine: describeMachine,
  engines: startOne,
  parity: compareOne,
  losses: trainFiftySteps,
  speed: measureSpeed,
  training: trainAndResume,
  sampling: sampleBoth,
};

async function main([json]: string[]): Promise<void> {
  const request: PartRequest = JSON.parse(json);
  for await (const finding of parts[request.part](request)) {
    console.log(JSON.stringify(finding, (_, value) => Object.is(value, NaN) ? "NaN" : value));
  }
  console.log(DONE);
}

if (import.meta.main) await runTask(main, Deno.args);
