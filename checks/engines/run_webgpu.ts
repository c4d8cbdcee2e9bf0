/**
 * Runs the suite on `eager:webgpu`, in a separate process (`engines/testing/tested_engines.ts` says why).
 *
 * Mesa's software driver now and then aborts when the process ends ("double free or corruption",
 * once in some ten runs), after all tests have passed. That is reported, and does not count as a
 * failure.
 */
import { stripAnsiCode } from "@std/fmt/colors";
import { fromFileUrl } from "@std/path";

const child = new Deno.Command(Deno.execPath(), {
  args: [
    "test",
    "--no-prompt",
    "--allow-all",
    ...["../../engines/suite_test.ts", "suite_test.ts"]
      .map((path) => fromFileUrl(new URL(path, import.meta.url))),
  ],
  env: { ENGINES: "eager:webgpu" },
  stdout: "piped",
}).spawn();

let end = "";
const decoder = new TextDecoder();
for await (const bytes of child.stdout) {
  await Deno.stdout.write(bytes);
  end = (end + decoder.decode(bytes, { stream: true })).slice(-1000);
}
const { code, signal } = await child.status;
const isPassed = /\nok \| \d+ passed \| 0 failed.*\n\s*$/.test(stripAnsiCode(end));
const isCrash = signal === "SIGABRT" || signal === "SIGSEGV";
if (isPassed && isCrash) {
  console.warn(`note: all tests had passed when the driver ended the process by ${signal}`);
}
Deno.exit(isPassed && isCrash ? 0 : code);
