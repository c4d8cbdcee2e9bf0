/** The engines that the tests of this process cover. */
import { type EngineStatus, engineStatuses } from "../mod.ts";
import { type EngineName, engineNames } from "../names.ts";

/**
 * Those that the variable ENGINES names, separated by commas; else all but `eager:webgpu`, which
 * `deno task test` runs in a separate process: where WebGPU runs on Mesa's software driver, that
 * and TensorFlow in one process ended in wrong numbers and a segmentation fault (each brings an
 * LLVM). `../tensorflow/binding.ts` keeps them apart where it can; here nothing hangs on it.
 */
export const testedEngines: EngineName[] = engineNames.filter((name) => {
  const named = Deno.env.get("ENGINES")?.split(",");
  return named ? named.includes(name) : name !== "eager:webgpu";
});

/** Whether each of them runs on this machine; says aloud which does not. */
export async function testedStatuses(): Promise<EngineStatus[]> {
  const statuses = await engineStatuses(testedEngines);
  for (const { name, available, reason } of statuses) {
    if (!available) console.warn(`skipped: the suite on ${name} (${reason})`);
  }
  return statuses;
}
