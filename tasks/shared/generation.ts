/** What a model is given to go on from or to fill, and what it does with it, step by step. */
import type { ModelKind } from "../../core/config.ts";
import { chooseLengths, type TokenPiece } from "../../core/sampling/gap_length.ts";
import { models } from "../../core/models.ts";
import type { LoadedNetwork } from "../../core/sampling/network.ts";
import type { Random } from "../../core/random.ts";
import type { Change, GenerationStep } from "./results.ts";
import { parseTemplate } from "../../core/sampling/template.ts";
import type { Tokenizer } from "../../core/data/tokenizer.ts";
import { UsageError } from "./cli.ts";
import type { Sampling } from "./sampler_flags.ts";

export const templateFlags = {
  template: {
    type: "string",
    help: "diffusion: text with gaps to fill, ____ or {3..12} for 3 to 12 characters",
  },
  gap: {
    type: "string",
    placeholder: "CHAR",
    help: "what stands for a hidden character in the template; without it, _",
  },
} as const;

/** What there is before the model writes. */
export interface Given {
  /** The prompt, or the template as it was given. */
  shown: string;
  /** The same in tokens; gaps only in a template. */
  pieces: TokenPiece[];
  /** Tokens at the beginning that are not shown. */
  extra: number;
  /** Characters to write after it. */
  length: number;
}

/**
 * A GPT needs a character to go on from: for it, an empty prompt is an empty line, which is not
 * shown.
 */
export function givenPrompt(
  kind: ModelKind,
  shown: string,
  length: number,
  tokens: Tokenizer,
): Given {
  const { vocabulary } = tokens;
  const first = vocabulary.includes("\n") ? "\n" : vocabulary[0];
  const extra = shown === "" && kind === "gpt" ? first : "";
  const pieces = [{ given: tokens.encode(extra + shown, "the prompt") }];
  return { shown, pieces, extra: extra === "" ? 0 : 1, length };
}

/** @throws {UsageError} If the template does not parse. */
export function givenTemplate(
  shown: string,
  gap: string | undefined,
  length: number,
  tokens: Tokenizer,
): Given {
  const parsed = asUsage(() => parseTemplate(shown, gap));
  const all = parsed.map((piece) => "given" in piece ? piece.given : "").join("");
  tokens.encode(all, "the template"); // so that an error names the unknown characters of all pieces
  const pieces = parsed.map((piece) =>
    "given" in piece ? { given: tokens.encode(piece.given) } : piece
  );
  return { shown, pieces, extra: 0, length };
}

/** What does not parse was typed wrong. */
function asUsage<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw error instanceof SyntaxError ? new UsageError(error.message, { cause: error }) : error;
  }
}

/** A generation that has begun: the tokens it starts from, and what each step does. */
export interface Generation {
  /**
   * What is given, with a mask for each hidden character in it; `extra` tokens at the beginning are
   * not shown.
   */
  start: Int32Array;
  /**
   * Positions count from what is shown; `seconds` are those spent in the generation so far,
   * `forwards` the passes.
   */
  steps: AsyncGenerator<GenerationStep & { forwards: number }>;
}

/** Begins to generate: chooses the lengths of free gaps, and then goes step by step. */
export async function generation(
  network: LoadedNetwork,
  kind: ModelKind,
  tokens: Tokenizer,
  { pieces, extra, length }: Given,
  { options }: Sampling,
  random: Random,
): Promise<Generation> {
  const { maskToken } = tokens, before = network.forwards;
  let seconds = 0, since = performance.now();
  const spent = () => {
    const now = performance.now();
    seconds += (now - since) / 1000;
    since = now;
    return seconds;
  };
  const start = await chooseLengths(network, pieces, maskToken ?? 0, options, random);
  spent();
  async function* steps() {
    since = performance.now();
    for await (const fixed of models[kind].generate(network, start, length, options, random)) {
      const changes = fixed.map(({ position, token, confidence }): Change => [
        position - extra,
        token === maskToken ? "" : tokens.decode([token]),
        Number(confidence.toFixed(4)),
      ]);
      yield { seconds: spent(), forwards: network.forwards - before, changes };
      since = performance.now(); // what the reader of the steps did meanwhile does not count
    }
  }
  return { start, steps: steps() };
}
