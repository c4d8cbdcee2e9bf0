/**
 * Shows a diffusion model while it writes, and a GPT beside it, on a terminal; keeps the film as an
 * animated SVG.
 */
import { blocksOf } from "../core/sampling/blocks.ts";
import type { ModelKind } from "../core/config.ts";
import { findLatestCorpus, loadCorpus } from "../core/data/corpus.ts";
import { yieldToEventLoop } from "../core/event_loop.ts";
import { requireWritable, writeFileAtomically } from "../core/files/write.ts";
import { loadNetwork } from "../core/sampling/network.ts";
import { seededRandom } from "../core/random.ts";
import { makeTokenizer, MASK_TOKEN, type Tokenizer } from "../core/data/tokenizer.ts";
import {
  commonFlags,
  Interrupted,
  interruption,
  note,
  parseFlags,
  print,
  printJson,
  runTask,
  UsageError,
  type Values,
} from "./shared/cli.ts";
import { chosenEngine } from "./shared/engine.ts";
import {
  type Generation,
  generation,
  type Given,
  givenPrompt,
  givenTemplate,
  templateFlags,
} from "./shared/generation.ts";
import { startProgress } from "./shared/progress.ts";
import {
  samplerFlags,
  type Sampling,
  samplingOf,
  truncationFlags,
} from "./shared/sampler_flags.ts";
import { shownText } from "./visualize/characters.ts";
import {
  firstFrame,
  type Frame,
  lengthOfBlocks,
  nextFrame,
  settled,
  type Step,
  textOf,
} from "./visualize/frames.ts";
import { canDraw, hasKeys, KEYS, openScreen } from "./visualize/screen.ts";
import { animatedSvg } from "./visualize/svg.tsx";
import { figuresOf, type Panel, viewOf } from "./visualize/view.ts";
import {
  type ChosenWeights,
  chosenWeights,
  isOfOtherText,
  tellingOfShipped,
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
  compare: { type: "boolean", help: "the GPT beside it, a step of each in turn" },
  blocks: {
    type: "integer",
    min: 1,
    max: 100,
    help: "what to write, in windows of the network less their overlap; without it, 5",
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
    help: "characters of the text's beginning to go on from; without it, 16",
  },
  prompt: { type: "string", help: "text to go on from instead" },
  ...templateFlags,
  ...truncationFlags,
  ...samplerFlags,
  ...weightsFlags,
  gptWeights: { type: "path", help: "weights of the GPT; without it, the model's own" },
  ...commonFlags,
} as const;

type Flags = Values<typeof flags>;

/** A model, and what it is to do. */
interface Part {
  kind: ModelKind;
  title: string;
  saved: ChosenWeights;
  tokens: Tokenizer;
  sampling: Sampling;
  given: Given;
}

/** A model at work. */
interface Side extends Part {
  first: Frame;
  frame: Frame;
  steps: Step[];
  next: Generation["steps"];
}

