/**
 * Measures how fast an engine can be on this machine: a program's speed is best given as a share of
 * that.
 */
import * as tf from "@tensorflow/tfjs-core";
import type { HostTensors } from "./tensors.ts";
import type { Engine, Program } from "./engine.ts";

/**
 * Large matrix products and nothing else, of a matrix that stays where it is, so that hardly
 * anything crosses the border.
 */
export interface LargeProducts {
  state: HostTensors;
  program: Program;
  inputs(): Record<string, Float32Array>;
}

/**
 * `count` products of square matrices one after the other: 2 `size`³ floating-point operations
 * each.
 *
 * @param size Rows and columns.
 */
export function largeProducts(size: number, count: number): LargeProducts {
  const data = new Float32Array(size * size).fill(1 / size); // its product with itself is itself
  return {
    state: { w: { shape: [size, size], data } },
    program: {
      inputs: { scale: { shape: [], dtype: "float32" } }, // so that it can't be computed beforehand
      body({ w }, { scale }) {
        let y = tf.mul(w, scale);
        for (let i = 0; i < count; i++) y = tf.matMul(y as tf.Tensor2D, w as tf.Tensor2D);
        return { outputs: { sum: tf.sum(y) } };
      },
    },
    inputs: () => ({ scale: Float32Array.of(1) }),
  };
}

const SIZE = 1024, PRODUCTS = 8;

/**
 * Floating-point operations a second in large matrix products, the best of `rounds` runs of 17
 * GFLOP each.
 */
export async function productPeak(engine: Engine, rounds = 5): Promise<number> {
  const { state, program, inputs } = largeProducts(SIZE, PRODUCTS);
  const session = await engine.load(state, { products: program });
  try {
    let best = Infinity;
    for (let round = 0; round < rounds; round++) {
      const start = performance.now();
      await session.run("products", inputs());
      best = Math.min(best, performance.now() - start);
    }
    return PRODUCTS * 2 * SIZE ** 3 / (best / 1000);
  } finally {
    session.dispose();
  }
}
