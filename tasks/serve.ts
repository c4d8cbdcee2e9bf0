/** Serves the report and the page on which both models learn, and opens the browser. */
import { join } from "@std/path";
import { quoted, UserError } from "../engines/errors.ts";
import { outputFlags, parseFlags, reportsFlag } from "./shared/flags.ts";
import { interruption, note, print, printJson, runTask } from "./shared/run.ts";
import { fileHandler, forHosts } from "./page/server.ts";
import { readPage, writePage } from "./page/write.ts";

const task = {
  name: "serve",
  summary: "Serve the folder of reports to the browser of this machine and open the page to try " +
    "the model; Ctrl-C ends it.",
  examples: ["deno task serve", "deno task serve --port 8080 --no-open"],
} as const;

const flags = {
  port: {
    type: "integer",
    min: 0,
    max: 65535,
    default: 8000,
    help: "port on 127.0.0.1; 0 = any free one",
  },
  noOpen: { type: "boolean", help: "don't open the browser" },
  reports: { ...reportsFlag.reports, help: "the folder to serve" },
  ...outputFlags,
} as const;

export async function main(args: string[]): Promise<void> {
  const { port, noOpen, reports, json } = parseFlags(task, flags, args);
  const signal = interruption();
  const folder = join(reports, "page");
  const report = join(reports, "index.html");
  const hasReport = await Deno.stat(report).then(({ isFile }) => isFile, () => false);
  const written = await readPage(folder) ??
    await writePage(folder, { hasReport, note, signal });
  if (!written && !hasReport) {
    const advice = 'run "deno task report"';
    throw new UserError({
      action: `serve ${quoted(reports)}`,
      found: "there is no page in it",
      advice,
    });
  }
  const page = written ? "/page/" : "/";
  const handler = forHosts(() => server.addr.port, fileHandler(reports, { home: page }));
  const server = listen(port, handler, signal);
  const url = new URL(page, `http://127.0.0.1:${server.addr.port}`).href;
  if (json) {
    const bytes = written?.bytes ?? (await Deno.stat(report)).size;
    printJson({ url, path: written?.path ?? report, bytes });
  } else print(`${url} (Ctrl-C ends it)`);
  if (written && hasReport) note(`the report: ${new URL("/", url)}`);
  if (!noOpen) openBrowser(url);
  await server.finished;
}

function listen(
  port: number,
  handler: (request: Request) => Promise<Response>,
  signal: AbortSignal,
): Deno.HttpServer<Deno.NetAddr> {
  try {
    return Deno.serve({ hostname: "127.0.0.1", port, signal, onListen() {} }, handler);
  } catch (error) {
    const action = `listen on port ${port} of 127.0.0.1`;
    if (error instanceof Deno.errors.AddrInUse) {
      const advice = "stop that one, or give another with --port (0 = any free one)";
      throw new UserError({ action, found: "another program uses it", advice }, { cause: error });
    }
    if (error instanceof Deno.errors.PermissionDenied) {
      const advice = "give one above 1023 with --port";
      throw new UserError({ action, found: "the system denies it", advice }, { cause: error });
    }
    throw error;
  }
}

/** Opens the address in the user's browser, if there is one. */
function openBrowser(url: string): void {
  const [program, ...args] = {
    darwin: ["open", url],
    windows: ["cmd", "/c", "start", "", url],
  }[Deno.build.os as string] ?? ["xdg-open", url];
  try {
    // A detached process, or Ctrl-C would end the browser too.
    const command = new Deno.Command(program, {
      args,
      stdin: "null",
      stdout: "null",
      stderr: "null",
      detached: true,
    });
    command.spawn().unref();
  } catch {
    // no browser to open: the address is on stdout
  }
}

if (import.meta.main) await runTask(main, Deno.args);
