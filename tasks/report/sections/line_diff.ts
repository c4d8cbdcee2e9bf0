/** The difference of two texts, line by line, as `diff -U0` shows it. */

export interface Line {
  /** Counted from 1. */
  number: number;
  text: string;
}

/** Neighbouring lines that only one of the texts has. */
export interface Hunk {
  removed: Line[];
  added: Line[];
}

/**
 * Returns the lines that turn `a` into `b`, by their longest common subsequence. Takes time and
 * memory in the product of their lengths: for files that people read, not for data.
 */
export function lineDiff(a: string[], b: string[]): Hunk[] {
  // common[i][j]: length of the longest common subsequence of a from i on and b from j on.
  const common = Array.from({ length: a.length + 1 }, () => new Array(b.length + 1).fill(0));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      common[i][j] = a[i] === b[j]
        ? common[i + 1][j + 1] + 1
        : Math.max(common[i + 1][j], common[i][j + 1]);
    }
  }
  const hunks: Hunk[] = [];
  for (let i = 0, j = 0, fresh = true; i < a.length || j < b.length;) {
    if (a[i] === b[j] && i < a.length && j < b.length) {
      i++, j++;
      fresh = true;
      continue;
    }
    if (fresh) hunks.push({ removed: [], added: [] });
    fresh = false;
    const hunk = hunks[hunks.length - 1];
    if (j === b.length || (i < a.length && common[i + 1][j] >= common[i][j + 1])) {
      hunk.removed.push({ number: i + 1, text: a[i++] });
    } else hunk.added.push({ number: j + 1, text: b[j++] });
  }
  return hunks;
}
