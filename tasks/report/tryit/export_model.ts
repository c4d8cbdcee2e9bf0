/**
 * The diffusion network as an ONNX file for the page: one window of tokens in, its logits out. The
 * weights are stored as float16 and made float32 again by the graph's first operators, which
 * onnxruntime folds away when it loads the file; what is computed is float32 everywhere, so that
 * CPUs, WebAssembly and GPUs agree up to the order of their sums.
 */
import type { SavedModel } from "../../../core/checkpoint.ts";
import * as diffusion from "../../../core/diffusion.ts";
import { defaultWindow } from "../../../core/sampling/defaults.ts";
import { windowLogits } from "../../../core/programs.ts";
import { UserError } from "../../../engines/errors.ts";
import { onnxModel } from "../../../engines/onnx/model.ts";
import { compile } from "../../../engines/record/compile.ts";

/**
 * Makes the bytes of the ONNX file: `in/tokens`, int32 [1, window], to `out/logits`, float32
 * [1, window, vocab].
 *
 * @param window Characters that the network reads at once.
 * @throws {UserError} If a weight does not fit float16.
 */
export function exportModel(
  { config, weights }: Pick<SavedModel, "config" | "weights">,
  window = defaultWindow(config.context),
): Uint8Array<ArrayBuffer> {
  const graph = compile("logits", windowLogits(diffusion, config, 1, window), weights);
  try {
    // The operators for WebGPU run everywhere; those for the CPU do not.
    return Uint8Array.from(
      onnxModel(graph, { fixed: weights, store: "float16", device: "webgpu", portable: true }),
    );
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const advice = "train again with a smaller learning rate";
    throw new UserError({ ...error, advice }, { cause: error });
  }
}
