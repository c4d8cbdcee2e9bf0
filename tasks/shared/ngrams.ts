/** The table of n-grams with which models write: where it comes from, and the flag `--drafts`. */
import { dirname, join } from "@std/path";
import type { ModelKind } from "../../core/config.ts";
import { type Corpus, loadCorpus, readForModel } from "../../core/data/corpus.ts";
import { findCorpus } from "./fetched_texts.ts";
import { listCharacters, makeTokenizer } from "../../core/data/tokenizer.ts";
import { exists, readBytes } from "../../files/read.ts";
import { isTableOf, MAX_NGRAM_BYTES, ngramFileName, unpackNgrams } from "../../core/ngrams/file.ts";
import { kneserNey, type NgramTable, smooth } from "../../core/ngrams/kneser_ney.ts";
import { defaultSampler } from "../../core/sampling/defaults.ts";
import { type SamplerName, samplers } from "../../core/sampling/samplers/mod.ts";
import type { DefinedSampler } from "../../core/sampling/samplers/sampler.ts";
import { UserError } from "../../engines/errors.ts";
import { UsageError } from "./flags.ts";
import { showCounting } from "./progress.ts";
import { note } from "./run.ts";
import type { ChosenWeights } from "./weights.ts";

/** Measured: docs/sampling.md, "Drafts". */
export const DEFAULT_DRAFTS = 11;

export const draftFlags = {
  drafts: {
    type: "integer",
    min: 0,
    max: 64,
    help: "GPT: characters that a table of n-grams drafts for a forward pass, 0 = none; the " +
      "text has the same distribution, but a seed gives another",
    defaultHelp: `${DEFAULT_DRAFTS}, or 0 where there is no table`,
  },
} as const;

/** The flags that decide about drafts. */
interface DraftValues {
  drafts?: number;
  asOriginal?: boolean;
}

/**
 * Refuses `--drafts` where it can't be followed.
 *
 * @throws {UsageError}
 */
export function refuseDrafts(kind: ModelKind | undefined, values: DraftValues): void {
  if (values.drafts === undefined) return;
  if (kind === "diffusion") {
    throw new UsageError(
      "Cannot use --drafts with --model diffusion: it is a GPT that checks drafts; leave it out",
    );
  }
  if (values.asOriginal) {
    throw new UsageError(
      "Cannot use --drafts with --as-original: the original has none; leave one of them out",
    );
  }
}

/** The flags that decide whether a table is of use. */
interface NgramValues extends DraftValues {
  /** The samplers that were named. */
  sampler?: SamplerName | SamplerName[];
  data?: string;
}

/**
 * Loads the table of n-grams if a model is to write with one: a GPT with drafts, and a sampler that
 * needs it, as the default one does. Where there is none a GPT writes one character in a pass and a
 * diffusion model takes another sampler, and a note says so.
 *
 * @throws {UserError} If the table is damaged or of another text, or that of a named sampler is
 * missing.
 */
export async function loadNgrams(
  saved: ChosenWeights,
  { sampler, data, asOriginal, drafts = DEFAULT_DRAFTS }: NgramValues,
): Promise<NgramTable | undefined> {
  const isGpt = saved.config.kind === "gpt";
  const named = [sampler ?? []].flat();
  const user = named.find((name) => (samplers[name] as DefinedSampler).usesNgrams);
  const isOfUse = isGpt ? drafts > 0 : named.length === 0 || user !== undefined;
  if (asOriginal || !isOfUse) return undefined;
  const ngrams = await findNgrams(saved, data);
  if (ngrams) return ngrams;
  const missing = describeMissingText(saved);
  const advice = 'get it with "deno task fetch-data", or name it with --data';
  if (!isGpt && user !== undefined) {
    throw new UserError({
      action: `use the sampler ${user}`,
      found: `it needs a table of n-grams, and ${missing}`,
      advice: `${advice}, or choose another --sampler`,
    });
  }
  note(
    isGpt
      ? `note: no drafts, so one character in a pass: they need a table of n-grams, and ${missing}; ` +
        advice
      : `note: sampler ${defaultSampler.name}, the best one without a table of n-grams: ${missing}; ` +
        advice,
  );
}

/**
 * Finds the table of n-grams of the text on which weights were trained: stored next to them, or else
 * counted in that text.
 */
export async function findNgrams(
  saved: ChosenWeights,
  data: string | undefined,
): Promise<NgramTable | undefined> {
  const stored = await loadStoredNgrams(saved);
  if (stored) return stored;
  const corpus = await findText(saved, data);
  if (!corpus) return undefined;
  const vocabulary = listCharactersOf(saved);
  const { encode } = makeTokenizer("gpt", vocabulary);
  using progress = showCounting(corpus);
  return kneserNey(encode(corpus.train), vocabulary.length, 6, progress.onProgress);
}

async function loadStoredNgrams(saved: ChosenWeights): Promise<NgramTable | undefined> {
  const { corpusSha256, path } = saved;
  if (corpusSha256 === undefined) return undefined;
  const file = join(dirname(path), ngramFileName(corpusSha256));
  if (!await exists(file)) return undefined;
  const advice = 'delete it, or write it again with "deno task ngrams"';
  const bytes = await readBytes(file, {
    action: "read the table of n-grams",
    advice,
    maxBytes: MAX_NGRAM_BYTES,
  });
  const table = await unpackNgrams(bytes, file);
  if (isTableOf(table, corpusSha256, listCharactersOf(saved))) return smooth(table.counts);
  throw new UserError({
    action: `use "${file}"`,
    found: `its n-grams are those of another text than that of "${path}"`,
    advice,
  });
}

/**
 * Finds the text on which weights were trained; for weights that do not say which, a text of just
 * their characters.
 */
async function findText(
  saved: ChosenWeights,
  data: string | undefined,
): Promise<Corpus | undefined> {
  const { corpusSha256, config: { kind }, vocabulary } = saved;
  const path = data ?? await findCorpus({ sha256: corpusSha256 });
  if (path === undefined) return undefined;
  const loaded = await loadCorpus(path).catch((error) => {
    // A text that was not asked for is not a reason to fail.
    if (data === undefined && error instanceof UserError) return undefined;
    throw error;
  });
  if (!loaded) return undefined;
  const corpus = readForModel(loaded, kind, vocabulary);
  const isSame = corpusSha256 === undefined
    ? listCharacters(corpus.text, { limit: Infinity }).join("") === listCharactersOf(saved).join("")
    : corpus.sha256 === corpusSha256;
  return isSame ? corpus : undefined;
}

/** Says that there is no text for a table. */
export const describeMissingText = ({ path }: ChosenWeights) =>
  `the text on which ${path} was trained was not found`;

/** The characters of a model, without the mask. */
const listCharactersOf = ({ config, vocabulary }: ChosenWeights): string[] =>
  vocabulary.slice(config.kind === "diffusion" ? 1 : 0);
