/**
 * The common part of the tests in a browser: scripts of the project, a test that needs Chromium,
 * and what a page complains about.
 */
import { fromFileUrl } from "@std/path";
import type { Page } from "playwright-core";
import { chromiumPath } from "./chromium.ts";

/** The path of a file of the project. */
export const ofProject = (path: string): string =>
  fromFileUrl(new URL(`../../../${path}`, import.meta.url));

/**
 * Runs a script of the project with the project's own config, which has the libraries that this one
 * lacks.
 */
export function projectScript(script: string, cwd: string, ...args: string[]): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--config", ofProject("deno.json"), ofProject(script), ...args],
    ...{ cwd, stdin: "null", stdout: "piped", stderr: "piped" },
  });
}

/** Returns the stdout of a command; throws its stderr if it fails. */
export async function outputOf(command: Deno.Command): Promise<string> {
  const { success, stdout, stderr } = await command.output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

/** A test that is skipped where there is no Chromium. */
export function testInChromium(name: string, fn: Deno.TestDefinition["fn"]): void {
  // The driver keeps its process and sockets a little longer than the test.
  Deno.test({ name, ignore: !chromiumPath, sanitizeOps: false, sanitizeResources: false, fn });
}

/**
 * From now on: all that a page writes to the console, errors, dialogs, and requests for what is not
 * its own.
 */
export function complaintsOf(page: Page, isOwn: (url: string) => boolean): string[] {
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
