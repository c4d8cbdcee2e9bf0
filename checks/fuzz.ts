/**
 * Tries to break the readers of bytes from outside, for so many minutes (default 10) a target, with
 * cases made from real files by random changes. Each case must be read as promised or refused in one
 * line; `fuzz/target.ts` has the rules. A finding is kept under `reports/fuzz/` with the command
 * that repeats it. Ends with the coverage of the readers.
 *
 *   deno task --cwd checks fuzz TARGET|all [MINUTES] [SEED]
 *   deno task --cwd checks fuzz TARGET FILE                  tries one case again
 */
import { fromFileUrl } from "@std/path";
import { runProgram } from "../tasks/shared/process.ts";
import { targets } from "./fuzz/targets.ts";

const HANG_SECONDS = 30;
const FINDINGS = "reports/fuzz";

const [which, second = "10", firstSeed = "1"] = Deno.args;
const names = which === "all" ? Object.keys(targets) : [which];
if (!names.every((name) => Object.hasOwn(targets, name))) {
  const all = ["all", ...Object.keys(targets)].join("|");
  console.error(
    `error: usage: deno task --cwd checks fuzz ${all} [MINUTES] [SEED], or TARGET FILE`,
  );
  Deno.exit(2);
}
Deno.chdir(fromFileUrl(new URL("..", import.meta.url)));

/** Starts `fuzz/run.ts`. */
function start(args: string[], stdout: "piped" | "inherit", flags: string[] = []) {
  const all = ["run", "--no-prompt", "--allow-all", ...flags, "checks/fuzz/run.ts", ...args];
  return new Deno.Command(Deno.execPath(), { args: all, stdin: "null", stdout }).spawn();
}

const minutes = Number(second);
if (!(minutes > 0)) Deno.exit((await start([which, second], "inherit").status).code);

const work = await Deno.makeTempDir({ prefix: "fuzz-" });
await Deno.mkdir(FINDINGS, { recursive: true });
try {
  for (const name of names) if (await fuzz(name)) Deno.exitCode = 1;
} finally {
  await Deno.remove(work, { recursive: true });
}

/**
 * Fuzzes one target and prints the result; a process that hangs or dies is a finding, and another
 * one gets the rest of the time. Returns whether anything was found.
 */
async function fuzz(name: string): Promise<boolean> {
  const coverage = `${work}/${name}`;
  const current = `${work}/current`;
  const end = performance.now() + minutes * 60_000;
  let failed = false;
  for (let seed = Number(firstSeed);; seed++) {
    const left = (end - performance.now()) / 60_000;
    if (left < 0.05 && seed > Number(firstSeed)) break;
    const args = [name, String(left), String(seed), current, FINDINGS];
    const child = start(args, "piped", [`--coverage=${coverage}`]);
    const hangs = killWhenHanging(child, current);
    const summary = (await child.stdout.text()).trim();
    const { code, signal } = await child.status;
    const hung = hangs();
    if (summary !== "") console.log(`${name}: seed ${seed}: ${summary}`);
    if (code !== 0) failed = true;
    if (code === 0 || code === 1 && summary !== "") break;
    const path = `${FINDINGS}/${name}-${seed}-${hung ? "hang" : "crash"}`;
    if (!await Deno.copyFile(current, path).then(() => true, () => false)) {
      console.log(`${name}: the process ended with ${code} before it tried anything`);
      break;
    }
    console.log(`${name}: ${hung ? "it hangs" : `the process ended with ${signal ?? code}`}`);
    console.log(`  deno task --cwd checks fuzz ${name} ${path}`);
  }
  // The shares of branches, functions and lines of the readers that were reached.
  const files = targets[name].readers.join("|").replaceAll(".", "\\.");
  const report = ["coverage", coverage, `--include=/(${files})$`, "--threshold=0"];
  console.log((await runProgram(Deno.execPath(), report)).stdout);
  return failed;
}

/**
 * Kills a process that tries one case for too long: each case is written to `current` before it is
 * tried, and the file is gone after the last. The function that is returned stops watching and tells
 * whether that happened.
 */
function killWhenHanging(child: Deno.ChildProcess, current: string): () => boolean {
  let hung = false;
  let since = Date.now();
  let begun = false;
  const timer = setInterval(async () => {
    const { mtime } = await Deno.stat(current).catch(() => ({ mtime: null }));
    begun ||= mtime !== null;
    if (begun && mtime === null) return; // to store the coverage takes its time on a busy machine
    since = Math.max(since, mtime?.getTime() ?? 0);
    if (Date.now() - since < HANG_SECONDS * 1000) return;
    hung = true;
    child.kill("SIGKILL");
  }, 1000);
  return () => {
    clearInterval(timer);
    return hung;
  };
}
