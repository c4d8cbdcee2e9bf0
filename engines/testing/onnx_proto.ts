/** ONNX's format in its own language, as `onnx/onnx.proto3` has it, to read what we write. */
import protobuf from "protobufjs";
import type { GraphProto } from "../onnx/proto.ts";

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

/**
 * Decodes a model, whose graph has to be as it was before it was encoded.
 *
 * @throws {Error} If it is not encoded as protocol buffers are.
 */
export function decodeModel(model: Uint8Array): { graph: GraphProto } {
  return Model.decode(model) as unknown as { graph: GraphProto };
}
