/**
 * Runs the same cases on every engine in the table of `../mod.ts`. An engine added there is covered
 * by all of them; one that this machine lacks is skipped by name, with the reason.
 *
 *   ENGINES=onnx,eager:wasm deno test -A engines checks/engines
 */
import type { Engine, Precision } from "../engine.ts";
import { startEngine } from "../mod.ts";
import { hasPrecision } from "../names.ts";
import type { EngineCase } from "./engine_case.ts";
import { testedStatuses } from "./tested_engines.ts";

/** Registers a test for each case on each engine and, where an engine has bf16, in that too. */
export async function testOnEngines(cases: EngineCase[]): Promise<void> {
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
    if (available && hasPrecision(name, bf16)) {
      const options = { precision: bf16 };
      add(`${name} in bf16`, cases.filter(({ bf16 }) => bf16), () => startEngine(name, options));
    }
  }
}
