import { assert, assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { inFolder } from "../../files/testing/temporary_folder.ts";
import { testOnUnix } from "../../files/testing/system.ts";
import type { GpuCheckRow } from "../shared/results.ts";
import { DONE, type Job, runJob } from "./jobs.ts";

/** Runs a process that is this program, as if it were the part `parity` of an engine. */
async function runProgram(code: string, options: Partial<Job> = {}, signal?: AbortSignal) {
  const command = [Deno.execPath(), "eval", "--no-config", code];
  const job: Job = { part: "parity", subject: "onnx", command, limitSeconds: 60, ...options };
  const rows: GpuCheckRow[] = [];
  for await (const row of runJob(job, signal)) rows.push(row);
  return rows;
}

const finding = { subject: "onnx", outcome: "ok", summary: "it agrees", figures: { largest: 0.5 } };
const tell = `console.log('${JSON.stringify(finding)}');`;
const tellAll = `${tell} console.log('${DONE}');`;
const brief = (rows: GpuCheckRow[]) => rows.map(({ outcome, summary }) => [outcome, summary]);

Deno.test("a job's findings come with its part and the time, whatever else its process writes", async () => {
  const [row, ...more] = await runProgram(
    `console.log("Loading libraries"); ${tellAll} Deno.exit(9);`,
  );
  const { seconds, ...rest } = row;
  assertEquals([rest, more], [{ part: "parity", ...finding }, []]);
  assert(seconds > 0 && seconds < 60);
});

Deno.test("what a job found before it hangs is kept, and it is cut off at its limit", async () => {
  const start = performance.now();
  const rows = await runProgram(
    `${tell} console.error("compiling"); setInterval(() => {}, 1000);`,
    {
      limitSeconds: 3, // a process starts within one, a loaded machine may take two
    },
  );
  assertEquals(brief(rows), [
    ["ok", "it agrees"],
    ["too long", "cut off after 3 s; its last words: compiling"],
  ]);
  assert(performance.now() - start < 20_000);
  assertEquals(brief(await runProgram("", { limitSeconds: 0 })), [
    ["too long", "not begun: no time is left"],
  ]);
});

Deno.test("a job that fails is one finding, with the last words of its process", async () => {
  const cases = [
    [`console.error("a\\nerror: Cannot start it"); Deno.exit(1);`, /^Cannot start it$/],
    [`Deno.exit(3);`, /^its process ended with exit code 3 without a message$/],
    [
      `console.log('{"subject":"onnx"}');`,
      /^parity does not report .*outcome is nothing, expected ok or/,
    ],
    [`console.log("{");`, /^parity does not report as expected: /],
  ] as const;
  for (const [code, expected] of cases) {
    const [{ outcome, summary, figures }, ...more] = await runProgram(code);
    assertEquals([outcome, figures, more], ["failed", {}, []]);
    assertMatch(summary, expected);
  }
});

testOnUnix(
  "groups of processes",
  "a job that is over leaves no process",
  () =>
    inFolder(async (folder) => {
      const pidFile = join(folder, "pid");
      const start = `const { pid } = new Deno.Command("sleep", { args: ["100"] }).spawn();
      Deno.writeTextFileSync(${JSON.stringify(pidFile)}, String(pid));`;
      const isGone = (pid: number) => {
        try {
          Deno.kill(pid, "SIGCONT");
        } catch {
          return true;
        }
        try {
          // It has ended, if nobody has asked how.
          return /^State:\s+Z/m.test(Deno.readTextFileSync(`/proc/${pid}/status`));
        } catch {
          return false;
        }
      };
      for (
        const [rest, limitSeconds] of [["setInterval(() => {}, 1000);", 3], [tellAll, 60]] as const
      ) {
        await runProgram(start + rest, { limitSeconds });
        const pid = Number(await Deno.readTextFile(pidFile));
        for (let i = 0; i < 50 && !isGone(pid); i++) {
          await new Promise((done) => setTimeout(done, 20));
        }
        assert(isGone(pid), `process ${pid} is still there`);
      }
      const stop = new AbortController();
      setTimeout(() => stop.abort(), 500);
      assertEquals(await runProgram("setInterval(() => {}, 1000);", {}, stop.signal), []);
    }),
);
