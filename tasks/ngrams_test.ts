import {
  assertEquals,
  assertGreater,
  assertMatch,
  assertNotEquals,
  assertRejects,
} from "@std/assert";
import { join } from "@std/path";
import { seededRandom } from "../core/random.ts";
import { main as ngrams } from "./ngrams.ts";
import { main as writeSample } from "./sample.ts";
import { UsageError } from "./shared/flags.ts";
import {
  assertFailed,
  inFolder,
  inTrainedFolder,
  jsonOf,
  namesIn,
  runTaskIn,
} from "./testing/task_process.ts";
import { main as visualize } from "./visualize.ts";

const flags = ["--model", "gpt", "--engine", "onnx", "--threads", "1", "--length", "60"];
const sample = (folder: string, ...args: string[]) => jsonOf(folder, "sample", ...flags, ...args);
const tables = (folder: string) => namesIn(folder).filter((name) => name.endsWith(".gz"));

Deno.test("a GPT drafts from a stored table as from the text, and without both writes a character a pass", () =>
  inTrainedFolder(async (folder) => {
    const fromText = await sample(folder, "--data", "text.txt");
    assertEquals(fromText.drafts, 11);
    const stored = await jsonOf(folder, "ngrams", "--data", "text.txt");
    assertEquals(tables(folder), [stored.path]);
    const size = (await Deno.stat(join(folder, stored.path))).size;
    assertEquals(stored.bytes, size);
    await Deno.remove(join(folder, "text.txt"));

    const fromTable = await sample(folder);
    assertEquals(fromTable.samples[0].text, fromText.samples[0].text);
    assertEquals(fromTable.samples[0].forwards, fromText.samples[0].forwards);
    assertGreater(fromTable.samples[0].chars_per_forward, 1.02);

    const plain = await sample(folder, "--drafts", "0");
    assertEquals([plain.drafts, plain.samples[0].forwards], [0, 60]);
    assertNotEquals(plain.samples[0].text, fromText.samples[0].text);

    await Deno.remove(join(folder, stored.path));
    // Nor is a fetched text of use that is no longer what it was.
    await Deno.mkdir(join(folder, "data"));
    const info = { sha256: stored.corpus_sha256, fetched: "2026-01-01T00:00:00.000Z" };
    await Deno.writeTextFile(join(folder, "data/text.json"), JSON.stringify(info));
    await Deno.writeTextFile(join(folder, "data/text.txt"), "changed since");
    const without = await runTaskIn(folder, "sample", ...flags);
    assertEquals(without.code, 0);
    assertEquals(without.stdout.trimEnd(), plain.samples[0].text.trimEnd());
    assertMatch(without.stderr, /^note: no drafts, so one character in a pass: [^\n]+--data$/m);
    const copula = await runTaskIn(folder, "sample", "--sampler", "copula", "--length", "9");
    assertFailed(copula, 1, "Cannot use the sampler copula: it needs a table of n-grams, and the");
  }));

Deno.test("a diffusion model writes with the sampler copula where there is a table, and says which it takes without", () =>
  inTrainedFolder(async (folder) => {
    const flags = ["--length", "30", "--engine", "onnx", "--threads", "1"];
    const write = async (...args: string[]) => {
      const ended = await runTaskIn(folder, "sample", ...flags, ...args, "--json");
      assertEquals(ended.code, 0, ended.stderr);
      return {
        sampler: JSON.parse(ended.stdout).sampler,
        notes: ended.stderr.match(/^note: .*/gm),
      };
    };
    const [counted, original, without] = await Promise.all([
      write("--data", "text.txt"),
      write("--data", "text.txt", "--as-original"),
      write(),
    ]);
    assertEquals(counted, { sampler: "copula", notes: null });
    assertEquals(original, { sampler: "threshold", notes: null });
    assertEquals(without.sampler, "entropy");
    assertMatch(
      without.notes![0],
      /^note: sampler entropy, the best one without a table of n-grams:/,
    );
  }));

Deno.test("a damaged table of n-grams, or one of another text, is refused in a line", () =>
  inTrainedFolder(async (folder) => {
    const { path } = await jsonOf(folder, "ngrams", "--data", "text.txt");
    const bytes = await Deno.readFile(join(folder, path));
    await Deno.writeFile(join(folder, path), bytes.subarray(0, -9));
    const damaged = await runTaskIn(folder, "sample", ...flags);
    assertFailed(damaged, 1, `Cannot read "${path}" as a table of n-grams: it is not gzip data`);

    const other = Array.from({ length: 99 }, (_, i) => String.fromCharCode(97 + i % 7)).join("");
    await Deno.writeTextFile(join(folder, "other.txt"), other);
    const { path: otherPath } = await jsonOf(folder, "ngrams", "--data", "other.txt");
    await Deno.rename(join(folder, otherPath), join(folder, path));
    const mistaken = await runTaskIn(folder, "sample", ...flags);
    assertFailed(mistaken, 1, `Cannot use "${path}": its n-grams are those of another text`);
  }));

Deno.test("drafts are refused for a diffusion model, for the original's way, and without the GPT to watch", async () => {
  const refused: [task: (args: string[]) => Promise<void>, flags: string[], says: string][] = [
    [writeSample, ["--model", "diffusion"], "with --model diffusion"],
    [writeSample, ["--model", "gpt", "--as-original"], "with --as-original"],
    [visualize, ["--compare", "--as-original"], "with --as-original"],
    [visualize, [], "without --compare"],
  ];
  for (const [task, flags, says] of refused) {
    const use = () => task([...flags, "--drafts", "3"]);
    await assertRejects(use, UsageError, `Cannot use --drafts ${says}`);
  }
});

Deno.test("a table that would be larger than its limit is not stored", () =>
  inFolder(async (folder) => {
    const random = seededRandom(1);
    const text = Array.from({ length: 350_000 }, () => 0x4e00 + random.integer(1000));
    const path = join(folder, "kinds.txt");
    await Deno.writeTextFile(path, text.map((code) => String.fromCharCode(code)).join(""));
    let refused = "";
    await ngrams(["--data", path, "--folder", folder]).catch(({ message }) => refused = message);
    assertMatch(
      refused,
      /^Cannot store the n-grams of .*: they take 2\d{6} bytes, expected at most/,
    );
    assertEquals(namesIn(folder), ["kinds.txt"]);
  }));
