/**
 * Texts that no model wrote, to hold samples against: held-out text, which is what a perfect model
 * would write, and the same text shuffled, which keeps its letters or its words and loses all
 * order.
 */
import type { Random } from "../../core/random.ts";

export function shuffleCharacters(text: string, random: Random): string {
  return shuffle([...text], random).join("");
}

/**
 * The words of a text (separated by white space) in random order, with the white space where it
 * was.
 */
export function shuffleWords(text: string, random: Random): string {
  const words = shuffle(text.match(/\S+/g) ?? [], random);
  return text.replaceAll(/\S+/g, () => words.shift()!);
}

/**
 * Shuffles so that each order is as likely as any other. Source: Fisher and Yates, as in Knuth, The art of computer
 * programming 2, 3.4.2.
 */
function shuffle<Item>(items: Item[], random: Random): Item[] {
  const result = [...items];
  for (let last = result.length - 1; last > 0; last--) {
    const other = random.integer(last + 1);
    [result[last], result[other]] = [result[other], result[last]];
  }
  return result;
}

/** The two halves of a text by characters. */
export function halve(text: string): [string, string] {
  const characters = [...text];
  const middle = Math.ceil(characters.length / 2);
  return [characters.slice(0, middle).join(""), characters.slice(middle).join("")];
}

/** A text in consecutive pieces of `length` characters; what is left at the end is not used. */
export function cutText(text: string, length: number): string[] {
  const characters = [...text];
  return Array.from(
    { length: Math.floor(characters.length / length) },
    (_, i) => characters.slice(i * length, (i + 1) * length).join(""),
  );
}
