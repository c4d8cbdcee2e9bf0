/**
 * Trains for 1,000 steps at preset small, and fails if the process's resident size is more than 2 %
 * above that after 200 steps. Too long for the tests: about a minute and a half on two cores.
 *
 *   deno task --cwd checks memory [ENGINE] [gpt|diffusion]
 */
import { makeConfig, type ModelKind } from "../core/config.ts";
import { drawWindows } from "../core/training/step.ts";
import { startEngine } from "../engines/mod.ts";
import type { EngineName } from "../engines/names.ts";
import { initialWeights } from "../core/model.ts";
import { models } from "../core/models.ts";
import { initialMoments, scheduleAt } from "../core/training/optimizer.ts";
import { trainStep } from "../core/training/step.ts";
import { seededRandom } from "../core/random.ts";

const [name = "onnx", kind = "diffusion"] = Deno.args as [EngineName?, ModelKind?];
const model = models[kind];
const config = makeConfig(kind, "small", 66);
const random = seededRandom(1);
const tokens = Int32Array.from({ length: 100_000 }, () => 1 + random.integer(65));
const { engine } = await startEngine(name);
const weights = initialWeights(config, random);
const state = { ...weights, ...initialMoments(weights, config.optimizer) };
const session = await engine.load(state, { step: trainStep(model, config) });

let before = NaN;
let after = NaN;
for (let step = 1; step <= 1000; step++) {
  const batch = model.batch(
    drawWindows(tokens, config.batch, config.context, random),
    config,
    random,
  );
  await session.run("step", { ...batch, ...scheduleAt(step, config) });
  if (step % 100 > 0) continue;
  const { rss } = Deno.memoryUsage();
  if (step === 200) before = rss;
  after = rss;
  console.log(`step ${step}: ${(rss / 2 ** 20).toFixed(1)} MiB`);
}
session.dispose();
const growth = 100 * (after / before - 1);
console.log(`${engine.name}, ${kind}: ${growth.toFixed(2)} % from step 200 to step 1,000`);
Deno.exit(growth <= 2 ? 0 : 1);
