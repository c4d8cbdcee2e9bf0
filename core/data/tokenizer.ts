/**
 * Characters to tokens and back. A character is a Unicode code point, so an emoji is one and a
 * surrogate is none.
 *
 * A vocabulary lists the characters in the order of their tokens. That of a diffusion model starts
 * with the mask: token 0 hides a character and is none itself, so a text that has "_" keeps it as
 * an ordinary token of its own.
 */

import { quoted } from "@tiny-diffusion/engines/errors";

/** The token of a diffusion model that hides a character. */
export const MASK_TOKEN = 0;

/** How it is written where it must be shown, as in the original. */
export const MASK = "_";

/** A vocabulary's mapping between characters and tokens. */
export interface Tokenizer {
  /** The characters in the order of their tokens, the mask's display form included. */
  vocabulary: readonly string[];
  /** `MASK_TOKEN` for diffusion; a GPT has no mask. */
  maskToken: typeof MASK_TOKEN | undefined;
  /**
   * The token of each character.
   *
   * @param what How an error names the text, such as "the prompt".
   * @throws {RangeError} If the text has characters that the vocabulary lacks; names up to 5 of
   * them.
   */
  encode(text: string, what?: string): Int32Array;
  /**
   * The text of tokens, with `mask` (default: the vocabulary's first entry) for each masked one.
   *
   * @throws {RangeError} If a token is not one of the vocabulary's.
   */
  decode(tokens: ArrayLike<number>, mask?: string): string;
}

/**
 * The distinct characters of a text, sorted by code point: the vocabulary of a GPT.
 *
 * @param options.limit Most characters allowed, as each costs two rows of weights. Default 1,024.
 * @throws {RangeError} If there are more than `limit`.
 * @throws {TypeError} If the text has a lone surrogate, which is half a character.
 */
export function charactersOf(text: string, { limit = 1024 }: { limit?: number } = {}): string[] {
  refuseLoneSurrogates(text, "the text");
  const characters = [...new Set(text)];
  if (characters.length > limit) {
    throw new RangeError(
      `Cannot make a vocabulary of the text: it has ${number(characters.length)} different ` +
        `characters, expected at most ${
          number(limit)
        }; replace its rare ones or split it by script`,
    );
  }
  // Array.sort() alone compares UTF-16 units, which puts emoji before U+E000 to U+FFFF.
  return characters.sort((a, b) => a.codePointAt(0)! - b.codePointAt(0)!);
}

/**
 * The mapping of a vocabulary, as `charactersOf` gives it, or with the mask before it.
 *
 * @param options.mask Whether the first entry is the mask, which no character is encoded as.
 * @throws {TypeError} If an entry is not one character, or is there twice.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { diffusion, tokenizer } from "@tiny-diffusion/core";
 *
 * const vocabulary = diffusion.vocabulary("to be"); // ["_", " ", "b", "e", "o", "t"]
 * const { encode, decode } = tokenizer(vocabulary, { mask: true });
 * assertEquals([...encode("be to")], [2, 3, 1, 5, 4]);
 * assertEquals(decode([2, 0, 1, 5, 0]), "b_ t_"); // 0 is the mask
 * ```
 */
export function tokenizer(
  vocabulary: readonly string[],
  { mask }: { mask: boolean },
): Tokenizer {
  const tokenOf = new Map<string, number>();
  vocabulary.forEach((character, token) => {
    if ([...character].length !== 1 || !character.isWellFormed()) {
      throw new TypeError(
        `Cannot use this vocabulary: entry ${token} is ${quoted(character)}, ` +
          `expected one character; the weights may be damaged`,
      );
    }
    if (mask && token === MASK_TOKEN) return;
    if (tokenOf.has(character)) {
      throw new TypeError(
        `Cannot use this vocabulary: ${named(character)} is both token ${tokenOf.get(character)} ` +
          `and ${token}, expected each character once; the weights may be damaged`,
      );
    }
    tokenOf.set(character, token);
  });

  return {
    vocabulary,
    maskToken: mask ? MASK_TOKEN : undefined,
    encode(text, what = "the text") {
      refuseLoneSurrogates(text, what);
      const tokens: number[] = [], unknown = new Set<string>();
      for (const character of text) {
        const token = tokenOf.get(character);
        if (token === undefined) unknown.add(character);
        else tokens.push(token);
      }
      if (unknown.size > 0) throw unknownCharacters([...unknown], tokenOf.size, what);
      return Int32Array.from(tokens);
    },
    decode(tokens, maskShown = vocabulary[0]) {
      return Array.from(tokens, (token) => {
        if (mask && token === MASK_TOKEN) return maskShown;
        const character = vocabulary[token];
        if (character === undefined) {
          throw new RangeError(
            `Cannot decode token ${token}: expected 0 to ${vocabulary.length - 1}`,
          );
        }
        return character;
      }).join("");
    },
  };
}

function unknownCharacters(unknown: string[], known: number, what: string): RangeError {
  const shown = unknown.slice(0, 5).map(named).join(", ") +
    (unknown.length > 5 ? ` and ${number(unknown.length - 5)} more` : "");
  const [are, them] = unknown.length === 1 ? ["is not one of", "it"] : ["are not among", "them"];
  return new RangeError(
    `Cannot encode ${what}: ${shown} ${are} the ${number(known)} characters of this model; ` +
      `remove ${them} or train on a text that has ${them}`,
  );
}

function refuseLoneSurrogates(text: string, what: string): void {
  if (text.isWellFormed()) return;
  const at = text.search(/\p{Surrogate}/u);
  const unit = text.charCodeAt(at).toString(16).toUpperCase();
  throw new TypeError(
    `Cannot encode ${what}: U+${unit} at index ${at} is half of a surrogate pair, ` +
      `expected whole characters; remove it`,
  );
}

/** A character as an error shows it: `"é" (U+00E9)`. */
function named(character: string): string {
  const code = character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0");
  return `${quoted(character)} (U+${code})`;
}

const number = (value: number) => value.toLocaleString("en-US");
