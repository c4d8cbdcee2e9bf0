/**
 * Measures how models write: samples over a range of temperatures, compared with held-out and
 * shuffled text.
 */
import { join } from "@std/path";
import { kneserNey } from "../core/ngrams/kneser_ney.ts";
import type { Corpus } from "../core/data/corpus.ts";
import { exists } from "../files/read.ts";
import type { Engine } from "../engines/engine.ts";
import { UserError } from "../engines/errors.ts";
import { models } from "../core/models.ts";
import {
  countReference,
  measureDivergences,
  measureQuality,
  type Measures,
} from "./quality/measure.ts";
import { makeCopyFinder } from "./quality/memorisation.ts";
import { writeFromTable } from "./quality/ngram_text.ts";
import { cutText, halve, shuffleCharacters, shuffleWords } from "./quality/reference_texts.ts";
import { seededRandom } from "../core/random.ts";
import { type QualityResult, type QualityRow, type TextSource } from "./shared/results.ts";
import { loadScorer } from "../core/scoring/scorer.ts";
import { listCharacters, makeTokenizer } from "../core/data/tokenizer.ts";
import { collectWords } from "./shared/words.ts";
import {
  flagName,
  nextSeed,
  parseFlags,
  reportsFlag,
  UsageError,
  writingFlags,
} from "./shared/flags.ts";
import { sayWhatIsKept } from "./shared/journal.ts";
import { Interrupted, interruption, note, print, printJson, runTask } from "./shared/run.ts";
import { commandLine } from "./shared/text.ts";
import { startEngineFromFlags } from "./shared/engine.ts";
import { draftFlags } from "./shared/ngrams.ts";
import { openResults, PARTIAL, provenance } from "./shared/provenance.ts";
import { showCounting } from "./shared/progress.ts";
import { type MeasuredModel, measureSamples, planSamples } from "./quality/samples.ts";
import { qualityTables, withoutRepeats } from "./quality/table.ts";
import { originalFlag, samplerFlags, truncationFlags } from "./shared/sampling_flags.ts";
import {
  type ChosenWeights,
  findDefaultWeights,
  findTrainedKinds,
  loadChosenText,
  loadChosenWeights,
  loadNamedWeights,
  readCorpusFor,
  weightsFlags,
} from "./shared/weights.ts";

const task = {
  name: "quality",
  summary:
    "Measure how trained models write, over a range of temperatures, compared with held-out " +
    "and shuffled text, and with text of a table of 6-grams. Without --model, every model that was trained. Each text is kept, so a run " +
    "that was stopped resumes.",
  examples: [
    "deno task quality",
    "deno task quality --model gpt --temperature 0.7 --temperature 0.8 --temperature 0.9 --count 5",
    "deno task quality --model diffusion --sampler threshold --sampler entropy --json",
  ],
} as const;

/** A small GPT of another seed, which is there to judge only. */
const INDEPENDENT = "weights/judge.safetensors";

const flags = {
  model: {
    choices: ["gpt", "diffusion"],
    help: "model to use",
    defaultHelp: "both, or what --weights is",
  },
  ...weightsFlags,
  judge: {
    type: "path",
    help: "weights of the GPT that judges",
    defaultHelp: "weights/gpt.safetensors, or those trained last",
  },
  independentJudge: {
    type: "path",
    help: "weights of another GPT that judges, and writes none of the texts",
    defaultHelp: INDEPENDENT,
  },
  temperature: {
    type: "number",
    min: 0,
    multiple: true,
    default: [0.5, 0.7, 0.8, 0.9, 1],
    help: "two or more, as a lone figure misleads",
  },
  count: {
    type: "integer",
    min: 3,
    max: 1000,
    default: 3,
    help: "number of texts of each; seeds are consecutive",
  },
  length: {
    type: "integer",
    min: 50,
    max: 1_000_000,
    default: 2000,
    help: "characters of each text, after the prompt",
  },
  prompt: {
    type: "string",
    help: "text to continue",
    defaultHelp: "the beginning of the training text",
  },
  topK: truncationFlags.topK,
  topP: truncationFlags.topP,
  ...samplerFlags,
  sampler: { ...samplerFlags.sampler, multiple: true },
  ...draftFlags,
  ...originalFlag,
  ...reportsFlag,
  ...writingFlags,
} as const;

