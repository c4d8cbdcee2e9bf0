/** A number of bytes for people, such as `1.34 kB`. */
export function format(
  bytes: number,
  options?: { bits?: boolean; binary?: boolean; signed?: boolean; maximumFractionDigits?: number },
): string;
