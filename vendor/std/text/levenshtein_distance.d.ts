/** How many characters have to be inserted, deleted or replaced to make one string out of the other. */
export function levenshteinDistance(str1: string, str2: string): number;
