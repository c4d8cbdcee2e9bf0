/** The command lines of other tasks, for the parts that use them as a user does. */
import { fromFileUrl, join } from "@std/path";
import { enginePermissions } from "../shared/process.ts";
import type { PartRequest } from "./request.ts";

/** The arguments with which `deno` runs a task on the engine of a part; it prints JSON. */
export function taskCommand(
  task: string,
  { combinations: [{ engine, precision }], threads, folder }: PartRequest,
  flags: string[],
): string[] {
  const script = fromFileUrl(new URL(`../${task.replaceAll("-", "_")}.ts`, import.meta.url));
  const compute = ["--engine", engine, "--precision", precision, "--threads", `${threads}`];
  const results = ["--reports", join(folder, "reports"), "--json"];
  return ["run", "--no-prompt", ...enginePermissions, script, ...flags, ...compute, ...results];
}

/** The last line that a task said, without its label. */
export function lastWords(stderr: string): string {
  return stderr.trim().split("\n").at(-1)!.replace(/^error: /, "").slice(0, 300);
}
