import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { join } from "@std/path";
import fc from "fast-check";
import { UserError } from "@tiny-diffusion/engines/errors";
import {
  countCharacters,
  decodeText,
  loadCorpus,
  makeCorpus,
  readForModel,
  readLikePython,
  requireLength,
  sliceTraining,
  takeOpening,
} from "./corpus.ts";
import { sha256Hex } from "../../files/read.ts";
import { inFolder } from "../../files/testing/temporary_folder.ts";
import { storeText } from "../testing/stored_text.ts";

const utf8 = (text: string) => new TextEncoder().encode(text);

Deno.test("a corpus is split after nine tenths of its characters, not of its bytes or units", () =>
  inFolder(async (folder) => {
    const path = join(folder, "emoji.txt");
    await Deno.writeTextFile(path, "😀".repeat(17) + "ab");
    const corpus = await loadCorpus(path);
    // 19 characters: int(0.9 * 19) = 17
    assertEquals([corpus.train, corpus.validation], ["😀".repeat(17), "ab"]);
    assertEquals([corpus.characters, corpus.bytes, corpus.name], [19, 70, "emoji"]);
    assertEquals(corpus.sha256, await sha256Hex(await Deno.readFile(path)));
    assertEquals(corpus.info, undefined);
  }));

Deno.test("line ends stay as they are, and a byte order mark goes", () =>
  inFolder(async (folder) => {
    const path = join(folder, "windows.txt");
    await Deno.writeTextFile(path, "\ufeffone\r\ntwo\ufeff");
    assertEquals((await loadCorpus(path)).text, "one\r\ntwo\ufeff");
  }));

Deno.test("like Python, line ends become one character and a byte order mark stays one", async () => {
  const corpus = await makeCorpus("\ufeffone\r\ntwo\rthree\n\r" + "x".repeat(20));
  const { text, characters, train, validation } = readLikePython(corpus);
  assertEquals(text, "\ufeffone\ntwo\nthree\n\n" + "x".repeat(20));
  assertEquals([characters, train + validation, validation], [36, text, "xxxx"]);
  const plain = await makeCorpus("one\ntwo\ufeff");
  assertEquals(readLikePython(plain), plain);
});

Deno.test("a corpus is read as the weights saw it: by their characters, and as it is where in doubt", async () => {
  const corpus = await makeCorpus("\ufeffa\r\nb");
  const read = (kind: "gpt" | "diffusion", characters: string) =>
    readForModel(corpus, kind, [...characters]).text;
  assertEquals(read("gpt", "\nab\ufeff"), "\ufeffa\nb");
  assertEquals(read("diffusion", "_\nab\ufeff"), "\ufeffa\nb");
  assertEquals(read("gpt", "\n\rab"), corpus.text);
  assertEquals(read("gpt", "\nabc\ufeff"), corpus.text);
});

Deno.test("a missing corpus is an error that names the command to run", async () => {
  const error = await assertRejects(() => loadCorpus("no/such.txt"), Error);
  assertMatch(error.message, /^Cannot read the text "no\/such.txt": .*"deno task fetch-data"/);
});

Deno.test("a corpus that changed since it was fetched is refused", () =>
  inFolder(async (folder) => {
    const path = await storeText(folder, "play", "to be or not", "2026-01-01T00:00:00Z");
    assertEquals((await loadCorpus(path)).info?.source, "test");
    await Deno.writeTextFile(path, "to be or knot");
    const error = await assertRejects(() => loadCorpus(path), UserError);
    assertMatch(
      error.message,
      /^Cannot use ".*play\.txt": its SHA-256 is .*changed since.*--force/,
    );
  }));

Deno.test("a JSON file beside a text that is not ours is left alone", () =>
  inFolder(async (folder) => {
    const path = join(folder, "notes.txt");
    await Deno.writeTextFile(path, "some notes");
    // The last would put a line end into an error message.
    const lines = JSON.stringify({ sha256: "a\nb", fetched: "2026-01-01" });
    // Lists in lists that become text overflow the stack; one list of a text would pass for that
    // text.
    const deep = `{"sha256":${"[".repeat(20_000)}${"]".repeat(20_000)},"fetched":""}`;
    const list = JSON.stringify({ sha256: ["a".repeat(64)], fetched: "" });
    for (const json of ["{", "null", "[1]", '{"sha256": 1}', lines, deep, list]) {
      await Deno.writeTextFile(join(folder, "notes.json"), json);
      assertEquals((await loadCorpus(path)).info, undefined, json);
    }
  }));

