/**
 * Characters to tokens and back. A character is a Unicode code point: an emoji is one, half a
 * surrogate pair is not.
 *
 * A vocabulary lists the characters in the order of their tokens. A diffusion model's starts with
 * the mask: token 0 hides a character and is not one itself, so a text that contains "_" keeps it as
 * an ordinary token.
 */
import type { ModelKind } from "../config.ts";
import { quoted, UserError } from "@tiny-diffusion/engines/errors";

/** The token of a diffusion model that hides a character. */
export const MASK_TOKEN = 0;

/** The printed form of the mask, as in the original. */
export const MASK = "_";

/** Makes the tokens of so many masked characters. */
export function makeMasks(count: number): number[] {
  return new Array<number>(count).fill(MASK_TOKEN);
}

/** Maps the characters of a vocabulary to tokens and back. */
export interface Tokenizer {
  /** The characters in the order of their tokens; a diffusion model's first entry is the mask. */
  vocabulary: readonly string[];
  /**
   * Returns the token of each character.
   *
   * @param what How an error names the text, such as "the prompt".
   * @throws {UserError} If the text has characters that the vocabulary lacks; names up to 5 of
   * them.
   */
  encode(text: string, what?: string): Int32Array;
  /**
   * Returns the text of tokens, with `mask` (default: the vocabulary's first entry) for each masked
   * one.
   *
   * @throws {RangeError} If a token is not one of the vocabulary's.
   */
  decode(tokens: ArrayLike<number>, mask?: string): string;
}

/**
 * Lists the distinct characters of a text, sorted by code point: the vocabulary of a GPT.
 *
 * @param options.limit Most characters allowed, as each costs two rows of weights. Default 1,024.
 * @throws {UserError} If there are more than `limit`, or the text has a lone surrogate, which is
 * half a character.
 */
export function listCharacters(text: string, { limit = 1024 }: { limit?: number } = {}): string[] {
  refuseLoneSurrogates(text, "the text");
  const characters = [...new Set(text)];
  if (characters.length > limit) {
    const [count, most] = [characters.length, limit].map(formatNumber);
    throw new UserError({
      action: "make a vocabulary of the text",
      found: `it has ${count} different characters, expected at most ${most}`,
      advice: "replace its rare ones or split it by script",
    });
  }
  // Array.sort() alone compares UTF-16 units, which puts emoji before U+E000 to U+FFFF.
  return characters.sort((a, b) => a.codePointAt(0)! - b.codePointAt(0)!);
}

/**
 * Makes the tokenizer of a model.
 *
 * @param kind In a diffusion model's vocabulary the first entry is the mask, which no character is
 * encoded as.
 * @param vocabulary As the model's own `vocabulary(text)` gives it.
 * @throws {UserError} If an entry is not one character, or is there twice.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { diffusion, makeTokenizer } from "@tiny-diffusion/core";
 *
 * const vocabulary = diffusion.vocabulary("to be"); // ["_", " ", "b", "e", "o", "t"]
 * const { encode, decode } = makeTokenizer("diffusion", vocabulary);
 * assertEquals([...encode("be to")], [2, 3, 1, 5, 4]);
 * assertEquals(decode([2, 0, 1, 5, 0]), "b_ t_"); // 0 is the mask
 * ```
 */
export function makeTokenizer(kind: ModelKind, vocabulary: readonly string[]): Tokenizer {
  const hasMask = kind === "diffusion";
  const tokenOf = new Map<string, number>();
  vocabulary.forEach((character, token) => {
    if ([...character].length !== 1 || !character.isWellFormed()) {
      throw damaged(`entry ${token} is ${quoted(character)}, expected one character`);
    }
    if (hasMask && token === MASK_TOKEN) return;
    if (tokenOf.has(character)) {
      const both = `both token ${tokenOf.get(character)} and ${token}`;
      throw damaged(`${nameCharacter(character)} is ${both}, expected each character once`);
    }
    tokenOf.set(character, token);
  });

  return {
    vocabulary,
    encode(text, what = "the text") {
      refuseLoneSurrogates(text, what);
      const tokens: number[] = [];
      const unknown = new Set<string>();
      for (const character of text) {
        const token = tokenOf.get(character);
        if (token === undefined) unknown.add(character);
        else tokens.push(token);
      }
      if (unknown.size > 0) throw unknownCharacters([...unknown], tokenOf.size, what);
      return Int32Array.from(tokens);
    },
    decode(tokens, mask = vocabulary[0]) {
      return Array.from(tokens, (token) => {
        if (hasMask && token === MASK_TOKEN) return mask;
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

function damaged(found: string): UserError {
  return new UserError({
    action: "use this vocabulary",
    found,
    advice: "the weights may be damaged",
  });
}

function unknownCharacters(unknown: string[], known: number, what: string): UserError {
  const more = unknown.length > 5 ? ` and ${formatNumber(unknown.length - 5)} more` : "";
  const named = unknown.slice(0, 5).map(nameCharacter).join(", ") + more;
  const [are, them] = unknown.length === 1 ? ["is not one of", "it"] : ["are not among", "them"];
  // Shells hand on "\\n" as two characters.
  const lineEnds = unknown.includes("\\") ? 'type line ends as such and not as "\\n", ' : "";
  return new UserError({
    action: `encode ${what}`,
    found: `${named} ${are} the ${formatNumber(known)} characters of this model`,
    advice: `${lineEnds}remove ${them} or train on a text that has ${them}`,
  });
}

function refuseLoneSurrogates(text: string, what: string): void {
  if (text.isWellFormed()) return;
  const at = text.search(/\p{Surrogate}/u);
  const unit = text.charCodeAt(at).toString(16).toUpperCase();
  throw new UserError({
    action: `encode ${what}`,
    found: `U+${unit} at index ${at} is half of a surrogate pair, expected whole characters`,
    advice: "remove it",
  });
}

/** A character as an error shows it: `"é" (U+00E9)`. */
function nameCharacter(character: string): string {
  const code = character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0");
  return `${quoted(character)} (U+${code})`;
}

const formatNumber = (value: number) => value.toLocaleString("en-US");
