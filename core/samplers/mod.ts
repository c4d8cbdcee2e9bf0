/** The ways to choose what to reveal, by the names that `--sampler` takes. */
import type { Sampler } from "../language_model.ts";
import { threshold } from "./threshold.ts";

export const samplers = { threshold } satisfies Record<string, Sampler>;
export type SamplerName = keyof typeof samplers;
