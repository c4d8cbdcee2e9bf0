/** Writes the page on which both models learn in the browser, as a folder for any static host. */
import { quoted, UserError } from "../engines/errors.ts";
import { makePage } from "./page/write.ts";
import { outputFlags, parseFlags } from "./shared/flags.ts";
import { DenoError } from "./shared/process.ts";
import { interruption, note, print, printJson, runTask } from "./shared/run.ts";
import { megabytes } from "./shared/text.ts";

const task = {
  name: "page",
  summary:
    "Write the page on which a GPT and a diffusion model learn a text in the browser, as a " +
    "folder for any static host, such as GitHub Pages.",
  examples: ["deno task page --out site"],
} as const;

const flags = {
  out: { type: "path", default: "reports/page", help: "folder to write" },
  ...outputFlags,
} as const;

export async function main(args: string[]): Promise<void> {
  const { out, json } = parseFlags(task, flags, args);
  const page = await makePage(out, { signal: interruption(), note }).catch((error) => {
    if (!(error instanceof DenoError)) throw error;
    const advice = "check the network and try again";
    throw new UserError({ action: `write ${quoted(out)}`, found: error.found, advice });
  });
  const { bytes, startBytes, path } = page;
  if (json) printJson({ path, bytes, start_bytes: startBytes });
  else {
    print(
      `Wrote "${path}": ${megabytes(startBytes)} MB to start training, ${
        megabytes(bytes)
      } MB in all`,
    );
  }
}

if (import.meta.main) await runTask(main, Deno.args);
