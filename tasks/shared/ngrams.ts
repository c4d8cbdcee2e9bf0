/** The table of n-grams with which models write: where it comes from, and the flag `--drafts`. */
import { dirname, join } from "@std/path";
import type { ModelKind } from "../../core/config.ts";
import { type Corpus, findCorpus, loadCorpus, readForModel } from "../../core/data/corpus.ts";
import { listCharacters, makeTokenizer } from "../../core/data/tokenizer.ts";
import { readBytes } from "../../core/files/read.ts";
import { MAX_NGRAM_BYTES, ngramFileName, unpackNgrams } from "../../core/ngrams/file.ts";
import { kneserNey, type NgramTable, smooth } from "../../core/ngrams/kneser_ney.ts";
import { UserError } from "../../engines/errors.ts";
import { UsageError } from "./flags.ts";
import { showCounting } from "./progress.ts";
import { note } from "./run.ts";
import type { Sampling } from "./sampling_flags.ts";
import type { ChosenWeights } from "./weights.ts";

/** Measured: docs/sampling.md, "Drafts". */
const DEFAULT_DRAFTS = 11;

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

/**
 * Adds the table of n-grams to ways of writing that use one: a GPT with drafts, and samplers. A GPT
 * without a table writes one character in a pass, and a note says why.
 *
 * @throws {UserError} If the table is damaged or of another text, or a sampler's is missing.
 */
export async function addNgrams(
  samplings: Sampling[],
  saved: ChosenWeights,
  { data, asOriginal, drafts = asOriginal ? 0 : DEFAULT_DRAFTS }: DraftValues & { data?: string },
): Promise<Sampling[]> {
  if (saved.config.kind === "diffusion") {
    const user = samplings.find(({ options }) => options.sampler.usesNgrams);
    if (!user) return samplings;
    const ngrams = await findNgrams(saved, data);
    if (ngrams) return samplings.map((one) => ({ ...one, options: { ...one.options, ngrams } }));
    throw new UserError({
      action: `use the sampler ${user.name}`,
      found: `it needs a table of n-grams, and ${describeMissingText(saved)}`,
      advice:
        'get it with "deno task fetch-data", name it with --data, or choose another --sampler',
    });
  }
  const ngrams = drafts > 0 ? await findNgrams(saved, data) : undefined;
  if (drafts > 0 && !ngrams) {
    note(
      "note: no drafts, so one character in a pass: they need a table of n-grams, and " +
        `${describeMissingText(saved)}; get it with "deno task fetch-data", or name it with --data`,
    );
  }
  const used = ngrams ? drafts : 0;
  return samplings.map((sampling) => ({
    ...sampling,
    options: { ...sampling.options, ngrams },
    drafts: used,
    settings: { ...sampling.settings, drafts: used },
  }));
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
  if (!await Deno.stat(file).then(() => true, () => false)) return undefined;
  const advice = 'delete it, or write it again with "deno task ngrams"';
  const bytes = await readBytes(file, {
    action: "read the table of n-grams",
    advice,
    maxBytes: MAX_NGRAM_BYTES,
  });
  const table = await unpackNgrams(bytes, file);
  const isSame = table.corpusSha256 === corpusSha256 &&
    table.vocabulary.join("") === listCharactersOf(saved).join("");
  if (isSame) return smooth(table.counts);
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
  const corpus = readForModel(await loadCorpus(path), kind, vocabulary);
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