for (
  const [what, bytes, message] of [
    ["empty", new Uint8Array(), "it is empty"],
    ["a byte order mark only", utf8("\ufeff"), "it is empty"],
    ["one character", utf8("a"), `it is "a" from start to end`],
    ["one character again and again", utf8("\n".repeat(500)), `it is "\\n" from start to end`],
    ["one emoji again and again", utf8("😀😀😀"), `it is "😀" from start to end`],
    ["with a NUL byte", utf8("abc\0def"), "NUL byte at offset 3"],
    ["Latin-1", Uint8Array.from([0x63, 0x61, 0x66, 0xe9, 0x20]), "byte 0xe9 at offset 3"],
    ["cut inside a character", utf8("ab😀").slice(0, 5), "byte 0xf0 at offset 2 is not UTF-8"],
    ["invalid after a real U+FFFD", Uint8Array.of(...utf8("\ufffd"), 0xff), "0xff at offset 3"],
    ["invalid after a byte order mark", Uint8Array.of(...utf8("\ufeffab"), 0xff), "at offset 5"],
    ["UTF-16", Uint8Array.from([0xff, 0xfe, 0x61, 0, 0x62, 0]), "it starts like UTF-16"],
  ] as const
) {
  Deno.test(`a text that is ${what} is refused in one line`, () => {
    const { message: found } = assertThrows(() => decodeText(bytes, `"x.txt"`), UserError, message);
    assertMatch(found, /^Cannot use "x\.txt" as a text: [^\n]+; [^\n]+$/);
  });
}

Deno.test("decodeText takes any bytes or says in one line why not", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
    try {
      const text = decodeText(bytes, "it");
      assert(text.isWellFormed() && !text.includes("\0"));
    } catch (error) {
      assertMatch((error as Error).message, /^Cannot use it as a text: [^\n]+$/);
    }
  }));
});

Deno.test("requireLength asks for a window and the character after it to train on, and two blocks to score", () =>
  inFolder(async (folder) => {
    const path = join(folder, "short.txt");
    await Deno.writeTextFile(path, "ab".repeat(100)); // 180 and 20 characters
    const corpus = await loadCorpus(path);
    requireLength(corpus, 10);
    const { message } = assertThrows(() => requireLength(corpus, 11), UserError);
    assertMatch(
      message,
      /with a context of 11: .* are 20, expected at least 22; .* 220 characters/,
    );
  }));

Deno.test("a slice cuts the training part only, by characters", async () => {
  const corpus = await makeCorpus("😀bcdefghi" + "j".repeat(11)); // 18 and 2 characters
  const sliced = sliceTraining(corpus, { from: 1, to: 4 });
  assertEquals([sliced.train, sliced.validation], ["bcd", "jj"]);
  assertEquals([sliced.text, sliced.sha256], [corpus.text, corpus.sha256]);
  assertEquals(sliceTraining(corpus, { from: 0, to: 18 }).train, corpus.train);
  assertThrows(
    () => sliceTraining(corpus, { from: 0, to: 19 }),
    UserError,
    "its training part has 18; take a slice within them",
  );
  requireLength(sliced, 2 - 1);
  assertThrows(() => requireLength({ ...sliced, train: "b" }, 1), UserError, "expected at least 2");
});

Deno.test("countCharacters counts code points", () => {
  fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 50 }), (text) => {
    assertEquals(countCharacters(text), [...text].length);
  }));
});

Deno.test("the opening of a text is its first 16 characters, whole ones, or all that it has", () => {
  fc.assert(fc.property(fc.string({ unit: "grapheme-composite", maxLength: 50 }), (text) => {
    assertEquals([...takeOpening(text)], [...text].slice(0, 16));
  }));
});
