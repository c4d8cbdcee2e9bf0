/**
 * The exported file as generation sees it, whatever runs it: onnxruntime-web in the page,
 * onnxruntime-node in Deno.
 */
import type { Network } from "../../../core/language_model.ts";

/** Runs the file once: int32 tokens [context] to logits [context, vocab]. */
export type RunOnce = (tokens: Int32Array) => Promise<Float32Array>;

/** A network that counts its forward passes. */
export interface ExportedNetwork extends Network {
  readonly forwards: number;
}

export function exportedNetwork(
  { context, vocab }: { context: number; vocab: number },
  run: RunOnce,
): ExportedNetwork {
  let forwards = 0;
  return {
    context,
    vocab,
    get forwards() {
      return forwards;
    },
    async logits(tokens, from) {
      forwards++;
      const window = new Int32Array(context); // what is missing stays the mask, 0
      window.set(tokens);
      const logits = await run(window);
      return Array.from(
        { length: tokens.length - from },
        (_, i) => logits.subarray((from + i) * vocab, (from + i + 1) * vocab),
      );
    },
  };
}
