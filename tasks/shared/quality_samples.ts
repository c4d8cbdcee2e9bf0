/** The samples of `quality`: which a model is to write, and what they are worth. */
import type { ModelKind } from "../../core/config.ts";
import type { Engine } from "../../engines/engine.ts";
import { yieldToEventLoop } from "../../core/event_loop.ts";
import { openJournal } from "./journal.ts";
import { type LoadedNetwork, loadNetwork } from "../../core/sampling/network.ts";
import { measureQuality, type Measures, summarize } from "../../core/scoring/quality/measure.ts";
import { seededRandom } from "../../core/random.ts";
import { type QualityRow, toFigures } from "./results.ts";
import type { SamplerName } from "../../core/sampling/samplers/mod.ts";
import { makeTokenizer, type Tokenizer } from "../../core/data/tokenizer.ts";
import { interruption, note } from "./cli.ts";
import { generation, type Given, givenPrompt } from "./generation.ts";
import { startProgress } from "./progress.ts";
import { PARTIAL } from "./provenance.ts";
import { type Sampling, samplingOf, type SamplingValues, usedBy } from "./sampler_flags.ts";
import type { ChosenWeights } from "./weights.ts";

/** A model, and the ways in which it is to write. */
export interface Writer {
  saved: ChosenWeights;
  tokens: Tokenizer;
  given: Given;
  samplings: Sampling[];
}

/** The flags that say what to write. */
export type WriterValues = Omit<SamplingValues, "temperature" | "sampler"> & {
  model?: ModelKind;
  prompt?: string;
  length: number;
  temperature: number[];
  sampler: SamplerName[];
};

/** @throws {UsageError} If the flags mean nothing to the model. */
export function writerOf(saved: ChosenWeights, values: WriterValues): Writer {
  const { config, vocabulary } = saved, { kind } = config;
  const tokens = makeTokenizer(kind, vocabulary);
  const given = givenPrompt(kind, values.prompt ?? saved.prompt ?? "", values.length, tokens);
  const { topK, topP, model, sampler: names, temperature: temperatures } = values;
  const truncation = { topK, topP };
  // Without --model, what is meant for the samplers goes past the GPT.
  const isPlain = kind === "gpt" && model === undefined;
  const samplers: (SamplerName | undefined)[] = isPlain || names.length === 0 ? [undefined] : names;
  const samplings = samplers.flatMap((sampler) =>
    temperatures.map((temperature) =>
      samplingOf(
        kind,
        config,
        isPlain
          ? { ...truncation, temperature }
          : { ...truncation, ...optionsOf(sampler, values), temperature, sampler },
      )
    )
  );
  return { saved, tokens, given, samplings };
}

/**
 * The values of sampler flags, without those that mean something to another sampler of the line
 * only.
 */
function optionsOf(sampler: SamplerName | undefined, values: WriterValues) {
  const { threshold, denoisingSteps, grid, entropyBound, remaskCap, overlap, window } = values;
  const all = { threshold, denoisingSteps, grid, entropyBound, remaskCap };
  const isForAnother = (flag: keyof typeof all) =>
    usedBy[flag].every((name) => name !== sampler) &&
    usedBy[flag].some((name) => values.sampler.includes(name));
  const own = Object.entries(all).filter(([flag]) => !isForAnother(flag as keyof typeof all));
  return { ...Object.fromEntries(own) as Partial<typeof all>, overlap, window };
}

/** What a model wrote, without the prompt. */
interface Written {
  text: string;
  forwards: number;
  seconds: number;
}

function isWritten(value: unknown): value is Written {
  const { text, forwards, seconds } = (value ?? {}) as Written;
  return typeof text === "string" && Number.isFinite(forwards) && Number.isFinite(seconds);
}

/** A row for each way of writing. Texts that an earlier run wrote are taken from its journal. */
export async function writtenRows(
  engine: Engine,
  writer: Writer,
  measures: Measures,
  values: { count: number; length: number; seed: number; threads?: number },
): Promise<QualityRow[]> {
  const { saved: { config, vocabulary, weights, sha256 }, given, samplings } = writer,
    { kind } = config;
  const { count, length, seed, threads } = values;
  using journal = await openJournal(PARTIAL, `quality-${kind}`, {
    vocabulary: vocabulary.join(""),
    ...{ weights: sha256, heads: config.heads, context: config.context },
    ...{ engine: engine.name, precision: engine.precision, threads: threads ?? null },
  }, isWritten);
  note(`${kind}: each text is kept in ${journal.path}, from where a later run goes on`);
  const texts = samplings.flatMap((sampling) =>
    Array.from({ length: count }, (_, i) => {
      const { sampler, settings } = sampling;
      const key = JSON.stringify([sampler, settings, given.shown, length, seed + i]);
      return { sampling, key, seed: seed + i, written: journal.get(key) };
    })
  );
  const missing = texts.filter(({ written }) => written === undefined);
  if (missing.length > 0) {
    const total = texts.length * length, before = total - missing.length * length;
    using progress = startProgress({ total, unit: `${kind}, character`, done: before });
    const { window } = samplings[0];
    using network = await loadNetwork(engine, config, weights, { window });
    for (const [i, text] of missing.entries()) {
      text.written = await write(network, writer, text, (done) => {
        const { sampler, options: { temperature } } = text.sampling;
        const fields = { [sampler]: `at ${temperature}` };
        progress.update({ done: before + i * length + done, fields });
      });
      await journal.add(text.key, text.written);
    }
  }
  const rows: QualityRow[] = [];
  for (const sampling of samplings) {
    const own = texts.filter((text) => text.sampling === sampling).map(({ written }) => written!);
    const { sampler, options: { temperature }, settings } = sampling;
    rows.push({
      ...{ source: kind, sampler, temperature, settings, texts: count, length },
      figures: toFigures(
        await measureQuality(own.map(({ text }) => text), measures, { signal: interruption() }),
      ),
      cost: {
        forwards: summarize(own.map(({ forwards }) => forwards))!,
        seconds: summarize(own.map(({ seconds }) => seconds))!,
      },
    });
  }
  return rows;
}

/** Writes one text, alone, so that its time is its own. */
async function write(
  network: LoadedNetwork,
  { saved, tokens, given }: Writer,
  { sampling, seed }: { sampling: Sampling; seed: number },
  onProgress: (done: number) => void,
): Promise<Written> {
  const { kind } = saved.config, first = [...given.shown].length;
  const begun = await generation(network, kind, tokens, given, sampling, seededRandom(seed));
  const characters = new Array<string>(given.length).fill("");
  let forwards = 0, seconds = 0;
  for await (const step of begun.steps) {
    for (const [position, character] of step.changes) characters[position - first] = character;
    ({ forwards, seconds } = step);
    onProgress(characters.filter((character) => character !== "").length);
    await yieldToEventLoop();
    interruption().throwIfAborted();
  }
  return { text: characters.join(""), forwards, seconds };
}
