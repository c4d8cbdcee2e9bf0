/** Serves the report, and the page to try the model, to the browser of this machine; opens it. */
import { join } from "@std/path";
import {
  interruption,
  note,
  outputFlags,
  parseFlags,
  print,
  printJson,
  runTask,
} from "./shared/cli.ts";
import { readTryIt, writeTryIt } from "./report/tryit.ts";
import { fileHandler } from "./report/tryit/server.ts";

const task = {
  name: "serve",
  summary: "Serve reports/ to the browser of this machine and open the page to try the model; " +
    "Ctrl-C ends it.",
  examples: ["deno task serve", "deno task serve --port 8080 --no-open"],
} as const;

const flags = {
  port: {
    type: "integer",
    min: 0,
    max: 65535,
    default: 8000,
    help: "where it listens, on 127.0.0.1 only; 0 = any free one",
  },
  noOpen: { type: "boolean", help: "leave the browser closed" },
  ...outputFlags,
} as const;

const ROOT = "reports";

export async function main(args: string[]): Promise<void> {
  const { port, noOpen, json } = parseFlags(task, flags, args);
  const signal = interruption();
  const folder = join(ROOT, "try-it"), report = join(ROOT, "index.html");
  const tryIt = await readTryIt(folder) ?? await writeTryIt(folder, { note, signal });
  const hasReport = await Deno.stat(report).then(({ isFile }) => isFile, () => false);
  if (!tryIt && !hasReport) {
    throw new Error(
      `Cannot serve ${JSON.stringify(ROOT)}: there is no page in it; run "deno task report"`,
    );
  }
  const page = tryIt ? "/try-it/" : "/";
  const server = listen(port, fileHandler(ROOT, { home: page }), signal);
  const url = new URL(page, `http://127.0.0.1:${server.addr.port}`).href;
  if (json) {
    const bytes = tryIt?.bytes ?? (await Deno.stat(report)).size;
    printJson({ url, path: tryIt?.path ?? report, bytes });
  } else print(`${url} (Ctrl-C ends it)`);
  if (tryIt && hasReport) note(`the report: ${new URL("/", url)}`);
  if (!noOpen) openBrowser(url);
  await server.finished;
}

function listen(
  port: number,
  handler: (request: Request) => Promise<Response>,
  signal: AbortSignal,
) {
  try {
    return Deno.serve({ hostname: "127.0.0.1", port, signal, onListen() {} }, handler);
  } catch (error) {
    const reason = error instanceof Deno.errors.AddrInUse
      ? "another program uses it; stop that one, or give another with --port (0 = any free one)"
      : error instanceof Deno.errors.PermissionDenied
      ? "the system does not permit it; give one above 1023 with --port"
      : undefined;
    if (reason === undefined) throw error;
    throw new Error(`Cannot listen on port ${port} of 127.0.0.1: ${reason}`, { cause: error });
  }
}

/** Opens the address in the user's browser, if there is one. */
function openBrowser(url: string): void {
  const [program, ...args] = {
    darwin: ["open", url],
    windows: ["cmd", "/c", "start", "", url],
  }[Deno.build.os as string] ?? ["xdg-open", url];
  try {
    // A process of its own, or Ctrl-C would end the browser too.
    new Deno.Command(program, {
      args,
      ...{ stdin: "null", stdout: "null", stderr: "null", detached: true },
    }).spawn().unref();
  } catch {
    // no browser to open: the address is on stdout
  }
}

if (import.meta.main) await runTask(main, Deno.args);
