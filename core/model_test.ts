import { assert, assertAlmostEquals, assertEquals, assertGreater, assertLess } from "@std/assert";
import * as tf from "@tiny-diffusion/engines/tfjs";
import { makeConfig, type ModelConfig, presets } from "./config.ts";
import {
  type Attend,
  attendBothSides,
  attendLeft,
  forward,
  initialWeights,
  parameterShapes,
  rmsNorm,
  ropeTable,
  rotate,
} from "./model.ts";
import { seededRandom } from "./random.ts";
import type { Tensors } from "@tiny-diffusion/engines/tensors";

await tf.setBackend("cpu");

const config = makeConfig("gpt", "smoke", 11);

/** Weights for tfjs, `scale` times as large as at the start of training. */
function tensorsOf(config: ModelConfig, scale = 1): Tensors {
  return Object.fromEntries(
    Object.entries(initialWeights(config, seededRandom(1)))
      .map(([name, { shape, data }]) => [name, tf.mul(tf.tensor(data, shape), scale)]),
  );
}

const weights = tensorsOf(config, 10);
const tokens = Int32Array.from({ length: 12 }, (_, i) => (7 * i) % 11);

/** Logits of each position of one row, [time][vocab]. */
function logitsOf(tokens: Int32Array, attend: Attend): Promise<number[][]> {
  const logits = tf.tidy(() => {
    const row = tf.tensor2d(tokens, [1, tokens.length], "int32");
    return tf.squeeze(forward(row, weights, config, { attend }), [0]);
  });
  return logits.array() as Promise<number[][]>;
}

const difference = (a: number[], b: number[]) =>
  Math.max(...a.map((value, i) => Math.abs(value - b[i])));

Deno.test("later characters change nothing in a causal network, and every position of a two-way one", async () => {
  const changed = tokens.with(8, 5);
  for (const attend of [attendLeft, attendBothSides]) {
    const [before, after] = [await logitsOf(tokens, attend), await logitsOf(changed, attend)];
    for (let position = 0; position < tokens.length; position++) {
      const moved = difference(before[position], after[position]);
      if (attend === attendLeft && position < 8) assertEquals(moved, 0);
      else assertGreater(moved, 1e-3); // logits here are of the order of 1
    }
  }
});

Deno.test("a causal network reads the first characters of a text as it reads them alone", async () => {
  const whole = await logitsOf(tokens, attendLeft);
  const start = await logitsOf(tokens.slice(0, 5), attendLeft);
  // the same sums, but softmax over more entries that are 0
  start.forEach((logits, i) => assertLess(difference(logits, whole[i]), 1e-5));
});

Deno.test("rows of a batch do not see each other", async () => {
  const other = tokens.toReversed();
  const both = tf.tidy(() =>
    forward(tf.tensor2d([...tokens, ...other], [2, 12], "int32"), weights, config, {
      attend: attendBothSides,
    })
  );
  const [first, second] = await both.array();
  for (const [row, alone] of [[first, tokens], [second, other]] as const) {
    (await logitsOf(alone, attendBothSides)).forEach((logits, i) =>
      assertLess(difference(logits, row[i]), 1e-5)
    );
  }
});

Deno.test("the network knows the order of characters", async () => {
  // Without positions, two-way attention would give the last character the same logits in any order
  // of the others.
  const shuffled = Int32Array.of(...tokens.slice(0, -1).toReversed(), tokens.at(-1)!);
  const a = await logitsOf(tokens, attendBothSides);
  const b = await logitsOf(shuffled, attendBothSides);
  assertGreater(difference(a.at(-1)!, b.at(-1)!), 1e-3);
});

Deno.test("rotated queries and keys meet in a product that depends on their distance alone", async () => {
  const time = 32, size = config.width / config.heads, random = seededRandom(2);
  const vector = () => Array.from({ length: size }, () => random.normal());
  const everywhere = (row: number[]) => {
    const rows = Array.from({ length: time }, () => row).flat();
    return rotate(tf.tensor4d(rows, [1, time, 1, size]), ropeTable(time, config));
  };
  const [query, key] = [everywhere(vector()), everywhere(vector())];
  const asRows = (x: tf.Tensor4D) => tf.reshape<tf.Rank.R2>(x, [time, size]);
  const scores = await tf.matMul<tf.Tensor2D>(asRows(query), asRows(key), false, true).array();
  for (let distance = -20; distance <= 20; distance++) {
    const same: number[] = [];
    for (let i = 0; i < time; i++) {
      if (i + distance >= 0 && i + distance < time) same.push(scores[i][i + distance]);
    }
    // 16 products of a size near 1, whose factors carry float32 angles of up to 31
    assertLess(Math.max(...same) - Math.min(...same), 2e-5);
  }
  assertGreater(Math.abs(scores[0][0] - scores[0][5]), 1e-2);
});

