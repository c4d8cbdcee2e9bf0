/**
 * Runs the tests of `core/` with coverage and fails if they cover less than 95 % of its lines.
 *
 *   deno task check-coverage
 *
 * Processes that tests start are counted too: ranks of MPI, engines on made-up drivers of GPUs.
 * What this machine lacks (TensorFlow, an MPI, a C compiler) is skipped by its tests, and its code
 * then counts as not covered.
 */
import { fromFileUrl, join } from "@std/path";
import { namesIn } from "../tasks/testing/task_process.ts";

const LEAST = 95;

/** Left out: the tests and what only tests use, and programs that are checks of their own. */
const leftOut: [pattern: RegExp, reason: string][] = [
  [/_test\.ts$|^(engines\/suite|testing)\/|(^|\/)tested_\w+\.ts$/, "tests"],
  [
    /(^|\/)(kernel_cases|changed_engine|mpi_rank)\.ts$/,
    "what only tests use",
  ],
  [/^engines\/software_gpu\//, "a program: test-webgpu"],
];

interface Counts {
  lines: number;
  linesCovered: number;
  branches: number;
  branchesCovered: number;
}

const project = fromFileUrl(new URL("..", import.meta.url)), core = join(project, "core");

/** Whether anything is left of a file without its types. */
const hasCode = (text: string) =>
  /^(export )?(default )?(async )?(function|const|let|class|enum)\b/m.test(text);

/** The counts of each file of core in a report in LCOV's format. */
function countsIn(lcov: string): Map<string, Counts> {
  const counts = new Map<string, Counts>();
  for (const record of lcov.split("end_of_record")) {
    const path = /^SF:(.*)$/m.exec(record)?.[1].replaceAll("\\", "/");
    if (path === undefined) continue;
    const number = (field: string) =>
      Number(new RegExp(`^${field}:(\\d+)$`, "m").exec(record)?.[1] ?? 0);
    counts.set(path.slice(core.replaceAll("\\", "/").length + 1), {
      ...{ lines: number("LF"), linesCovered: number("LH") },
      ...{ branches: number("BRF"), branchesCovered: number("BRH") },
    });
  }
  return counts;
}

const folder = await Deno.makeTempDir({ prefix: "coverage-" });
let code = 1;
try {
  const flags = ["--no-prompt", "--allow-all"];
  const commands = [
    ["test", ...flags, "--coverage-raw-data-only", core],
    // onnx:webgpu on a software driver; it skips itself, aloud, where there is none.
    ["run", ...flags, join(core, "engines/software_gpu/run_tests.ts")],
  ];
  for (const args of commands) {
    const env = { DENO_COVERAGE_DIR: folder }; // processes that tests start have it too
    const command = new Deno.Command(Deno.execPath(), { args, cwd: project, env });
    const { success } = await command.spawn().status;
    if (!success) throw new Error("Cannot tell the coverage: a test failed; make it pass first");
  }
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["coverage", "--lcov", "--include=/core/", "--exclude=_test\\.ts$", folder],
    cwd: project,
    stderr: "inherit",
  }).output();
  const counts = countsIn(new TextDecoder().decode(stdout));

  const sum: Counts = { lines: 0, linesCovered: 0, branches: 0, branchesCovered: 0 };
  const share = (covered: number, all: number) => all === 0 ? 100 : 100 * covered / all;
  const shown = (percent: number) => `${percent.toFixed(1)} %`.padStart(8);
  const line = (name: string, { lines, linesCovered, branches, branchesCovered }: Counts) =>
    `${shown(share(linesCovered, lines))} of lines ${
      shown(share(branchesCovered, branches))
    } of branches  ${name}`;
  const missing: string[] = [];
  for (const name of namesIn(core).filter((name) => name.endsWith(".ts"))) {
    const file = name.replaceAll("\\", "/");
    if (leftOut.some(([pattern]) => pattern.test(file))) continue;
    const found = counts.get(file);
    if (!found) {
      if (hasCode(await Deno.readTextFile(join(core, file)))) missing.push(file);
      continue;
    }
    for (const key of Object.keys(sum) as (keyof Counts)[]) sum[key] += found[key];
    if (share(found.linesCovered, found.lines) < LEAST) console.log(line(file, found));
  }
  console.log(line("all of core/", sum));
  for (const file of missing) console.log(`no test loads ${file}`);
  for (const [pattern, reason] of leftOut) console.log(`left out: ${pattern.source} (${reason})`);
  const reached = share(sum.linesCovered, sum.lines);
  code = reached >= LEAST && missing.length === 0 ? 0 : 1;
} catch (error) {
  console.error(`error: ${(error as Error).message}`);
} finally {
  await Deno.remove(folder, { recursive: true });
}
Deno.exit(code);
