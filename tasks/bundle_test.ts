import { assert, assertEquals, assertMatch } from "@std/assert";
import { dirname, join } from "@std/path";
import process from "node:process";
import { testOnUnix } from "../files/testing/system.ts";
import { type BundleFile, writeBundle } from "./bundle/archive.ts";
import { listParts } from "./bundle/contents.ts";
import { runProgram } from "./shared/process.ts";
import { inFolder, namesIn } from "./testing/task_process.ts";

const { signal } = new AbortController();

Deno.test("a bundle has this system's onnxruntime, no results, and tasks that use the cache only", async () => {
  const parts = await listParts(
    { engines: ["onnx"], withData: false, withWeights: false, out: "docs" },
    signal,
  );
  const places = parts.flatMap(({ links }) => Object.keys(links));
  const libraries = places.filter((place) => place.includes("napi-v6"));
  assertEquals(libraries.length, 1);
  assert(libraries[0].endsWith(join("napi-v6", process.platform, process.arch)), libraries[0]);
  for (const name of ["core/gpt.ts", "tasks/bundle/starter.sh", "deno.lock", ".offline/deno"]) {
    assert(places.includes(name), `${name} is missing`);
  }
  // "docs" stands for the folder that the bundle is written to.
  assertEquals(places.filter((place) => /^(data|weights|reports|docs)\b/.test(place)), []);
  const { texts } = parts.find(({ name }) => name === "sources")!;
  const { tasks } = JSON.parse(texts!["deno.json"]);
  assertMatch(tasks["sample"].command, /^deno run --cached-only --frozen --no-prompt /);
});

testOnUnix(
  "bundles",
  "what a setup has installed is taken along, with a record that is relative to it",
  () =>
    inFolder(async (folder) => {
      const write = async (path: string, text: string) => {
        await Deno.mkdir(dirname(join(folder, path)), { recursive: true });
        await Deno.writeTextFile(join(folder, path), text);
      };
      const wheel = join(folder, "wheel/site-packages/tensorflow");
      await write("wheel/site-packages/tensorflow/libtensorflow_cc.so.2", "");
      await write("wheel/site-packages/nvidia/cudnn/lib/libcudnn.so.9", "");
      await write("tensorflow/addon/b.node", `\0/nowhere\0${wheel}\0`);
      await write("onnx-cuda/library/libonnxruntime.so.1", "");
      const at = (path: string) => join(folder, path);
      const records = {
        "tensorflow": {
          version: "2.21",
          arch: "x86_64",
          addon: at("tensorflow/addon/b.node"),
          package: at("tensorflow/addon/package"),
          prefix: at("tensorflow"),
          cuda: true,
        },
        "onnx-cuda": {
          version: "1.30",
          folder: at("onnx-cuda/library"),
          packages: at("onnx-cuda/full"),
          prefix: at("onnx-cuda"),
        },
      };
      for (const [what, record] of Object.entries(records)) {
        await write(`${what}/installation.json`, JSON.stringify(record));
      }
      const variables = ["TINY_DIFFUSION_TENSORFLOW", "TINY_DIFFUSION_ONNX_CUDA"];
      const before = variables.map((name) => Deno.env.get(name));
      const restore = (values: (string | undefined)[]) =>
        variables.forEach((name, i) =>
          values[i] === undefined ? Deno.env.delete(name) : Deno.env.set(name, values[i])
        );
      try {
        restore([at("tensorflow"), at("onnx-cuda")]);
        const engines = ["tensorflow", "onnx:cuda"] as const;
        const parts = await listParts(
          { engines, withData: false, withWeights: false, out: "docs" },
          signal,
        );
        const partOf = (name: string) => parts.find((part) => part.name === name)!;
        const { links, texts } = partOf("tensorflow");
        const to = ".offline/tensorflow";
        assertEquals(
          links[`${to}/site-packages/tensorflow/libtensorflow_cc.so.2`],
          join(wheel, "libtensorflow_cc.so.2"),
        );
        assertEquals(links[`${to}/site-packages/nvidia`], at("wheel/site-packages/nvidia"));
        assertEquals(JSON.parse(texts![`${to}/installation.json`]), {
          ...records.tensorflow,
          addon: "tfjs_binding.node",
          package: "package",
          prefix: ".",
        });
        const cuda = partOf("onnx-cuda");
        assertEquals(
          cuda.links[".offline/onnx-cuda/packages/nvidia/cudnn/lib"],
          at("onnx-cuda/full/nvidia/cudnn/lib"),
        );
        assert(".offline/onnx-cuda/library/libonnxruntime.so.1" in cuda.links);
        const { folder: library, packages } = JSON.parse(
          cuda.texts![".offline/onnx-cuda/installation.json"],
        );
        assertEquals([library, packages], ["library", "packages"]);
      } finally {
        restore(before);
      }
    }),
);

