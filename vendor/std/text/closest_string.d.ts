/** The string of `possibleWords` nearest to `givenWord` by Levenshtein distance. */
export function closestString(
  givenWord: string,
  possibleWords: readonly string[],
  options?: { caseSensitive?: boolean; compareFn?: (a: string, b: string) => number },
): string;
