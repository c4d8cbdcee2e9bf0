/**
 * Imports point one way. The table says in which order; every import counts, also dynamic ones and
 * those of types only. Tests and what serves them (`testing/`, `checks/`) may import anything.
 */
import { assert, assertEquals } from "@std/assert";
import { existsSync } from "node:fs";
import { fromFileUrl, join, relative, toFileUrl } from "@std/path";

/** Files and folders from the lowest layer up. A file may import from its own layer and below. */
const layers = [
  ["vendor/std/"],
  ["engines/"],
  ["files/"],
  ["core/config.ts", "core/random.ts", "core/event_loop.ts"],
  ["core/data/", "core/dropout.ts", "core/ngrams/"],
  ["core/model.ts"],
  ["core/language_model.ts", "core/checkpoint_schema.ts"],
  ["core/programs.ts", "core/foreign_weights.ts"],
  ["core/checkpoint_format.ts", "core/causal_mode.ts", "core/checkpoint.ts"],
  ["core/sampling/", "core/scoring/"],
  ["core/gpt.ts", "core/training/"],
  ["core/diffusion.ts"],
  ["core/models.ts"],
  ["core/mod.ts"],
  ["core/testing/", "examples/"],
  ["tasks/shared/"],
  [
    "tasks/bench/",
    "tasks/bundle/",
    "tasks/eval/",
    "tasks/fetch_data/",
    "tasks/page/",
    "tasks/quality/",
    "tasks/report/",
    "tasks/setup/",
    "tasks/train/",
    "tasks/visualize/",
  ],
  ["tasks/check_gpu/"],
  ["tasks/"],
  ["checks/"],
];

type Import = [from: string, to: string];

const root = fromFileUrl(new URL("..", import.meta.url));
const imports = await readImports();

Deno.test("every file has a layer, and imports point down", () => {
  assert(imports.length > 1000, `${imports.length} imports`);
  const files = [...new Set(imports.flat())];
  assertEquals(files.filter((file) => layerOf(file) < 0 && !isTest(file)), []);
  assertEquals(findUpwardImports(imports), []);
});

Deno.test("only tests and checks import from testing/", () => {
  assertEquals(findTestHelpers(imports), []);
});

Deno.test("no file imports itself by way of others", () => {
  assertEquals(findCircle(imports), []);
});

Deno.test("no package imports itself by way of others", () => {
  assertEquals(findCircle(betweenPackages(imports)), []);
});

Deno.test("an import in the wrong direction is found", () => {
  for (
    const planted of [
      ["engines/mod.ts", "files/read.ts"],
      ["files/write.ts", "core/random.ts"],
      ["core/config.ts", "core/model.ts"],
      ["core/model.ts", "core/gpt.ts"],
      ["tasks/shared/flags.ts", "tasks/report/page.ts"],
      ["tasks/setup/python.ts", "tasks/sample.ts"],
      ["tasks/sample.ts", "checks/memory.ts"],
    ] as Import[]
  ) {
    assertEquals(findUpwardImports([planted]), [planted.join(" -> ")]);
  }
  const helper: Import = ["tasks/sample.ts", "tasks/testing/task_process.ts"];
  assertEquals(findTestHelpers([helper]), [helper.join(" -> ")]);
  assertEquals(findTestHelpers([["tasks/sample_test.ts", helper[1]]]), []);
  const circle: Import[] = [["a/1.ts", "b/1.ts"], ["b/1.ts", "c/1.ts"], ["c/1.ts", "a/1.ts"]];
  assertEquals(findCircle(circle), ["a/1.ts", "b/1.ts", "c/1.ts", "a/1.ts"]);
  const through: Import[] = [["core/a/1.ts", "core/b/1.ts"], ["core/b/2.ts", "core/a/2.ts"]];
  assertEquals(findCircle(through), []);
  assertEquals(findCircle(betweenPackages(through)), ["core/a", "core/b", "core/a"]);
});

