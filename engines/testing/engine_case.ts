/**
 * The common part of the suite's cases: their form, the reference, and how near they must come.
 */
import type { HostTensors } from "../tensors.ts";
import { backends, eagerEngine } from "../eager.ts";
import type { Engine } from "../engine.ts";

export { largestDifference, tolerance } from "../tolerance.ts";

/** Something that every engine must do. */
export interface EngineCase {
  /** A claim, read after the engine's name. */
  name: string;
  /** Whether it is also tried in bf16, on engines that have it. */
  bf16?: boolean;
  run(engine: Engine): Promise<void>;
}

/**
 * The engine that the others are compared with: tfjs in plain JavaScript, operation by operation.
 * Started once.
 */
export function referenceEngine(): Promise<Engine> {
  return reference ??= eagerEngine("cpu", backends.cpu);
}
let reference: Promise<Engine> | undefined;

/** Euclidean distance of two sets of tensors, all their numbers together. */
export function distance(a: HostTensors, b: HostTensors): number {
  let squares = 0;
  for (const [name, { data }] of Object.entries(a)) {
    for (let i = 0; i < data.length; i++) squares += (data[i] - b[name].data[i]) ** 2;
  }
  return Math.sqrt(squares);
}
