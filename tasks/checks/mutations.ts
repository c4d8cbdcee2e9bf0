/**
 * Breaks the code on purpose, one line at a time, and expects a test to turn red each time: what
 * survives is what no test sees.
 *
 *   deno task check-mutations [PART OF A NAME]
 *
 * It works on a copy of the project in a temporary folder. The table is in `mutations/table.ts`.
 * Exit code 1 if a mutation survives, does not fit the code any more, or breaks more than it
 * should, so that no test even starts.
 */
import { fromFileUrl, join } from "@std/path";
import { type Mutation, mutations } from "./mutations/table.ts";

/** A mutated loop may never end. */
const PATIENCE_MS = 300_000;

const project = fromFileUrl(new URL("../..", import.meta.url));
const chosen = mutations.filter(({ name }) => name.includes(Deno.args[0] ?? ""));
if (chosen.length === 0 || Deno.args.length > 1) {
  console.error("error: usage: deno task check-mutations [PART OF A NAME]; none has that");
  Deno.exit(2);
}

/** What tests and code need; not the weights and results, which may be large. */
const parts = ["core", "tasks", "std", "deno.json", "deno.lock", "README.md", "docs"];

async function copy(from: string, to: string): Promise<void> {
  const { isDirectory } = await Deno.stat(from);
  if (!isDirectory) return await Deno.copyFile(from, to);
  await Deno.mkdir(to);
  for await (const { name } of Deno.readDir(from)) await copy(join(from, name), join(to, name));
}

/** The text with the mutation in it. */
function mutated({ name, file, from, to }: Mutation, text: string): string {
  const places = text.split(from).length - 1;
  if (places === 1) return text.replace(from, () => to);
  throw new Error(
    `Cannot mutate ${file} (${name}): ${
      JSON.stringify(from)
    } occurs ${places} times, expected once; ` +
      "adapt tasks/checks/mutations/table.ts",
  );
}

type Outcome = { kind: "green" } | { kind: "red"; by: string } | { kind: "broken"; output: string };

/** Runs tests, as `FILE` or `FILE#PART OF A TEST'S NAME`, up to the first that fails. */
async function run(folder: string, tests: string[]): Promise<Outcome> {
  for (const test of tests) {
    const [file, filter] = test.split("#");
    const { success, signal, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        ...["test", "--no-prompt", "--allow-all", "--no-check", "--fail-fast"],
        ...filter === undefined ? [] : [`--filter=${filter}`],
        file,
      ],
      cwd: folder,
      // Engines share what is mutated here, so one of them is enough.
      env: { ENGINES: "onnx", NO_COLOR: "1" },
      signal: AbortSignal.timeout(PATIENCE_MS),
    }).output();
    const output = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    if (success && !/^ok \| [1-9]/m.test(output)) return { kind: "broken", output }; // none matched
    if (success) continue;
    const failed = /^(.+?) \.\.\. FAILED/m.exec(output)?.[1];
    if (signal === null && failed === undefined) return { kind: "broken", output };
    return { kind: "red", by: failed ?? `${test}, which does not end` };
  }
  return { kind: "green" };
}

const folder = await Deno.makeTempDir({ prefix: "mutations-" });
let killed = 0;
const start = performance.now();
try {
  // The copy has the same place in the tree, so that links lead to the same things.
  for (const part of parts) await copy(join(project, part), join(folder, part));
  for (const one of mutations) mutated(one, await Deno.readTextFile(join(folder, one.file)));

  for (const test of new Set(chosen.flatMap(({ tests }) => tests))) {
    const outcome = await run(folder, [test]);
    if (outcome.kind === "green") continue;
    console.log(outcome.kind === "broken" ? outcome.output : outcome.by);
    throw new Error(`Cannot mutate: ${test} is red without any mutation; make it green first`);
  }
  for (const one of chosen) {
    const path = join(folder, one.file), text = await Deno.readTextFile(path);
    await Deno.writeTextFile(path, mutated(one, text));
    const outcome = await run(folder, one.tests);
    await Deno.writeTextFile(path, text);
    if (outcome.kind === "red") {
      killed++;
      console.log(`killed    ${one.name}: by "${outcome.by}"`);
    } else {
      console.log(
        `${outcome.kind === "green" ? "SURVIVED" : "BROKEN  "}  ${one.name} (${one.file})`,
      );
      if (outcome.kind === "broken") {
        console.log(outcome.output.trimEnd().replaceAll(/^/gm, "    "));
      }
    }
  }
  const minutes = ((performance.now() - start) / 60_000).toFixed(1);
  console.log(`${killed} of ${chosen.length} killed in ${minutes} minutes`);
} catch (error) {
  console.error(`error: ${(error as Error).message}`);
} finally {
  await Deno.remove(folder, { recursive: true });
}
Deno.exit(killed === chosen.length ? 0 : 1);
