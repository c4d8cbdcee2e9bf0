/** Lists the engines that run on this machine, and says why the others don't. */
import { engineStatuses, startEngine } from "../engines/mod.ts";
import { outputFlags, parseFlags } from "./shared/flags.ts";
import { print, printJson, runTask } from "./shared/run.ts";

const task = {
  name: "engines",
  summary:
    "List the engines that --engine takes: which run on this machine, and why not the others.",
  examples: ["deno task engines", "deno task engines --json"],
} as const;

export async function main(args: string[]): Promise<void> {
  const { json } = parseFlags(task, outputFlags, args);
  const engines = await engineStatuses();
  if (json) return printJson({ engines });
  const width = Math.max(...engines.map(({ name }) => name.length));
  for (const { name, available, reason } of engines) {
    print(`${available ? "yes" : "no "}  ${name.padEnd(width)}  ${reason}`);
  }
  const { engine, reason } = await startEngine("auto");
  print(`\nauto is ${engine.name}: ${reason}`);
}

if (import.meta.main) await runTask(main, Deno.args);
