import { assert, assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { readSafetensors, writeSafetensors } from "../../files/safetensors.ts";
import { writeZip } from "../../files/zip.ts";
import {
  assertFailed,
  exampleText,
  inFolder,
  jsonOf,
  namesIn,
  runTaskIn,
  writeWeights,
} from "../testing/task_process.ts";
import { findDefaultWeights } from "./weights.ts";

const testdata = fromFileUrl(new URL("../../core/testing/data/", import.meta.url));
const engine = ["--engine", "onnx", "--threads", "1"];
const utf8 = (text: string) => new TextEncoder().encode(text);

Deno.test("weights that are damaged, hostile or another model's are refused in one line, and nothing of them runs", () =>
  inFolder(async (folder) => {
    await writeWeights(folder);
    const path = (name: string) => join(folder, name);
    const good = await Deno.readFile(path("weights/gpt-smoke.safetensors"));
    const { tensors, metadata } = readSafetensors(good);
    const head = tensors["lm_head.weight"];
    const changed = (entry: Partial<typeof head>) =>
      writeSafetensors({ ...tensors, "lm_head.weight": { ...head, ...entry } }, metadata);
    const header = new Uint8Array(good);
    header.set(utf8("x"), 8); // the first byte of the JSON
    const nan = new Float32Array(head.data);
    nan[5] = NaN;
    const { "lm_head.weight": _, ...headless } = tensors;
    const pickle = (code: string) =>
      writeZip([
        { name: "x/data.pkl", data: utf8(code) },
        { name: "x/version", data: utf8("3\n") },
      ]);
    const owned = path("owned");

    const files: [name: string, content: Uint8Array, says: string][] = [
      ["empty.safetensors", new Uint8Array(), "0 bytes"],
      ["truncated.safetensors", good.subarray(0, good.length - 1000), "truncated.safetensors"],
      ["header.safetensors", header, "the header is not JSON"],
      ["text.safetensors", utf8("not weights at all, but a long enough text"), "text.safetensors"],
      ["rows.safetensors", changed({ shape: [13, 160] }), "is [13, 160], expected [65, 32]"],
      [
        "integers.safetensors",
        changed({ data: new Int32Array(head.data.length) }),
        '"lm_head.weight" holds integers, expected floats',
      ],
      ["nan.safetensors", changed({ data: nan }), '"lm_head.weight" holds NaN at position 5'],
      [
        "missing.safetensors",
        writeSafetensors(headless, metadata),
        '"lm_head.weight" is missing, expected [65, 32]',
      ],
      ["system.pt", pickle(`cposix\nsystem\n(S'touch ${owned}'\ntR.`), "posix"],
      ["eval.pt", pickle(`c__builtin__\neval\n(S'open("${owned}","w")'\ntR.`), "eval"],
      ["torn.pt", (await Deno.readFile(`${testdata}gpt.pt`)).subarray(0, 9000), "torn.pt"],
      ["plain.pt", utf8("weights"), "plain.pt"],
    ];
    for (const [name, content] of files) await Deno.writeFile(path(name), content);
    await Deno.mkdir(path("folder.safetensors"));
    const other = await runTaskIn(folder, "sample", "--weights", "weights/gpt-smoke.safetensors");
    assertFailed(other, 1, "these are GPT weights, try --model gpt");

    const cases = [
      ...files.map(([name, , says]) => [name, says]),
      ["none.safetensors", "no such file; check the path"],
      ["folder.safetensors", "it is a folder"],
    ];
    const before = namesIn(folder);
    const flags = ["--model", "gpt", "--data", "text.txt", "--heads", "2", "--block-size", "24"];
    const ended = await Promise.all(
      cases.map(([name]) => {
        const all = name.endsWith(".pt") ? flags : flags.slice(0, 4);
        return runTaskIn(folder, "sample", ...all, "--weights", name);
      }),
    );
    ended.forEach((end, i) => assertFailed(end, 1, cases[i][1]));
    assertEquals(namesIn(folder), before);
  }));

for (const model of ["gpt", "diffusion"] as const) {
  Deno.test(`the original's ${model}.pt writes and is scored, given its heads, context and text`, () =>
    inFolder(async (folder) => {
      await Deno.writeTextFile(join(folder, "text.txt"), exampleText());
      const pt = `${testdata}${model}.pt`;
      const named = ["--model", model, "--weights", pt, ...engine, "--data", "text.txt"];
      const flags = [...named, "--heads", "2", "--block-size", "24"];
      const [{ samples: [{ text }] }, { rows: [, , , row] }, unknown] = await Promise.all([
        jsonOf(folder, "sample", ...flags, "--prompt", "First", "--length", "60"),
        jsonOf(folder, "eval", ...flags, "--blocks", "4", "--passes", "2"),
        runTaskIn(folder, "sample", ...named, "--heads", "3"),
      ]);
      assertEquals([text.slice(0, 5), text.length], ["First", 65]);
      assertEquals([row.model, row.weights, row.context], [model, pt, 24]);
      // These weights are hardly trained: they cost about as much as knowing nothing, log2(65) =
      // 6.02 bits.
      assert(Math.abs(row.bpc - Math.log2(65)) < 0.5, `${row.bpc}`);
      assertFailed(unknown, 1, "width 32 is not a multiple of 2 * heads (3)");
      const some = ["--prompt", "First", "--length", "2"];
      const [none, heads, both] = await Promise.all([
        runTaskIn(folder, "sample", ...named, ...some),
        runTaskIn(folder, "sample", ...named, ...some, "--heads", "2"),
        runTaskIn(folder, "sample", ...flags, ...some),
      ]);
      assertMatch(none.stderr, /^weights: .* \(2 layers, 1 head, 32 wide, context 256\)$/m);
      assertMatch(
        none.stderr,
        /^note: heads and context are not in a \.pt file: 1 and 256 assumed; --heads, --block-size$/m,
      );
      assertMatch(
        heads.stderr,
        /^note: context is not in a \.pt file: 256 assumed; --block-size$/m,
      );
      assert(!both.stderr.includes("assumed"), both.stderr);

      await Deno.writeTextFile(join(folder, "text.txt"), "abc ".repeat(100));
      const wrong = await runTaskIn(folder, "sample", ...flags);
      assertFailed(
        wrong,
        1,
        "for the 4 characters of the text; give the text that it was trained on",
      );
    }));
}

Deno.test("a text with other line ends is read as the original reads it, and never as another model's", () =>
  inFolder(async (folder) => {
    await Deno.writeTextFile(join(folder, "lf.txt"), exampleText());
    await Deno.writeTextFile(join(folder, "crlf.txt"), exampleText().replaceAll("\n", "\r\n"));
    const [gpt, diffusion] = ["gpt", "diffusion"].map((kind) => `${testdata}${kind}.pt`);
    const shape = ["--heads", "2", "--block-size", "24"];
    const x = join(folder, "x.safetensors");
    const made = await runTaskIn(
      folder,
      "convert",
      diffusion,
      x,
      "--model=diffusion",
      "--data=crlf.txt",
      ...shape,
    );
    assertEquals(made.code, 0, made.stderr);
    assertMatch(made.stderr, /^note: crlf\.txt is read as Python reads it/m);
    const few = ["--blocks", "4", "--passes", "2", ...engine];
    const rows = async (...args: string[]) => {
      const { rows } = await jsonOf(folder, "eval", ...args, ...few);
      return rows.map(({ weights: _, ...row }: { weights: string }) => row);
    };
    const nelbo = ["--model", "diffusion", "--estimator", "nelbo"];
    const [theirs, ours, bound, same, converted] = await Promise.all([
      rows("--weights", gpt, "--data", "lf.txt", ...shape),
      rows("--weights", gpt, "--data", "crlf.txt", ...shape),
      rows("--weights", diffusion, "--data", "lf.txt", ...nelbo, ...shape),
      rows("--weights", diffusion, "--data", "crlf.txt", ...nelbo, ...shape),
      rows("--weights", x, "--data", "crlf.txt", "--estimator", "nelbo"),
    ]);
    assertEquals(ours, theirs);
    assertEquals(same, bound);
    assertEquals(converted, bound);
    for (const model of [["--model", "gpt"], []]) {
      const crlf = ["--data", "crlf.txt", ...shape, ...model];
      const refused = await runTaskIn(folder, "eval", "--weights", diffusion, ...crlf);
      assertFailed(refused, 1, "fits a diffusion model of the characters of the text as Python");
    }
  }));

Deno.test("without --weights the project's own are taken, else those trained last, and stderr says which", () =>
  inFolder(async (folder) => {
    await writeWeights(folder);
    const copy = (name: string, secondsAgo: number) => {
      Deno.copyFileSync(
        join(folder, "weights/gpt-smoke.safetensors"),
        join(folder, "weights", name),
      );
      const time = Date.now() / 1000 - secondsAgo;
      Deno.utimeSync(join(folder, "weights", name), time, time);
    };
    copy("gpt-old.safetensors", 200);
    copy("gpt-new.safetensors", -200);
    copy("gpt-new.training.safetensors", -300);
    copy(".gpt-new.safetensors.tmp", -300);
    copy("diffusion-new.pt", -300);
    const chosen = async () => {
      const { code, stderr } = await runTaskIn(
        folder,
        "sample",
        "--model=gpt",
        "--length=0",
        ...engine,
      );
      assertEquals(code, 0, stderr);
      return /^weights: (\S+) \(2 layers, 2 heads, 32 wide, context 32\)$/m.exec(stderr)?.[1];
    };
    assertEquals(await chosen(), "weights/gpt-new.safetensors");
    copy("gpt.safetensors", 400);
    assertEquals(await chosen(), "weights/gpt.safetensors");
    for (const { name } of Deno.readDirSync(join(folder, "weights"))) {
      Deno.utimeSync(join(folder, "weights", name), 0, 0); // as in an image of a container
    }
    assertEquals(await chosen(), "weights/gpt.safetensors");
    Deno.removeSync(join(folder, "weights/gpt.safetensors"));
    assertMatch(await chosen() ?? "none", /^weights\/gpt-(old|new|smoke)\.safetensors$/);
  }));

Deno.test("findDefaultWeights takes the export trained last, never a state or what a later run has replaced", () =>
  inFolder(async (folder) => {
    const names = ["a", "b", "c.training", "d.previous", "e.previous.training"];
    for (const [i, name] of names.entries()) {
      const path = join(folder, "weights", `gpt-${name}.safetensors`);
      await Deno.mkdir(join(folder, "weights"), { recursive: true });
      await Deno.writeTextFile(path, "");
      await Deno.utime(path, 1000 + i, 1000 + i);
    }
    const before = Deno.cwd();
    Deno.chdir(folder);
    try {
      assertEquals(await findDefaultWeights("gpt"), "weights/gpt-b.safetensors");
    } finally {
      Deno.chdir(before);
    }
  }));

Deno.test("findDefaultWeights finds none where there is no folder, or a file in its place", () =>
  inFolder(async (folder) => {
    const before = Deno.cwd();
    Deno.chdir(folder);
    try {
      assertEquals(await findDefaultWeights("gpt"), undefined);
      await Deno.writeTextFile("weights", "");
      assertEquals(await findDefaultWeights("gpt"), undefined);
    } finally {
      Deno.chdir(before);
    }
  }));
