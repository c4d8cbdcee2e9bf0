import { assert, assertEquals, assertThrows } from "@std/assert";
import * as fc from "fast-check";
import { UserError } from "@tiny-diffusion/engines/errors";
import { Call, Global, Persistent, type Pickled, readPickle, writePickle } from "./pickle.ts";
import { readZip } from "./zip.ts";

const torch = new Set(["torch._utils _rebuild_tensor_v2", "torch FloatStorage"]);
const bytes = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));
const start = "\x80\x02";

const pickled = fc.letrec<{ any: Pickled }>((tie) => ({
  any: fc.oneof(
    { maxDepth: 4 },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger().map((n) => n + 0), // -0 is no integer of Python's
    fc.string({ unit: "binary" }),
    fc.constantFrom(...torch).map((name) => new Global(name)),
    fc.array(tie("any"), { maxLength: 4 }),
    fc.array(fc.tuple(fc.string(), tie("any")), { maxLength: 4 }).map((items) => new Map(items)),
    fc.array(tie("any"), { maxLength: 3 })
      .map((args) => new Call("torch._utils _rebuild_tensor_v2", args)),
    tie("any").map((id) => new Persistent(id)),
  ),
})).any;

Deno.test("any value that can be pickled comes back", () => {
  fc.assert(fc.property(pickled, (value) => {
    assertEquals(readPickle(writePickle(value), torch), value);
  }));
});

Deno.test("the pickle of a real state dict is read as its tensors in order", () => {
  const file = Deno.readFileSync(new URL("../core/testing/data/gpt.pt", import.meta.url));
  const value = readPickle(readZip(file).get("gpt/data.pkl")!, torch);
  assert(value instanceof Map);
  assertEquals([...value.keys()].length, 14);
  assertEquals([...value.keys()].slice(0, 2), ["token_emb.weight", "blocks.0.attn.c_q.weight"]);
  assertEquals(
    value.get("token_emb.weight"),
    new Call("torch._utils _rebuild_tensor_v2", [
      new Persistent(["storage", new Global("torch FloatStorage"), "0", "cpu", 65 * 32]),
      0,
      [65, 32],
      [32, 1],
      false,
      new Map(),
    ]),
  );
});

