import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { openJournal } from "./journal.ts";
import { inFolder } from "../../files/testing/temporary_folder.ts";

const isNumber = (value: unknown): value is number => typeof value === "number";
const subject = { weights: "abc", precision: "f32" };
const open = (folder: string, of: Record<string, unknown> = subject) =>
  openJournal(folder, "blocks", of, isNumber);

const inNewFolder = (test: (folder: string) => Promise<void>) =>
  inFolder((folder) => test(join(folder, "new/partial")));

Deno.test("what was added is there when the journal is opened again, in a folder that it makes", () =>
  inNewFolder(async (folder) => {
    {
      using journal = await open(folder);
      assertEquals(journal.get("3"), undefined);
      await journal.add("3", 1.5);
      await journal.add("5", 0.1 + 0.2);
      assertEquals(journal.get("3"), 1.5);
    }
    using again = await open(folder);
    assertEquals([again.get("3"), again.get("5"), again.get("4")], [1.5, 0.1 + 0.2, undefined]);
  }));

Deno.test("another subject has a journal of its own", () =>
  inNewFolder(async (folder) => {
    using journal = await open(folder);
    await journal.add("3", 1.5);
    using other = await open(folder, { ...subject, precision: "bf16" });
    assertEquals(other.get("3"), undefined);
    assert(other.path !== journal.path);
    assertMatch(other.path, /blocks-[0-9a-f]{12}\.jsonl$/);
  }));

Deno.test("cut off at any byte, the journal keeps every whole line and goes on after it", () =>
  inNewFolder(async (folder) => {
    let path: string;
    {
      using journal = await open(folder);
      path = journal.path;
      for (const key of [0, 1, 2]) await journal.add(`${key}`, 10 + key);
    }
    const whole = await Deno.readFile(path);
    const ends = [...whole.keys()].filter((i) => whole[i] === 10);
    for (let bytes = 0; bytes <= whole.length; bytes++) {
      await Deno.writeFile(path, whole.subarray(0, bytes));
      const left = Math.max(0, ends.filter((end) => end < bytes).length - 1); // less the first line
      {
        using journal = await open(folder);
        assertEquals([0, 1, 2].filter((key) => journal.get(`${key}`) === 10 + key).length, left);
        await journal.add("new", bytes);
      }
      using again = await open(folder);
      assertEquals(again.get("new"), bytes);
      assertEquals(again.get("0"), left > 0 ? 10 : undefined);
    }
  }));

Deno.test("a journal whose first line is damaged begins anew, and nothing of what it held comes back", () =>
  inNewFolder(async (folder) => {
    let path: string;
    {
      using journal = await open(folder);
      path = journal.path;
      for (const key of [0, 1, 2]) await journal.add(`${key}`, 10 + key);
    }
    const whole = await Deno.readTextFile(path);
    await Deno.writeTextFile(path, whole.replace("abc", "abd"));
    {
      using journal = await open(folder);
      assertEquals(journal.get("0"), undefined);
    }
    using again = await open(folder);
    assertEquals([0, 1, 2].map((key) => again.get(`${key}`)), [undefined, undefined, undefined]);
  }));

Deno.test("damaged lines and values of another kind are computed again, the rest stays", () =>
  inNewFolder(async (folder) => {
    let path: string;
    {
      using journal = await open(folder);
      path = journal.path;
      await journal.add("0", 10);
    }
    const lines = ['{"key":"1","value":null}', "\x00\xff", "7", "null", '{"key":2,"value":2}'];
    await Deno.writeTextFile(path, lines.join("\n") + "\n", { append: true });
    using journal = await open(folder);
    assertEquals([0, 1, 2].map((key) => journal.get(`${key}`)), [10, undefined, undefined]);
  }));

Deno.test("a second writer is refused, and one line says when the folder can't be made", () =>
  inNewFolder(async (folder) => {
    {
      using _ = await open(folder);
      await assertRejects(() => open(folder), Error, "is writing it");
    }
    using journal = await open(folder);
    await journal.add("0", 1);
    await assertRejects(() => open(join(journal.path, "below")), Error, "Cannot make the folder");
  }));

Deno.test("on a full disk a journal goes on without one, and catches up when there is space", () =>
  inNewFolder(async (folder) => {
    const { writeSync } = Deno.FsFile.prototype;
    let taken = 0;
    using journal = await open(folder);
    journal.add("0", 10);
    // Seven bytes still fit.
    Deno.FsFile.prototype.writeSync = function (bytes) {
      if (taken++ === 0) return writeSync.call(this, bytes.subarray(0, 7));
      throw Object.assign(new Error("No space left"), { code: "ENOSPC" });
    };
    try {
      journal.add("1", 11);
      journal.add("2", 12);
    } finally {
      Deno.FsFile.prototype.writeSync = writeSync;
    }
    const text = () => Deno.readTextFileSync(journal.path);
    assert(text().endsWith('}\n{"key":'));
    assertEquals([journal.get("1"), journal.get("2")], [11, 12]);
    journal.add("3", 13);
    const lines = [0, 1, 2, 3].map((key) => `{"key":"${key}","value":${10 + key}}\n`);
    assert(text().endsWith(`\n${lines.join("")}`), text());
  }));
