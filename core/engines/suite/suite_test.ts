/**
 * The suite that compares engines: every engine in the table of `../mod.ts`, over the same cases.
 * An engine added there is under all of it; one that this machine lacks is skipped by name, with
 * the reason.
 *
 *   ENGINES=onnx,eager:wasm deno test -A core/engines/suite
 *   deno task check-engines     # all 50 steps of training on the slow engines, too
 */
import type { Engine, Precision } from "../engine.ts";
import { startEngine } from "../mod.ts";
import type { EngineCase } from "./engine_case.ts";
import { evaluationCases } from "./evaluation.ts";
import { kernelsCases } from "./kernels.ts";
import { parityCases } from "./parity.ts";
import { samplingCases } from "./sampling.ts";
import { sessionCases } from "./sessions.ts";
import { testedStatuses } from "./tested_engines.ts";
import { trainingCases } from "./training.ts";

const cases: EngineCase[] = [
  ...sessionCases,
  ...kernelsCases,
  ...parityCases,
  ...trainingCases,
  ...samplingCases,
  ...evaluationCases,
];

for (const { name, available } of await testedStatuses()) {
  const add = (title: string, cases: EngineCase[], start: () => Promise<{ engine: Engine }>) => {
    for (const one of cases) {
      Deno.test({
        name: `${title}: ${one.name}`,
        ignore: !available,
        fn: async () => one.run((await start()).engine),
      });
    }
  };
  add(name, cases, () => startEngine(name));
  const bf16: Precision = "bf16";
  const hasBf16 = available &&
    await startEngine(name, { precision: bf16 }).then(() => true, (error) => {
      if (error instanceof RangeError) return false; // it says that it has float32 only
      throw error;
    });
  if (hasBf16) {
    const options = { precision: bf16 };
    add(`${name} in bf16`, cases.filter(({ bf16 }) => bf16), () => startEngine(name, options));
  }
}