for (
  const [name, global] of [
    ["os.system", "os\nsystem\n"],
    ["posix.system", "posix\nsystem\n"],
    ["builtins.eval", "builtins\neval\n"],
    ["__builtin__.exec", "__builtin__\nexec\n"],
    ["subprocess.Popen", "subprocess\nPopen\n"],
    ["torch.load", "torch\nload\n"],
    [
      "torch._utils._rebuild_tensor_v2.__globals__",
      "torch._utils\n_rebuild_tensor_v2.__globals__\n",
    ],
    ["collections.OrderedDict.__init__", "collections\nOrderedDict.__init__\n"],
  ]
) {
  Deno.test(`a pickle that asks for ${name} is refused before anything is called`, () => {
    const hostile = bytes(`${start}c${global}X\x04\x00\x00\x00true\x85R.`);
    const error = assertThrows(
      () => readPickle(hostile, torch),
      UserError,
      `Cannot read the pickle: it asks for "${name}"`,
    );
    assert(
      /; save the weights in PyTorch with torch\.save\(model\.state_dict\(\)/.test(error.message),
    );
  });
}

for (
  const [what, code, message] of [
    ["an instance of a class (INST)", "(ios\nsystem\n.", "instruction 0x69 at byte 3"],
    ["an object (OBJ)", "(cos\nsystem\no.", 'asks for "os.system"'],
    ["a new object (NEWOBJ)", "ccollections\nOrderedDict\n)\x81.", "instruction 0x81"],
    [
      "a global from the stack (STACK_GLOBAL)",
      "X\x02\x00\x00\x00osX\x01\x00\x00\x00x\x93.",
      'asks for "os.x"',
    ],
    ["an extension (EXT1)", "\x82\x01.", "instruction 0x82"],
    ["a global from the stack without a text", "K\x01K\x02\x93.", "whose name is not a text"],
    ["an item added to a dict", "}K\x01a.", "adds items to something other than a list"],
    ["items added to a number", "K\x01(NNe.", "adds items to something other than a list"],
    ["a set (EMPTY_SET)", "\x8f.", "instruction 0x8f"],
    ["a text of 2^64 bytes", `\x8d${"\xff".repeat(8)}a.`, "in the middle of an instruction"],
    ["a frame cut short", "\x95\x00\x00", "in the middle of an instruction"],
    ["a call of what is no global", "))R.", "it calls something that has no name"],
    ["a call with what is no tuple", "ctorch\nFloatStorage\nNR.", "something that has no name"],
    [
      "an OrderedDict with items",
      "ccollections\nOrderedDict\nN\x85R.",
      "OrderedDict with arguments",
    ],
    ["attributes of a tuple", ")}b.", "attributes of something other than a dict"],
    ["attributes that are no dict", "})b.", "attributes of something other than a dict"],
    ["an item of a tuple", ")X\x00\x00\x00\x00Ns.", "items into something other than a dict"],
    ["an odd number of items", "}(X\x00\x00\x00\x00u.", "items into something other than a dict"],
    ["a key that is a tuple", "})Ns.", "a key of a dict is neither a text nor a number"],
    ["a numeric key twice", "}(K\x01NK\x01Nu.", 'the key "1" appears twice'],
    ["a key twice", "}(X\x01\x00\x00\x00aNX\x01\x00\x00\x00aNu.", 'the key "a" appears twice'],
    ["a value that was never kept", "h\x07.", "it recalls value 7"],
    ["a value below a mark", "N(Q.", "it takes a value that is not there"],
    ["a tuple of what is not there", "N\x86.", "it takes a value that is not there"],
    ["a mark that is not there", "Nt.", "it takes a mark that is not there"],
    ["nothing at all", ".", "it does not end with one value"],
    ["two values", "NN.", "it does not end with one value"],
    ["bytes after its end", "N.N", "it does not end with one value"],
    ["an integer of 9 bytes", "\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01.", "more than 53 bits"],
    ["a text that is not UTF-8", "X\x01\x00\x00\x00\xff.", "a text in it is not UTF-8"],
    ["a text longer than the file", "X\xff\xff\xff\xffa.", "in the middle of an instruction"],
    ["a name without an end", "ctorch", "in the middle of a name"],
  ]
) {
  Deno.test(`a pickle with ${what} is refused`, () => {
    assertThrows(() => readPickle(bytes(start + code), torch), UserError, message);
  });
}

Deno.test("a pickle of another protocol is refused", () => {
  for (const protocol of ["\x01", "\x06"]) {
    assertThrows(
      () => readPickle(bytes(`\x80${protocol}N.`), torch),
      UserError,
      `protocol ${protocol.charCodeAt(0)}, expected 2 to 5`,
    );
  }
});

Deno.test("what Python writes by protocol 4 is read: frames, short texts, memos, lists, floats", () => {
  // pickle.dumps({"a": [0.5, (1, "é"), []], 7: "a"}, 4)
  const written = "\x80\x04\x95%\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01a\x94]\x94" +
    "(G\x3f\xe0\x00\x00\x00\x00\x00\x00K\x01\x8c\x02\xc3\xa9\x94\x86\x94]\x94eK\x07h\x01u.";
  const value: Pickled = new Map<string | number, Pickled>([["a", [0.5, [1, "é"], []]], [7, "a"]]);
  assertEquals(readPickle(bytes(written), torch), value);
  const allowed = "\x8c\x05torch\x94\x8c\x0cFloatStorage\x94\x93\x94.";
  assertEquals(readPickle(bytes("\x80\x05" + allowed), torch), new Global("torch FloatStorage"));
});

Deno.test("a pickle cut short anywhere is refused", () => {
  const whole = writePickle(new Map<string, Pickled>([["a", [1, 2 ** 40, "text", true, null]]]));
  for (let length = 0; length < whole.length; length++) {
    assertThrows(() => readPickle(whole.subarray(0, length), torch), UserError, "Cannot read");
  }
});

Deno.test("a tuple that holds itself twice, a thousand levels deep, costs a thousand steps", () => {
  // Written out it would have 2^1000 entries.
  const value = readPickle(bytes(`${start})${"q\x00h\x00\x86".repeat(1000)}.`), torch);
  assert(Array.isArray(value) && value[0] === value[1]);
});

Deno.test("a pickle of a million dicts is refused before it fills the memory", () => {
  const bomb = bytes(start + "}".repeat(1_000_000) + ".");
  assertThrows(() => readPickle(bomb, torch), UserError, "more than 500000 instructions");
  assertThrows(
    () => readPickle(new Uint8Array(5 * 2 ** 20), torch),
    UserError,
    "5242880 bytes, expected at most 4194304",
  );
});

Deno.test("a million marks deep is refused or read, but never overflows the stack", () => {
  const deep = bytes(start + "(".repeat(200_000) + "N" + "t".repeat(200_000) + ".");
  assert(Array.isArray(readPickle(deep, torch)));
});

Deno.test("random instructions are read or refused in one line", () => {
  const instruction = fc.constantFrom(..."(.N\x88\x89K\x01M\x01\x02)\x85\x86\x87t}subRQq\x00h\x00");
  fc.assert(
    fc.property(fc.array(instruction), fc.uint8Array(), (instructions, rest) => {
      try {
        readPickle(Uint8Array.from([...bytes(start + instructions.join("")), ...rest]), torch);
      } catch (error) {
        assert(error instanceof UserError);
        assert(/^Cannot read the pickle: [^\n]+$/.test(error.message), error.message);
      }
    }),
    { numRuns: 3000 },
  );
});
