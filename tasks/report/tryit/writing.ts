/**
 * From what is asked in the page to text, step by step, by the same functions of `core/` that
 * `deno task sample` uses.
 */
import * as diffusion from "../../../core/diffusion.ts";
import { chooseLengths, type TokenPiece } from "../../../core/sampling/gap_length.ts";
import type { Network } from "../../../core/language_model.ts";
import { seededRandom } from "../../../core/random.ts";
import type { Change } from "../../shared/results.ts";
import { type SamplerName, samplers, usualOptions } from "../../../core/sampling/samplers/mod.ts";
import type { GenerationOptions } from "../../../core/sampling/samplers/sampler.ts";
import { parseTemplate } from "../../../core/sampling/template.ts";
import type { Tokenizer } from "../../../core/data/tokenizer.ts";

/** How to generate; what is left out is as `deno task sample` has it. */
export interface Settings extends Partial<Omit<GenerationOptions, "sampler">> {
  sampler?: SamplerName;
}

/**
 * What the page asks for: a prompt and how many characters to write after it, or a template with
 * gaps to fill.
 */
export type Request =
  & { seed: number; settings?: Settings }
  & ({ prompt: string; length: number } | { template: string });

/** The options that the settings mean to a model of this context. */
export function optionsOf(
  settings: Settings = {},
  { context }: { context: number },
): GenerationOptions {
  const { sampler = "threshold", ...given } = settings;
  return { ...usualOptions(context), ...given, sampler: samplers[sampler] };
}

/** A text that has begun: where it starts from, and what each pass does. */
export interface Writing {
  /** The characters that are given; "" where one is hidden. */
  start: string[];
  /** One entry a pass: what it fixed, or hid again (""). */
  steps: AsyncGenerator<Change[]>;
}

/**
 * Begins to write. The lengths of free gaps are chosen first, which takes passes too.
 *
 * @throws {RangeError} If the text has characters that the model does not know, or a free gap is
 * too long for the model.
 * @throws {SyntaxError} If the template has no gap, or an impossible one.
 */
export async function begin(
  network: Network,
  tokens: Tokenizer,
  request: Request,
): Promise<Writing> {
  const options = optionsOf(request.settings, network);
  const { maskToken = 0 } = tokens, random = seededRandom(request.seed);
  const length = "template" in request ? 0 : request.length;
  const given = await chooseLengths(network, piecesOf(request, tokens), maskToken, options, random);
  const written = (token: number) => token === maskToken ? "" : tokens.decode([token]);
  async function* steps() {
    for await (const fixed of diffusion.generate(network, given, length, options, random)) {
      yield fixed.map(({ position, token, confidence }): Change => [
        position,
        written(token),
        confidence,
      ]);
    }
  }
  return {
    start: [...given, ...new Array<number>(length).fill(maskToken)].map(written),
    steps: steps(),
  };
}

function piecesOf(request: Request, tokens: Tokenizer): TokenPiece[] {
  if (!("template" in request)) return [{ given: tokens.encode(request.prompt, "the prompt") }];
  const pieces = parseTemplate(request.template);
  const all = pieces.map((piece) => "given" in piece ? piece.given : "").join("");
  tokens.encode(all, "the template"); // so that an error names the unknown characters of all pieces
  return pieces.map((piece) => "given" in piece ? { given: tokens.encode(piece.given) } : piece);
}
