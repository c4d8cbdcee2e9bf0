import { assert, assertEquals } from "@std/assert";
import * as tf from "./tfjs.ts";
import { gradients } from "./gradients.ts";
import { rules } from "./record/recorder.ts";
import { sizeOf } from "./tensors.ts";
import { inputsOf, type KernelCase, kernelCases } from "./testing/kernel_cases.ts";

const differentiable = kernelCases.filter(({ gradient }) => gradient);

Deno.test("every gradient is of a kernel that can be recorded, and has a case", () => {
  const tried = new Set(differentiable.map(({ kernel }) => kernel));
  const constant = ["Cast", "OnesLike", "ZerosLike"]; // their cases are those of other kernels
  for (const kernel of Object.keys(gradients)) {
    assert(kernel in rules, kernel);
    assert(tried.has(kernel) || constant.includes(kernel), kernel);
  }
  assertEquals([...tried].filter((kernel) => kernel !== "Fill" && !(kernel in gradients)), []);
});

/** The step of a difference quotient: its error is this squared, its rounding 2^-24 over this. */
const STEP = 2 ** -7;

/** The sum of a case's result, each entry weighted differently, so that a misplaced one shows. */
function directed({ run }: KernelCase): (...xs: tf.Tensor[]) => tf.Scalar {
  return (...xs) => {
    const value = run(...xs);
    const weights = Float32Array.from({ length: sizeOf(value.shape) }, (_, i) => Math.cos(1 + i));
    return tf.sum(tf.mul(value, tf.tensor(weights, value.shape)));
  };
}

/** The entries of a case's inputs, moved so that none is within a step of a function's corner. */
function smoothInputs(one: KernelCase): Float32Array[] {
  return Object.values(inputsOf(one)).map((data, input) =>
    Float32Array.from(data, (x) => x + 0.15 + 0.2 * input)
  );
}

Deno.test("every gradient is what the difference quotients of its kernel come to", async () => {
  tf.env().set("PROD", true); // no advice to install tfjs-node
  await tf.setBackend("cpu");
  const failures: string[] = [];
  for (const one of differentiable) {
    tf.tidy(() => {
      const f = directed(one);
      const data = smoothInputs(one);
      const tensors = (data: Float32Array[]) =>
        data.map((entries, i) => tf.tensor(entries, one.inputs[i].shape));
      const found = tf.grads(f)(tensors(data)).map((gradient) => gradient.dataSync());
      data.forEach((entries, input) =>
        entries.forEach((entry, at) => {
          const [after, before] = [STEP, -STEP].map((step) => {
            const moved = data.with(input, entries.with(at, entry + step));
            return f(...tensors(moved)).dataSync()[0];
          });
          const quotient = (after - before) / (2 * STEP);
          // Third derivatives are below 30 here, and results below 10: 30 / 6 * STEP² and
          // 10 * 2^-24 / STEP.
          const difference = Math.abs(quotient - found[input][at]);
          if (!(difference < 2e-3 * Math.max(1, Math.abs(quotient)))) {
            failures.push(`${one.name}, input ${input}: ${found[input][at]} at ${at}, ${quotient}`);
          }
        })
      );
    });
  }
  assertEquals(failures, []);
});
