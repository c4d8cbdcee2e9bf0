/** How a character is coloured by the bits that it costs, in the terminal and in the page. */

/** Bits from which a character has the colour of level 1, 2 and so on; below the first, level 0. */
export const bitLevels = [0.5, 1, 2, 4, 6] as const;

/** Chooses the level of a character's bits. */
export function findBitLevel(bits: number): number {
  return bitLevels.filter((limit) => bits >= limit).length;
}

/** Describes each level: "below 0.5", "0.5 to 1" …, "6 or more". */
export const bitLevelNames: readonly string[] = [
  `below ${bitLevels[0]}`,
  ...bitLevels.slice(0, -1).map((limit, i) => `${limit} to ${bitLevels[i + 1]}`),
  `${bitLevels.at(-1)} or more`,
];
