/**
 * Writes text: from a prompt, or a template with gaps, to the finished text, pass by pass.
 *
 * Everything that shows or keeps a text uses this one function: the tasks `sample`, `visualize` and
 * `quality`, and the page that runs the model in the browser.
 */
import { UserError } from "@tiny-diffusion/engines/errors";
import type { ModelKind } from "../config.ts";
import { makeMasks, MASK_TOKEN, type Tokenizer } from "../data/tokenizer.ts";
import { yieldToEventLoop } from "../event_loop.ts";
import type { GenerationOptions, Network, TrainedNetwork } from "../language_model.ts";
import { seededRandom } from "../random.ts";
import { type Block, cutBlocks } from "./blocks.ts";
import { defaultOptions } from "./defaults.ts";
import { checkTruncation } from "./draw.ts";
import { chooseLengths, countLengthPasses, joinPieces, type TokenPiece } from "./gap_length.ts";
import { parseTemplate } from "./template.ts";

/** A text to continue, or a template to fill. */
export type WriteRequest =
  | {
    /** The text to continue; a GPT without one begins with an empty line, which is not shown. */
    prompt: string;
    /** Characters to write after it. */
    length: number;
  }
  | {
    /** A text with gaps, see `parseTemplate`. Diffusion only. */
    template: string;
    /** The character that stands for a hidden one. @default {"_"} */
    gap?: string;
    /** Characters to write after it. @default {0} */
    length?: number;
  };

/** Options of writing; `defaultOptions` has the defaults. */
export interface WriteOptions extends Partial<GenerationOptions> {
  /** The seed of every draw. @default {1337} */
  seed?: number;
  /** Once it is aborted, the next forward pass throws its reason; the text so far is kept. */
  signal?: AbortSignal;
}

/**
 * One character that a step fixed, or masked again (""). `position` counts code points from the
 * start of the text, prompt included; `confidence` is the probability on which the choice was made.
 */
export type Change = [position: number, character: string, confidence: number];

/** One step of a text: what it changed, and the time and the forward passes up to then. */
export interface Step {
  /** Seconds spent on the text so far, without those between two steps. */
  seconds: number;
  /** Forward passes so far, those that chose the lengths of gaps included. */
  forwards: number;
  /** The characters that were fixed or masked again. */
  changes: Change[];
}

/** A text in progress: an async iterable of its steps, which are computed as they are asked for. */
export class Writing implements AsyncIterable<Step> {
  #last: Step;
  readonly #steps: AsyncGenerator<Step>;

  /** Wraps the steps to come after `first`, which chose the lengths of gaps. */
  constructor(
    /** The characters as they are now, "" where one is hidden. */
    readonly characters: string[],
    /** The blocks that are filled one after the other; a GPT has none. */
    readonly blocks: Block[],
    first: Step,
    steps: AsyncGenerator<Step>,
  ) {
    this.#last = first;
    this.#steps = this.#take(steps);
  }

