import { assert, assertAlmostEquals, assertEquals, assertLess } from "@std/assert";
import * as tf from "@tiny-diffusion/engines/tfjs";
import { type Config, makeConfig } from "../config.ts";
import {
  applyOptimizer,
  clipGradients,
  initialMoments,
  orthogonalize,
  scheduleAt,
  scheduleInputs,
  scheduleShare,
} from "./optimizer.ts";
import { seededRandom } from "../random.ts";
import type { HostTensors, Tensors } from "@tiny-diffusion/engines/tensors";

await tf.setBackend("cpu");

const original = makeConfig("gpt", "full", 65);
const normals = (count: number, seed: number) => {
  const random = seededRandom(seed);
  return Array.from({ length: count }, () => random.normal());
};

/** Steps of the optimizer as recorded programs take them; returns the state after them. */
async function stepped(
  weights: HostTensors,
  gradientsAt: (step: number) => Record<string, number[]>,
  steps: number,
  config: Config,
): Promise<Record<string, number[]>> {
  const tensors = (values: HostTensors): Tensors =>
    Object.fromEntries(
      Object.entries(values).map(([name, { data, shape }]) => [name, tf.tensor(data, shape)]),
    );
  const state = tensors({ ...weights, ...initialMoments(weights, config.optimizer) });
  for (let step = 1; step <= steps; step++) {
    const gradients = Object.fromEntries(
      Object.entries(gradientsAt(step)).map((
        [name, g],
      ) => [name, tf.tensor(g, weights[name].shape)]),
    );
    const schedule = Object.fromEntries(
      Object.entries(scheduleAt(step, config)).map(([name, [value]]) => [name, tf.scalar(value)]),
    );
    Object.assign(state, applyOptimizer(state, gradients, schedule, config));
  }
  const read = Object.entries(state).map(async ([name, tensor]) =>
    [name, Array.from(await tensor.data())] as const
  );
  return Object.fromEntries(await Promise.all(read));
}

Deno.test("50 steps of AdamW are those of the paper, with its corrections of young moments", async () => {
  const names = ["token_emb.weight", "lm_head.weight"], size = 6;
  const weights = Object.fromEntries(names.map((name, i): [string, HostTensors[string]] => [name, {
    shape: [2, 3],
    data: Float32Array.from(normals(size, i)),
  }]));
  // Of very different sizes, one of them zero: Adam's step does not depend on the size.
  const gradientsAt = (step: number) =>
    Object.fromEntries(names.map((name, i) => [
      name,
      normals(size, 100 * step + i).map((g, j) => g * [1, 1e-3, 1e-6, 100, 0, 1][j]),
    ]));
  for (
    const config of [
      original,
      { ...original, learningRate: 1e-2, beta1: 0.8, beta2: 0.95, weightDecay: 0.3, warmup: 10 },
      { ...original, schedule: "cosine" as const, steps: 50, epsilon: 1e-3 },
    ]
  ) {
    const after = await stepped(weights, gradientsAt, 50, config);
    names.forEach((name) => {
      const { learningRate, beta1, beta2, epsilon, weightDecay } = config;
      for (let j = 0; j < size; j++) {
        let w = weights[name].data[j], m = 0, v = 0;
        for (let t = 1; t <= 50; t++) {
          const g = gradientsAt(t)[name][j], lr = learningRate * scheduleShare(t, config);
          w -= lr * weightDecay * w;
          m = beta1 * m + (1 - beta1) * g;
          v = beta2 * v + (1 - beta2) * g * g;
          w -= lr * (m / (1 - beta1 ** t)) / (Math.sqrt(v / (1 - beta2 ** t)) + epsilon);
        }
        // 50 steps, each rounded to float32 a few times: 2^-24 of weights up to 3, 100 times
        assertAlmostEquals(after[name][j], w, 2e-5, `${name}[${j}]`);
        assertAlmostEquals(after[`adam.m/${name}`][j], m, 1e-6 * Math.max(1, Math.abs(m)));
        assertAlmostEquals(after[`adam.v/${name}`][j], v, 1e-5 * Math.abs(v));
      }
    });
  }
});

Deno.test("the first step of AdamW has the size of the learning rate, whatever the gradient", async () => {
  const weights = { w: { shape: [3], data: Float32Array.of(0, 0, 0) } };
  const { w } = await stepped(weights, () => ({ w: [1e-4, -7, 300] }), 1, original);
  // epsilon takes 1e-8 / 1e-4 of the smallest
  [-1, 1, -1].forEach((sign, i) => assertAlmostEquals(w[i], sign * 3e-4, 3e-4 * 2e-4));
});

