/** A number of milliseconds for people, such as `1m 39s`. */
export function format(
  milliseconds: number,
  options?: { style?: "narrow" | "full" | "digital"; ignoreZero?: boolean },
): string;
