import { assert, assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { inFolder } from "../../files/testing/temporary_folder.ts";
import { missedCalls } from "./strace.ts";
import { listFaults, record, type Scenario, stage, tryFault, tryStream } from "./sweep.ts";

const config = fromFileUrl(new URL("../../tasks/deno.json", import.meta.url));
const files = new URL("../../files/write.ts", import.meta.url).href;

/**
 * A program that replaces old.json, and what a sweep finds wrong with it: a line each, with the
 * fault before it.
 */
async function sweepOf(program: string, kinds: RegExp, changes: Partial<Scenario> = {}) {
  const found: string[] = [];
  let missed: string[] | undefined;
  let faults = 0;
  await inFolder(async (root) => {
    const script = join(root, "program.ts");
    await Deno.writeTextFile(script, `import * as files from "${files}";\n${program}`);
    const scenario: Scenario = {
      name: "program",
      args: ["run", "--allow-all", "--no-check", "--config", config, "--frozen", script],
      prepare: (folder) => Deno.writeTextFile(join(folder, "old.json"), `["old"]`),
      ...changes,
    };
    const staged = await stage(scenario, root);
    const recording = await record(staged);
    missed = await missedCalls(staged, recording.calls);
    for (const stream of ["stderr", "stdout"] as const) {
      if (!kinds.test(stream)) continue;
      const wrong = await tryStream(staged, stream, "EIO", recording);
      found.push(...wrong.map((line) => `${stream}: ${line}`));
    }
    for (const fault of listFaults(recording.calls).filter(({ how }) => kinds.test(how))) {
      const { wrong } = await tryFault(staged, fault, recording);
      faults++;
      found.push(...wrong.map((line) => `${fault.how} ${fault.call}: ${line}`));
    }
  });
  return { found, missed, faults };
}

const bytes = `new TextEncoder().encode('["new", "and", "longer"]')`;
const told = (work: string) =>
  `try {
    ${work}
    console.log("{}");
  } catch (error) {
    console.error("error: " + error.message);
    Deno.exit(1);
  }`;

Deno.test("a program that writes whole files stands every fault, and no system call of it is missed", async () => {
  const work = told(`await files.writeFileAtomically("old.json", ${bytes});`);
  const { found, missed, faults } = await sweepOf(work, /ENOSPC|half/);
  assertEquals(found, []);
  assertEquals(missed ?? [], []); // where there is strace
  assertEquals(faults, 6 + 1); // open, truncate, write, sync, rename, sync of the folder; and half of the write
});

Deno.test("a program that writes in place is found out by half of a file, and one that does not explain by its message", async () => {
  const { found } = await sweepOf(
    `await Deno.writeTextFile("old.json", '["new"]'); console.log("{}");`,
    /half|EACCES/,
  );
  const saying = (words: RegExp) => found.filter((line) => words.test(line)).length;
  assertEquals(saying(/^half writeTextFile: old.json is not whole: /), 1, found.join("\n"));
  assertEquals(saying(/^EACCES writeTextFile: expected one line of error at the end/), 1);
});

Deno.test("files that are left over, an error that is hidden, and a lock that outlives its run are found", async () => {
  const { found } = await sweepOf(
    told(`
      if (await Deno.stat(".old.json.tmp").catch(() => null)) throw new Error("Cannot a: b; c");
      await Deno.writeFile(".old.json.tmp", ${bytes});
      await Deno.rename(".old.json.tmp", "old.json").catch(() => {});`),
    /after|EIO/,
  );
  const all = found.join("\n");
  assertMatch(all, /EIO rename: \.old\.json\.tmp is left over/);
  assertMatch(all, /EIO rename: old\.json differs/); // exit code 0, but not the work of an undisturbed run
  assertMatch(all, /after writeFile: the next run fails: error: Cannot a: b; c/);
});

Deno.test("a program that ends for want of its messages, and one that hides that its result is lost, are found", async () => {
  const { found } = await sweepOf(
    `Deno.stderr.writeSync(new Uint8Array(1));
    await files.writeFileAtomically("old.json", ${bytes});
    try {
      Deno.stdout.writeSync(new TextEncoder().encode("{}\\n"));
    } catch { /* hidden */ }`,
    /stdout|stderr/,
  );
  assertEquals(found, [
    "stderr: old.json differs",
    "stderr: exit code 1, expected 0",
    "stdout: exit code 0, expected 1",
  ]);
});

Deno.test("a system call that the counted calls don't explain is noticed (needs strace)", async () => {
  const { missed } = await sweepOf(
    `(await import("node:child_process")).execSync("echo '[1]' > other.json"); console.log("{}");`,
    /none/,
  );
  if (missed === undefined) return;
  assert(missed.some((call) => call === "openat other.json"), missed.join());
});
