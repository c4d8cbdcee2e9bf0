/**
 * `deno task report`: results and training logs in, one HTML page out. Computes nothing long by
 * itself.
 */
import { dirname, join } from "@std/path";
import { makeFolder, requireWritable, writeFileAtomically } from "../files/write.ts";
import { writePage, type WrittenPage } from "./page/write.ts";
import { gather, makeHash } from "./report/gather.ts";
import { buildPage } from "./report/page.tsx";
import { readResults } from "./report/read_results.ts";
import type { ReportData } from "./report/report_data.ts";
import { browserPageSection } from "./report/sections/browser_page.tsx";
import { outputFlags, parseFlags, reportsFlag } from "./shared/flags.ts";
import { note, print, printJson, runTask } from "./shared/run.ts";

const task = {
  name: "report",
  summary: "Write one HTML page that compares what was trained, sampled and evaluated so far.",
  examples: ["deno task report", "deno task report --out reports/monday.html"],
} as const;

const flags = {
  out: {
    type: "path",
    help: "file to write",
    defaultHelp: "index.html in the folder of --reports",
  },
  noModel: {
    type: "boolean",
    help: "leave out the page on which both models learn in the browser",
  },
  ...reportsFlag,
  ...outputFlags,
} as const;

export async function main(args: string[]): Promise<void> {
  const { noModel, reports, json, ...values } = parseFlags(task, flags, args);
  const out = values.out ?? join(reports, "index.html");
  await requirePlace(out);
  const page = noModel
    ? undefined
    : await writePage(join(dirname(out), "page"), { hasReport: true, note });
  const { bytes, data } = await writeReport(out, { reports, page });
  for (const problem of data.problems) note(problem);
  for (const { what, command } of data.missing) note(`Not there yet: ${what}; run "${command}"`);
  const shown = [
    ...data.evaluations,
    ...data.samples,
    ...data.quality,
    ...Object.values(data.runs),
  ];
  const stale = shown.filter((entry) => entry.stale.length > 0).length;
  if (stale > 0) note(`${stale} of ${shown.length} results are stale; the page says which and why`);
  if (json) printJson({ path: out, bytes });
  else print(`Wrote "${out}" (${Math.ceil(bytes / 1000)} kB); open it in a browser`);
}

/**
 * Writes the page from what is under `root`: `reports/results/*.json`, `reports/runs/*.jsonl`, and
 * the weights and texts that these name, to see whether they have changed since.
 *
 * @param options.page The page on which models learn, if there is one to link to.
 * @returns The size of the page, and what it shows.
 * @throws {Error} If `out` can't be written; a page that was there stays.
 */
export async function writeReport(
  out: string,
  { root = ".", reports = join(root, "reports"), page }: {
    root?: string;
    reports?: string;
    page?: WrittenPage;
  } = {},
): Promise<{ bytes: number; data: ReportData }> {
  await requirePlace(out);
  const data = await gather(await readResults(reports), makeHash(root));
  const html = await buildPage(data, { tryIt: browserPageSection(page, out) });
  const bytes = new TextEncoder().encode(html);
  await writeFileAtomically(out, bytes);
  return { bytes: bytes.length, data };
}

async function requirePlace(out: string): Promise<void> {
  await makeFolder(dirname(out));
  await requireWritable(out);
}

if (import.meta.main) await runTask(main, Deno.args);