/** Reads the imports between files of this project with Deno's own parser. */
async function readImports(): Promise<Import[]> {
  const files = ["engines", "files", "core", "tasks", "checks", "examples"].flatMap(listSources);
  const all = files.map((file) => `import ${JSON.stringify(toFileUrl(join(root, file)))};`);
  const entry = `data:text/typescript,${encodeURIComponent(all.join(""))}`;
  const args = ["info", "--json", "--no-lock", "--config", join(root, "deno.json"), entry];
  const { stdout } = await new Deno.Command(Deno.execPath(), { args }).output();
  const { modules } = JSON.parse(new TextDecoder().decode(stdout)) as ModuleGraph;
  const known = new Set(files);
  const found = modules.flatMap(({ specifier, dependencies = [] }) => {
    const targets = dependencies.flatMap(({ code, type }) => [code?.specifier, type?.specifier]);
    const from = pathIn(specifier);
    return [...new Set(targets.map(pathIn))].map((to): Import => [from, to]);
  });
  return found.filter(([from, to]) => known.has(from) && known.has(to));
}

interface ModuleGraph {
  modules: {
    specifier: string;
    dependencies?: { code?: { specifier?: string }; type?: { specifier?: string } }[];
  }[];
}

/** A module's path in the project; "" if it is elsewhere. */
function pathIn(specifier = ""): string {
  if (!specifier.startsWith("file:")) return "";
  const path = relative(root, fromFileUrl(specifier)).replaceAll("\\", "/");
  return path.startsWith("..") ? "" : path;
}

function listSources(folder: string): string[] {
  if (!existsSync(join(root, folder))) return [];
  return [...Deno.readDirSync(join(root, folder))].flatMap(({ name, isDirectory }) => {
    const path = `${folder}/${name}`;
    return isDirectory ? listSources(path) : /\.([jt]sx?)$/.test(name) ? [path] : [];
  });
}

const isTest = (file: string) => /_test\.tsx?$|\/testing\//.test(file);

/** The layer with the longest entry that fits; -1 for none. */
function layerOf(file: string): number {
  const entries = layers.flatMap((names, layer) => names.map((name) => ({ name, layer })))
    .filter(({ name }) => file.startsWith(name))
    .sort((a, b) => b.name.length - a.name.length);
  return entries[0]?.layer ?? -1;
}

function findUpwardImports(imports: Import[]): string[] {
  return imports.filter(([from, to]) => !isTest(from) && layerOf(to) > layerOf(from))
    .map((pair) => pair.join(" -> "));
}

function findTestHelpers(imports: Import[]): string[] {
  return imports.filter(([from, to]) => isTest(to) && !isTest(from) && !from.startsWith("checks/"))
    .map((pair) => pair.join(" -> "));
}

/** The package of a file: the folder in its member; in the root of a member, the file itself. */
function packageOf(file: string): string {
  return file.split("/").slice(0, 2).join("/");
}

function betweenPackages(imports: Import[]): Import[] {
  return imports.filter(([from, to]) =>
    !isTest(from) && !isTest(to) && packageOf(from) !== packageOf(to)
  )
    .map(([from, to]) => [packageOf(from), packageOf(to)]);
}

/** Finds a way from somewhere back to there; empty if there is none. */
function findCircle(imports: Import[]): string[] {
  const targets = Map.groupBy(imports, ([from]) => from);
  const done = new Set<string>();
  const visit = (node: string, path: string[]): string[] => {
    if (path.includes(node)) return [...path.slice(path.indexOf(node)), node];
    if (done.has(node)) return [];
    for (const [, to] of targets.get(node) ?? []) {
      const circle = visit(to, [...path, node]);
      if (circle.length > 0) return circle;
    }
    done.add(node);
    return [];
  };
  for (const node of targets.keys()) {
    const circle = visit(node, []);
    if (circle.length > 0) return circle;
  }
  return [];
}