  /** Applies each step as it is taken. */
  async *#take(steps: AsyncGenerator<Step>): AsyncGenerator<Step> {
    for await (const step of steps) {
      this.#last = step;
      for (const [position, character] of step.changes) this.characters[position] = character;
      yield step;
    }
  }

  /** Seconds spent on the text so far, those of the last step. */
  get seconds(): number {
    return this.#last.seconds;
  }

  /** Forward passes so far, those of the last step. */
  get forwards(): number {
    return this.#last.forwards;
  }

  /** The text up to the first character that is still hidden: all of it, once there are no steps. */
  get text(): string {
    const hidden = this.characters.indexOf("");
    return this.characters.slice(0, hidden === -1 ? undefined : hidden).join("");
  }

  /** Writes what is left, and returns the text. */
  async finish(): Promise<string> {
    while (!(await this.#steps.next()).done);
    return this.text;
  }

  /** Returns the steps to come. */
  [Symbol.asyncIterator](): AsyncGenerator<Step> {
    return this.#steps;
  }
}

/**
 * Begins to write a text: encodes the request and chooses the lengths of its free gaps, which takes
 * forward passes too. The text is then written as its steps are asked for.
 *
 * @param tokenizer Of the model's vocabulary.
 * @throws {UserError} If the request has characters that the model lacks, the template does not
 * parse, a free gap is too long, or an option is out of its range.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { diffusion, initialWeights, loadNetwork, makeConfig } from "@tiny-diffusion/core";
 * import { makeTokenizer, samplers, seededRandom, startEngine, write } from "@tiny-diffusion/core";
 *
 * const vocabulary = diffusion.vocabulary("to be, or not to be");
 * const config = makeConfig("diffusion", "smoke", vocabulary.length);
 * const weights = initialWeights(config, seededRandom(1)); // those of a trained model: `loadWeights`
 * const { engine } = await startEngine("onnx"); // or "auto"
 * using network = await loadNetwork(engine, diffusion, config, weights);
 * const sampler = samplers.entropy.with({ entropyBound: 1 });
 *
 * const tokenizer = makeTokenizer("diffusion", vocabulary);
 * const writing = await write(network, tokenizer, { template: "to ____ or {2..5}" }, { sampler });
 * const written: number[] = [];
 * for await (const { changes } of writing) written.push(...changes.map(([position]) => position));
 * assertEquals(written.length, writing.text.length - "to  or ".length);
 * ```
 */
export async function write(
  network: TrainedNetwork,
  tokenizer: Tokenizer,
  request: WriteRequest,
  { seed = 1337, signal, ...changes }: WriteOptions = {},
): Promise<Writing> {
  const { model, context, vocab } = network;
  const options = { ...defaultOptions(model.kind, context, changes), ...changes };
  checkTruncation(options);
  const { pieces, hiddenPrefix, length } = encodeRequest(model.kind, tokenizer, request);
  const random = seededRandom(seed);
  const clock = startClock();
  const before = network.forwards;
  const paced: Network = {
    context,
    vocab,
    drafts: network.drafts,
    async logits(tokens, count) {
      clock.pause();
      await yieldToEventLoop();
      clock.resume();
      signal?.throwIfAborted();
      return await network.logits(tokens, count);
    },
  };
  const start = countLengthPasses(pieces) > 0
    ? await chooseLengths(paced, pieces, options, random)
    : Int32Array.from(joinPieces(pieces));
  const show = (token: number) => token === model.maskToken ? "" : tokenizer.decode([token]);
  const given = Array.from(start.subarray(hiddenPrefix), show);

  async function* takeSteps(): AsyncGenerator<Step> {
    clock.resume();
    for await (const fixed of model.generate(paced, start, length, options, random)) {
      clock.pause();
      const changes = fixed.map(({ position, token, confidence }): Change => [
        position - hiddenPrefix,
        show(token),
        confidence,
      ]);
      yield { seconds: clock.seconds, forwards: network.forwards - before, changes };
      clock.resume();
    }
  }
  clock.pause();
  return new Writing(
    [...given, ...new Array<string>(length).fill("")],
    model.maskToken === undefined
      ? []
      : cutBlocks([...start, ...makeMasks(length)], { context, overlap: options.overlap }),
    { seconds: clock.seconds, forwards: network.forwards - before, changes: [] },
    takeSteps(),
  );
}

/** A stopwatch that runs at first. */
function startClock() {
  let since = performance.now();
  return {
    seconds: 0,
    resume() {
      since = performance.now();
    },
    pause() {
      this.seconds += (performance.now() - since) / 1000;
    },
  };
}

/**
 * Returns the most forward passes that `write` makes, and the most characters that it writes.
 *
 * @param context Characters that the network reads at once.
 * @throws {UserError} If `write` would refuse the request.
 */
export function limitPasses(
  kind: ModelKind,
  tokenizer: Tokenizer,
  request: WriteRequest,
  { overlap, sampler }: GenerationOptions,
  context: number,
): { forwards: number; characters: number } {
  const { pieces, length } = encodeRequest(kind, tokenizer, request);
  if (kind === "gpt") return { forwards: length, characters: length };
  const longest = pieces.flatMap((piece) =>
    "given" in piece ? [...piece.given] : makeMasks(piece.max)
  );
  const characters = length + longest.filter((token) => token === MASK_TOKEN).length;
  const choosing = countLengthPasses(pieces);
  // The lengths decide where blocks begin. Whatever they are, a block has a character to fill.
  const filled = choosing > 0
    ? new Array<number>(characters).fill(1)
    : cutBlocks([...longest, ...makeMasks(length)], { context, overlap })
      .map(({ masked }) => masked.length);
  const filling = filled.reduce((sum, masked) => sum + sampler.maxPasses(masked), 0);
  return { forwards: choosing + filling, characters };
}

/** Encodes a request; the first `hiddenPrefix` tokens are not shown. */
function encodeRequest(
  kind: ModelKind,
  { encode, vocabulary }: Tokenizer,
  request: WriteRequest,
): { pieces: TokenPiece[]; hiddenPrefix: number; length: number } {
  if ("prompt" in request) {
    const { prompt, length } = request;
    // A GPT needs a character to continue.
    const isMissing = kind === "gpt" && prompt === "";
    const first = vocabulary.includes("\n") ? "\n" : vocabulary[0];
    const given = encode(isMissing ? first : prompt, "the prompt");
    return { pieces: [{ given }], hiddenPrefix: isMissing ? 1 : 0, length };
  }
  const { template, gap, length = 0 } = request;
  if (kind === "gpt") {
    throw new UserError({
      action: "fill a template with a GPT",
      found: "it reads only what is left of a character, so the text after a gap can't guide it",
      advice: "use a diffusion model, or a prompt",
    });
  }
  const pieces = parseTemplate(template, gap);
  // All at once first, so that an error names the unknown characters of all pieces.
  encode(pieces.map((piece) => "given" in piece ? piece.given : "").join(""), "the template");
  const encoded = pieces.map((piece) => "given" in piece ? { given: encode(piece.given) } : piece);
  return { pieces: encoded, hiddenPrefix: 0, length };
}