export async function main(args: string[]): Promise<void> {
  const values = parseFlags(task, flags, args);
  refuseContradictions(values);
  const diffusion = await diffusionPart(values);
  const parts = values.compare ? [diffusion, await gptPart(values, diffusion.given)] : [diffusion];
  if (values.svg !== undefined) await requireWritable(values.svg);

  const engine = await chosenEngine(values);
  using networks = new DisposableStack();
  const sides: Side[] = [];
  for (const part of parts) {
    const { saved: { config, weights }, sampling: { window } } = part;
    const network = networks.use(await loadNetwork(engine, config, weights, { window }));
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
  if (template === undefined) {
    if (values.gap === undefined) return;
    throw new UsageError("Cannot use --gap alone: expected --template TEXT beside it");
  }
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

async function diffusionPart(values: Flags): Promise<Part> {
  const saved = await chosenWeights("diffusion", {
    ...values,
    otherKindAdvice: "give them as --gpt-weights with --compare",
  });
  const sampling = samplingOf("diffusion", saved.config, values);
  const tokens = makeTokenizer("diffusion", saved.vocabulary);
  const part = { kind: "diffusion", title: `Diffusion, sampler ${sampling.sampler}` } as const;
  if (values.template !== undefined) {
    const { template, gap } = values;
    const given = await tellingOfShipped(saved, () => givenTemplate(template, gap, 0, tokens));
    return { ...part, saved, tokens, sampling, given };
  }
  const prompt = values.prompt ?? await takeOpening(saved, values);
  const { window: context, options: { overlap } } = sampling;
  const length = lengthOfBlocks(values.blocks ?? 5, [...prompt].length, { context, overlap });
  const begin = () => givenPrompt("diffusion", prompt, length, tokens);
  const given = await tellingOfShipped(saved, begin);
  return { ...part, saved, tokens, sampling, given };
}

/** The GPT, with the same prompt and as much to write. */
async function gptPart(values: Flags, { shown, length }: Given): Promise<Part> {
  const saved = await chosenWeights("gpt", {
    ...values,
    weights: values.gptWeights,
    onlyComplete: true,
    otherKindAdvice: "give them as --weights",
  });
  const { temperature, topK, topP } = values;
  const sampling = samplingOf("gpt", saved.config, { temperature, topK, topP });
  const tokens = makeTokenizer("gpt", saved.vocabulary);
  const given = givenPrompt("gpt", shown, length, tokens);
  return { kind: "gpt", title: "GPT", saved, tokens, sampling, given };
}

/** The beginning of the text that the model was trained on. */
async function takeOpening(saved: ChosenWeights, values: Flags) {
  const { prompt } = saved, { promptLen = 16 } = values, known = [...prompt ?? ""];
  if (promptLen <= known.length) return known.slice(0, promptLen).join("");
  const corpus = await loadCorpus(values.data ?? await findLatestCorpus());
  await isOfOtherText(saved, corpus);
  return [...corpus.text.slice(0, 2 * promptLen)].slice(0, promptLen).join("");
}

async function begin(
  part: Part,
  network: Parameters<typeof generation>[0],
  seed: number,
): Promise<Side> {
  const { kind, tokens, given, sampling } = part;
  const { start, steps: next } = await generation(
    ...[network, kind, tokens, given, sampling, seededRandom(seed)] as const,
  );
  const shown = start.subarray(given.extra);
  if (kind === "gpt") {
    const first = firstFrame([...tokens.decode(shown)], given.length);
    return { ...part, first, frame: first, steps: [], next };
  }
  const text = [...shown, ...new Array<number>(given.length).fill(0)];
  const { window: context, options: { overlap } } = sampling;
  const blocks = blocksOf(text, { mask: MASK_TOKEN, context, overlap });
  const characters = text.map((token) => token === 0 ? "" : tokens.decode([token]));
  const first = firstFrame(characters, characters.filter((shown) => shown === "").length, blocks);
  return { ...part, first, frame: first, steps: [], next };
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
  if (json || !canDraw()) return await playAsText(sides, { json, signal });
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
  { json, signal }: { json: boolean; signal: AbortSignal },
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
    while (await step(sides)) {
      const done = sides.reduce((sum, { frame }) => sum + frame.written, 0);
      const forwards = sides.reduce((sum, { frame }) => sum + frame.forwards, 0);
      progress.update({ done, fields: { passes: `${forwards}` } });
      if (sides.length === 1 && !json) {
        const [{ frame }] = sides, before = frame.cells.slice(0, settled(frame));
        const lastEnd = before.findLastIndex(({ character }) => character === "\n") + 1;
        if (lastEnd > printed) printUntil(lastEnd, frame);
      }
      await yieldToEventLoop();
      signal.throwIfAborted();
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
  return {
    prompt: sides[0].given.shown,
    seed,
    engine,
    models: sides.map(({ kind, sampling, saved, frame }) => ({
      ...{ model: kind, weights: saved.path, sampler: sampling.sampler },
      ...{ text: textOf(frame, ""), forwards: frame.forwards, seconds: frame.seconds },
    })),
    svg: svg ?? null,
  };
}

if (import.meta.main) await runTask(main, Deno.args);
