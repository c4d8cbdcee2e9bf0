/** Generates text with trained weights. */
import type { ModelKind } from "../core/config.ts";
import { defaultCorpus, loadCorpus } from "../core/corpus.ts";
import { breather } from "../core/event_loop.ts";
import type { GenerationOptions } from "../core/language_model.ts";
import { models } from "../core/models.ts";
import { type LoadedNetwork, loadNetwork } from "../core/network.ts";
import { seededRandom } from "../core/random.ts";
import type { GenerationStep, Sample, SampleResult } from "../core/results.ts";
import { type SamplerName, samplers } from "../core/samplers/mod.ts";
import { checkTruncation } from "../core/sampling.ts";
import { type Tokenizer, tokenizer } from "../core/tokenizer.ts";
import { realWordShare, wordSet } from "../core/words.ts";
import { commandLine, commonFlags, note, parseFlags, print, printJson, runTask } from "./cli.ts";
import { UsageError } from "./cli.ts";
import { chosenEngine } from "./engine.ts";
import { startProgress } from "./progress.ts";
import { keepResult, provenance, requireResultsFolder } from "./provenance.ts";
import { chosenWeights, weightsFlags } from "./weights.ts";

const task = {
  name: "sample",
  summary: "Generate text with trained weights; the text goes to stdout.",
  examples: [
    "deno task sample",
    'deno task sample --model gpt --prompt "ROMEO:" --length 400',
    "deno task sample --model diffusion --threshold 0.9 --count 3 --json",
  ],
} as const;

const flags = {
  model: { choices: ["gpt", "diffusion"], default: "diffusion", help: "which of the two" },
  ...weightsFlags,
  prompt: { type: "string", help: "text to go on from; without it, the training text's beginning" },
  length: {
    type: "integer",
    min: 0,
    max: 1_000_000,
    default: 2000,
    help: "characters to generate after the prompt",
  },
  count: { type: "integer", min: 1, max: 1000, default: 1, help: "samples, with seeds one apart" },
  temperature: { type: "number", min: 0, default: 0.8, help: "0 = always the likeliest character" },
  topK: {
    type: "integer",
    min: 1,
    help: "draw among the k likeliest; without it, 2 for diffusion and all for a GPT",
  },
  topP: { type: "number", above: 0, max: 1, help: "draw among the likeliest that hold this share" },
  sampler: {
    choices: Object.keys(samplers) as SamplerName[],
    default: "threshold",
    help: "diffusion: how to choose what to fix in a pass",
  },
  threshold: {
    type: "number",
    above: 0,
    max: 1,
    default: 0.95,
    help: "diffusion: fix what is at least this sure",
  },
  overlap: {
    type: "integer",
    min: 0,
    default: 16,
    help: "diffusion: characters that a block sees of the text before it",
  },
  ...commonFlags,
} as const;

/** Top-k of the original's last lines. */
const defaultTopK: Record<ModelKind, number | undefined> = { gpt: undefined, diffusion: 2 };

