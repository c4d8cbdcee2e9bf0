/**
 * The diffusion network as an ONNX file for the page: one window of tokens in, its logits out, the
 * weights small. They are stored as float16 or int8 and made float32 again by the graph's first
 * operators, which onnxruntime folds away when it loads the file; what is computed is float32
 * everywhere, so that CPUs, WebAssembly and GPUs agree up to the order of their sums.
 */
import onnxProto from "onnx-proto";
import type { SavedModel } from "../../../core/checkpoint.ts";
import * as diffusion from "../../../core/diffusion.ts";
import { onnxModel, stateName } from "../../../engines/onnx/model.ts";
import { record } from "../../../engines/record/recorder.ts";
import { simplify } from "../../../engines/record/simplify.ts";
import { windowLogits } from "../../../core/programs.ts";
import type { HostTensor, HostTensors } from "../../../engines/tensors.ts";

const { onnx } = onnxProto;
/** TensorProto.DataType */
const FLOAT32 = 1, INT8 = 3, FLOAT16 = 10;

export const precisions = ["float16", "int8"] as const;
export type StoredPrecision = typeof precisions[number];

/** What stands in the file for a matrix, and the operators that make it a float32 matrix again. */
interface Stored {
  initializers: object[];
  nodes: object[];
}

/**
 * The bytes of the ONNX file: `in/tokens`, int32 [1, context], to `out/logits`, float32
 * [1, context, vocab].
 *
 * @param precision How weights are stored. `int8` has one scale a row (an output of the layer), the
 * largest entry being 127.
 * @throws {RangeError} If a weight does not fit float16.
 */
export function exportedModel(
  { config, weights }: Pick<SavedModel, "config" | "weights">,
  precision: StoredPrecision,
): Uint8Array<ArrayBuffer> {
  const graph = simplify(record("logits", windowLogits(diffusion, config, 1), weights));
  // The operators for WebGPU run everywhere; those for the CPU do not.
  const model = onnx.ModelProto.decode(onnxModel(graph, {}, "webgpu"));
  const given = model.graph!;
  const stored = Object.entries(weights).map(([name, tensor]) =>
    precision === "float16" ? asFloat16(name, tensor) : asInt8(name, tensor)
  );
  given.input = given.input!.filter(({ name }) => !name!.startsWith(stateName("")));
  given.initializer!.push(...stored.flatMap(({ initializers }) => initializers));
  given.node!.unshift(...stored.flatMap(({ nodes }) => nodes));
  return Uint8Array.from(onnx.ModelProto.encode(model).finish());
}

function asFloat16(name: string, { shape, data }: HostTensor): Stored {
  const halves = new Float16Array(data);
  const lost = halves.findIndex((half) => !Number.isFinite(half));
  if (lost !== -1) {
    throw new RangeError(
      `Cannot store "${name}" as float16: ${
        data[lost]
      } at position ${lost}, expected at most 65504; ` +
        "train again with a smaller learning rate",
    );
  }
  const half = `float16/${name}`;
  return {
    initializers: [initializer(half, FLOAT16, shape, halves)],
    nodes: [node("Cast", [half], stateName(name), { to: FLOAT32 })],
  };
}

function asInt8(name: string, tensor: HostTensor): Stored {
  const { integers, scales } = quantised(tensor), { shape } = tensor;
  const [integer, scale, float] = ["int8", "scale", "unscaled"].map((part) => `${part}/${name}`);
  return {
    initializers: [
      initializer(integer, INT8, shape, integers),
      initializer(scale, FLOAT32, [shape[0], 1], scales),
    ],
    nodes: [
      node("Cast", [integer], float, { to: FLOAT32 }),
      node("Mul", [float, scale], stateName(name)),
    ],
  };
}

/** Each row of a matrix as its largest entry / 127 times whole numbers. */
function quantised({ shape: [rows, columns], data }: HostTensor) {
  const integers = new Int8Array(data.length), scales = new Float32Array(rows);
  for (let row = 0; row < rows; row++) {
    const from = row * columns, entries = Float32Array.from(data.subarray(from, from + columns));
    const largest = entries.reduce((most, entry) => Math.max(most, Math.abs(entry)), 0);
    scales[row] = largest / 127 || 1; // a row of zeros needs none
    integers.set(entries.map((entry) => Math.round(entry / scales[row])), from);
  }
  return { integers, scales };
}

/** The float32 weights that the file stands for: what a loss of `precision` is measured with. */
export function roundedWeights(weights: HostTensors, precision: StoredPrecision): HostTensors {
  return Object.fromEntries(
    Object.entries(weights).map(([name, tensor]) => {
      if (precision === "float16") {
        return [name, { ...tensor, data: Float32Array.from(new Float16Array(tensor.data)) }];
      }
      const { integers, scales } = quantised(tensor), columns = tensor.shape[1];
      const data = Float32Array.from(
        integers,
        (entry, i) => entry * scales[Math.floor(i / columns)],
      );
      return [name, { ...tensor, data }];
    }),
  );
}

function initializer(name: string, dataType: number, dims: number[], data: ArrayBufferView) {
  const rawData = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return { name, dataType, dims, rawData };
}

function node(opType: string, input: string[], output: string, attributes: { to?: number } = {}) {
  const attribute = Object.entries(attributes).map(([name, i]) => ({ name, type: 2, i }));
  return { name: `${opType}/${output}`, opType, input, output: [output], attribute };
}
