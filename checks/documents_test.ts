/** The documents name files, tasks and code that exist. */
import { assert, assertEquals } from "@std/assert";
import { dirname, fromFileUrl, join } from "@std/path";
import { samplers } from "../core/sampling/samplers/mod.ts";

const root = fromFileUrl(new URL("..", import.meta.url));
const read = (path: string) => Deno.readTextFile(join(root, path));
const exists = (path: string) => Deno.stat(join(root, path)).then(() => true, () => false);

function listFiles(folder: string): string[] {
  return [...Deno.readDirSync(join(root, folder))].flatMap(({ name, isDirectory }) =>
    isDirectory ? listFiles(`${folder}/${name}`) : `${folder}/${name}`
  );
}

const documents = ["README.md", "CHANGELOG.md", "core/README.md", "engines/README.md"];
for (const folder of ["docs", ".github"]) {
  for await (const { name } of Deno.readDir(join(root, folder))) {
    if (name.endsWith(".md")) documents.push(`${folder}/${name}`);
  }
}

for (const document of documents) {
  Deno.test(`${document} names files and tasks that exist`, async () => {
    const text = await read(document);
    const find = (pattern: RegExp) => Array.from(text.matchAll(pattern), ([, found]) => found);
    const links = find(/\]\(([^)#\s]+)/g).filter((link) => !link.includes(":"))
      .map((link) => join(dirname(document), link));
    const paths = find(/`((?:core|engines|files|tasks|checks|examples|docs|vendor)\/[\w./-]*)`/g);
    for (const path of [...links, ...paths]) assert(await exists(path), `there is no ${path}`);

    const tasks = Object.keys(JSON.parse(await read("deno.json")).tasks);
    for (const task of find(/deno task (?:--quiet )?([a-z][\w-]*)/g)) {
      assert(tasks.includes(task), `there is no task ${task}`);
    }
    const checks = Object.keys(JSON.parse(await read("checks/deno.json")).tasks);
    for (const task of find(/deno task --cwd checks ([a-z][\w-]*)/g)) {
      assert(checks.includes(task), `there is no check ${task}`);
    }
  });
}

Deno.test("comments name files that exist, by their path or from the file that names them", async () => {
  const files = ["engines", "files", "core", "tasks", "checks", "examples"].flatMap(listFiles);
  const missing: string[] = [];
  for (const file of files.filter((name) => /\.(tsx?|js)$/.test(name))) {
    const comments = (await read(file)).match(/\/\*\*[^]*?\*\/|(?<=^|\s)\/\/.*$/gm) ?? [];
    const names = comments.join("\n").matchAll(
      /(?<![\w./-])(?:[\w-]+\/)*[\w-]+\.(?:tsx?|js|css)\b/g,
    );
    for (const [name] of names) {
      const places = [name, join(dirname(file), name)];
      if (name.includes("/")) places.push(join(dirname(file), "..", name));
      const isThere = (await Promise.all(places.map(exists))).includes(true);
      if (!isThere && name !== "dist/index.js") missing.push(`${file}: ${name}`); // onnxruntime's
    }
  }
  assertEquals(missing, []);
});

Deno.test("the README's diff is the difference of the two files, and it has at most 170 lines", async () => {
  const batchOf = async (path: string) =>
    /^export function batch.*?^\}$/ms.exec(await read(path))![0].split("\n");
  const [gpt, diffusion] = [await batchOf("core/gpt.ts"), await batchOf("core/diffusion.ts")];
  const readme = await read("README.md");
  const shown = /^```diff\n(.*?)\n```$/ms.exec(readme)![1].split("\n");
  assertEquals(shown.filter((line) => line[0] !== "+").map((line) => line.slice(1)), gpt);
  assertEquals(shown.filter((line) => line[0] !== "-").map((line) => line.slice(1)), diffusion);
  assert(readme.split("\n").length <= 171, "the README has more than 170 lines");
});

Deno.test("docs/sampling.md has a row for each sampler", async () => {
  const rows = (await read("docs/sampling.md")).matchAll(/^\| `(\w[\w-]*)` +\|/gm);
  assertEquals(Array.from(rows, ([, name]) => name), Object.keys(samplers));
});
