/**
 * Loaded before a task by `deno run --preload`: counts the calls by which it changes files, and at
 * one of them does what its address asks for, `inject.ts?at=7&how=EIO`. The task itself knows
 * nothing of it.
 *
 * The calls are Deno's own functions and not the system's behind them (as with strace): so it works
 * on every system, a number means the same call in every run, and a write can be done by half.
 * `strace.ts` shows that no system call is missed by that.
 *
 * - `log=FILE`: nothing is changed; each call is a JSON line there.
 * - `at=NUMBER`: the call, from 1.
 * - `how=before|after|half`: the process is killed there; half of a write's bytes are written
 *   before it.
 * - `how=ENOSPC`: half of a write's bytes are written; then this call fails, and each later one
 *   that needs space.
 * - `how=EACCES|EIO`: this call fails.
 * - `stream=stdout|stderr`, with `how=ENOSPC|EIO`: each write to it fails, as to a file on a full disk
 *   or a terminal that was closed.
 */

/** A call, as it is logged. */
export interface Call {
  at: number;
  call: string;
  path: string;
}

/** The ways in which a call can go wrong. */
export type How = "before" | "after" | "half" | "ENOSPC" | "EACCES" | "EIO";

/** A stream that can't be written. */
export type Stream = "stdout" | "stderr";

/** A call that goes wrong. */
export interface Fault extends Call {
  how: How;
}

// deno-lint-ignore no-explicit-any -- functions of every kind
type Any = (...args: any[]) => any;

const asked = new URL(import.meta.url).searchParams;
const log = asked.get("log");
const at = Number(asked.get("at"));
const how = asked.get("how") as How | null;
const stream = asked.get("stream") as Stream | null;
let calls = 0;
let isFull = false;
const paths = new WeakMap<object, string>();

// The originals of what is used here.
const { writeTextFileSync, statSync, kill } = Deno;

/** The errors as Deno makes them of what the system says (seen with strace's injections). */
function systemError(code: string, detail: string): Error {
  const [text, number] = {
    ENOSPC: ["No space left on device", 28],
    EACCES: ["Permission denied", 13],
    EIO: ["Input/output error", 5],
  }[code]!;
  const message = `${text} (os error ${number})${detail}`;
  const error = code === "EACCES" ? new Deno.errors.PermissionDenied(message) : new Error(message);
  return Object.assign(error, { code });
}

function die(): never {
  kill(Deno.pid, "SIGKILL");
  for (;;);
}

const needsSpace = (call: string, path: string) =>
  /^(write|mkdir|sync|make)/.test(call) || call === "open" && !exists(path);

function exists(path: string): boolean {
  try {
    return !!statSync(path);
  } catch {
    return false;
  }
}

/**
 * Makes a function count its calls.
 *
 * @param pathOf The path that a call is about; undefined if it changes nothing.
 */
function counted<F extends Any>(
  name: string,
  original: F,
  pathOf: (self: object, args: Parameters<F>) => string | undefined,
): F {
  const isSync = name.endsWith("Sync");
  const call = name.replace(/Sync$/, "");
  const isWrite = call.startsWith("write");
  const isPart = call === "write"; // writes the next bytes, not a whole file
  return function (this: object, ...args: Parameters<F>) {
    const path = pathOf(this, args);
    if (path === undefined) return original.apply(this, args);
    const here = ++calls;
    if (log) {
      const line: Call = { at: here, call, path };
      writeTextFileSync(log, JSON.stringify(line) + "\n", { append: true });
    }
    const fail = (code: string) => {
      const error = systemError(code, path === paths.get(this) ? "" : `: ${call} '${path}'`);
      if (isSync) throw error;
      return Promise.reject(error);
    };
    const half = () => {
      const content: Uint8Array | string = isPart ? args[0] : args[1];
      const some = content.slice(0, content.length >> 1);
      return original.apply(this, isPart ? [some] : [args[0], some, ...args.slice(2)]);
    };
    if (isFull && needsSpace(call, path)) return fail("ENOSPC");
    if (here !== at) return original.apply(this, args);
    if (how === "before") die();
    if (how === "EACCES" || how === "EIO") return fail(how);
    if (how === "ENOSPC") {
      isFull = true;
      if (isPart && args[0].length > 1) return half(); // the next call fails with a full disk
      const some = isWrite ? half() : undefined;
      return isSync ? fail(how) : Promise.resolve(some).then(() => fail(how));
    }
    const done = how === "half" ? half() : original.apply(this, args);
    return isSync ? die() : done.then(die, die);
  } as F;
}

const changes: Record<string, Any> = Deno as never;
const first = (_: object, [path]: unknown[]) => String(path);
const second = (_: object, [, path]: unknown[]) => String(path);
const anywhere = () => "tmp/(temporary)";
const own = (self: object) => paths.get(self);

/** Makes a function, and its twin that blocks, count their calls. */
function count(on: Record<string, Any>, verbs: string[], pathOf: Parameters<typeof counted>[2]) {
  for (const name of verbs.flatMap((verb) => [verb, `${verb}Sync`])) {
    on[name] = counted(name, on[name], pathOf);
  }
}
count(changes, ["mkdir", "remove", "rename", "writeFile", "writeTextFile", "truncate"], first);
count(changes, ["symlink", "link", "copyFile"], second);
count(changes, ["makeTempDir", "makeTempFile"], anywhere);
count(Deno.FsFile.prototype as never, ["write", "truncate", "sync", "syncData"], own);
for (const name of ["open", "openSync"]) {
  const changing = (_: object, [path, options]: [string | URL, Deno.OpenOptions?]) => {
    const { write, append, create, createNew, truncate } = options ?? {};
    return write || append || create || createNew || truncate ? String(path) : undefined;
  };
  const opened = counted(name, changes[name], changing as never);
  const keep = (file: object, path: unknown) => {
    paths.set(file, String(path));
    return file;
  };
  changes[name] = (...args) => {
    const file = opened(...args);
    return name === "open" ? file.then((file: object) => keep(file, args[0])) : keep(file, args[0]);
  };
}
if (stream) {
  Deno[stream].writeSync = () => {
    throw systemError(how!, "");
  };
}
