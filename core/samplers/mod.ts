/** The ways to choose what to reveal, by the names that `--sampler` takes. */
import type { Sampler } from "../language_model.ts";
import { ancestral } from "./ancestral.ts";
import { confidence } from "./confidence.ts";
import { entropy } from "./entropy.ts";
import { remask } from "./remask.ts";
import { threshold } from "./threshold.ts";

export const samplers = { threshold, confidence, entropy, ancestral, remask } satisfies Record<
  string,
  Sampler
>;
export type SamplerName = keyof typeof samplers;
