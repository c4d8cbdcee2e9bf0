import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import fc from "fast-check";
import { inFolder } from "../../files/testing/temporary_folder.ts";
import { UserError } from "../../engines/errors.ts";
import { parseResult, type SampleResult } from "../shared/results.ts";
import {
  exampleEvaluation,
  exampleQuality,
  exampleRun,
  exampleSample,
  writeExample,
} from "../testing/example_results.ts";
import { parseRun, readResults } from "./read_results.ts";

const small = () => exampleSample("diffusion", { text: "AB: wind 😀\n", prompt: "AB:" });

Deno.test("parseResult gives back what was written, characters beyond the BMP included", () => {
  const others = [exampleEvaluation("diffusion"), exampleQuality("diffusion")];
  for (const result of [small(), exampleSample("gpt"), ...others]) {
    assertEquals(parseResult(JSON.stringify(result)), result);
  }
});

Deno.test("parseResult refuses any JSON that is not a result with nothing but a UserError", () => {
  fc.assert(fc.property(fc.json(), (json) => {
    assertThrows(() => parseResult(json), UserError);
  }));
});

/** The paths of all fields and items in a value, such as ["samples", "0", "seed"]. */
function paths(value: unknown): string[][] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap((
    [key, item],
  ) => [[key], ...paths(item).map((rest) => [key, ...rest])]);
}

Deno.test("parseResult notices every required field that is replaced by something of another kind", () => {
  const free = new Set(["settings", "versions", "commit"]); // may hold anything or nothing
  // the page uses only the shape of the network; other settings may change with the version
  const shape = new Set(["kind", "preset", "layers", "heads", "width", "context"]);
  for (const result of [small(), exampleEvaluation("diffusion"), exampleQuality("diffusion")]) {
    const all = paths(result).filter((path) =>
      !path.some((key) => free.has(key)) &&
      (!path.includes("config") || path.at(-1) === "config" || shape.has(path.at(-1)!))
    );
    for (const path of all) {
      const copy = structuredClone(result) as unknown as Record<string, unknown>;
      const parent = path.slice(0, -1).reduce(
        (node, key) => node[key] as Record<string, unknown>,
        copy,
      );
      parent[path.at(-1)!] = [["no such thing"]];
      assertThrows(() => parseResult(JSON.stringify(copy)), UserError, undefined, path.join("."));
    }
  }
});

Deno.test("a problem is one short line, whatever the names and values in the file", () =>
  inFolder(async (folder) => {
    const deep = "[".repeat(20_000) + "]".repeat(20_000);
    const result = (settings: string) =>
      JSON.stringify(small()).replace(/"settings":\{[^}]*\}/, `"settings":${settings}`);
    const hostile = {
      "deep": `{"kind":${deep}}`, // too deep to be shown as JSON again
      "name": result(JSON.stringify({ ["a\n\x1b[2J" + "b".repeat(1e5)]: [] })),
      "value": `{"kind":${JSON.stringify("\u202e\x9b".repeat(1e5))}}`,
    };
    await Deno.mkdir(join(folder, "results"));
    for (const [name, json] of Object.entries(hostile)) {
      await Deno.writeTextFile(join(folder, "results", `${name}.json`), json);
    }
    const { problems } = await readResults(folder);
    assertEquals(problems.length, 3);
    for (const problem of problems) {
      assert(problem.length < 1000 && !/[\p{Cc}\p{Cf}]/u.test(problem), JSON.stringify(problem));
    }
    assertStringIncludes(problems[0], "kind is a list, expected sample or evaluation");
  }));

Deno.test("parseResult refuses a sample whose steps don't lead to its text", () => {
  const damage = (change: (result: SampleResult) => void) => {
    const result = small();
    change(result);
    return JSON.stringify(result);
  };
  const changes = (result: SampleResult) => result.samples[0].steps[0].changes;
  const lastChanges = (result: SampleResult) => result.samples[0].steps.at(-1)!.changes;
  for (
    const [what, json] of [
      ["another character", damage((result) => lastChanges(result)[0][1] = "#")],
      ["a position beyond the end", damage((result) => changes(result)[0][0] = 99)],
      [
        "masked again at the end",
        damage((result) => {
          const [position] = changes(result)[0];
          result.samples[0].steps.push({ seconds: 9, changes: [[position, "", 0]] });
        }),
      ],
    ] as const
  ) {
    assertThrows(() => parseResult(json), UserError, "don't lead to its text", what);
  }
});