type QualityValues = ReturnType<typeof parse>;
const parse = (args: string[]) => parseFlags(task, flags, args);

export async function main(args: string[]): Promise<void> {
  const values = parse(args);
  checkUsage(values);
  try {
    await measure(values, args);
  } catch (error) {
    const journals = { path: join(values.reports, PARTIAL) }; // one for each model
    throw sayWhatIsKept(error, "quality", "the texts written so far", journals);
  }
}

async function measure(values: QualityValues, args: string[]): Promise<void> {
  const text = await loadChosenText(values.data);
  const purpose = { purpose: "sample from", first: "diffusion" } as const;
  const kinds = values.model || values.weights
    ? [values.model] // without one, the file says it
    : await findTrainedKinds(["gpt", "diffusion"], purpose);
  const measured: MeasuredModel[] = [];
  for (const kind of kinds) {
    const saved = kind === undefined
      ? await loadNamedWeights(values.weights!, values)
      : await loadChosenWeights(kind, values);
    const model = values.weights === undefined ? values.model : saved.config.kind;
    measured.push(await planSamples(saved, { ...values, model }));
  }
  const corpus = readCorpusFor(text, measured.map(({ saved }) => saved));
  const characters = listAllCharacters(corpus, measured);
  const judge = await chooseJudge("judge", values, characters);
  const independent = await chooseJudge("independentJudge", values, characters);
  const context = (judge ?? measured[0].saved).config.context;
  const [reference, heldOut] = halve(corpus.validation);
  const pieces = cutText(heldOut, values.length);
  if (pieces.length < 2) {
    throw new UserError({
      action: `compare samples with "${corpus.path}"`,
      found: `half of its validation text gives ${pieces.length} text(s) of ${values.length} ` +
        "characters, expected at least 2",
      advice: "use a smaller --length or a longer text",
    });
  }
  const keepResult = await openResults(values.reports);
  const engine = await startEngineFromFlags(values);

  using judging = judge && await putOnEngine(engine, judge);
  using judgingToo = independent && await putOnEngine(engine, independent);
  const ngram = makeNgramJudge(corpus, characters);
  const measures: Measures = {
    gpt: judging,
    independent: judgingToo,
    ngram,
    context,
    reference: countReference(reference),
    words: collectWords(corpus.train),
    memorised: makeCopyFinder(corpus.train),
  };
  const references = await measureReferences(pieces, measures, values.seed);
  const controls = await measureControls(ngram, measured[0].prompt, measures, values);
  const halves = measureDivergences(heldOut, measures.reference);
  const results: QualityResult[] = [];
  const show = () => {
    if (values.json) {
      printJson({ rows: withoutRepeats(results), judges: results[0].judges, halves });
    } else print(qualityTables(results));
  };
  try {
    for (const model of measured) {
      const { saved, prompt } = model;
      const rows = await measureSamples(engine, model, measures, values);
      const result: QualityResult = {
        kind: "quality",
        model: saved.config.kind,
        prompt,
        rows: [...references, ...controls, ...rows],
        judges: {
          gpt: describeJudge(judge),
          independent: describeJudge(independent),
          ngram: { name: measures.ngram.judge.name, context },
        },
        halves,
        provenance: await provenance({
          command: commandLine("quality", args),
          engine,
          threads: values.threads,
          seed: values.seed,
          weights: saved,
          corpus,
        }),
      };
      results.push(result);
      await keepResult(result);
    }
  } catch (error) {
    if (results.length > 0 && !(error instanceof Interrupted)) show();
    throw error;
  }
  show();
}

function checkUsage({ temperature }: QualityValues): void {
  if (new Set(temperature).size < 2) {
    throw new UsageError(
      `Cannot measure at temperature ${
        temperature[0]
      } alone: expected two or more, since a lower ` +
        "one makes nearly every figure look better; give --temperature again",
    );
  }
}

// ---------------------------------------------------------------- judges and reference texts

/** How to find the judge of each flag where it is not given. */
const findUsualJudge = {
  judge: () => findDefaultWeights("gpt"),
  independentJudge: async () => await exists(INDEPENDENT) ? INDEPENDENT : undefined,
};

