/**
 * Times what ranks add to a training step: the sum of all gradients, in place, as
 * `core/training/` makes it.
 */
import { makeConfig, type PresetName, presets } from "../core/config.ts";
import { joinRanks } from "../core/training/mpi.ts";
import { layoutOf } from "../core/training/gradient_sums.ts";
import { median } from "../core/scoring/statistics.ts";
import { outputFlags, parseFlags, print, printJson, runTask } from "../tasks/shared/cli.ts";

const flags = {
  preset: {
    choices: Object.keys(presets) as PresetName[],
    default: "full",
    help: "network whose gradients are as many numbers",
  },
  repeats: { type: "integer", min: 1, max: 10_000, default: 20, help: "sums to time" },
  ...outputFlags,
} as const;

/** Characters of Tiny Shakespeare and the mask; another text makes next to no difference. */
const VOCAB = 66;

export async function main(args: string[]): Promise<void> {
  const { preset, repeats, json } = parseFlags(
    {
      name: "--cwd checks allreduce",
      summary: "Time the sum of all ranks' gradients that a step with --distributed makes.",
      examples: [
        "mpirun -n 2 deno task --cwd checks allreduce",
        "mpirun -n 2 deno task --cwd checks allreduce --preset small --repeats 200",
      ],
    },
    flags,
    args,
  );
  const ranks = await joinRanks();
  const { size } = layoutOf(makeConfig("diffusion", preset, VOCAB));
  const values = new Float32Array(size), times: number[] = [];
  for (let i = -2; i < repeats; i++) { // two to warm up
    values.fill(ranks.rank + 1);
    await ranks.sum(new Float32Array(1)); // all start together
    const start = performance.now();
    await ranks.sum(values);
    if (i >= 0) times.push(performance.now() - start);
    const expected = ranks.size * (ranks.size + 1) / 2;
    if (values.some((value) => value !== expected)) {
      throw new Error(`Cannot trust ${ranks.name}: a sum is not ${expected}; use another version`);
    }
  }
  ranks.finalizeAtExit();
  if (ranks.rank > 0) return;

  const middle = median(times), fastest = Math.min(...times), bytes = values.byteLength;
  if (json) {
    printJson({
      ranks: ranks.size,
      mpi: ranks.name,
      bytes,
      ms_median: middle,
      ms_min: fastest,
    });
  } else {
    print(
      `${ranks.size} ranks (${ranks.name}) add up ${(bytes / 1e6).toFixed(1)} MB in ` +
        `${middle.toFixed(2)} ms (median of ${repeats}; fastest ${fastest.toFixed(2)} ms)`,
    );
  }
}

if (import.meta.main) await runTask(main, Deno.args);
