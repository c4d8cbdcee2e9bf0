/**
 * An engine of your own: it runs programs on another engine and counts the floating-point
 * operations of their matrix products.
 *
 *   deno run --allow-env --allow-read examples/own_engine.ts
 */
import {
  diffusion,
  initialWeights,
  makeConfig,
  seededRandom,
  windowLogits,
} from "@tiny-diffusion/core";
import { compile, type Engine, productFlops, startEngine } from "@tiny-diffusion/engines";

/** Wraps an engine so that `count` hears of the products of each run. */
function countingEngine(engine: Engine, count: (flops: number) => void): Engine {
  return {
    name: `counting ${engine.name}`,
    precision: engine.precision,
    async load(state, programs) {
      const session = await engine.load(state, programs);
      const flops = new Map(
        Object.entries(programs).map(([name, program]) =>
          [name, productFlops(compile(name, program, state))] as const
        ),
      );
      return {
        run(name, inputs) {
          count(flops.get(name)!);
          return session.run(name, inputs);
        },
        readState: (names) => session.readState(names),
        writeState: (entries) => session.writeState(entries),
        dispose: () => session.dispose(),
      };
    },
  };
}

const config = makeConfig("diffusion", "smoke", 66);
const weights = initialWeights(config, seededRandom(1));
const { engine } = await startEngine("eager:cpu");

let total = 0;
const counting = countingEngine(engine, (flops) => total += flops);
const session = await counting.load(weights, { logits: windowLogits(diffusion, config, 1) });
const tokens = new Int32Array(config.context).fill(diffusion.maskToken);
for (let pass = 1; pass <= 3; pass++) {
  await session.run("logits", { tokens });
  console.log(`pass ${pass}: ${(total / 1e6).toFixed(1)} MFLOP so far`);
}
session.dispose();
