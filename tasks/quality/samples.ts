/** The texts of `quality`: how a model is to write them, and their figures. */
import type { ModelKind } from "../../core/config.ts";
import { makeTokenizer, type Tokenizer } from "../../core/data/tokenizer.ts";
import { models } from "../../core/models.ts";
import { loadNetwork } from "../../core/sampling/network.ts";
import type { SamplerName } from "../../core/sampling/samplers/mod.ts";
import { limitPasses, write } from "../../core/sampling/write.ts";
import type { TrainedNetwork } from "../../core/language_model.ts";
import { measureQuality, type Measures, summarize } from "./measure.ts";
import type { Engine } from "../../engines/engine.ts";
import { nextSeed } from "../shared/flags.ts";
import { interruption } from "../shared/run.ts";
import { openPieces } from "../shared/journal.ts";
import { loadNgrams, refuseDrafts } from "../shared/ngrams.ts";
import { startProgress } from "../shared/progress.ts";
import type { QualityRow } from "../shared/results.ts";
import { chooseSampling, type Sampling, type SamplingValues } from "../shared/sampling_flags.ts";
import type { ChosenWeights } from "../shared/weights.ts";

/** A model, and the ways in which it is to write. */
export interface MeasuredModel {
  saved: ChosenWeights;
  tokenizer: Tokenizer;
  prompt: string;
  samplings: Sampling[];
}

/** The flags that say what to write. */
export type QualityFlags = Omit<SamplingValues, "temperature" | "sampler"> & {
  model?: ModelKind;
  prompt?: string;
  length: number;
  drafts?: number;
  data?: string;
  temperature: number[];
  sampler: SamplerName[];
};

/**
 * Combines every sampler with every temperature.
 *
 * @throws {UsageError} If the flags mean nothing to the model.
 * @throws {UserError} If the model lacks characters of the prompt.
 */
export async function planSamples(
  saved: ChosenWeights,
  values: QualityFlags,
): Promise<MeasuredModel> {
  refuseDrafts(values.model, values);
  const { config, vocabulary } = saved;
  const {
    topK,
    topP,
    asOriginal,
    drafts,
    model,
    length,
    sampler: names,
    temperature: temperatures,
  } = values;
  // Without --model, a GPT ignores the flags that are meant for the samplers.
  const isPlain = config.kind === "gpt" && model === undefined;
  const given = isPlain ? { topK, topP, asOriginal, drafts } : values;
  const ngrams = await loadNgrams(saved, values);
  const samplers = isPlain || names.length === 0 ? [undefined] : names;
  const samplings = samplers.flatMap((sampler) =>
    temperatures.map((temperature) => {
      const among = names.length > 0 ? names : undefined;
      const chosen = { ...given, sampler, temperature };
      return chooseSampling(config, chosen, { ngrams, among, varied: ["temperature"] });
    })
  );
  const tokenizer = makeTokenizer(config.kind, vocabulary);
  const prompt = values.prompt ?? saved.prompt ?? "";
  const [{ options, window }] = samplings;
  limitPasses(config.kind, tokenizer, { prompt, length }, options, window); // refuses a wrong prompt
  return { saved, tokenizer, prompt, samplings };
}

/**
 * The version of how texts are written. Raise it whenever the same weights, settings and seed give
 * another text than before: otherwise kept texts of the old version pass for new ones.
 */
const WRITING = 2;

/** A text without the prompt, as the journal keeps it. */
interface KeptText {
  text: string;
  forwards: number;
  seconds: number;
}

function isKeptText(value: unknown): value is KeptText {
  const { text, forwards, seconds } = (value ?? {}) as KeptText;
  return typeof text === "string" && Number.isFinite(forwards) && Number.isFinite(seconds);
}

/**
 * Writes and measures the texts of a model: a row for each way of writing. Texts that an earlier run
 * wrote are taken from its journal.
 */
export async function measureSamples(
  engine: Engine,
  model: MeasuredModel,
  measures: Measures,
  values: { count: number; length: number; seed: number; threads?: number; reports: string },
): Promise<QualityRow[]> {
  const { saved: { config, vocabulary, weights, sha256 }, prompt, samplings } = model;
  const { kind } = config;
  const { count, length, seed: first } = values;
  const { heads, context } = config;
  const subject = {
    writing: WRITING,
    vocabulary: vocabulary.join(""),
    weights: sha256,
    heads,
    context,
  };
  using journal = await openPieces(`quality-${kind}`, "text", engine, values, subject, isKeptText);
  const texts = samplings.flatMap((sampling) =>
    Array.from({ length: count }, (_, i) => {
      const seed = nextSeed(first, i);
      const key = JSON.stringify([sampling.name, sampling.settings, prompt, length, seed]);
      return { sampling, key, seed, kept: journal?.get(key) };
    })
  );
  const missing = texts.filter(({ kept }) => kept === undefined);
  if (missing.length > 0) {
    const total = texts.length * length;
    const before = total - missing.length * length;
    using progress = startProgress({ total, unit: `${kind}, character`, done: before });
    const { window, drafts } = samplings[0];
    using network = await loadNetwork(engine, models[kind], config, weights, { window, drafts });
    for (const [i, text] of missing.entries()) {
      text.kept = await writeText(network, model, text, length, (done) => {
        const { name, options: { temperature } } = text.sampling;
        const fields = { [name]: `at ${temperature}` };
        progress.update({ done: before + i * length + done, fields });
      });
      journal?.add(text.key, text.kept);
    }
  }
  const rows: QualityRow[] = [];
  for (const sampling of samplings) {
    const { name, options: { temperature }, settings } = sampling;
    const own = texts.filter((text) => text.sampling === sampling).map(({ kept }) => kept!);
    rows.push({
      source: kind,
      sampler: name,
      temperature,
      settings,
      texts: count,
      length,
      figures: await measureQuality(own.map(({ text }) => text), measures, {
        signal: interruption(),
      }),
      cost: {
        forwards: summarize(own.map(({ forwards }) => forwards))!,
        seconds: summarize(own.map(({ seconds }) => seconds))!,
      },
    });
  }
  return rows;
}

/** Writes one text alone, so that its time is its own. */
async function writeText(
  network: TrainedNetwork,
  { tokenizer, prompt }: MeasuredModel,
  { sampling, seed }: { sampling: Sampling; seed: number },
  length: number,
  onProgress: (done: number) => void,
): Promise<KeptText> {
  const options = { ...sampling.options, seed, signal: interruption() };
  const writing = await write(network, tokenizer, { prompt, length }, options);
  const written = () => writing.characters.slice(-length).filter((character) => character !== "");
  for await (const _ of writing) onProgress(written().length);
  return { text: written().join(""), forwards: writing.forwards, seconds: writing.seconds };
}
