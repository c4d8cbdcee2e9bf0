/**
 * The part of TensorFlow's SavedModel format that we write, in the field's own language. Names and
 * numbers are those of the files under `tensorflow/core/protobuf` and `tensorflow/core/framework`;
 * all that we leave out is optional. What is `optional` here is written even where it is zero or
 * empty.
 */
import protobuf from "protobufjs";

const { root } = protobuf.parse(
  `
syntax = "proto3";
package tensorflow;

message SavedModel {
  int64 saved_model_schema_version = 1;
  repeated MetaGraphDef meta_graphs = 2;
}
message MetaGraphDef {
  message MetaInfoDef { repeated string tags = 4; }
  MetaInfoDef meta_info_def = 1;
  GraphDef graph_def = 2;
  map<string, SignatureDef> signature_def = 5;
}
message SignatureDef {
  map<string, TensorInfo> inputs = 1;
  map<string, TensorInfo> outputs = 2;
  string method_name = 3;
}
message TensorInfo {
  string name = 1;
  int32 dtype = 2;
  TensorShapeProto tensor_shape = 3;
}
message GraphDef {
  repeated NodeDef node = 1;
  VersionDef versions = 4;
}
message VersionDef { int32 producer = 1; }
message NodeDef {
  string name = 1;
  string op = 2;
  repeated string input = 3;
  map<string, AttrValue> attr = 5;
}
message AttrValue {
  oneof value {
    bytes s = 2;
    int64 i = 3;
    float f = 4;
    bool b = 5;
    int32 type = 6;
    TensorShapeProto shape = 7;
    TensorProto tensor = 8;
    ListValue list = 1;
  }
  message ListValue { repeated bytes s = 2; }
}
message TensorShapeProto {
  message Dim { optional int64 size = 1; }
  repeated Dim dim = 2;
}
message TensorProto {
  int32 dtype = 1;
  TensorShapeProto tensor_shape = 2;
  optional bytes tensor_content = 4;
  repeated float float_val = 5;
  repeated int32 int_val = 7;
  repeated bool bool_val = 11;
}
`,
  { keepCase: true },
);

const SavedModel = root.lookupType("tensorflow.SavedModel");

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
  list?: { s: Uint8Array[] };
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
  return SavedModel.encode({
    saved_model_schema_version: 1,
    meta_graphs: [{
      meta_info_def: { tags: ["serve"] },
      // The producer tells which old habits of operators are wanted; this is that of TensorFlow
      // 2.9, and needs none.
      graph_def: { node: nodes, versions: { producer: 1087 } },
      signature_def: signatures,
    }],
  }).finish();
}
