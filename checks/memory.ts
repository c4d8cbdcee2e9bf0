/**
 * Trains for 1,000 steps at preset small, and fails if the process's resident size is more than 2 %
 * above that after 200 steps. Too long for the tests: about a minute and a half on two cores.
 *
 *   deno task --cwd checks memory [ENGINE] [gpt|diffusion]
 */
import type { ModelKind } from "../core/config.ts";
import { startEngine } from "../engines/mod.ts";
import type { EngineName } from "../engines/names.ts";
import { makeWords } from "../tasks/check_gpu/begin_run.ts";
import { startRun } from "./engines/testing/started_run.ts";

const [name = "onnx", kind = "diffusion"] = Deno.args as [EngineName?, ModelKind?];
const { engine } = await startEngine(name);
const run = await startRun(engine, { kind, preset: "small", text: makeWords(20_000) });

let before = NaN;
let after = NaN;
for (let step = 1; step <= 1000; step++) {
  await run.makeSteps(1);
  if (step % 100 > 0) continue;
  const { rss } = Deno.memoryUsage();
  if (step === 200) before = rss;
  after = rss;
  console.log(`step ${step}: ${(rss / 2 ** 20).toFixed(1)} MiB`);
}
run.dispose();
const growth = 100 * (after / before - 1);
console.log(`${engine.name}, ${kind}: ${growth.toFixed(2)} % from step 200 to step 1,000`);
Deno.exit(growth <= 2 ? 0 : 1);
