/** Every kernel that a program may use, and its gradient. */
import { assert } from "@std/assert";
import type { Engine, Program } from "../engine.ts";
import { inputsOf, type KernelCase, kernelCases, programOf } from "./kernel_cases.ts";
import { type EngineCase, referenceEngine, tolerance } from "./engine_case.ts";

/**
 * Faults of tfjs's WebAssembly backend: a bool other than 0 and 1, and one-hot float32 values other
 * than those.
 */
const faults: Record<string, string[]> = {
  "eager:wasm": ["Cast to bool [3,5]", "OneHot in float32 int32 [7]"],
};

export const kernelsCases: EngineCase[] = [{
  name: "computes every kernel and its gradient as tfjs does",
  bf16: true,
  run: checkKernels,
}];

let expected: Promise<Record<string, Float32Array>> | undefined;

/** @throws {AssertionError} Listing the cases that differ, with the first entry that does. */
export async function checkKernels(engine: Engine): Promise<void> {
  const theirs = await (expected ??= referenceEngine().then(outputsOf));
  const ours = await outputsOf(engine);
  const known = faults[engine.name] ?? [];
  const failures: string[] = [], wrong = new Set<string>();
  for (const [output, values] of Object.entries(theirs)) {
    const difference = firstDifference(ours[output], values, tolerance(engine));
    if (difference === undefined) continue;
    const name = output.slice(0, output.lastIndexOf(": "));
    wrong.add(name);
    if (!known.includes(name)) failures.push(`${output} ${difference}`);
  }
  // A fault that is gone is reported too, so that it leaves the list.
  failures.push(...known.filter((name) => !wrong.has(name)).map((name) => `${name}: is right`));
  assert(failures.length === 0, `${engine.name} differs from tfjs\n${failures.join("\n")}`);
}

/**
 * Runs all cases; those of one kernel are one program, since loading a program takes far longer
 * than running it.
 */
async function outputsOf(engine: Engine): Promise<Record<string, Float32Array>> {
  const kernels = Object.groupBy(kernelCases, ({ kernel }) => kernel) as Record<
    string,
    KernelCase[]
  >;
  const programs = Object.fromEntries(
    Object.entries(kernels).map(([kernel, cases]) => [kernel, together(cases)]),
  );
  const session = await engine.load({}, programs);
  const outputs: Record<string, Float32Array> = {};
  for (const [kernel, cases] of Object.entries(kernels)) {
    const inputs = cases.map((one) => prefixed(one.name, inputsOf(one)));
    Object.assign(outputs, await session.run(kernel, Object.assign({}, ...inputs)));
  }
  session.dispose();
  return outputs;
}

/** Inputs and outputs carry the case's name before their own. */
function together(cases: KernelCase[]): Program {
  const programs = cases.map((one) => ({ name: one.name, ...programOf(one) }));
  return {
    inputs: Object.assign({}, ...programs.map(({ name, inputs }) => prefixed(name, inputs))),
    body: (state, given) => ({
      outputs: Object.assign(
        {},
        ...programs.map(({ name, inputs, body }) => {
          const own = Object.keys(inputs).map((key) => [key, given[`${name}: ${key}`]]);
          return prefixed(name, body(state, Object.fromEntries(own)).outputs);
        }),
      ),
    }),
  };
}

function prefixed<T>(name: string, record: Record<string, T>): Record<string, T> {
  return Object.fromEntries(
    Object.entries(record).map(([key, value]) => [`${name}: ${key}`, value]),
  );
}

/** The first entry that differs in words; NaN and infinities must be the same. */
function firstDifference(
  ours: Float32Array,
  theirs: Float32Array,
  tolerance: number,
): string | undefined {
  if (!(ours instanceof Float32Array)) return `is ${ours}, expected a Float32Array`;
  if (ours.length !== theirs.length) return `has ${ours.length} entries, expected ${theirs.length}`;
  const at = theirs.findIndex((value, i) =>
    !Object.is(ours[i], value) &&
    !(Math.abs(ours[i] - value) <= tolerance * Math.max(1, Math.abs(value)))
  );
  return at === -1 ? undefined : `has ${ours[at]} at ${at}, expected ${theirs[at]}`;
}
