/** Trains the diffusion model. */
import * as diffusion from "../core/diffusion.ts";
import { runTask } from "./shared/run.ts";
import { trainTask } from "./train/train.ts";

export const main = (args: string[]): Promise<void> => trainTask(diffusion, args);

if (import.meta.main) await runTask(main, Deno.args);
