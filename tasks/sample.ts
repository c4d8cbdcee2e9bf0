/** Generates text with trained weights. */
import type { ModelKind } from "../core/config.ts";
import { makeTokenizer } from "../core/data/tokenizer.ts";
import { models } from "../core/models.ts";
import { loadNetworks } from "../core/sampling/network.ts";
import {
  limitPasses,
  type Step,
  write,
  type WriteRequest,
  type Writing,
} from "../core/sampling/write.ts";
import {
  countWrittenCharacters,
  type GenerationStep,
  type Sample,
  type SampleResult,
} from "./shared/results.ts";
import { collectWords, measureRealWords } from "./shared/words.ts";
import { nextSeed, parseFlags, reportsFlag, UsageError, writingFlags } from "./shared/flags.ts";
import { Interrupted, interruption, note, printJson, printText, runTask } from "./shared/run.ts";
import { commandLine, percent, quantity } from "./shared/text.ts";
import { startEngineFromFlags } from "./shared/engine.ts";
import { loadNgrams, refuseDrafts } from "./shared/ngrams.ts";
import { startProgress } from "./shared/progress.ts";
import { openResults, provenance } from "./shared/provenance.ts";
import {
  checkTemplate,
  chooseSampling,
  samplingFlags,
  templateFlags,
} from "./shared/sampling_flags.ts";
import {
  type ChosenWeights,
  encodeFor,
  loadChosenText,
  loadChosenWeights,
  noteOtherText,
  readCorpusFor,
  weightsFlags,
} from "./shared/weights.ts";

const task = {
  name: "sample",
  summary: "Generate text with trained weights; the text goes to stdout.",
  examples: [
    "deno task sample",
    'deno task sample --model gpt --prompt "ROMEO:" --length 400',
    'deno task sample --template "To be, or ____ to be, that is the {3..12}."',
    "deno task sample --sampler entropy --entropy-bound 1 --count 3 --json",
  ],
} as const;

const flags = {
  model: { choices: ["gpt", "diffusion"], default: "diffusion", help: "model to use" },
  ...weightsFlags,
  prompt: {
    type: "string",
    help: "text to continue",
    defaultHelp: "the beginning of the training text",
  },
  ...templateFlags,
  length: {
    type: "integer",
    min: 0,
    max: 1_000_000,
    help: "characters to generate after the prompt",
    defaultHelp: "2000, or 0 after a template",
  },
  count: {
    type: "integer",
    min: 1,
    max: 1000,
    default: 1,
    help: "number of samples; seeds are consecutive, and those of a GPT are computed together",
  },
  ...samplingFlags,
  ...reportsFlag,
  ...writingFlags,
} as const;

/** Most GPT texts computed together; larger batches gain little. */
const MOST_ROWS = 4;

