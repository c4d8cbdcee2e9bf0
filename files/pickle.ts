/**
 * Reads the small part of Python's pickle format (protocols 2 to 5) that PyTorch's checkpoints use,
 * and writes that of a state dict (protocol 2).
 *
 * A pickle is a program for a machine with a stack. Python's own reader lets it import and call
 * anything; this one runs nothing. It knows only the instructions that build numbers, texts, tuples,
 * lists and dicts, and where the program asks for a call, it writes down which call, if the callee is on
 * the caller's list. Opcodes: Lib/pickletools.py in CPython.
 */
import { quoted, UserError } from "@tiny-diffusion/engines/errors";

/** A value in a pickle. A tuple or a list is an array, a dict or an OrderedDict is a map. */
export type Pickled =
  | null
  | boolean
  | number
  | string
  | Pickled[]
  | Map<string | number, Pickled>
  | Global
  | Call
  | Persistent;

/** Something imported by name, such as `torch FloatStorage`: only the name, never the thing. */
export class Global {
  constructor(readonly name: string) {}
}

/** A call that was asked for and not made. */
export class Call {
  constructor(readonly callee: string, readonly args: Pickled[]) {}
}

/** A reference to something outside the pickle. */
export class Persistent {
  constructor(readonly id: Pickled) {}
}

// About 30 bytes and 10 steps are needed for each field of a tensor; these bounds leave room for
// several thousand tensors and keep what a hostile pickle can make us allocate below a few hundred
// megabytes.
const maxBytes = 4 * 2 ** 20;
const maxSteps = 500_000;

const orderedDict = "collections OrderedDict";

/**
 * Reads a pickle without running it. Calls of `collections.OrderedDict` become maps.
 * The result may share parts, and so be exponentially larger when written out: visit it only as deep
 * as needed.
 *
 * @param allowed The names that may be imported, as "module name", besides
 * `collections OrderedDict`.
 * @throws {UserError} If it needs anything else, or is cut short or malformed.
 */
