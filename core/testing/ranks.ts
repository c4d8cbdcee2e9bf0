/** The common part of the tests of several ranks: ranks in this process, and when weights are the same. */
import { assert, assertLessOrEqual } from "@std/assert";
import type { TrainingConfig } from "../config.ts";
import type { HostTensors } from "@tiny-diffusion/engines/tensors";
import type { Communicator } from "@tiny-diffusion/engines";

/**
 * `size` ranks without MPI: each sum waits until all have called it, and is then made in their
 * order.
 */
export function ranksInProcess(size: number): Communicator[] {
  let calls: { rank: number; values: Float32Array; done: () => void }[] = [];
  return Array.from({ length: size }, (_, rank) => ({
    rank,
    size,
    sum: (values: Float32Array) =>
      new Promise<void>((done) => {
        calls.push({ rank, values, done });
        if (calls.length < size) return;
        const all = calls.sort((a, b) => a.rank - b.rank);
        calls = [];
        const sums = all[0].values.slice();
        for (const { values } of all.slice(1)) values.forEach((value, i) => sums[i] += value);
        for (const { values, done } of all) {
          values.set(sums);
          done();
        }
      }),
  }));
}

/**
 * Sums in another order differ in their last bits, by 1e-7 or so of the gradient. AdamW makes more
 * of that only where a gradient is nearly zero: there it may move a weight by up to the learning
 * rate either way. So, after some dozen steps: all but one entry in a thousand agree to a
 * thousandth of the learning rate, and every one to once the learning rate. (Seen: 0.0005 at most.)
 */
export function assertSameWeights(a: HostTensors, b: HostTensors, config: TrainingConfig): void {
  let entries = 0, off = 0, largest = 0, where = "";
  for (const [name, { data }] of Object.entries(a)) {
    const isMuons = config.optimizer === "muon" && name.includes("blocks.");
    const rate = isMuons ? config.muonLearningRate : config.learningRate;
    data.forEach((value, i) => {
      const difference = Math.abs(value - b[name].data[i]) / rate;
      entries++;
      if (!(difference <= 1e-3)) off++;
      if (!(difference <= largest)) [largest, where] = [difference, `${name}[${i}]`];
    });
  }
  assert(largest <= 1, `${where} differs by ${largest} learning rates`);
  assertLessOrEqual(off / entries, 1e-3, `largest difference: ${largest} learning rates, ${where}`);
}
