/**
 * The part of ONNX's format that we write, and its encoding as protocol buffers
 * (https://protobuf.dev/programming-guides/encoding). Names and numbers are those of
 * `onnx/onnx.proto3`. Libraries for this make functions from text, which the policy of a web page
 * may forbid.
 */

/** A field: its number, and the type of its value or of its entries. */
type Field = [number: number, type: "int" | "float" | "string" | "bytes" | Fields];
interface Fields {
  [name: string]: Field;
}

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
  return join(encode({
    ir_version: 8,
    producer_name: "tiny-diffusion",
    opset_import: [
      { domain: "", version: 18 },
      ...domains.map((domain) => ({ domain, version: 1 })),
    ],
    graph,
  }, model));
}

/** Encodes a message, in pieces: large tensors are copied only when these are joined. */
function encode(message: object, fields: Fields): Uint8Array[] {
  return Object.entries(message).flatMap(([name, value]) => {
    const [number, type] = fields[name];
    if (value === undefined) return [];
    if (type === "int" && Array.isArray(value)) { // packed: one field for all
      return withLength(number, value.map(varint));
    }
    return (Array.isArray(value) ? value : [value]).flatMap((each) => {
      switch (type) {
        case "int":
          return [varint(number << 3), varint(each)];
        case "float":
          return [varint(number << 3 | 5), new Uint8Array(Float32Array.of(each).buffer)];
        case "string":
          return withLength(number, [new TextEncoder().encode(each)]);
        case "bytes":
          return withLength(number, [each]);
        default:
          return withLength(number, encode(each, type));
      }
    });
  });
}

function withLength(number: number, pieces: Uint8Array[]): Uint8Array[] {
  return [varint(number << 3 | 2), varint(lengthOf(pieces)), ...pieces];
}

/** Encodes an integer, seven bits a byte, the lowest first; a negative one as 64 bits. */
function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return Uint8Array.from([...bytes, Number(rest)]);
}

const lengthOf = (pieces: Uint8Array[]) => pieces.reduce((sum, { length }) => sum + length, 0);

function join(pieces: Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(lengthOf(pieces));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}