export function readPickle(bytes: Uint8Array, allowed: ReadonlySet<string>): Pickled {
  if (bytes.length > maxBytes) {
    throw refused(`${bytes.length} bytes, expected at most ${maxBytes} for a state dict`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const stack: Pickled[] = [];
  const marks: number[] = [];
  const memo = new Map<number, Pickled>();
  let at = 0;

  const take = (count: number) => {
    if (count > bytes.length - at) throw refused("it ends in the middle of an instruction");
    at += count;
    return at - count;
  };
  const byte = () => bytes[take(1)];
  const uint32 = () => view.getUint32(take(4), true);
  const uint64 = () => {
    const value = view.getBigUint64(take(8), true);
    return value < BigInt(bytes.length) ? Number(value) : bytes.length; // more than there is
  };
  const text = (start: number, end: number) => decodeUtf8(bytes.subarray(start, end));
  const sized = (size: number) => text(take(size), at);
  const line = () => {
    const end = bytes.indexOf(10, at);
    if (end < 0) throw refused("it ends in the middle of a name");
    const start = take(end + 1 - at);
    return text(start, end);
  };
  const pop = () => {
    if (stack.length <= (marks.at(-1) ?? 0)) throw refused("it takes a value that is not there");
    return stack.pop()!;
  };
  const popToMark = () => {
    const mark = marks.pop();
    if (mark === undefined) throw refused("it takes a mark that is not there");
    return stack.splice(mark);
  };
  const tuple = (size: number) => {
    const items = Array.from({ length: size }, pop).reverse();
    stack.push(items);
  };
  const put = (index: number) => {
    const top = pop();
    stack.push(top);
    memo.set(index, top);
  };
  const append = (items: Pickled[]) => {
    const list = stack.at(-1);
    if (!Array.isArray(list)) throw refused("it adds items to something other than a list");
    for (const item of items) list.push(item);
  };
  const global = (name: string) => {
    if (name !== orderedDict && !allowed.has(name)) {
      throw refused(
        `it asks for ${quoted(name.replace(" ", "."))}, which a state dict of float tensors does ` +
          "not need",
      );
    }
    stack.push(new Global(name));
  };
  const get = (index: number) => {
    const value = memo.get(index);
    if (value === undefined) throw refused(`it recalls value ${index}, which was never kept`);
    stack.push(value);
  };

  for (let step = 0;; step++) {
    if (step > maxSteps) throw refused(`more than ${maxSteps} instructions`);
    const opcode = byte();
    switch (opcode) {
      case 0x80: { // PROTO
        const protocol = byte();
        if (protocol < 2 || protocol > 5) throw refused(`protocol ${protocol}, expected 2 to 5`);
        break;
      }
      case 0x2e: // STOP
        if (stack.length !== 1 || marks.length > 0 || at !== bytes.length) {
          throw refused("it does not end with one value");
        }
        return stack[0];
      case 0x28: // MARK
        marks.push(stack.length);
        break;
      case 0x4e: // NONE
        stack.push(null);
        break;
      case 0x88: // NEWTRUE
        stack.push(true);
        break;
      case 0x89: // NEWFALSE
        stack.push(false);
        break;
      case 0x4b: // BININT1
        stack.push(byte());
        break;
      case 0x4d: // BININT2
        stack.push(view.getUint16(take(2), true));
        break;
      case 0x4a: // BININT
        stack.push(view.getInt32(take(4), true));
        break;
      case 0x8a: { // LONG1
        const size = byte();
        stack.push(readLong(bytes.subarray(take(size), at)));
        break;
      }
      case 0x47: // BINFLOAT
        stack.push(view.getFloat64(take(8)));
        break;
      case 0x8c: // SHORT_BINUNICODE
        stack.push(sized(byte()));
        break;
      case 0x58: // BINUNICODE
        stack.push(sized(uint32()));
        break;
      case 0x8d: // BINUNICODE8
        stack.push(sized(uint64()));
        break;
      case 0x95: // FRAME says how much follows, for readers of streams
        take(8);
        break;
      case 0x29: // EMPTY_TUPLE
        stack.push([]);
        break;
      case 0x85: // TUPLE1
      case 0x86: // TUPLE2
      case 0x87: // TUPLE3
        tuple(opcode - 0x84);
        break;
      case 0x74: // TUPLE
        stack.push(popToMark());
        break;
      case 0x5d: // EMPTY_LIST
        stack.push([]);
        break;
      case 0x61: // APPEND
        append([pop()]);
        break;
      case 0x65: // APPENDS
        append(popToMark());
        break;
      case 0x7d: // EMPTY_DICT
        stack.push(new Map());
        break;
      case 0x73: { // SETITEM
        const value = pop();
        const key = pop();
        setItems(stack.at(-1), [key, value]);
        break;
      }
      case 0x75: { // SETITEMS
        const items = popToMark();
        setItems(stack.at(-1), items);
        break;
      }
      case 0x62: { // BUILD sets attributes. A state dict has one, `_metadata`, the versions of its modules.
        const attributes = pop();
        if (!(attributes instanceof Map) || !(stack.at(-1) instanceof Map)) {
          throw refused("it sets attributes of something other than a dict");
        }
        break;
      }
      case 0x63: // GLOBAL
        global(`${line()} ${line()}`);
        break;
      case 0x93: { // STACK_GLOBAL
        const name = pop();
        const module = pop();
        if (typeof name !== "string" || typeof module !== "string") {
          throw refused("it asks for something whose name is not a text");
        }
        global(`${module} ${name}`);
        break;
      }
      case 0x52: { // REDUCE calls. We only note it.
        const args = pop();
        const callee = pop();
        if (!(callee instanceof Global) || !Array.isArray(args)) {
          throw refused("it calls something that has no name");
        }
        if (callee.name !== orderedDict) stack.push(new Call(callee.name, args));
        else if (args.length === 0) stack.push(new Map());
        else throw refused("it calls OrderedDict with arguments");
        break;
      }
      case 0x51: // BINPERSID
        stack.push(new Persistent(pop()));
        break;
      case 0x94: // MEMOIZE
        put(memo.size);
        break;
      case 0x71: // BINPUT
        put(byte());
        break;
      case 0x72: // LONG_BINPUT
        put(uint32());
        break;
      case 0x68: // BINGET
        get(byte());
        break;
      case 0x6a: // LONG_BINGET
        get(uint32());
        break;
      default:
        throw refused(
          `instruction 0x${opcode.toString(16).padStart(2, "0")} at byte ${at - 1}, ` +
            `which a state dict of tensors does not need`,
        );
    }
  }
}

/**
 * Writes the pickle (protocol 2) of a value; a map becomes an OrderedDict. A value that occurs twice
 * is written twice, so the value must be a tree.
 *
 * @throws {RangeError} If a number is not an integer of at most 53 bits.
 */
export function writePickle(value: Pickled): Uint8Array<ArrayBuffer> {
  const out: number[] = [0x80, 2];
  const encoder = new TextEncoder();
  const uint32 = (n: number) => out.push(n & 255, (n >>> 8) & 255, (n >>> 16) & 255, n >>> 24);
  const global = (name: string) =>
    out.push(0x63, ...encoder.encode(name.replace(" ", "\n") + "\n"));

  function write(value: Pickled): void {
    if (value === null) out.push(0x4e);
    else if (typeof value === "boolean") out.push(value ? 0x88 : 0x89);
    else if (typeof value === "number") {
      if (!Number.isSafeInteger(value)) {
        throw new RangeError(`Cannot pickle ${value}: expected an integer of at most 53 bits`);
      }
      if (value === (value | 0)) {
        out.push(0x4a);
        uint32(value);
      } else {
        out.push(0x8a, 8);
        uint32(Number(BigInt.asUintN(32, BigInt(value))));
        uint32(Math.floor(value / 2 ** 32));
      }
    } else if (typeof value === "string") {
      const bytes = encoder.encode(value);
      out.push(0x58);
      uint32(bytes.length);
      for (const byte of bytes) out.push(byte);
    } else if (Array.isArray(value)) {
      out.push(0x28);
      value.forEach(write);
      out.push(0x74);
    } else if (value instanceof Map) {
      global(orderedDict);
      out.push(0x29, 0x52, 0x28);
      for (const [key, item] of value) {
        write(key);
        write(item);
      }
      out.push(0x75);
    } else if (value instanceof Global) global(value.name);
    else if (value instanceof Call) {
      global(value.callee);
      write(value.args);
      out.push(0x52);
    } else {
      write(value.id);
      out.push(0x51);
    }
  }

  write(value);
  out.push(0x2e);
  return Uint8Array.from(out);
}

function refused(found: string): UserError {
  const advice = "save the weights in PyTorch with torch.save(model.state_dict(), path)";
  return new UserError({ action: "read the pickle", found, advice });
}

function setItems(dict: Pickled | undefined, items: Pickled[]): void {
  if (!(dict instanceof Map) || items.length % 2 !== 0) {
    throw refused("it puts items into something other than a dict");
  }
  for (let i = 0; i < items.length; i += 2) {
    const key = items[i];
    if (typeof key !== "string" && typeof key !== "number") {
      throw refused("a key of a dict is neither a text nor a number");
    }
    if (dict.has(key)) throw refused(`the key ${quoted(String(key))} appears twice`);
    dict.set(key, items[i + 1]);
  }
}

/** A signed little-endian integer of any length, as long as a number can hold it. */
function readLong(bytes: Uint8Array): number {
  let value = 0n;
  for (const byte of bytes.toReversed()) value = (value << 8n) | BigInt(byte);
  const number = Number(BigInt.asIntN(8 * bytes.length, value));
  if (!Number.isSafeInteger(number)) throw refused("an integer of more than 53 bits");
  return number;
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw refused("a text in it is not UTF-8");
  }
}
