/** The results of native onnx, as JSON for the browser: a float32 keeps its bits as a decimal. */
import { mapValues } from "@std/collections/map-values";
import type { Trained } from "../testing/training.ts";

interface Json {
  losses: number[];
  state: Record<string, { shape: number[]; data: number[] }>;
}

/** Prepares results for `JSON.stringify`. */
export function toJson({ losses, state }: Trained): Json {
  return { losses, state: mapValues(state, ({ shape, data }) => ({ shape, data: [...data] })) };
}

/** Restores them. */
export function fromJson({ losses, state }: Json): Trained {
  return {
    losses,
    state: mapValues(state, ({ shape, data }) => ({ shape, data: Float32Array.from(data) })),
  };
}
