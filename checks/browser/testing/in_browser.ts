/** The harness of the tests in a browser: scripts of the project, and pages that must not complain. */
import { fromFileUrl } from "@std/path";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { chromiumPath, launchChromium } from "./chromium.ts";

/** The path of a file of the project. */
export const ofProject = (path: string): string =>
  fromFileUrl(new URL(`../../../${path}`, import.meta.url));

/** A script of the project with the project's own config, which has the libraries that this one lacks. */
export function projectScript(script: string, cwd: string, ...args: string[]): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--config", ofProject("deno.json"), ofProject(script), ...args],
    cwd,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

/** Runs a command and returns its stdout. Throws its stderr if it fails. */
export async function outputOf(command: Deno.Command): Promise<string> {
  const { success, stdout, stderr } = await command.output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

/** A test with a browser, skipped where there is no Chromium. The browser is shared by the tests. */
export function testInChromium(
  name: string,
  body: (browser: Browser, t: Deno.TestContext) => Promise<void>,
  flags: string[] = [],
): void {
  Deno.test({
    name,
    ignore: !chromiumPath,
    // The driver keeps its process and sockets a little longer than the test.
    sanitizeOps: false,
    sanitizeResources: false,
    fn: async (t) => await body(await launchChromium(...flags), t),
  });
}

export interface PageOptions extends BrowserContextOptions {
  /** Says whether the page may ask for an address. */
  isOwn: (url: string) => boolean;
}

/** A page at an address, in its own context, and everything it complains about from the start. */
export async function openPage(
  browser: Browser,
  url: string,
  { isOwn, ...options }: PageOptions,
): Promise<{ page: Page; complaints: string[] } & AsyncDisposable> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const complaints = listenToComplaints(page, isOwn);
  await page.goto(url);
  return { page, complaints, [Symbol.asyncDispose]: () => context.close() };
}

/** Opens every `details`, so that all of the page is seen. */
export const openAll = (page: Page): Promise<void> =>
  page.evaluate(() => document.querySelectorAll("details").forEach((e) => e.open = true));

/** Collects what a page writes to the console, errors, dialogs, and requests for what is not its own. */
function listenToComplaints(page: Page, isOwn: (url: string) => boolean): string[] {
  const complaints: string[] = [];
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("dialog", (dialog) => {
    complaints.push(dialog.message());
    dialog.dismiss();
  });
  page.on("request", (request) => {
    if (!isOwn(request.url())) complaints.push(`a request to ${request.url()}`);
  });
  return complaints;
}
