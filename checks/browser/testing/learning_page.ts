/** The page on which models learn a text, as a server of this project serves it. */
import { join } from "@std/path";
import type { Browser, Page } from "playwright-core";
import { fileHandler } from "../../../tasks/page/server.ts";
import { openAll, openPage, outputOf, projectScript } from "./in_browser.ts";

export interface LearningPageOptions {
  /** The text's file. */
  text: string;
  /** Threads that compute. Default: the page's choice. */
  threads?: number;
  /** A script for the worker, before its own. */
  before?: string;
}

/** Opens the page on WebAssembly, with the text chosen and everything in sight. */
export async function openLearningPage(
  browser: Browser,
  { text, threads, before = "" }: LearningPageOptions,
): Promise<{ page: Page } & AsyncDisposable> {
  const folder = await Deno.makeTempDir();
  await Deno.mkdir(join(folder, "data"));
  await Deno.copyFile(text, join(folder, "data/text.txt"));
  const site = join(folder, "site");
  await outputOf(projectScript("tasks/page.ts", folder, "--out", site));
  const counted = threads === undefined
    ? ""
    : `Object.defineProperty(navigator, "hardwareConcurrency", { value: ${threads} });`;
  const serve = fileHandler(site);
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, async (request) => {
    const response = await serve(request);
    if (!request.url.endsWith("/worker.js")) return response;
    const headers = new Headers(response.headers);
    headers.delete("content-length");
    return new Response(`{${counted}${before}}\n${await response.text()}`, { headers });
  });
  const url = `http://127.0.0.1:${server.addr.port}/`;
  const { page } = await openPage(browser, `${url}?device=wasm`, { isOwn: () => true });
  page.setDefaultTimeout(600_000); // on a busy machine
  await started(page);
  await page.click("#text button");
  await page.locator("#text-facts").waitFor();
  await openAll(page);
  return {
    page,
    async [Symbol.asyncDispose]() {
      await page.context().close();
      await server.shutdown();
      await Deno.remove(folder, { recursive: true });
    },
  };
}

/** Waits until the page has an engine. */
export const started = (page: Page) =>
  page.waitForFunction(() =>
    /^Computes/.test(document.querySelector("#engine")?.textContent ?? "")
  );

/** Waits until a text has been written. */
export const written = (page: Page) =>
  page.waitForFunction(() =>
    !document.querySelector("#stop") && !document.querySelector("#write")!.matches(":disabled")
  );

/** The field with a label. */
export const fieldOf = (page: Page, label: string) =>
  page.locator("label", { hasText: label }).locator("input");

/** The step that a model is at. */
export const stepOf = (page: Page, kind: string): Promise<number> =>
  page.locator(`#figures-${kind} progress`).evaluate((e) => (e as HTMLProgressElement).value);

/** The steps that each model has made. */
export async function readSteps(page: Page): Promise<{ gpt: number; diffusion: number }> {
  return { gpt: await stepOf(page, "gpt"), diffusion: await stepOf(page, "diffusion") };
}
