/** All targets of the check `fuzz`, by name. */
import { corpus } from "./corpus.ts";
import { metadata } from "./metadata.ts";
import { ngrams } from "./ngrams.ts";
import { pickle, pt, zip } from "./pytorch.ts";
import { results } from "./results.ts";
import { safetensors } from "./safetensors.ts";
import type { Target } from "./target.ts";

export const targets: Record<string, Target> = {
  safetensors,
  pickle,
  zip,
  pt,
  metadata,
  ngrams,
  results,
  corpus,
};
