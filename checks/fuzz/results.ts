/**
 * The target `results`: what the report reads under `reports/`, the page made of it, and journals
 * of long computations.
 */
import { parseHTML } from "linkedom";
import { openJournal } from "../../tasks/shared/journal.ts";
import * as example from "../../tasks/testing/example_results.ts";
import { gather } from "../../tasks/report/gather.ts";
import { buildPage } from "../../tasks/report/page.tsx";
import { parseRun, readResults, type Results } from "../../tasks/report/read_results.ts";
import { parseResult } from "../../tasks/shared/results.ts";
import { mutateBytes, mutateJson, textBytes } from "./mutate.ts";
import {
  BrokenPromise,
  findFaultInLine,
  kindOf,
  promise,
  roundTrip,
  type Target,
} from "./target.ts";

const subject = { weights: "0".repeat(64), context: 4 };

export const results: Target = {
  readers: [
    "tasks/report/read_results.ts",
    "tasks/shared/results.ts",
    "tasks/shared/journal.ts",
    "tasks/report/gather.ts",
    "tasks/report/page.tsx",
    "tasks/report/markup.tsx",
  ],

  starts() {
    const models = ["gpt", "diffusion"] as const;
    const journal = [subject, { key: "block 0", value: 1.5 }, { key: "block 1", value: 2 }];
    return [
      ...models.flatMap((model) => [
        JSON.stringify(example.exampleSample(model, { text: example.PROMPT + "Be 🌊, my lady." })),
        JSON.stringify(example.exampleEvaluation(model)),
        JSON.stringify(example.exampleQuality(model)),
        example.exampleRun(model).split("\n").slice(0, 14).join("\n") + "\n",
      ]),
      journal.map((line) => JSON.stringify(line) + "\n").join(""),
    ].map(textBytes);
  },

  mutate(bytes, other, random) {
    if (random.chance(0.15)) return mutateBytes(bytes, other, random);
    const [lines, others] = [bytes, other].map((one) => new TextDecoder().decode(one).split("\n"));
    const at = random.integer(lines.length);
    const line = mutateJson(lines[at], random.pick(others), random);
    const more = random.chance(0.2) ? others.slice(at, at + 20) : [];
    const dropped = random.chance(0.2) ? random.integer(5) : 1;
    return textBytes(lines.toSpliced(at, dropped, line, ...more).join("\n"));
  },

  async check(bytes, folder) {
    if (bytes[0] === 0x7b && bytes[2] === 0x77) return await checkJournal(bytes, folder); // {"w…
    for (const [part, name] of [["results", "case.json"], ["runs", "case.jsonl"]]) {
      await Deno.mkdir(`${folder}/${part}`, { recursive: true });
      await Deno.writeFile(`${folder}/${part}/${name}`, bytes);
    }
    let found: Results;
    try {
      found = await readResults(folder);
    } catch (error) {
      throw new BrokenPromise(`reading results never fails: ${(error as Error).stack}`);
    }
    for (const problem of found.problems) {
      const fault = findFaultInLine(problem);
      promise(fault === undefined, `a problem is one line of ours: ${fault}: ${problem}`);
    }
    const read = [...found.samples, ...found.evaluations, ...found.quality];
    for (const result of read) {
      const json = JSON.stringify(result);
      const back = await roundTrip("a result", () => parseResult(json));
      promise(JSON.stringify(back) === json, "a result comes back as it was");
    }
    for (const run of found.runs) {
      const lines = [run.header, ...run.train, ...run.validation].map((line) =>
        JSON.stringify(line)
      );
      const back = await roundTrip("a log", () => parseRun(run.file, lines.join("\n")));
      promise(JSON.stringify(back) === JSON.stringify(run), "a log comes back as it was");
    }
    // A page takes a tenth of a second, so not for every case.
    if (read.length + found.runs.length > 0 && checksum(bytes) % 10 === 0) await checkPage(found);
    return read.length > 0
      ? `read ${read[0].kind}`
      : found.runs.length > 0
      ? `read ${found.runs[0].train.length} lines`
      : kindOf(found.problems.join(" "));
  },
};

async function checkJournal(bytes: Uint8Array, folder: string): Promise<string> {
  const isValue = (value: unknown) => typeof value === "number";
  const open = () => openJournal<number>(folder, "case", subject, isValue);
  let path: string;
  {
    using journal = await open();
    path = journal.path;
  }
  await Deno.writeFile(path, bytes);
  {
    using journal = await open();
    const kept = journal.get("block 0");
    promise(kept === undefined || typeof kept === "number", "a piece has its type");
    await journal.add("new", 7);
  }
  using journal = await open();
  promise(journal.get("new") === 7, "a piece that was added is there again");
  return `journal ${typeof journal.get("block 0")} ${typeof journal.get("block 1")}`;
}

const forbidden = "img, iframe, object, embed, link, base, form, [href^='javascript:']";

/** Text from results never becomes markup, nor ends the page's data. */
async function checkPage(found: Results): Promise<void> {
  let html: string;
  try {
    html = await buildPage(await gather(found, () => Promise.resolve({ reason: "is gone" })));
  } catch (error) {
    throw new BrokenPromise(`a page is made of whatever was read: ${(error as Error).stack}`);
  }
  const { document } = parseHTML(html);
  promise(document.querySelector(forbidden) === null, "the page has no element that loads");
  for (const element of document.querySelectorAll("*")) {
    for (const { name } of element.attributes) {
      promise(!/^on/i.test(name), `no element has an attribute ${name}`);
    }
  }
  const policy = document.querySelector("meta[http-equiv]")!.getAttribute("content")!;
  for (const script of document.querySelectorAll("script")) {
    if (script.getAttribute("type") === "application/json") JSON.parse(script.textContent!);
    else {
      const digest = await crypto.subtle.digest("SHA-256", textBytes(script.textContent!));
      const hash = new Uint8Array(digest).toBase64();
      promise(policy.includes(`'sha256-${hash}'`), "each script is one that the policy lets run");
    }
  }
}

/** A weak hash, but the same for the same bytes. */
function checksum(bytes: Uint8Array): number {
  return bytes.reduce((sum, byte) => (Math.imul(sum, 31) + byte) >>> 0, 7);
}
