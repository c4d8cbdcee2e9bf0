import { assert, assertEquals } from "@std/assert";
import type { HostTensors } from "./tensors.ts";
import type { Engine, Program } from "./engine.ts";
import { productFlops } from "./record/graph.ts";
import { productPeak } from "./peak.ts";
import { record } from "./record/recorder.ts";

Deno.test("the peak is the operations of a run over the time of the fastest one", async () => {
  const waits = [60, 20, 40];
  let runs = 0, disposed = 0, flops = 0;
  const engine = {
    load(state: HostTensors, { products }: Record<string, Program>) {
      flops = productFlops(record("products", products, state));
      return Promise.resolve({
        async run() {
          await new Promise((resolve) => setTimeout(resolve, waits[runs++]));
          return {};
        },
        dispose: () => void disposed++,
      });
    },
  } as unknown as Engine;
  const peak = await productPeak(engine, 3);
  assertEquals([runs, disposed], [3, 1]);
  // a timer may fire a millisecond early, and on a busy machine far later, but hardly later than
  // the longest of them
  assert(peak < flops / 0.019, `${peak}`);
  assert(peak > flops / 0.5, `${peak}`);
});
