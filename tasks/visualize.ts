/**
 * Shows a diffusion model while it writes, and a GPT next to it, on a terminal; keeps the film as an
 * animated SVG.
 */
import type { ModelKind } from "../core/config.ts";
import { makeTokenizer, type Tokenizer } from "../core/data/tokenizer.ts";
import { requireWritable, writeFileAtomically } from "../files/write.ts";
import { models } from "../core/models.ts";
import { loadNetwork } from "../core/sampling/network.ts";
import { limitPasses, write, type WriteRequest } from "../core/sampling/write.ts";
import { startEngineFromFlags } from "./shared/engine.ts";
import { loadNgrams, refuseDrafts } from "./shared/ngrams.ts";
import { flagName, parseFlags, UsageError, type Values, writingFlags } from "./shared/flags.ts";
import { Interrupted, interruption, note, printJson, runTask } from "./shared/run.ts";
import {
  checkTemplate,
  chooseSampling,
  type Sampling,
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
import { countForBlocks, joinCells } from "./visualize/frames.ts";
import { play, type Side, watch } from "./visualize/play.ts";
import { animatedSvg } from "./visualize/svg.tsx";

const task = {
  name: "visualize",
  summary:
    "Watch the diffusion model write: which characters each step fixes. Where stdout is not a " +
    "terminal, the text comes block by block.",
  examples: [
    "deno task visualize",
    "deno task visualize --compare --blocks 2",
    'deno task visualize --template "To be, or ____ to be, that is the {3..12}." --speed 5',
    "deno task visualize --compare --blocks 1 --svg film.svg",
  ],
} as const;

const flags = {
  compare: { type: "boolean", help: "show the GPT too, a step of each in turn" },
  blocks: {
    type: "integer",
    min: 1,
    max: 100,
    help: "how much to write, in windows of the network less their overlap",
    defaultHelp: "5",
  },
  speed: {
    type: "number",
    min: 0,
    max: 1000,
    default: 20,
    help: "most steps a second, 0 = as fast as the model is",
  },
  svg: { type: "path", help: "keep the film as an animated SVG" },
  promptLen: {
    type: "integer",
    min: 0,
    max: 100_000,
    help: "characters of the text's beginning to continue",
    defaultHelp: "16",
  },
  prompt: { type: "string", help: "text to continue instead" },
  ...templateFlags,
  ...samplingFlags,
  ...weightsFlags,
  gptWeights: {
    type: "path",
    help: "weights of the GPT",
    defaultHelp: "weights/gpt.safetensors, or those trained last",
  },
  ...writingFlags,
} as const;

type Flags = Values<typeof flags>;

/** A model, and what it is to write. */
interface Part {
  kind: ModelKind;
  title: string;
  saved: ChosenWeights;
  tokenizer: Tokenizer;
  sampling: Sampling;
  request: WriteRequest;
}

export async function main(args: string[]): Promise<void> {
  const values = parseFlags(task, flags, args);
  refuseContradictions(values);
  const diffusion = await planDiffusion(values);
  const parts = values.compare
    ? [diffusion, await planGpt(values, diffusion.request)]
    : [diffusion];
  if (values.svg !== undefined) await requireWritable(values.svg);

  const engine = await startEngineFromFlags(values);
  using networks = new DisposableStack();
  const sides: Side[] = [];
  for (const { kind, title, saved, tokenizer, sampling, request } of parts) {
    const { window, options, drafts } = sampling;
    const { config, weights } = saved;
    const loaded = await loadNetwork(engine, models[kind], config, weights, { window, drafts });
    const writing = await write(networks.use(loaded), tokenizer, request, {
      ...options,
      seed: values.seed,
      signal: interruption(),
    });
    sides.push(watch(title, kind, writing));
  }

  try {
    await play(sides, values);
  } catch (error) {
    if (error instanceof Interrupted) await saveFilm(sides, values);
    throw error;
  }
  // Neither a full disk nor a reader that has gone loses the other.
  try {
    if (values.json) {
      const { request } = diffusion;
      printJson({
        prompt: "prompt" in request ? request.prompt : request.template,
        seed: values.seed,
        engine: engine.name,
        models: parts.map(({ kind, saved, sampling }, i) => ({
          model: kind,
          weights: saved.path,
          sampler: sampling.name,
          text: joinCells(sides[i].frame, ""),
          forwards: sides[i].frame.forwards,
          seconds: sides[i].frame.seconds,
        })),
        svg: values.svg ?? null,
      });
    }
  } finally {
    await saveFilm(sides, values);
  }
}

/** Writes what was seen so far, if that was asked for. */
async function saveFilm(sides: Side[], { svg, speed }: Flags): Promise<void> {
  if (svg === undefined) return;
  const stepsPerSecond = speed || flags.speed.default;
  const bytes = new TextEncoder().encode(animatedSvg(sides, { stepsPerSecond }));
  await writeFileAtomically(svg, bytes);
  note(`film: ${svg} (${Math.ceil(bytes.length / 1000)} kB)`);
}

function refuseContradictions(values: Flags): void {
  const { template, prompt, promptLen } = values;
  if (prompt !== undefined && promptLen !== undefined) {
    throw new UsageError("Cannot use --prompt with --prompt-len: expected one of them");
  }
  if (values.drafts !== undefined && !values.compare) {
    throw new UsageError("Cannot use --drafts without --compare: drafts are for the GPT");
  }
  refuseDrafts("gpt", values);
  checkTemplate(values);
  if (template === undefined) return;
  if (values.compare) {
    throw new UsageError(
      "Cannot use --compare with --template: a GPT sees only what is to the left of a character, so the text " +
        "after a gap can't guide it; leave one of them out",
    );
  }
  for (const name of ["prompt", "promptLen", "blocks"] as const) {
    if (values[name] === undefined) continue;
    throw new UsageError(
      `Cannot use --${
        flagName(name)
      } with --template: expected one of them; the template says all ` +
        "that is to be written",
    );
  }
}

/** The diffusion model, with a template, or a prompt and so many blocks. */
async function planDiffusion(values: Flags): Promise<Part> {
  const saved = await loadChosenWeights("diffusion", {
    ...values,
    otherKindAdvice: "give them as --gpt-weights with --compare",
  });
  const ngrams = await loadNgrams(saved, values);
  const sampling = chooseSampling(saved.config, values, { ngrams });
  const { window: context, options } = sampling;
  const tokenizer = makeTokenizer("diffusion", saved.vocabulary);
  const { template, gap, blocks = 5 } = values;
  const planPrompt = async () => {
    const prompt = values.prompt ?? await takeOpening(saved, values);
    const { overlap } = options;
    return { prompt, length: countForBlocks(blocks, [...prompt].length, { context, overlap }) };
  };
  const request = template === undefined ? await planPrompt() : { template, gap };
  // Refuses a wrong request before anything is computed.
  await encodeFor(saved, () => limitPasses("diffusion", tokenizer, request, options, context));
  const title = `Diffusion, sampler ${sampling.name}`;
  return { kind: "diffusion", title, saved, tokenizer, sampling, request };
}

/** The GPT, with the same prompt and as much to write. */
async function planGpt(values: Flags, request: WriteRequest): Promise<Part> {
  const saved = await loadChosenWeights("gpt", {
    ...values,
    weights: values.gptWeights,
    onlyComplete: true,
    otherKindAdvice: "give them as --weights",
  });
  const { temperature, topK, topP, drafts, asOriginal } = values;
  const given = { temperature, topK, topP, drafts, asOriginal };
  const ngrams = await loadNgrams(saved, values);
  const sampling = chooseSampling(saved.config, given, { ngrams });
  const tokenizer = makeTokenizer("gpt", saved.vocabulary);
  limitPasses("gpt", tokenizer, request, sampling.options, sampling.window);
  return { kind: "gpt", title: "GPT", saved, tokenizer, sampling, request };
}

/** Reads the beginning of the text that the model was trained on. */
async function takeOpening(saved: ChosenWeights, values: Flags): Promise<string> {
  const { promptLen = 16 } = values;
  const known = [...saved.prompt ?? ""];
  if (promptLen <= known.length) return known.slice(0, promptLen).join("");
  const corpus = await loadChosenText(values.data);
  await noteOtherText(saved, corpus);
  const { text } = readCorpusFor(corpus, [saved]);
  return [...text.slice(0, 2 * promptLen)].slice(0, promptLen).join("");
}

if (import.meta.main) await runTask(main, Deno.args);