Deno.test("parseRun skips what a killed process left torn, and keeps all the rest", () => {
  const log = exampleRun("gpt");
  const whole = parseRun("x", log);
  for (let cut = 1; cut < 60; cut++) {
    const torn = parseRun("x", log.slice(0, -cut));
    const lost = whole.train.length - torn.train.length +
      whole.validation.length - torn.validation.length +
      whole.samples.length - torn.samples.length;
    assertEquals(lost, cut === 1 ? 0 : 1, `cut by ${cut}`);
  }
  const goesOn = log.slice(0, -30) + log.split("\n")[2] + "\n"; // glued to the torn line
  assertEquals(parseRun("x", goesOn).train.length, whole.train.length);
});

Deno.test("parseRun takes the later lines where a resumed run wrote steps twice", () => {
  const [header, ...lines] = exampleRun("diffusion").trimEnd().split("\n");
  const before = lines.slice(0, 100);
  const again = lines.slice(50);
  const changed = again.map((line) => line.replace(/"learningRate":0.001/, '"learningRate":0.5'));
  const run = parseRun("x", [header, ...before, header, ...changed].join("\n"));
  const once = parseRun("x", [header, ...lines].join("\n"));
  assertEquals(run.train.map(({ step }) => step), once.train.map(({ step }) => step));
  assertEquals(run.validation, once.validation);
  assertEquals(run.train.at(-1)!.learningRate, 0.5);
});

Deno.test("parseRun leaves out the losses of a run that diverged", () => {
  const log = exampleRun("gpt").replace(/"bpc":[\d.]+/, '"bpc":null').replace(
    /"lossNats":[\d.]+/,
    '"lossNats":null',
  );
  const whole = parseRun("x", exampleRun("gpt"));
  const run = parseRun("x", log);
  assertEquals(run.train, whole.train.slice(1));
  assertEquals(run.validation, whole.validation.slice(1));
});

Deno.test("readResults notes each broken file in one line and reads the others", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await writeExample(folder);
    const results = join(folder, "reports", "results");
    const runs = join(folder, "reports", "runs");
    const broken = {
      [join(results, "half.json")]: JSON.stringify(small()).slice(0, 200),
      [join(results, "empty.json")]: "",
      [join(results, "other.json")]: '{"kind":"sample"}',
      [join(runs, "empty.jsonl")]: "",
      [join(runs, "torn.jsonl")]: exampleRun("gpt").slice(0, 40),
    };
    for (const [path, content] of Object.entries(broken)) await Deno.writeTextFile(path, content);
    await Deno.mkdir(join(results, "folder.json"));
    const found = await readResults(join(folder, "reports"));
    assertEquals([found.samples.length, found.evaluations.length, found.runs.length], [2, 2, 2]);
    assertEquals(found.problems.length, Object.keys(broken).length);
    for (const path of Object.keys(broken)) {
      const problem = found.problems.find((line) => line.includes(JSON.stringify(path)));
      assertStringIncludes(problem ?? `nothing about ${path}`, "Cannot use");
      assertEquals(problem!.includes("\n"), false);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("readResults finds nothing, and no problem, where there are no folders", async () => {
  const folder = await Deno.makeTempDir();
  const nothing = { samples: [], evaluations: [], quality: [], runs: [], problems: [] };
  assertEquals(await readResults(join(folder, "reports")), nothing);
  await Deno.remove(folder);
});

Deno.test("results and logs of version 1.0.0 are read whole", async () => {
  const folder = fromFileUrl(new URL("../testing/data/1.0.0", import.meta.url));
  const { samples, evaluations, quality, runs, problems } = await readResults(folder);
  assertEquals(problems, []);
  assertEquals([samples, evaluations, quality, runs].map(({ length }) => length), [2, 1, 1, 2]);
  for await (const { name } of Deno.readDir(join(folder, "results"))) {
    const json = await Deno.readTextFile(join(folder, "results", name));
    assertEquals(parseResult(json), JSON.parse(json), name);
  }
  for (const { file, header, train, validation } of runs) {
    const log = (await Deno.readTextFile(file)).trimEnd().split("\n");
    const [first, ...lines] = log.map((line) => JSON.parse(line));
    assertEquals(header, first);
    assertEquals(train, lines.filter(({ kind }) => kind === "train"));
    assertEquals(validation, lines.filter(({ kind }) => kind === "validation"));
  }
});
