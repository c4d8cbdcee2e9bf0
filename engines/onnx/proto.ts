/** The part of ONNX's format that we write. Names and numbers are those of `onnx/onnx.proto3`. */
import { encodeMessage, type Fields } from "../protobuf.ts";

const dimension: Fields = { dim_value: [1, "int"], dim_param: [2, "string"] };
const tensorType: Fields = { elem_type: [1, "int"], shape: [2, { dim: [1, dimension] }] };
const valueInfoFields: Fields = {
  name: [1, "string"],
  type: [2, { tensor_type: [1, tensorType] }],
};
const tensor: Fields = {
  dims: [1, "int"],
  data_type: [2, "int"],
  name: [8, "string"],
  raw_data: [9, "bytes"],
};
const attributeFields: Fields = {
  name: [1, "string"],
  f: [2, "float"],
  i: [3, "int"],
  s: [4, "bytes"],
  ints: [8, "int"],
  type: [20, "int"],
};
const node: Fields = {
  input: [1, "string"],
  output: [2, "string"],
  name: [3, "string"],
  op_type: [4, "string"],
  attribute: [5, attributeFields],
  domain: [7, "string"],
};
const graphFields: Fields = {
  node: [1, node],
  name: [2, "string"],
  initializer: [5, tensor],
  input: [11, valueInfoFields],
  output: [12, valueInfoFields],
};
attributeFields.g = [6, graphFields]; // the body of a loop
const model: Fields = {
  ir_version: [1, "int"],
  producer_name: [2, "string"],
  graph: [7, graphFields],
  opset_import: [8, { domain: [1, "string"], version: [2, "int"] }],
};

/** TensorProto.DataType */
export const dataTypes = { float32: 1, uint8: 2, int8: 3, int32: 6, int64: 7, bool: 9 } as const;
export type DataType = keyof typeof dataTypes;

/** AttributeProto.AttributeType */
export const attributeTypes = { float: 1, int: 2, string: 3, graph: 5, ints: 7 } as const;

export interface AttributeProto {
  name: string;
  type: number;
  f?: number;
  i?: number;
  s?: Uint8Array;
  g?: GraphProto;
  ints?: number[];
}
export interface NodeProto {
  name: string;
  op_type: string;
  /** Where the operator is defined, if not by ONNX itself. */
  domain?: string;
  input: string[];
  output: string[];
  attribute: AttributeProto[];
}
export interface TensorProto {
  name: string;
  data_type: number;
  dims: number[];
  raw_data: Uint8Array;
}
export interface ValueInfoProto {
  name: string;
  type: { tensor_type: { elem_type: number; shape: { dim: Dimension[] } } };
}
/** A size, or the name of one that is known only when the model runs. */
export type Dimension = { dim_value: number } | { dim_param: string };
export interface GraphProto {
  name: string;
  node: NodeProto[];
  initializer?: TensorProto[];
  input: ValueInfoProto[];
  output: ValueInfoProto[];
}

/** Describes a tensor that goes into or out of a graph. */
export function valueInfo(
  name: string,
  dtype: DataType,
  shape: (number | string)[],
): ValueInfoProto {
  const dim = shape.map((size) =>
    typeof size === "number" ? { dim_value: size } : { dim_param: size }
  );
  return { name, type: { tensor_type: { elem_type: dataTypes[dtype], shape: { dim } } } };
}

/** Encodes a model whose operators are those of ONNX's set 18 and of the first of other domains. */
export function encodeModel(graph: GraphProto, domains: string[]): Uint8Array {
  return encodeMessage({
    ir_version: 8,
    producer_name: "tiny-diffusion",
    opset_import: [
      { domain: "", version: 18 },
      ...domains.map((domain) => ({ domain, version: 1 })),
    ],
    graph,
  }, model);
}
