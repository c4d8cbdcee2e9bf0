/**
 * The part of ONNX's format that we write, in the field's own language. Names and numbers are those
 * of `onnx/onnx.proto3`; all that we leave out is optional. What is `optional` here is written even
 * where it is zero or empty.
 */
import protobuf from "protobufjs";

const { root } = protobuf.parse(
  `
syntax = "proto3";
package onnx;

message ModelProto {
  int64 ir_version = 1;
  string producer_name = 2;
  GraphProto graph = 7;
  repeated OperatorSetIdProto opset_import = 8;
}
message OperatorSetIdProto {
  optional string domain = 1;
  int64 version = 2;
}
message GraphProto {
  repeated NodeProto node = 1;
  string name = 2;
  repeated TensorProto initializer = 5;
  repeated ValueInfoProto input = 11;
  repeated ValueInfoProto output = 12;
}
message NodeProto {
  repeated string input = 1;
  repeated string output = 2;
  string name = 3;
  string op_type = 4;
  repeated AttributeProto attribute = 5;
  optional string domain = 7;
}
message AttributeProto {
  string name = 1;
  optional float f = 2;
  optional int64 i = 3;
  optional bytes s = 4;
  GraphProto g = 6;
  repeated int64 ints = 8;
  int32 type = 20;
}
message TensorProto {
  repeated int64 dims = 1;
  int32 data_type = 2;
  string name = 8;
  optional bytes raw_data = 9;
}
message ValueInfoProto {
  string name = 1;
  TypeProto type = 2;
}
message TypeProto {
  message Tensor {
    int32 elem_type = 1;
    TensorShapeProto shape = 2;
  }
  oneof value { Tensor tensor_type = 1; }
}
message TensorShapeProto {
  message Dimension {
    oneof value {
      int64 dim_value = 1;
      string dim_param = 2;
    }
  }
  repeated Dimension dim = 1;
}
`,
  { keepCase: true },
);

const Model = root.lookupType("onnx.ModelProto");

/** TensorProto.DataType */
export const dataTypes = { float32: 1, int32: 6, int64: 7, bool: 9, float16: 10 } as const;
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
  return Model.encode({
    ir_version: 8,
    producer_name: "tiny-diffusion",
    opset_import: [
      { domain: "", version: 18 },
      ...domains.map((domain) => ({ domain, version: 1 })),
    ],
    graph,
  }).finish();
}

/** Decodes a model, for tests. */
export function decodeModel(model: Uint8Array): { graph: GraphProto } {
  return Model.decode(model) as unknown as { graph: GraphProto };
}