export async function main(args: string[]): Promise<void> {
  const values = parseFlags(task, flags, args);
  const kind = values.model;
  const saved = await chosenWeights(kind, values);
  const { config, vocabulary } = saved;
  const tokens = tokenizer(vocabulary, { mask: models[kind].maskToken !== undefined });
  const prompt = values.prompt ?? saved.prompt ?? "";
  tokens.encode(prompt, "the prompt");

  const options: GenerationOptions = {
    temperature: values.temperature,
    topK: values.topK ?? defaultTopK[kind],
    topP: values.topP,
    threshold: values.threshold,
    overlap: values.overlap,
    sampler: samplers[values.sampler],
  };
  checkTruncation(options);
  const characters = vocabulary.length - (tokens.maskToken === undefined ? 0 : 1);
  if (values.topK !== undefined && values.topK > characters) {
    throw new UsageError(
      `Cannot use --top-k ${values.topK}: expected at most ${characters}, the characters of the model`,
    );
  }
  if (kind === "diffusion" && options.overlap >= config.context) {
    throw new UsageError(
      `Cannot use --overlap ${options.overlap}: expected less than the context, ${config.context}`,
    );
  }

  const words = await trainingWords(values.data);
  if (words && saved.corpusSha256 !== undefined && words.sha256 !== saved.corpusSha256) {
    note(`note: ${saved.path} was trained on another text than ${words.path}`);
  }
  await requireResultsFolder();

  const engine = await chosenEngine(values);
  using network = await loadNetwork(engine, config, saved.weights);
  const samples: Sample[] = [];
  for (let i = 0; i < values.count; i++) {
    const sample = await generate(network, kind, tokens, prompt, values.length, options, {
      seed: values.seed + i,
      label: values.count > 1 ? `sample ${i + 1} of ${values.count}` : "sample",
    });
    const written = sample.text.slice(prompt.length);
    const realWords = words ? shareOf(written, words.known) : null;
    samples.push({ ...sample, realWords });
    if (!values.json) print(sample.text);
    note(summary(sample, values.length, realWords, words?.heldOut ?? null));
  }

  const sampler = kind === "diffusion"
    ? values.sampler
    : values.temperature === 0
    ? "greedy"
    : "autoregressive";
  // First of all what was asked for: a disk that fills up now takes nothing of it away.
  if (values.json) {
    printJson({
      model: kind,
      weights: saved.path,
      prompt,
      sampler,
      engine: engine.name,
      samples: samples.map(({ text, seed, forwards, seconds }) => ({
        text,
        seed,
        forwards,
        seconds,
      })),
    });
  }
  await keepResult(
    {
      kind: "sample",
      model: kind,
      prompt,
      sampler,
      settings: settingsOf(kind, values.length, options),
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

/** One text, and how it came about. */
async function generate(
  network: LoadedNetwork,
  kind: ModelKind,
  tokens: Tokenizer,
  prompt: string,
  length: number,
  options: GenerationOptions,
  { seed, label }: { seed: number; label: string },
): Promise<Omit<Sample, "realWords">> {
  const before = network.forwards, start = performance.now();
  const seconds = () => (performance.now() - start) / 1000;
  const given = tokens.encode(startOf(kind, prompt, tokens));
  const text = [...given, ...new Array<number>(length).fill(0)];
  const extra = given.length - [...prompt].length;
  const steps: GenerationStep[] = [];
  using progress = startProgress({ total: length, unit: label + ", character" });
  let done = 0;
  const breathe = breather();
  for await (
    const fixed of models[kind].generate(network, given, length, options, seededRandom(seed))
  ) {
    for (const { position, token } of fixed) text[position] = token;
    steps.push({
      seconds: seconds(),
      changes: fixed.map(({ position, token, confidence }) => [
        position - extra,
        tokens.decode([token]),
        Number(confidence.toFixed(4)),
      ]),
    });
    done += fixed.length;
    progress.update({ done, fields: { passes: String(network.forwards - before) } });
    await breathe();
  }
  return {
    text: tokens.decode(text.slice(extra)),
    seed,
    forwards: network.forwards - before,
    seconds: seconds(),
    steps,
  };
}

/** A GPT needs a character to go on from: an empty prompt becomes an empty line, which is not shown. */
function startOf(kind: ModelKind, prompt: string, { vocabulary }: Tokenizer): string {
  if (prompt !== "" || kind === "diffusion") return prompt;
  return vocabulary.includes("\n") ? "\n" : vocabulary[0];
}

/**
 * The words of the training text, and their share in the held-out part. A text that was not asked for is no reason to fail:
 * without it, words are not counted.
 */
async function trainingWords(data: string | undefined) {
  try {
    const { path, sha256, train, validation } = await loadCorpus(data ?? await defaultCorpus());
    const known = wordSet(train);
    return { path, sha256, known, heldOut: shareOf(validation, known) };
  } catch (error) {
    if (data !== undefined) throw error;
    note(`real words are not counted: ${(error as Error).message}`);
    return undefined;
  }
}

/** Share of real words; null if there is no whole word. */
function shareOf(text: string, known: Set<string>): number | null {
  const share = realWordShare(text, known);
  return Number.isNaN(share) ? null : share;
}

/** How a sample came about, and how it spells, in a line. */
function summary(
  { forwards, seconds }: { forwards: number; seconds: number },
  length: number,
  realWords: number | null,
  heldOut: number | null,
): string {
  const rate = forwards === 0 ? "" : `, ${(length / forwards).toFixed(2)} characters each`;
  return `${forwards} forward passes${rate}, ${seconds.toFixed(2)} s` +
    (realWords === null ? "" : `; real words ${percent(realWords)}`) +
    (realWords === null || heldOut === null ? "" : `, held-out text ${percent(heldOut)}`);
}

function settingsOf(
  kind: ModelKind,
  length: number,
  { temperature, topK, topP, threshold, overlap }: GenerationOptions,
): Record<string, number | string> {
  const shared = { length, temperature, "top-k": topK ?? "all", "top-p": topP ?? 1 };
  return kind === "gpt" ? shared : { ...shared, threshold, overlap };
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

if (import.meta.main) await runTask(main, Deno.args);
