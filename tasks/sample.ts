/** Generates text with trained weights. */
import { blocksOf, passesOf } from "../core/sampling/blocks.ts";
import type { ModelKind } from "../core/config.ts";
import { findLatestCorpus, loadCorpus } from "../core/data/corpus.ts";
import { yieldToEventLoop } from "../core/event_loop.ts";
import { lengthPasses } from "../core/sampling/gap_length.ts";
import { type LoadedNetwork, loadNetworks } from "../core/sampling/network.ts";
import { seededRandom } from "../core/random.ts";
import {
  countWrittenCharacters,
  type GenerationStep,
  type Sample,
  type SampleResult,
} from "./shared/results.ts";
import { makeTokenizer, MASK_TOKEN, type Tokenizer } from "../core/data/tokenizer.ts";
import { collectWords, measureRealWords } from "../core/scoring/quality/words.ts";
import {
  commandLine,
  commonFlags,
  Interrupted,
  interruption,
  note,
  parseFlags,
  printJson,
  printText,
  runTask,
  UsageError,
} from "./shared/cli.ts";
import { chosenEngine } from "./shared/engine.ts";
import {
  generation,
  type Given,
  givenPrompt,
  givenTemplate,
  templateFlags,
} from "./shared/generation.ts";
import { startProgress } from "./shared/progress.ts";
import { keepResult, provenance, requireResultsFolder } from "./shared/provenance.ts";
import {
  samplerFlags,
  type Sampling,
  samplingOf,
  truncationFlags,
} from "./shared/sampler_flags.ts";
import { chosenWeights, isOfOtherText, tellingOfShipped, weightsFlags } from "./shared/weights.ts";

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
  model: { choices: ["gpt", "diffusion"], default: "diffusion", help: "which of the two" },
  ...weightsFlags,
  prompt: { type: "string", help: "text to go on from; without it, the training text's beginning" },
  ...templateFlags,
  length: {
    type: "integer",
    min: 0,
    max: 1_000_000,
    help: "characters to generate after the prompt; without it, 2000, or 0 after a template",
  },
  count: {
    type: "integer",
    min: 1,
    max: 1000,
    default: 1,
    help: "samples, with seeds one apart, several computed together",
  },
  ...truncationFlags,
  ...samplerFlags,
  ...commonFlags,
} as const;

/** Samples computed together: more would wait for each other, and gain little. */
const MOST_ROWS = 4;

export async function main(args: string[]): Promise<void> {
  const values = parseFlags(task, flags, args);
  const kind = values.model;
  refuseTemplateMistakes(kind, values);
  const saved = await chosenWeights(kind, values);
  const { config, vocabulary } = saved;
  const tokens = makeTokenizer(kind, vocabulary);
  const sampling = samplingOf(kind, config, values);
  const given = await tellingOfShipped(
    saved,
    () =>
      values.template === undefined
        ? givenPrompt(kind, values.prompt ?? saved.prompt ?? "", values.length ?? 2000, tokens)
        : givenTemplate(values.template, values.gap, values.length ?? 0, tokens),
  );

  const known = await trainingWords(values.data);
  // Whether it writes words of a text that it never saw says nothing about it.
  const words = known && await isOfOtherText(saved, known) ? undefined : known;
  await requireResultsFolder();

  const engine = await chosenEngine(values);
  const most = mostPasses(kind, given, sampling);
  const places = given.pieces.reduce((sum, piece) => sum + ("max" in piece ? piece.max : 0), 0) +
    given.length;
  note(`sampler: ${sampling.sampler}, at most ${most} forward passes for ${places} characters`);
  const networks = await loadNetworks(engine, config, saved.weights, {
    rows: Math.min(values.count, MOST_ROWS),
    window: sampling.window,
  });

  const samples: Sample[] = [];
  const stopped: string[] = []; // by number, the beginnings of those that an interruption cut short
  let begun = 0, shown = 0, done = 0;
  const total = values.count * places, stop = interruption();
  using progress = startProgress({ total, unit: "character" });
  const show = () => { // in the order of their seeds
    for (; samples[shown]; shown++) {
      const { text, realWords } = samples[shown];
      progress.clear();
      if (!values.json) printText(text);
      const label = values.count > 1 ? `sample ${shown + 1}: ` : "";
      progress.note(label + summary(samples[shown], realWords, words?.heldOut ?? null));
    }
  };
  const onStep = (filled: number) => {
    done += filled;
    const passes = networks.reduce((sum, { forwards }) => sum + forwards, 0);
    progress.update({ done, fields: { passes: `${passes}` } });
  };
  await Promise.all(networks.map(async (network) => {
    using lane = network;
    while (begun < values.count && !stop.aborted) {
      const i = begun++, seed = values.seed + i;
      const { isWhole, ...sample } = await write(
        lane,
        kind,
        tokens,
        given,
        sampling,
        seed,
        onStep,
      );
      if (!isWhole) {
        stopped[i] = sample.text;
        break;
      }
      const written = values.template === undefined ? sample.text.slice(given.shown.length) : "";
      samples[i] = { ...sample, realWords: words ? shareOf(written, words.known) : null };
      show();
    }
  }));

  if (shown < values.count) {
    progress.finish();
    if (!values.json) {
      const texts = Array.from({ length: begun }, (_, i) => samples[i]?.text ?? stopped[i]);
      texts.slice(shown).filter((text) => text !== "").forEach(printText);
    }
    throw new Interrupted(stop.reason.signal, `Interrupted at character ${done} of ${total}`);
  }

  // First of all what was asked for: a disk that fills up now takes nothing of it away.
  if (values.json) {
    printJson({
      model: kind,
      weights: saved.path,
      prompt: given.shown,
      sampler: sampling.sampler,
      engine: engine.name,
      forwards_at_most: most,
      samples: samples.map(({ text, seed, forwards, seconds, steps }) => ({
        ...{ text, seed, forwards, seconds },
        chars_per_forward: forwards === 0 ? null : countWrittenCharacters(steps) / forwards,
      })),
    });
  }
  await keepResult(
    {
      kind: "sample",
      model: kind,
      prompt: values.template === undefined ? given.shown : "",
      sampler: sampling.sampler,
      settings: {
        length: given.length,
        ...(values.template === undefined ? {} : { template: given.shown }),
        ...sampling.settings,
      },
      samples,
      realWordsHeldOut: words?.heldOut ?? null,
      provenance: await provenance({
        command: commandLine("sample", args),
        engine,
        threads: values.threads,
        seed: values.seed,
        weights: saved,
        corpus: words,
      }),
    } satisfies SampleResult,
  );
}

