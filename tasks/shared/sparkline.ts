/** A curve in one line of text, such as `█▆▄▃▂▂▁▁`. */

const LEVELS = "▁▂▃▄▅▆▇█";

export interface Sparkline {
  add(value: number): void;
  toString(): string;
}

/**
 * All values added so far, oldest first, as means of equal numbers of them: at most `cells`
 * characters.
 */
export function sparkline(cells: number): Sparkline {
  let means: number[] = [], each = 1; // values in a mean
  let sum = 0, count = 0;
  return {
    add(value) {
      sum += value;
      if (++count < each) return;
      means.push(sum / count);
      sum = count = 0;
      if (means.length <= cells) return;
      means = Array.from(
        { length: means.length >> 1 },
        (_, i) => (means[2 * i] + means[2 * i + 1]) / 2,
      );
      each *= 2;
    },
    toString() {
      const low = Math.min(...means), range = Math.max(...means) - low || 1;
      return means.map((mean) => LEVELS[Math.round((mean - low) / range * (LEVELS.length - 1))])
        .join("");
    },
  };
}