/**
 * Singular values of a matrix, falling: the roots of the eigenvalues of A Aᵀ by Jacobi's rotations.
 */
function singularValues(matrix: number[][]): number[] {
  const rows = matrix.length <= matrix[0].length
    ? matrix
    : matrix[0].map((_, j) => matrix.map((row) => row[j]));
  const n = rows.length;
  const a = rows.map((x) => rows.map((y) => x.reduce((sum, value, k) => sum + value * y[k], 0)));
  for (let sweep = 0; sweep < 30; sweep++) {
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        const angle = 0.5 * Math.atan2(2 * a[p][q], a[q][q] - a[p][p]);
        const c = Math.cos(angle), s = Math.sin(angle);
        for (let k = 0; k < n; k++) {
          [a[k][p], a[k][q]] = [c * a[k][p] - s * a[k][q], s * a[k][p] + c * a[k][q]];
        }
        for (let k = 0; k < n; k++) {
          [a[p][k], a[q][k]] = [c * a[p][k] - s * a[q][k], s * a[p][k] + c * a[q][k]];
        }
      }
    }
  }
  return a.map((row, i) => Math.sqrt(Math.max(0, row[i]))).sort((x, y) => y - x);
}

Deno.test("the tests' own singular values are right where they are known", () => {
  const values = singularValues([[3, 0, 0], [0, 0, -2]]);
  [3, 2].forEach((value, i) => assertAlmostEquals(values[i], value, 1e-12));
  const [first, second] = singularValues([[1, 1], [0, 1], [0, 0]]);
  assertAlmostEquals(first, (1 + Math.sqrt(5)) / 2, 1e-12); // the golden ratio and its inverse
  assertAlmostEquals(second, (Math.sqrt(5) - 1) / 2, 1e-12);
});

for (
  const [shape, rows, columns] of [["wide", 8, 32], ["tall", 32, 8], ["square", 16, 16]] as const
) {
  Deno.test(`orthogonalising a ${shape} matrix brings its singular values near 1, and keeps its directions`, async () => {
    // Random entries on an identity: the largest singular value is some ten times the smallest.
    const entries = normals(rows * columns, 9).map((value, i) =>
      value + (i % columns === Math.floor(i / columns) ? 6 : 0)
    );
    for (const size of [1e-6, 1, 1e6]) {
      const matrix = tf.tensor2d(entries.map((value) => size * value), [rows, columns]);
      const result = orthogonalize(matrix);
      const values = singularValues(await result.array());
      // Muon's coefficients trade accuracy for speed: for values from 0.3 to 1.2, 3.4445 x - 4.775
      // x³ + 2.0315 x⁵ lies between its minimum 0.6818 (at 1.050) and its maximum 1.203 (at 0.555),
      // and so do all later steps.
      assert(values[0] < 1.203 && values.at(-1)! > 0.6818, `${values}`);
      // A polynomial in A Aᵀ times A has the singular vectors of A, so the product of one
      // transposed and the other is symmetric.
      const product = await tf.matMul<tf.Tensor2D>(result, matrix, true).array();
      const largest = Math.max(...product.flat().map(Math.abs));
      product.forEach((row, i) =>
        row.forEach((value, j) => assertLess(Math.abs(value - product[j][i]), 1e-4 * largest))
      );
    }
  });
}

Deno.test("orthogonalising zeros gives zeros", async () => {
  assertEquals([...await orthogonalize(tf.zeros([2, 3])).data()], [0, 0, 0, 0, 0, 0]);
});