/** Writes a bundle whose `deno` prints what it was started with. */
async function writeExample(folder: string, size = Infinity): Promise<BundleFile[]> {
  const deno = join(folder, "fake deno");
  const lines = ["#!/bin/sh", 'pwd; echo "$DENO_DIR"', 'printf "<%s>" "$@"'];
  await Deno.writeTextFile(deno, lines.join("\n"), { mode: 0o755 });
  const noise = join(folder, "noise.bin");
  await Deno.writeFile(noise, crypto.getRandomValues(new Uint8Array(20_000)));
  await Deno.writeTextFile(join(folder, "x.map"), "");
  const links = { ".offline/deno": deno, "noise.bin": noise, "x.map": join(folder, "x.map") };
  const parts = [{ name: "example", links, texts: { "data/a.txt": "a" } }];
  return await writeBundle(parts, join(folder, "the bundle"), size, signal);
}

const startIn = (folder: string, ...args: string[]) =>
  runProgram("sh", [join(folder, "the bundle/tiny-diffusion.sh"), ...args], { cwd: "/" });

testOnUnix(
  "sh, tar and xz",
  "a bundle in pieces unpacks once, and passes on a task's arguments",
  () =>
    inFolder(async (folder) => {
      const files = await writeExample(folder, 8000);
      assertEquals(files.map(({ path }) => path.replace(/^.*\//, "")), [
        "tiny-diffusion.sh",
        "tiny-diffusion.tar.xz.part-1-of-3",
        "tiny-diffusion.tar.xz.part-2-of-3",
        "tiny-diffusion.tar.xz.part-3-of-3",
      ]);
      const bundle = join(await Deno.realPath(folder), "the bundle");
      const project = join(bundle, "tiny-diffusion");
      const first = await startIn(folder, "sample", "--prompt", "O Romeo,  $HOME", "");
      assertEquals(first.code, 0, first.stderr);
      const expected = `${project}\n${project}/.offline/cache\n` +
        "<task><--quiet><sample><--prompt><O Romeo,  $HOME><>";
      assertEquals(first.stdout, expected);
      assertMatch(first.stderr, /^unpacking into /);
      assertEquals(namesIn(project).filter((name) => !name.startsWith(".")), [
        "data",
        "data/a.txt",
        "noise.bin", // and no source map
      ]);

      await Deno.remove(files[1].path);
      await Deno.writeTextFile(join(project, "data/a.txt"), "changed");
      const again = await startIn(folder, "eval");
      assertEquals([again.code, again.stderr], [0, ""]);
      assertEquals(await Deno.readTextFile(join(project, "data/a.txt")), "changed");
      assertEquals(namesIn(bundle).filter((name) => name.startsWith(".")), []);
    }),
);

testOnUnix(
  "sh, tar and xz",
  "what is missing or damaged, and another bundle's folder, is named in one line and changes nothing",
  () =>
    inFolder(async (folder) => {
      const [, archive] = await writeExample(folder);
      const bundle = join(folder, "the bundle");
      const bytes = await Deno.readFile(archive.path);
      const refused = async (says: RegExp) => {
        const names = namesIn(bundle);
        const { code, stdout, stderr } = await startIn(folder, "sample");
        assertEquals([code, stdout], [1, ""], stderr);
        assertMatch(stderr, says);
        assertEquals(namesIn(bundle), names);
      };
      await Deno.writeFile(archive.path, bytes.with(1000, bytes[1000] ^ 1));
      await refused(/^error: Cannot unpack: \S.*\.tar\.xz is damaged; copy it again\n$/);
      await Deno.remove(archive.path);
      await refused(
        /^error: Cannot unpack: \S.*\.tar\.xz is missing; copy all files of the bundle\n$/,
      );
      await Deno.writeFile(archive.path, bytes);
      assertEquals((await startIn(folder, "sample")).code, 0);

      await writeExample(folder);
      await refused(/^error: Cannot use \S.*: it was not unpacked from this bundle; move it/);

      const starter = join(bundle, "tiny-diffusion.sh");
      const text = await Deno.readTextFile(starter);
      await Deno.writeTextFile(starter, text.replace(/^system='.*'$/m, "system='Plan9 mips'"));
      await refused(
        /^error: Cannot run on .*: the bundle was made on Plan9 mips; make one on a machine/,
      );
    }),
);
