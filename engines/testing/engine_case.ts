/**
 * The common part of the suite's cases: their form, the reference, and how near they must come.
 */
import { assert } from "@std/assert";
import type { HostTensors } from "../tensors.ts";
import { backends, eagerEngine } from "../eager.ts";
import type { Engine } from "../engine.ts";

/** Something that every engine must do. */
export interface EngineCase {
  /** A claim, read after the engine's name. */
  name: string;
  /** Whether it is also tried in bf16, on engines that have it. */
  bf16?: boolean;
  run(engine: Engine): Promise<void>;
}

/**
 * The largest allowed difference between an engine's numbers and the reference, relative to the
 * size of what is compared.
 *
 * Float32: sums of some hundred terms in another order, and exponentials good to a few units in the
 * last place, come out within about 1e-6; 1e-5 leaves room for ten roundings. WebGPU's drivers may
 * fuse and approximate (its specification allows 3 ulp for a division and 2^-11 absolute for some
 * functions), so they get a hundred times more.
 *
 * bf16: a factor is off by 2^-9 of itself at most, so a product by 2^-8: sums of 5 products of
 * normal numbers, whose sizes add up to 10 in the worst of the kernels' cases, are off by 0.04
 * though they cancel. All that is not a product stays float32.
 */
export function tolerance({ name, precision }: Engine): number {
  if (precision === "bf16") return 4e-2;
  return name.endsWith("webgpu") ? 1e-3 : 1e-5;
}

/**
 * The engine that the others are compared with: tfjs in plain JavaScript, operation by operation.
 * Started once.
 */
export function referenceEngine(): Promise<Engine> {
  return reference ??= eagerEngine("cpu", backends.cpu);
}
let reference: Promise<Engine> | undefined;

/** The largest distance between two entries at the same place. */
export function largestDifference(ours: ArrayLike<number>, theirs: ArrayLike<number>): number {
  assert(ours.length === theirs.length, `length ${ours.length}, expected ${theirs.length}`);
  let most = 0;
  for (let i = 0; i < ours.length; i++) {
    const difference = Math.abs(ours[i] - theirs[i]);
    if (!(difference <= most)) most = difference; // NaN stays, and fails every comparison
  }
  return most;
}

/** Euclidean distance of two sets of tensors, all their numbers together. */
export function distance(a: HostTensors, b: HostTensors): number {
  let squares = 0;
  for (const [name, { data }] of Object.entries(a)) {
    for (let i = 0; i < data.length; i++) squares += (data[i] - b[name].data[i]) ** 2;
  }
  return Math.sqrt(squares);
}
