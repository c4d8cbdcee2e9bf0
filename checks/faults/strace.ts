/** Whether the calls that are counted are all that the system is asked for. */
import { join } from "@std/path";
import type { Call } from "./inject.ts";
import { steadyName } from "./snapshot.ts";
import type { Stage } from "./sweep.ts";

/** System calls, and the calls of ours that make them. */
const causes: Record<string, string[]> = {
  openat: ["open", "writeFile", "writeTextFile", "copyFile"],
  write: ["write", "writeFile", "writeTextFile"],
  ftruncate: ["truncate"],
  fsync: ["sync"],
  fdatasync: ["syncData"],
  rename: ["rename"],
  unlink: ["remove"],
  unlinkat: ["remove"],
  rmdir: ["remove"],
  mkdir: ["mkdir", "makeTempDir"],
  symlink: ["symlink"],
  symlinkat: ["symlink"],
};
const others =
  "openat2,creat,pwrite64,writev,pwritev,pwritev2,truncate,renameat,renameat2,mkdirat," +
  "link,linkat,copy_file_range,sendfile,fallocate,mknod";

/**
 * Runs a scenario under strace.
 *
 * @returns The system calls that change something in the folder and that none of the counted calls
 * explains; undefined where strace can't run.
 */
export async function missedCalls(
  { scenario, root, folder, reset, run }: Stage,
  calls: Call[],
): Promise<string[] | undefined> {
  if (scenario.hasOthers) return [];
  const log = join(root, "strace.log");
  const names = [...Object.keys(causes), ...others.split(",")].join(",");
  await reset();
  try {
    const tracer = ["strace", "-f", "-y", "-qq", "-s", "4096", "-e", `trace=${names}`, "-o", log];
    const { code } = await run(scenario.args, undefined, tracer);
    if (code !== 0) return undefined;
  } catch {
    return undefined;
  }
  const known = calls.map(({ call, path }) => ({ call, path: inside(folder, steadyName(path)) }));
  const missed = new Set<string>();
  for (const line of (await Deno.readTextFile(log)).split("\n")) {
    const [, name, args] = /^\d+ +(\w+)\((.*?)(?:\) = \d| <unfinished)/.exec(line) ?? [];
    if (name === undefined || name === "openat" && !/O_(WRONLY|RDWR|CREAT)/.test(args)) continue;
    // A file is an open one, 12</path>, or named, "path".
    const named = /^\d+<(\/[^>]+)>|^"([^"]*)"/.exec(args.replace(/^AT_FDCWD<[^>]*>, /, ""));
    const path = named && inside(folder, steadyName(named[1] ?? named[2]));
    if (typeof path !== "string") continue;
    const explained = known.some((call) =>
      (causes[name] ?? []).includes(call.call) &&
      (call.path === path || /^(mkdir|rmdir|unlink)/.test(name) && isPart(call.path!, path) ||
        call.path?.includes("(temporary)"))
    );
    if (!explained) missed.add(`${name} ${path}`);
  }
  return [...missed];
}

/** Whether one path is an ancestor of the other: folders are made, and removed, with their parents. */
const isPart = (a: string, b: string) => a.startsWith(`${b}/`) || b.startsWith(`${a}/`);

/** A path relative to a folder, if it is inside it. */
function inside(folder: string, path: string): string | undefined {
  if (!path.startsWith("/")) return path.replace(/^\.\/?/, "");
  return path === folder
    ? ""
    : path.startsWith(`${folder}/`)
    ? path.slice(folder.length + 1)
    : undefined;
}