Deno.test("rotation turns pairs clockwise by position / 10000^(2i / D), and keeps their length", async () => {
  const size = 16, half = 8, position = 3;
  const x = Array.from({ length: 4 * size }, (_, i) => Math.sin(i));
  const rotated = await rotate(tf.tensor4d(x, [1, 4, 1, size]), ropeTable(4, config)).data();
  for (let i = 0; i < half; i++) {
    const at = position * size + i, angle = position / 10000 ** (2 * i / size);
    const [first, second] = [x[at], x[at + half]];
    const expected = [
      first * Math.cos(angle) + second * Math.sin(angle),
      second * Math.cos(angle) - first * Math.sin(angle),
    ];
    assertAlmostEquals(rotated[at], expected[0], 1e-6); // float32 of numbers below 2
    assertAlmostEquals(rotated[at + half], expected[1], 1e-6);
  }
});

/** rmsNorm of one row, in float64. */
function norm(x: number[]): number[] {
  const scale = 1 / Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / x.length + 2 ** -23);
  return x.map((value) => scale * value);
}

Deno.test("rmsNorm gives rows a root mean square of 1, and near zero shrinks what it can't", async () => {
  for (const size of [1, 1e-3, 1e-4, 0]) {
    const x = [3, -4, 12, 0].map((value) => size * value);
    const y = await rmsNorm(tf.tensor2d(x, [1, 4])).data();
    norm(x).forEach((value, i) => assertAlmostEquals(y[i], value, 1e-6)); // float32 of numbers below 2
  }
});

Deno.test("the gradient given for rmsNorm is the numeric one, and autodiff's own", async () => {
  const random = seededRandom(3), [rows, width] = [3, 5];
  const x = Array.from({ length: rows * width }, () => random.normal());
  const direction = x.map(() => random.normal());
  const directed = (normed: (x: tf.Tensor) => tf.Tensor) => (x: tf.Tensor) =>
    tf.sum(tf.mul(normed(x), tf.tensor2d(direction, [rows, width])));
  const gradientOf = (normed: (x: tf.Tensor) => tf.Tensor) =>
    tf.grad(directed(normed))(tf.tensor2d(x, [rows, width])).data();
  const ours = await gradientOf(rmsNorm);
  const autodiff = await gradientOf((x) =>
    tf.mul(x, tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), 2 ** -23)))
  );
  const value = (x: number[]) =>
    Array.from({ length: rows }, (_, row) => norm(x.slice(row * width, (row + 1) * width)))
      .flat().reduce((sum, y, i) => sum + y * direction[i], 0);
  x.forEach((at, i) => {
    const h = 1e-5;
    const numeric = (value(x.with(i, at + h)) - value(x.with(i, at - h))) / (2 * h);
    // float32 of numbers of the order of 1 through some ten operations; the difference itself is
    // good to 1e-9
    assertAlmostEquals(ours[i], numeric, 3e-6);
    assertAlmostEquals(ours[i], autodiff[i], 3e-6);
  });
});

Deno.test("preset full has the original's number of parameters", () => {
  const parameters = (vocab: number) =>
    Object.values(parameterShapes({ ...presets.full, vocab }))
      .reduce((sum, [rows, columns]) => sum + rows * columns, 0);
  assertEquals(parameters(66), 10_667_520); // diffusion: 65 characters and the mask
  assertEquals(parameters(65), 10_666_752); // GPT
});

Deno.test("parameters have the original's names, in its order", () => {
  assertEquals(Object.keys(parameterShapes({ ...config, layers: 1 })), [
    "token_emb.weight",
    "blocks.0.attn.c_q.weight",
    "blocks.0.attn.c_k.weight",
    "blocks.0.attn.c_v.weight",
    "blocks.0.attn.c_proj.weight",
    "blocks.0.mlp.c_fc.weight",
    "blocks.0.mlp.c_proj.weight",
    "lm_head.weight",
  ]);
});

Deno.test("initial weights have mean 0 and standard deviation 0.02, in every matrix", () => {
  const weights = initialWeights({ ...config, width: 64 }, seededRandom(1));
  for (const [name, { data }] of Object.entries(weights)) {
    const n = data.length, mean = data.reduce((a, b) => a + b) / n;
    const deviation = Math.sqrt(data.reduce((sum, v) => sum + (v - mean) ** 2, 0) / n);
    // four standard errors: of a mean sigma / sqrt(n), of a deviation sigma / sqrt(2 n)
    assertLess(Math.abs(mean), 4 * 0.02 / Math.sqrt(n), name);
    assertLess(Math.abs(deviation - 0.02), 4 * 0.02 / Math.sqrt(2 * n), name);
  }
});

Deno.test("a fresh network finds all characters about equally likely", async () => {
  const fresh = tensorsOf(makeConfig("diffusion", "smoke", 11));
  const logits = tf.tidy(() =>
    forward(tf.tensor2d(tokens, [1, 12], "int32"), fresh, config, { attend: attendBothSides })
  );
  // The norm before the head gives rows of length sqrt(32), so a logit spreads by 0.02 * sqrt(32) =
  // 0.11.
  const data = await logits.data<"float32">();
  const deviation = Math.sqrt(data.reduce((sum, v) => sum + v * v, 0) / data.length);
  assert(deviation > 0.05 && deviation < 0.2, `${deviation}`);
});
