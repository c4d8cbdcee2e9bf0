/**
 * Encodes protocol buffers (https://protobuf.dev/programming-guides/encoding), in which ONNX's and
 * TensorFlow's models are stored. Libraries for this make functions from text, which the policy of a
 * web page may forbid.
 */

/** A field: its number, and the type of its value or of its entries. A boolean is an "int". */
type Field = [number: number, type: "int" | "float" | "string" | "bytes" | Fields];

/** The fields of a message. */
export interface Fields {
  [name: string]: Field;
}

/** Encodes a message. What it has is written, even where that is zero or empty. */
export function encodeMessage(message: object, fields: Fields): Uint8Array {
  return join(encode(message, fields));
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
