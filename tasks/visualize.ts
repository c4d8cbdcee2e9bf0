/**
 * Shows a diffusion model while it writes, and a GPT beside it, on a terminal; keeps the film as an
 * animated SVG.
 */
import type { ModelKind } from "../core/config.ts";
import { findLatestCorpus, loadCorpus } from "../core/data/corpus.ts";
import { requireWritable, writeFileAtomically } from "../core/files/write.ts";
import { makeTokenizer, MASK_TOKEN, type Tokenizer } from "../core/data/tokenizer.ts";
import { models } from "../core/models.ts";
import { cutBlocks } from "../core/sampling/blocks.ts";
import { loadNetwork } from "../core/sampling/network.ts";
import type { TrainedNetwork } from "../core/sampling/window_network.ts";
import { limitPasses, type Step, write, type WriteRequest } from "../core/sampling/write.ts";
import { commonFlags, parseFlags, UsageError, type Values } from "./shared/flags.ts";
import { Interrupted, interruption, note, print, printJson, runTask } from "./shared/run.ts";
import { startEngineFromFlags } from "./shared/engine.ts";
import { startProgress } from "./shared/progress.ts";
import {
  checkTemplate,
  chooseSampling,
  samplerFlags,
  type Sampling,
  templateFlags,
  truncationFlags,
} from "./shared/sampling_flags.ts";
import { shownText } from "./visualize/characters.ts";
import {
  firstFrame,
  type Frame,
  lengthOfBlocks,
  nextFrame,
  settled,
  textOf,
} from "./visualize/frames.ts";
import { canDraw, hasKeys, KEYS, openScreen } from "./visualize/screen.ts";
import { animatedSvg } from "./visualize/svg.tsx";
import { figuresOf, type Panel, viewOf } from "./visualize/view.ts";
import {
  type ChosenWeights,
  encodeFor,
  loadChosenWeights,
  noteOtherText,
  weightsFlags,
} from "./shared/weights.ts";