/** Loads a GPT that judges; undefined where there is none, or the usual one lacks characters. */
async function chooseJudge(
  flag: "judge" | "independentJudge",
  values: QualityValues,
  characters: string[],
): Promise<ChosenWeights | undefined> {
  const path = values[flag] ?? await findUsualJudge[flag]();
  if (path === undefined) {
    if (flag === "judge") {
      note('no GPT judges: none was trained yet ("deno task train-gpt" does that)');
    }
    return undefined;
  }
  const judge = await loadNamedWeights(path, { ...values, onlyComplete: true }, "gpt");
  const unknown = characters.find((char) => !judge.vocabulary.includes(char));
  if (values[flag] !== undefined || unknown === undefined) return judge;
  note(
    `no ${flag === "judge" ? "" : "independent "}GPT judges: ${path} was trained on another text ` +
      `(it has no ${JSON.stringify(unknown)}); name one with --${flagName(flag)}`,
  );
}

function describeJudge(judge: ChosenWeights | undefined) {
  if (judge === undefined) return null;
  return { weights: judge.path, weightsSha256: judge.sha256, context: judge.config.context };
}

/** Puts a GPT that judges on the engine, until it is disposed. */
async function putOnEngine(engine: Engine, { config, weights, vocabulary }: ChosenWeights) {
  const scorer = await loadScorer(engine, models.gpt, config, weights);
  const { encode } = makeTokenizer("gpt", vocabulary);
  return {
    scorer,
    encode: (text: string) => encode(text, "a text for the judge"),
    [Symbol.dispose]: () => scorer[Symbol.dispose](),
  };
}

/** Lists what a judge has to know: the characters of the text and those that the models may write. */
function listAllCharacters(corpus: Corpus, measured: MeasuredModel[]): string[] {
  const written = measured.flatMap(({ saved, tokenizer }) =>
    tokenizer.vocabulary.slice(saved.config.kind === "diffusion" ? 1 : 0)
  );
  return listCharacters(corpus.text + written.join(""), { limit: Infinity });
}

/** Trains Kneser-Ney on the training text, for all characters. */
function makeNgramJudge(corpus: Corpus, characters: string[]) {
  const { encode, decode } = makeTokenizer("gpt", characters);
  using progress = showCounting(corpus);
  const tokens = encode(corpus.train);
  return { judge: kneserNey(tokens, characters.length, 6, progress.onProgress), encode, decode };
}

/** Measures what the table of n-grams writes by itself at each temperature: a control. */
async function measureControls(
  { judge: table, encode, decode }: ReturnType<typeof makeNgramJudge>,
  prompt: string,
  measures: Measures,
  { temperature: temperatures, count, length, seed }: QualityValues,
): Promise<QualityRow[]> {
  const rows: QualityRow[] = [];
  for (const temperature of temperatures) {
    const texts = Array.from({ length: count }, (_, i) => {
      const random = seededRandom(nextSeed(seed, i));
      return decode(writeFromTable(table, encode(prompt), length, { temperature, random }));
    });
    rows.push(await measureTexts("n-grams", texts, measures, temperature));
  }
  return rows;
}

/** Measures held-out text and the same shuffled, for comparison with the samples. */
async function measureReferences(
  pieces: string[],
  measures: Measures,
  seed: number,
): Promise<QualityRow[]> {
  const random = seededRandom(seed);
  const texts: [TextSource, string[]][] = [
    ["held-out", pieces],
    ["shuffled-words", pieces.map((text) => shuffleWords(text, random))],
    ["shuffled-characters", pieces.map((text) => shuffleCharacters(text, random))],
  ];
  const rows: QualityRow[] = [];
  for (const [source, written] of texts) {
    rows.push(await measureTexts(source, written, measures));
  }
  return rows;
}

/** Measures texts of one length that no model wrote; a table of n-grams has a temperature. */
async function measureTexts(
  source: TextSource,
  texts: string[],
  measures: Measures,
  temperature?: number,
): Promise<QualityRow> {
  return {
    source,
    sampler: null,
    temperature: temperature ?? null,
    settings: temperature === undefined ? {} : { temperature },
    texts: texts.length,
    length: [...texts[0]].length,
    figures: await measureQuality(texts, measures, { signal: interruption() }),
    cost: null,
  };
}

if (import.meta.main) await runTask(main, Deno.args);