export async function main(args: string[]): Promise<void> {
  const values = parseFlags(task, flags, args);
  const { model: kind, template, gap, count, seed } = values;
  refuseTemplateMistakes(kind, values);
  refuseDrafts(kind, values);
  const saved = await loadChosenWeights(kind, values);
  const { config, vocabulary, weights } = saved;
  const tokenizer = makeTokenizer(kind, vocabulary);
  const ngrams = await loadNgrams(saved, values);
  const { options, name, window, settings, drafts } = chooseSampling(config, values, { ngrams });
  const prompt = values.prompt ?? saved.prompt ?? "";
  const length = values.length ?? (template === undefined ? 2000 : 0);
  const request: WriteRequest = template === undefined
    ? { prompt, length }
    : { template, gap, length };
  const most = await encodeFor(
    saved,
    () => limitPasses(kind, tokenizer, request, options, window),
  );

  const known = await loadTrainingWords(values.data, saved);
  // Whether it writes words of a text that it never saw says nothing about the model.
  const words = known && await noteOtherText(saved, known) ? undefined : known;
  const keepResult = await openResults(values.reports);

  const engine = await startEngineFromFlags(values);
  const { forwards, characters } = most;
  const limit = quantity(forwards, "forward pass", "forward passes");
  const withDrafts = drafts ? `, ${quantity(drafts, "draft", "drafts")} a pass` : "";
  note(`sampler: ${name}${withDrafts}, at most ${limit} for ${quantity(characters, "character")}`);
  const rows = Math.min(count, MOST_ROWS);
  const networks = await loadNetworks(engine, models[kind], config, weights, {
    rows,
    window,
    drafts,
  });

  const signal = interruption();
  const texts: Writing[] = []; // by number, those that an interruption cut short among them
  const samples: Sample[] = []; // by number, the whole ones
  let begun = 0;
  let shown = 0;
  let done = 0;
  let lost: unknown; // why stdout takes no more
  const total = count * characters;
  using progress = startProgress({ total, unit: "character" });
  const show = () => { // in the order of their seeds
    for (; samples[shown]; shown++) {
      progress.clear();
      try {
        if (!values.json) printText(samples[shown].text);
      } catch (error) {
        lost = error;
        throw error;
      }
      const label = count > 1 ? `sample ${shown + 1}: ` : "";
      progress.note(label + summarize(samples[shown], words?.heldOut ?? null));
    }
  };
  const onStep = ({ changes }: Step) => {
    for (const [, character] of changes) done += character === "" ? -1 : 1;
    const passes = networks.reduce((sum, { forwards }) => sum + forwards, 0);
    progress.update({ done, fields: { passes: `${passes}` } });
  };
  await Promise.all(networks.map(async (network) => {
    using row = network;
    while (begun < count && !signal.aborted) {
      const i = begun++;
      const steps: GenerationStep[] = [];
      try {
        texts[i] = await write(row, tokenizer, request, {
          ...options,
          seed: nextSeed(seed, i),
          signal,
        });
        for await (const step of texts[i]) {
          steps.push(roundStep(step));
          onStep(step);
        }
      } catch (error) {
        if (signal.aborted) return;
        throw error;
      }
      const { text, forwards, seconds, blocks } = texts[i];
      const written = template === undefined ? text.slice(prompt.length) : "";
      const realWords = words ? shareOf(written, words.known) : null;
      samples[i] = {
        text,
        seed: nextSeed(seed, i),
        forwards,
        seconds,
        steps,
        blocks: kind === "gpt" ? undefined : blocks.map(({ start, masked }) => start + masked[0]),
        realWords,
      };
      show();
    }
  })).catch((error) => {
    if (error !== lost) throw error;
  });

  if (shown < count && lost === undefined) {
    progress.finish();
    if (!values.json) {
      for (const writing of texts.slice(shown)) if (writing?.text) printText(writing.text);
    }
    throw new Interrupted(signal.reason.signal, `Interrupted at character ${done} of ${total}`);
  }

  await keepResult(
    {
      kind: "sample",
      model: kind,
      prompt: template === undefined ? prompt : "",
      sampler: name,
      settings: { length, ...(template === undefined ? {} : { template }), ...settings },
      samples: samples.filter(() => true), // without holes, where stdout took only some
      realWordsHeldOut: words?.heldOut ?? null,
      provenance: await provenance({
        command: commandLine("sample", args),
        engine,
        threads: values.threads,
        seed,
        weights: saved,
        corpus: words,
      }),
    } satisfies SampleResult,
  );
  if (lost !== undefined) throw lost;
  if (values.json) {
    printJson({
      model: kind,
      weights: saved.path,
      prompt: template ?? prompt,
      sampler: name,
      engine: engine.name,
      drafts: drafts ?? 0,
      forwards_at_most: forwards,
      samples: samples.map(({ text, seed, forwards, seconds, steps }) => ({
        text,
        seed,
        forwards,
        seconds,
        chars_per_forward: forwards === 0 ? null : countWrittenCharacters(steps) / forwards,
      })),
    });
  }
}

function refuseTemplateMistakes(
  kind: ModelKind,
  values: { template?: string; gap?: string; prompt?: string },
): void {
  checkTemplate(values);
  if (values.template === undefined) return;
  if (kind === "gpt") {
    throw new UsageError(
      "Cannot fill a template with a GPT: it sees only what is to the left of a character, so the text after a " +
        "gap can't guide it; use --model diffusion, or --prompt",
    );
  }
  if (values.prompt !== undefined) {
    throw new UsageError(
      "Cannot use --prompt with --template: expected one of them; write the prompt into the template",
    );
  }
}

/** A step as the result keeps it: four digits of confidence are enough for the report. */
function roundStep({ seconds, forwards, changes }: Step): GenerationStep {
  return {
    seconds,
    forwards,
    changes: changes.map(([position, character, confidence]) => [
      position,
      character,
      Number(confidence.toFixed(4)),
    ]),
  };
}

/**
 * The words of the training text, and their share in the held-out part. A text that was not asked
 * for is not a reason to fail: words are then not counted.
 */
async function loadTrainingWords(data: string | undefined, saved: ChosenWeights) {
  try {
    const corpus = await loadChosenText(data);
    const { path, sha256, train, validation } = readCorpusFor(corpus, [saved]);
    const known = collectWords(train);
    return { path, sha256, known, heldOut: shareOf(validation, known) };
  } catch (error) {
    if (data !== undefined) throw error;
    note(`real words are not counted: ${(error as Error).message}`);
    return undefined;
  }
}

/** Share of real words; null if there is no whole word. */
function shareOf(text: string, known: Set<string>): number | null {
  const share = measureRealWords(text, known);
  return Number.isNaN(share) ? null : share;
}

/** Says in a line how a sample came about, and how it spells. */
function summarize(
  { forwards, seconds, steps, realWords }: Sample,
  heldOut: number | null,
): string {
  const each = (countWrittenCharacters(steps) / forwards).toFixed(2);
  const rate = forwards === 0 ? "" : `, ${each} characters each`;
  const passes = quantity(forwards, "forward pass", "forward passes");
  return `${passes}${rate}, ${seconds.toFixed(2)} s` +
    (realWords === null ? "" : `; real words ${percent(realWords)}`) +
    (realWords === null || heldOut === null ? "" : `, held-out text ${percent(heldOut)}`);
}

if (import.meta.main) await runTask(main, Deno.args);