const task = {
  name: "visualize",
  summary:
    "Watch the diffusion model write: which characters each step fixes. Where stdout is no " +
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
  ...truncationFlags,
  ...samplerFlags,
  ...weightsFlags,
  gptWeights: { type: "path", help: "weights of the GPT", defaultHelp: "the model's own" },
  ...commonFlags,
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

/** A model while it writes. */
interface Side extends Part {
  first: Frame;
  frame: Frame;
  /** The steps so far. */
  steps: Step[];
  /** The steps to come. */
  next: AsyncIterator<Step>;
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
  for (const part of parts) {
    const { kind, saved: { config, weights }, sampling: { window } } = part;
    const network = networks.use(
      await loadNetwork(engine, models[kind], config, weights, { window }),
    );
    sides.push(await begin(part, network, values.seed));
  }

  try {
    await play(sides, values);
  } catch (error) {
    if (error instanceof Interrupted) await saveFilm(sides, values);
    throw error;
  }
  // First of all what was asked for: a disk that fills up now takes nothing of it away.
  if (values.json) printJson(resultOf(sides, values, engine.name));
  await saveFilm(sides, values);
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
  checkTemplate(values);
  if (template === undefined) return;
  if (values.compare) {
    throw new UsageError(
      "Cannot use --compare with --template: a GPT sees only what stands left of a character, so the text " +
        "after a gap can't guide it; leave one of them out",
    );
  }
  const other = (["prompt", "promptLen", "blocks"] as const).find((name) =>
    values[name] !== undefined
  );
  if (other) {
    const flag = other === "promptLen" ? "prompt-len" : other;
    throw new UsageError(
      `Cannot use --${flag} with --template: expected one of them; the template says all that is to be written`,
    );
  }
}

async function planDiffusion(values: Flags): Promise<Part> {
  const saved = await loadChosenWeights("diffusion", {
    ...values,
    otherKindAdvice: "give them as --gpt-weights with --compare",
  });
  const sampling = chooseSampling(saved.config, values);
  const { window: context, options } = sampling;
  const tokenizer = makeTokenizer("diffusion", saved.vocabulary);
  let request: WriteRequest;
  if (values.template !== undefined) request = { template: values.template, gap: values.gap };
  else {
    const prompt = values.prompt ?? await takeOpening(saved, values);
    const { overlap } = options;
    const length = lengthOfBlocks(values.blocks ?? 5, [...prompt].length, { context, overlap });
    request = { prompt, length };
  }
  await encodeFor(
    saved,
    () => limitPasses("diffusion", tokenizer, request, options, context),
  );
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
  const { temperature, topK, topP } = values;
  const sampling = chooseSampling(saved.config, { temperature, topK, topP });
  const tokenizer = makeTokenizer("gpt", saved.vocabulary);
  limitPasses("gpt", tokenizer, request, sampling.options, sampling.window); // refuses a wrong prompt
  return { kind: "gpt", title: "GPT", saved, tokenizer, sampling, request };
}

/** The beginning of the text that the model was trained on. */
async function takeOpening(saved: ChosenWeights, values: Flags) {
  const { prompt } = saved, { promptLen = 16 } = values, known = [...prompt ?? ""];
  if (promptLen <= known.length) return known.slice(0, promptLen).join("");
  const corpus = await loadCorpus(values.data ?? await findLatestCorpus());
  await noteOtherText(saved, corpus);
  return [...corpus.text.slice(0, 2 * promptLen)].slice(0, promptLen).join("");
}

async function begin(part: Part, network: TrainedNetwork, seed: number): Promise<Side> {
  const { kind, tokenizer, request, sampling } = part;
  const options = { ...sampling.options, seed, signal: interruption() };
  const writing = await write(network, tokenizer, request, options);
  const start = [...writing.characters];
  const hidden = start.filter((character) => character === "").length;
  let first: Frame;
  if (kind === "gpt") first = firstFrame(start.slice(0, start.length - hidden), hidden);
  else {
    const text = start.map((character) => character === "" ? MASK_TOKEN : MASK_TOKEN + 1);
    const { window: context, options: { overlap } } = sampling;
    first = firstFrame(start, hidden, cutBlocks(text, { context, overlap }));
  }
  return { ...part, first, frame: first, steps: [], next: writing[Symbol.asyncIterator]() };
}

/** A step of each side that has one left; false if none had. */
async function step(sides: Side[]): Promise<boolean> {
  let moved = false;
  for (const side of sides) {
    const { done, value } = await side.next.next();
    if (done) continue;
    side.frame = nextFrame(side.frame, value);
    side.steps.push(value);
    moved = true;
  }
  return moved;
}

/** Lets the models write: as a film where there is a screen for it, else as text. */
async function play(sides: Side[], { json, speed }: Flags): Promise<void> {
  const signal = interruption();
  if (json || !canDraw()) return await playAsText(sides, json);
  const keys = hasKeys();
  const legend = (sides.length > 1 ? "clock: a step of each in turn  " : "") +
    "▒ hidden  ░ later blocks  ▓ hidden again";
  const hint = (paused: boolean) =>
    keys ? `${paused ? KEYS.paused : KEYS.playing}   ${legend}` : legend;
  // What is on the screen: the next step is taken before it is due.
  const panelsNow = () => sides.map(({ title, frame }): Panel => ({ title, frame }));
  let panels = panelsNow();
  try {
    using screen = openScreen((size, paused) => viewOf(panels, hint(paused), size), {
      framesPerSecond: speed,
      colour: !Deno.noColor,
      signal,
    });
    screen.draw();
    while (await step(sides) && await screen.due()) {
      panels = panelsNow();
      screen.draw();
    }
  } finally {
    // also what was there when it was interrupted
    for (const { title, frame } of sides) {
      note(`${title}: ${figuresOf(frame)}`);
      const end = frame.cells.findLastIndex(({ character }) => character !== "") + 1;
      print(shownText(textOf({ ...frame, cells: frame.cells.slice(0, end) }, "░")));
    }
  }
}

/**
 * The text in whole lines, each block as soon as it is done; with two models, one after the other.
 */
async function playAsText(
  sides: Side[],
  json: boolean,
): Promise<void> {
  const [{ frame: { total } }] = sides;
  let printed = 0;
  const printUntil = (end: number, frame: Frame) => {
    const text = textOf({ ...frame, cells: frame.cells.slice(printed, end) }, "");
    printed = end;
    if (text !== "") print(shownText(text));
  };
  {
    const enabled = json || !Deno.stdout.isTerminal(); // text and progress on one terminal would mix
    using progress = startProgress({ total: sides.length * total, unit: "character", enabled });
    while (await step(sides)) { // throws once it is interrupted
      const done = sides.reduce((sum, { frame }) => sum + frame.written, 0);
      const forwards = sides.reduce((sum, { frame }) => sum + frame.forwards, 0);
      progress.update({ done, fields: { passes: `${forwards}` } });
      if (sides.length === 1 && !json) {
        const [{ frame }] = sides, before = frame.cells.slice(0, settled(frame));
        const lastEnd = before.findLastIndex(({ character }) => character === "\n") + 1;
        if (lastEnd > printed) printUntil(lastEnd, frame);
      }
    }
  }
  for (const { title, frame } of sides) {
    if (!json) {
      if (sides.length > 1) print(`${title}:`);
      printUntil(frame.cells.length, frame);
      printed = 0;
    }
    note(`${title}: ${figuresOf(frame)}`);
  }
}

function resultOf(sides: Side[], { seed, svg }: Flags, engine: string) {
  const [{ request }] = sides;
  return {
    prompt: "prompt" in request ? request.prompt : request.template,
    seed,
    engine,
    models: sides.map(({ kind, sampling, saved, frame }) => ({
      model: kind,
      weights: saved.path,
      sampler: sampling.name,
      text: textOf(frame, ""),
      forwards: frame.forwards,
      seconds: frame.seconds,
    })),
    svg: svg ?? null,
  };
}

if (import.meta.main) await runTask(main, Deno.args);
