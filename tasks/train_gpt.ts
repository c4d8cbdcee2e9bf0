/** Trains the GPT. */
import * as gpt from "../core/gpt.ts";
import { runTask } from "./shared/run.ts";
import { trainTask } from "./train/train.ts";

export const main = (args: string[]): Promise<void> => trainTask(gpt, args);

if (import.meta.main) await runTask(main, Deno.args);
