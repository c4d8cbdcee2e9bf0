/**
 * Times what ranks add to a training step: the sum of all gradients, in place, as
 * `core/training/` computes it.
 *
 *   mpirun -n 2 deno task --cwd checks allreduce [PRESET] [REPEATS]
 */
import { makeConfig, type PresetName } from "../core/config.ts";
import { median } from "../core/scoring/statistics.ts";
import { layOutSums } from "../core/training/data_parallel.ts";
import { joinRanks } from "../engines/mpi.ts";

const [preset = "full", repeats = "20"] = Deno.args as [PresetName?, string?];
/** The characters of Tiny Shakespeare and the mask; another text makes next to no difference. */
const VOCAB = 66;

const ranks = await joinRanks();
const { size } = layOutSums(makeConfig("diffusion", preset, VOCAB));
const values = new Float32Array(size);
const times: number[] = [];
for (let i = -2; i < Number(repeats); i++) { // two to warm up
  values.fill(ranks.rank + 1);
  await ranks.sum(new Float32Array(1)); // all start together
  const start = performance.now();
  await ranks.sum(values);
  if (i >= 0) times.push(performance.now() - start);
  const expected = ranks.size * (ranks.size + 1) / 2;
  if (values.some((value) => value !== expected)) throw new Error(`a sum is not ${expected}`);
}
ranks.finalizeAtExit();
if (ranks.rank === 0) {
  console.log(
    `${ranks.size} ranks (${ranks.name}) add up ${(values.byteLength / 1e6).toFixed(1)} MB in ` +
      `${median(times).toFixed(2)} ms (median of ${repeats}; fastest ${
        Math.min(...times).toFixed(2)
      } ms)`,
  );
}
Deno.exit(0);
