/**
 * tfjs's own TensorFlow backend, for `eager:tensorflow`: the JavaScript half of
 * `@tensorflow/tfjs-node-gpu` on the addon that setup has built.
 *
 * Importing the package itself would fail: it looks for the addon in its own folder, and asks Node
 * for functions that are gone. Its backend and kernels are separate modules, which ask for nothing
 * but the addon and tfjs.
 */
import { join } from "@std/path";
import * as tf from "@tensorflow/tfjs-core";
import { createRequire } from "node:module";
import util from "node:util";
import { type Binding, loadBinding } from "./binding.ts";

/**
 * Where the modules of the package find tfjs when they ask for it: setup has put a file there that
 * exports this property.
 */
export const SHARED_TFJS = Symbol.for("tiny-diffusion.tfjs");

type BackendClass = new (binding: Binding, packageName: string) => tf.KernelBackend;

/**
 * Registers the backend `tensorflow` and its kernels with tfjs.
 *
 * @throws {UserError} If TensorFlow is not set up or does not load here.
 */
export async function registerTensorflow(): Promise<void> {
  if (tf.findBackendFactory("tensorflow")) return;
  const { binding, installation } = await loadBinding();
  // Gone since Node 23.
  const old = util as unknown as { isNullOrUndefined?: (value: unknown) => boolean };
  old.isNullOrUndefined ??= (value) => value === null || value === undefined;
  // A second copy of tfjs would know nothing of our tensors.
  (globalThis as Record<symbol, unknown>)[SHARED_TFJS] = tf;
  const load = createRequire(join(installation.package, "package.json"));
  const { NodeJSKernelBackend } = load("./dist/nodejs_kernel_backend.js") as {
    NodeJSKernelBackend: BackendClass;
  };
  load("./dist/register_all_kernels.js");
  tf.registerBackend("tensorflow", () => new NodeJSKernelBackend(binding, "tfjs-node-gpu"), 0);
}
