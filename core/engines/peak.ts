/** How fast an engine can be on this machine: what a program reaches is best told as a share of that. */
import * as tf from "@tensorflow/tfjs";
import type { Engine } from "./engine.ts";

/** Rows and columns of the matrices, and how many products follow one another in a run, so that little crosses the border. */
const SIZE = 1024, PRODUCTS = 8;

/**
 * Floating-point operations a second in large matrix products and nothing else, the best of `rounds` runs of 17 GFLOP each.
 * A matrix product of [m, k] and [k, n] counts as 2 m k n operations.
 */
export async function productPeak(engine: Engine, rounds = 5): Promise<number> {
  const matrix = new Float32Array(SIZE * SIZE).fill(1 / SIZE); // its product with itself is itself
  const session = await engine.load({ w: { shape: [SIZE, SIZE], data: matrix } }, {
    products: {
      inputs: { x: { shape: [SIZE, SIZE], dtype: "float32" } },
      body({ w }, { x }) {
        let y = x;
        for (let i = 0; i < PRODUCTS; i++) y = tf.matMul(y as tf.Tensor2D, w as tf.Tensor2D);
        return { outputs: { sum: tf.sum(y) } };
      },
    },
  });
  try {
    let best = Infinity;
    for (let round = 0; round < rounds; round++) {
      const start = performance.now();
      await session.run("products", { x: matrix });
      best = Math.min(best, performance.now() - start);
    }
    return PRODUCTS * 2 * SIZE ** 3 / (best / 1000);
  } finally {
    session.dispose();
  }
}
