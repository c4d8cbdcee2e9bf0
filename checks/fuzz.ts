/**
 * Tries to break what reads bytes from outside: cases made from real files by changes drawn from a
 * seed, for so many minutes (default 10) a target. Each must be read as promised or refused in one
 * line; `fuzz/target.ts` says it exactly. What is found is kept under `reports/fuzz/` with the
 * command that repeats it. Ends with the coverage of the readers.
 *
 *   deno task --cwd checks fuzz TARGET|all [MINUTES] [SEED]
 *   deno task --cwd checks fuzz TARGET FILE                  tries one case again
 */
import { fromFileUrl } from "@std/path";
import { targets } from "./fuzz/targets.ts";

const root = fromFileUrl(new URL("..", import.meta.url)), run = "checks/fuzz/run.ts";
const hangSeconds = 30;

const [which, second = "10", seedText = "1"] = Deno.args;
const names = which === "all" ? Object.keys(targets) : [which];
if (!names.every((name) => Object.hasOwn(targets, name))) {
  const all = ["all", ...Object.keys(targets)].join("|");
  console.error(
    `error: usage: deno task --cwd checks fuzz ${all} [MINUTES] [SEED], or TARGET FILE`,
  );
  Deno.exit(2);
}
Deno.chdir(root);

function start(args: string[], stdout: "piped" | "inherit"): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), { args, stdin: "null", stdout }).spawn();
}

const minutes = Number(second), firstSeed = Number(seedText);
if (!(minutes > 0)) {
  const { code } = await start(["run", "--no-prompt", "-A", run, which, second], "inherit").status;
  Deno.exit(code);
}

const findings = "reports/fuzz", work = await Deno.makeTempDir({ prefix: "fuzz-" });
await Deno.mkdir(findings, { recursive: true });
let failed = false;
try {
  for (const name of names) failed = await fuzz(name) || failed;
} finally {
  await Deno.remove(work, { recursive: true });
}
Deno.exit(failed ? 1 : 0);

/**
 * Fuzzes one target and prints what came of it; a process that hangs or dies is a finding, and the
 * rest of the time another's.
 */
async function fuzz(name: string): Promise<boolean> {
  const coverage = `${work}/${name}`, current = `${work}/current`;
  const end = performance.now() + minutes * 60_000;
  let failed = false;
  for (let seed = firstSeed;; seed++) {
    const left = (end - performance.now()) / 60_000;
    if (left < 0.05 && seed > firstSeed) break;
    const child = start([
      ...["run", "--no-prompt", "-A", `--coverage=${coverage}`, run],
      ...[name, String(left), String(seed), current, findings],
    ], "piped");
    const watch = watched(child, current);
    const summary = (await new Response(child.stdout).text()).trim();
    const { code, signal } = await child.status, hung = watch.stop();
    if (summary !== "") console.log(`${name}: seed ${seed}: ${summary}`);
    if (code !== 0) failed = true;
    if (code === 0 || code === 1 && summary !== "") break;
    const path = `${findings}/${name}-${seed}-${hung ? "hang" : "crash"}`;
    if (!await Deno.copyFile(current, path).then(() => true, () => false)) {
      console.log(`${name}: the process ended with ${code} before it tried anything`);
      break;
    }
    console.log(`${name}: ${hung ? "it hangs" : `the process ended with ${signal ?? code}`}`);
    console.log(`  deno task --cwd checks fuzz ${name} ${path}`);
  }
  await printCoverage(coverage, targets[name].readers);
  return failed;
}

/**
 * Ends a process that tries one case for too long: each case is written to `current` before it is
 * tried.
 */
function watched(child: Deno.ChildProcess, current: string): { stop(): boolean } {
  let hung = false, since = Date.now();
  const timer = setInterval(async () => {
    const { mtime } = await Deno.stat(current).catch(() => ({ mtime: null }));
    since = Math.max(since, mtime?.getTime() ?? 0);
    if (Date.now() - since < hangSeconds * 1000) return;
    hung = true;
    child.kill("SIGKILL");
  }, 1000);
  return {
    stop() {
      clearInterval(timer);
      return hung;
    },
  };
}

/** Prints the shares of branches, functions and lines of the readers that were reached. */
async function printCoverage(folder: string, readers: string[]): Promise<void> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["coverage", folder, `--include=/(${readers.join("|").replaceAll(".", "\\.")})$`],
    env: { NO_COLOR: "1" },
    stderr: "null",
  }).output();
  console.log(new TextDecoder().decode(stdout));
}
