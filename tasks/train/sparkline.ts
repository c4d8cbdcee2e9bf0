/** A curve in one line of text, such as `█▆▄▃▂▂▁▁`. */

const LEVELS = "▁▂▃▄▅▆▇█";

/** A curve that grows; as text it shows all values so far. */
export interface Sparkline {
  add(value: number): void;
  toString(): string;
}

/**
 * Starts a curve of at most `cells` characters: all values added so far, oldest first, as means of
 * equal numbers of them.
 */
export function makeSparkline(cells: number): Sparkline {
  let means: number[] = [];
  let each = 1; // values in a mean
  let sum = 0;
  let count = 0;
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
      const low = Math.min(...means);
      const range = Math.max(...means) - low || 1;
      return means.map((mean) => LEVELS[Math.round((mean - low) / range * (LEVELS.length - 1))])
        .join("");
    },
  };
}