Deno.test("Muon steps against its momentum, by orthogonal matrices, for the matrices of the blocks alone", async () => {
  const config = {
    ...original,
    optimizer: "muon" as const,
    muonLearningRate: 0.02,
    weightDecay: 0.1,
  };
  const name = "blocks.0.mlp.c_fc.weight", shape = [8, 2];
  const start = normals(16, 1);
  const weights: HostTensors = {
    [name]: { shape, data: Float32Array.from(start) },
    "lm_head.weight": { shape, data: Float32Array.from(start) },
  };
  assertEquals(Object.keys(initialMoments(weights, "muon")), [
    `muon.m/${name}`,
    "adam.m/lm_head.weight",
    "adam.v/lm_head.weight",
  ]);
  const gradients = [normals(16, 2), normals(16, 3)];
  const given = (step: number) => ({
    [name]: gradients[step - 1],
    "lm_head.weight": gradients[step - 1],
  });
  const after = await stepped(weights, given, 2, config);

  let w = start, m = start.map(() => 0);
  for (const gradient of gradients) {
    m = m.map((value, i) => 0.95 * value + gradient[i]);
    const ahead = gradient.map((g, i) => g + 0.95 * m[i]);
    const direction = await orthogonalize(tf.tensor2d(ahead, [8, 2])).data();
    // a matrix four times as tall as wide gets steps twice as long
    w = w.map((value, i) => value * (1 - 0.02 * 0.1) - 0.02 * 2 * direction[i]);
  }
  // float32 of numbers of the order of 1, through some ten operations
  w.forEach((value, i) => assertAlmostEquals(after[name][i], value, 1e-6));
  m.forEach((value, i) => assertAlmostEquals(after[`muon.m/${name}`][i], value, 1e-6));

  const adam = await stepped(
    { "lm_head.weight": weights["lm_head.weight"] },
    (step) => ({
      "lm_head.weight": gradients[step - 1],
    }),
    2,
    { ...config, optimizer: "adamw" },
  );
  assertEquals(after["lm_head.weight"], adam["lm_head.weight"]);
});

Deno.test("the schedule warms up in a line, then is constant or falls by a cosine to a tenth", () => {
  const constant = { ...original, warmup: 4, steps: 104 };
  assertEquals([1, 2, 4, 5, 104, 1000].map((step) => scheduleShare(step, constant)), [
    0.25,
    0.5,
    1,
    1,
    1,
    1,
  ]);
  const cosine = { ...constant, schedule: "cosine" as const };
  const expected = [[1, 0.25], [4, 1], [54, 0.55], [104, 0.1], [200, 0.1]];
  for (const [step, share] of expected) {
    assertAlmostEquals(scheduleShare(step, cosine), share, 1e-12);
  }
  assertAlmostEquals(scheduleShare(29, cosine), 0.1 + 0.9 * (1 + Math.SQRT1_2) / 2, 1e-12);
  for (let step = 5; step <= 104; step++) {
    assertLess(scheduleShare(step, cosine), scheduleShare(step - 1, cosine));
  }
  const wsd: Config = { ...cosine, schedule: "wsd", steps: 100 };
  // 20 steps of decay: 20/21 in the first of them, 1/21 in the last
  const falling = [[2, 0.5], [4, 1], [80, 1], [81, 20 / 21], [91, 10 / 21], [100, 1 / 21]];
  for (const [step, share] of falling) {
    assertAlmostEquals(scheduleShare(step, wsd), share, 1e-12);
  }
  assertEquals(scheduleShare(1, original), 1); // the original has neither
  assertEquals(scheduleShare(1, { ...cosine, warmup: 0, steps: 1 }), 0.1);
});

Deno.test("a step's inputs are the schedule's, with Adam's corrections in them", () => {
  const config = { ...original, warmup: 10, muonLearningRate: 0.02 };
  const inputs = scheduleAt(3, config);
  assertEquals(Object.keys(inputs).sort(), Object.keys(scheduleInputs).sort());
  const root = Math.sqrt(1 - 0.999 ** 3);
  const expected = {
    learningRate: 0.3 * 3e-4,
    muonLearningRate: 0.3 * 0.02,
    adamStep: 0.3 * 3e-4 * root / (1 - 0.9 ** 3),
    adamEpsilon: 1e-8 * root,
  };
  for (const [name, value] of Object.entries(expected)) {
    assertAlmostEquals(inputs[name][0] / value, 1, 2 ** -23);
  }
});

Deno.test("clipping shortens all gradients together to the limit, and leaves shorter ones", async () => {
  const gradients = { a: tf.tensor1d([3, 0]), b: tf.tensor2d([[0], [-4]]) }; // of norm 5
  for (const [limit, share] of [[0, 1], [10, 1], [5.1, 1], [2.5, 0.5], [1, 0.2]]) {
    const { clipped, norm } = clipGradients(gradients, limit);
    assertAlmostEquals((await norm.data())[0], 5, 1e-6);
    const entries = [...await clipped.a.data(), ...await clipped.b.data()];
    // 1e-6 is added to the norm before dividing
    [3, 0, 0, -4].forEach((value, i) => assertAlmostEquals(entries[i], share * value, 2e-6));
  }
  const { clipped, norm } = clipGradients({ a: tf.zeros([2]) }, 1);
  assertEquals([...await clipped.a.data(), ...await norm.data()], [0, 0, 0]);
});
