/**
 * The part of TensorFlow's SavedModel format that we write. Names and numbers are those of the files
 * under `tensorflow/core/protobuf` and `tensorflow/core/framework`; all that we leave out is
 * optional.
 */
import { encodeMessage, type Fields } from "../protobuf.ts";

/** A map is stored as a list of its entries. */
const mapTo = (value: Fields): Fields => ({ key: [1, "string"], value: [2, value] });
const entriesOf = <Value>(map: Record<string, Value>) =>
  Object.entries(map).map(([key, value]) => ({ key, value }));

const tensorShape: Fields = { dim: [2, { size: [1, "int"] }] };
const tensor: Fields = {
  dtype: [1, "int"],
  tensor_shape: [2, tensorShape],
  tensor_content: [4, "bytes"],
  float_val: [5, "float"],
  int_val: [7, "int"],
  bool_val: [11, "int"],
};
const attrValue: Fields = {
  s: [2, "bytes"],
  i: [3, "int"],
  f: [4, "float"],
  b: [5, "int"],
  type: [6, "int"],
  shape: [7, tensorShape],
  tensor: [8, tensor],
};
const node: Fields = {
  name: [1, "string"],
  op: [2, "string"],
  input: [3, "string"],
  attr: [5, mapTo(attrValue)],
};
const tensorInfo: Fields = {
  name: [1, "string"],
  dtype: [2, "int"],
  tensor_shape: [3, tensorShape],
};
const signature: Fields = {
  inputs: [1, mapTo(tensorInfo)],
  outputs: [2, mapTo(tensorInfo)],
  method_name: [3, "string"],
};
const metaGraph: Fields = {
  meta_info_def: [1, { tags: [4, "string"] }],
  graph_def: [2, { node: [1, node], versions: [4, { producer: [1, "int"] }] }],
  signature_def: [5, mapTo(signature)],
};
const savedModel: Fields = {
  saved_model_schema_version: [1, "int"],
  meta_graphs: [2, metaGraph],
};

/** DataType in `types.proto`. */
export const dataTypes = { float32: 1, int32: 3, bool: 10, bfloat16: 14 } as const;
export type DataType = keyof typeof dataTypes;

export interface TensorShape {
  dim: { size: number }[];
}
export interface TensorProto {
  dtype: number;
  tensor_shape: TensorShape;
  tensor_content?: Uint8Array;
  float_val?: number[];
  int_val?: number[];
  bool_val?: boolean[];
}
export interface AttrValue {
  s?: Uint8Array;
  i?: number;
  f?: number;
  b?: boolean;
  type?: number;
  shape?: TensorShape;
  tensor?: TensorProto;
}
export interface NodeDef {
  name: string;
  op: string;
  input: string[];
  attr: Record<string, AttrValue>;
}
export interface TensorInfo {
  name: string;
  dtype: number;
  tensor_shape: TensorShape;
}
export interface SignatureDef {
  inputs: Record<string, TensorInfo>;
  outputs: Record<string, TensorInfo>;
  method_name: string;
}

export const shapeProto = (shape: number[]): TensorShape => ({
  dim: shape.map((size) => ({ size })),
});

/**
 * The bytes of `saved_model.pb`, which is all of a SavedModel whose variables are set by running
 * it.
 */
export function encodeSavedModel(
  nodes: NodeDef[],
  signatures: Record<string, SignatureDef>,
): Uint8Array {
  return encodeMessage({
    saved_model_schema_version: 1,
    meta_graphs: [{
      meta_info_def: { tags: ["serve"] },
      graph_def: {
        node: nodes.map((node) => ({ ...node, attr: entriesOf(node.attr) })),
        // The producer tells which old habits of operators are wanted; this is that of TensorFlow
        // 2.9, and needs none.
        versions: { producer: 1087 },
      },
      signature_def: entriesOf(signatures).map(({ key, value: { inputs, outputs, ...rest } }) => ({
        key,
        value: { ...rest, inputs: entriesOf(inputs), outputs: entriesOf(outputs) },
      })),
    }],
  }, savedModel);
}
