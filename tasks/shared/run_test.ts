import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { stripAnsiCode } from "@std/fmt/colors";
import { fromFileUrl } from "@std/path";
import { testOnUnix } from "../../files/testing/system.ts";
import { UserError } from "../../engines/errors.ts";
import { UsageError } from "./flags.ts";
import { describeError, Interrupted } from "./run.ts";

const described = (error: unknown) => stripAnsiCode(describeError(error)); // tests may run on a terminal

Deno.test("an error made for the user is one line, a bug of ours has its stack trace", () => {
  const deliberate = new UserError({ action: `read "x"`, found: "3 bytes,\n  expected 4" });
  assertEquals(described(deliberate), `error: Cannot read "x": 3 bytes, expected 4`);
  assertEquals(
    described(new Deno.errors.NotFound("No such file or directory (os error 2): open 'x'")),
    "error: No such file or directory (os error 2): open 'x'",
  );
  assertEquals(
    described(new Error("No space left on device (os error 28)")),
    "error: No space left on device (os error 28)",
  );
  assertEquals(described(new UsageError("one\ntwo")), "error: one\nerror: two");
  const bug = assertThrows(() => (undefined as unknown as { x: string }).x, TypeError);
  assertMatch(bug.message, /^Cannot read properties/); // it starts as our errors do
  assertMatch(
    described(new RangeError("Cannot continue: the disk is full")),
    /^error: This is a bug/,
  );
  assertMatch(described(bug), /^error: This is a bug.*report it.*\nTypeError: .*\n +at /);
  assertMatch(described("thrown text"), /^error: This is a bug.*\nthrown text$/);
});

Deno.test("Interrupted knows its exit code", () => {
  assertEquals(new Interrupted("SIGINT").exitCode, 130);
  assertEquals(new Interrupted("SIGTERM").exitCode, 143);
  assertEquals(new Interrupted("SIGHUP").exitCode, 129);
});

/** A task in a process of its own, whose main function has the given body. */
function spawnTask(body: string, ...args: string[]) {
  const at = (file: string) => JSON.stringify(import.meta.resolve(`./${file}`));
  const script = `
    import { UserError } from ${at("../../engines/errors.ts")};
    import { parseFlags } from ${at("flags.ts")};
    import * as run from ${at("run.ts")};
    const task = { name: "x", summary: "Do.", examples: [] }, flags = { steps: { type: "integer", min: 1, help: "" } };
    await run.runTask(async (args) => { ${body} }, Deno.args);
  `;
  const config = fromFileUrl(new URL("../../deno.json", import.meta.url));
  return new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-check",
      "--no-prompt",
      `--config=${config}`,
      `data:text/typescript,${encodeURIComponent(script)}`,
      ...args,
    ],
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

async function ended(child: Deno.ChildProcess) {
  const { code, stdout, stderr } = await child.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

for (
  const [what, body, args, expected] of [
    ["ends well", `run.printJson({ a: 1 })`, [], { code: 0, stdout: `{"a":1}\n`, stderr: "" }],
    [
      "is called wrongly",
      `parseFlags(task, flags, args)`,
      ["--steps", "abc"],
      {
        code: 2,
        stdout: "",
        stderr: `error: Cannot use --steps "abc": expected a whole number, at least 1; ` +
          `run "deno task x --help" to see all flags\n`,
      },
    ],
    [
      "is asked for help",
      `parseFlags(task, flags, args)`,
      ["--help"],
      {
        code: 0,
        stdout: "deno task x [flags]       Do.\n\n  --steps N\n  --help     show this\n",
        stderr: "",
      },
    ],
    [
      "fails",
      `throw new UserError({ action: "continue", found: "the disk is full" })`,
      [],
      { code: 1, stdout: "", stderr: "error: Cannot continue: the disk is full\n" },
    ],
    [
      "fails in a promise that nobody waits for",
      `Promise.reject(new UserError({ action: "continue", found: "the disk is full" })); await new Promise((go) => setTimeout(go, 5000))`,
      [],
      { code: 1, stdout: "", stderr: "error: Cannot continue: the disk is full\n" },
    ],
  ] as const
) {
  Deno.test(`a task that ${what} exits with ${expected.code}`, async () => {
    assertEquals(await ended(spawnTask(body, ...args)), expected);
  });
}

for (const [signal, code] of [["SIGHUP", 129], ["SIGINT", 130], ["SIGTERM", 143]] as const) {
  testOnUnix(
    "signals",
    `after ${signal}, a task saves, says so and exits with ${code}`,
    async () => {
      const child = spawnTask(`
      const signal = run.interruption();
      run.print("ready");
      while (!signal.aborted) await new Promise((go) => setTimeout(go, 10));
      run.print("saved");
      throw new run.Interrupted(signal.reason.signal, "Saved; continue with --resume");
    `);
      const reader = child.stdout.getReader();
      assertEquals(new TextDecoder().decode((await reader.read()).value), "ready\n");
      reader.releaseLock();
      child.kill(signal);
      assertEquals(await ended(child), {
        code,
        stdout: "saved\n",
        stderr: "Saved; continue with --resume\n",
      });
    },
  );
}

testOnUnix(
  "signals",
  "a second Ctrl-C ends a task that does not come to its saving, but not the first heard twice",
  async () => {
    const child = spawnTask(`
    run.interruption().addEventListener("abort", () => {
      run.print("heard");
      setTimeout(() => run.print("still here"), 400);
    });
    run.print("ready");
    await new Promise((go) => setTimeout(go, 60_000));
  `);
    const reader = child.stdout.getReader();
    for (const line of ["ready\n", "heard\n", "still here\n"]) {
      assertEquals(new TextDecoder().decode((await reader.read()).value), line);
      child.kill("SIGINT");
    }
    reader.releaseLock();
    assertEquals(await ended(child), { code: 130, stdout: "", stderr: "" });
  },
);

Deno.test("a task whose reader has gone ends quietly", async () => {
  const child = spawnTask(`for (;;) run.print("line");`);
  const reader = child.stdout.getReader();
  await reader.read();
  await reader.cancel();
  const [{ code }, stderr] = await Promise.all([child.status, new Response(child.stderr).text()]);
  assertEquals([code, stderr], [0, ""]);
});

testOnUnix(
  "signals",
  "a shell that repeats SIGHUP does not end a task before it has saved",
  async () => {
    const child = spawnTask(`
    run.interruption();
    run.print("ready");
    await new Promise((go) => setTimeout(go, 1500));
    run.print("saved");
  `);
    const reader = child.stdout.getReader();
    await reader.read();
    reader.releaseLock();
    child.kill("SIGHUP");
    await new Promise((go) => setTimeout(go, 500));
    child.kill("SIGHUP");
    assertEquals(await ended(child), { code: 129, stdout: "saved\n", stderr: "" });
  },
);

for (const [what, code] of [["a full disk", "ENOSPC"], ["a closed terminal", "EIO"]]) {
  Deno.test(`messages for ${what} end nothing, and how many are missing is said once it can be`, async () => {
    const body = `
      const { writeSync } = Deno.stderr;
      Deno.stderr.writeSync = () => { throw Object.assign(new Error("os error"), { code: "${code}" }) };
      run.note("lost");
      run.note("lost as well");
      Deno.stderr.writeSync = writeSync;
      run.note("here");
      run.print("done");
    `;
    assertEquals(await ended(spawnTask(body)), {
      code: 0,
      stdout: "done\n",
      stderr: "note: 2 messages could not be written here\nhere\n",
    });
  });
}