function refuseTemplateMistakes(
  kind: ModelKind,
  { template, gap, prompt }: { template?: string; gap?: string; prompt?: string },
): void {
  if (template === undefined) {
    if (gap === undefined) return;
    throw new UsageError("Cannot use --gap alone: expected --template TEXT beside it");
  }
  if (kind === "gpt") {
    throw new UsageError(
      "Cannot fill a template with a GPT: it sees only what stands left of a character, so the text after a " +
        "gap can't guide it; use --model diffusion, or --prompt",
    );
  }
  if (prompt !== undefined) {
    throw new UsageError(
      "Cannot use --prompt with --template: expected one of them; write the prompt into the template",
    );
  }
}

/** Most forward passes of one sample. */
function mostPasses(kind: ModelKind, { pieces, length }: Given, sampling: Sampling): number {
  if (kind === "gpt") return length;
  const { options, window: context } = sampling;
  const text = pieces.flatMap((piece) =>
    "given" in piece ? [...piece.given] : new Array<number>(piece.max).fill(0)
  );
  const blocks = blocksOf([...text, ...new Array<number>(length).fill(0)], {
    ...{ mask: MASK_TOKEN, context, overlap: options.overlap },
  });
  const choosing = lengthPasses(pieces);
  if (choosing === 0) return passesOf(blocks, options);
  // Blocks depend on the lengths. Whatever they are, a block has at least one character to fill.
  const masks = blocks.reduce((sum, { masked }) => sum + masked.length, 0);
  return choosing + masks * options.sampler.passes(1, options);
}

/**
 * One text, and how it came about; if it was stopped, what stands before the first character that
 * is still hidden.
 */
async function write(
  network: LoadedNetwork,
  kind: ModelKind,
  tokens: Tokenizer,
  given: Given,
  sampling: Sampling,
  seed: number,
  onStep: (filled: number) => void,
): Promise<Omit<Sample, "realWords"> & { isWhole: boolean }> {
  const before = network.forwards, begun = performance.now();
  const random = seededRandom(seed);
  const { start, steps: next } = await generation(network, kind, tokens, given, sampling, random);
  const shown = Array.from(
    start.subarray(given.extra),
    (token) => token === tokens.maskToken ? "" : tokens.decode([token]),
  );
  const text = [...shown, ...new Array<string>(given.length).fill("")];
  const steps: GenerationStep[] = [];
  let isWhole = true;
  for await (const { seconds, changes } of next) {
    for (const [position, character] of changes) text[position] = character;
    steps.push({ seconds, changes });
    onStep(changes.reduce((sum, [, character]) => sum + (character === "" ? -1 : 1), 0));
    await yieldToEventLoop();
    if (interruption().aborted) {
      isWhole = false;
      break;
    }
  }
  const hidden = text.indexOf("");
  return {
    isWhole,
    text: text.slice(0, hidden < 0 ? undefined : hidden).join(""),
    seed,
    forwards: network.forwards - before,
    seconds: (performance.now() - begun) / 1000,
    steps,
  };
}

/**
 * The words of the training text, and their share in the held-out part. A text that was not asked
 * for is no reason to fail: without it, words are not counted.
 */
async function trainingWords(data: string | undefined) {
  try {
    const { path, sha256, train, validation } = await loadCorpus(data ?? await findLatestCorpus());
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

/** How a sample came about, and how it spells, in a line. */
function summary(
  { forwards, seconds, steps }: Sample,
  realWords: number | null,
  heldOut: number | null,
): string {
  const each = (countWrittenCharacters(steps) / forwards).toFixed(2);
  const rate = forwards === 0 ? "" : `, ${each} characters each`;
  return `${forwards} forward passes${rate}, ${seconds.toFixed(2)} s` +
    (realWords === null ? "" : `; real words ${percent(realWords)}`) +
    (realWords === null || heldOut === null ? "" : `, held-out text ${percent(heldOut)}`);
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

if (import.meta.main) await runTask(main, Deno.args);
