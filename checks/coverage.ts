/**
 * Runs the tests of `engines/`, `files/` and `core/` with coverage, and fails if they cover less than
 * 95 % of the lines (`coverage` in deno.json) or leave a file out.
 *
 *   deno task --cwd checks coverage
 *
 * Processes that tests start are counted too: ranks of MPI, engines on made-up GPU drivers. Tests
 * skip what this machine lacks (TensorFlow, an MPI, a C compiler), and its code then counts as not
 * covered.
 */
import { fromFileUrl, join } from "@std/path";
import { namesIn } from "../tasks/testing/task_process.ts";

const cwd = fromFileUrl(new URL("..", import.meta.url));
const folder = await Deno.makeTempDir({ prefix: "coverage-" });
/** Something is left of a file without its types. */
const HAS_CODE = /^(export )?(default )?(async )?(function|const|let|class|enum)\b/m;
const isTest = /_test\.ts$|(^|\/)testing\//;

try {
  const run = (...args: string[]) =>
    new Deno.Command(Deno.execPath(), { args, cwd, env: { DENO_COVERAGE_DIR: folder } }).spawn();
  const flags = ["--no-prompt", "--allow-all"];
  const tests = ["engines", "files", "core", "checks/engines"];
  // onnx:webgpu on a software driver; it skips itself with a message where there is none.
  const commands = [["test", "--coverage-raw-data-only", ...flags, ...tests]];
  commands.push(["run", ...flags, "engines/testing/software_gpu/run_tests.ts"]);
  for (const command of commands) {
    const { success } = await run(...command).status;
    if (!success) fail("a test failed; make it pass first");
  }

  const report = join(folder, "report.lcov");
  const chosen = ["--include=/(core|files|engines)/", `--exclude=${isTest.source}`, folder];
  await run("coverage", "--lcov", `--output=${report}`, ...chosen).status;
  const loaded = await Deno.readTextFile(report);
  for (const member of ["core", "files", "engines"]) {
    for (const name of namesIn(join(cwd, member))) {
      const path = join(cwd, member, name);
      if (!/\.tsx?$/.test(name) || isTest.test(name.replaceAll("\\", "/"))) continue;
      if (loaded.includes(`SF:${path}\n`)) continue;
      if (!HAS_CODE.test(await Deno.readTextFile(path))) continue;
      fail(`no test loads ${member}/${name}`);
    }
  }
  const { code } = await run("coverage", ...chosen).status;
  Deno.exitCode = code || Deno.exitCode;
} finally {
  await Deno.remove(folder, { recursive: true });
}

function fail(reason: string): void {
  console.error(`error: Cannot accept the coverage: ${reason}`);
  Deno.exitCode = 1;
}
