import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { storeText } from "../../core/testing/stored_text.ts";
import { UserError } from "../../engines/errors.ts";
import { sha256Hex } from "../../files/read.ts";
import { inFolder } from "../../files/testing/temporary_folder.ts";
import { countNextFetch, findCorpus, findLatestCorpus } from "./fetched_texts.ts";

Deno.test("the default corpus is the one fetched last, whatever its name", () =>
  inFolder(async (folder) => {
    await storeText(folder, "b", "first", "2026-01-01T00:00:00.000Z");
    const last = await storeText(folder, "a", "last", "2026-01-03T00:00:00.000Z");
    await storeText(folder, "c", "between", "2026-01-02T00:00:00.000Z");
    await storeText(folder, "d", "its text is gone", "2026-01-04T00:00:00.000Z");
    await Deno.remove(join(folder, "d.txt"));
    await Deno.writeTextFile(join(folder, "e.json"), "{}");
    await Deno.writeTextFile(join(folder, "e.txt"), "not fetched");
    assertEquals(await findLatestCorpus(folder), last);
  }));

Deno.test("the text fetched last is the one with the largest number, whatever the clock said", () =>
  inFolder(async (folder) => {
    assertEquals(await countNextFetch(folder), 1);
    await storeText(folder, "old", "by an older version", "2026-01-05T00:00:00.000Z");
    await storeText(folder, "a", "first", "2026-01-03T00:00:00.000Z", await countNextFetch(folder));
    const last = await storeText(folder, "b", "last", "2026-01-01T00:00:00.000Z", 2);
    assertEquals(await countNextFetch(folder), 3);
    assertEquals(await findLatestCorpus(folder), last);
  }));

Deno.test("a text is found by its SHA-256, whatever was fetched later", () =>
  inFolder(async (folder) => {
    const text = "the one\n", sha256 = await sha256Hex(new TextEncoder().encode(text));
    assertEquals(await findCorpus({ sha256, folder }), undefined);
    const path = await storeText(folder, "b", text, "2026-01-01T00:00:00.000Z", 1);
    await storeText(folder, "c", "a later one", "2026-01-02T00:00:00.000Z", 2);
    assertEquals(await findCorpus({ sha256, folder }), path);
    await Deno.remove(path);
    assertEquals(await findCorpus({ sha256, folder }), undefined);
  }));

Deno.test("without a fetched text, the error names the command to run", () =>
  inFolder(async (folder) => {
    for (const place of [folder, join(folder, "none")]) {
      const { message } = await assertRejects(() => findLatestCorpus(place), UserError);
      assertMatch(message, /^Cannot find a text in .*: .*run "deno task fetch-data"/);
    }
  }));
