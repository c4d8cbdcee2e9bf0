/** The same keys, with what `map` makes of each value. */
export function mapValues<Key extends string, A, B>(
  record: Record<Key, A>,
  map: (value: A, key: Key) => B,
): Record<Key, B> {
  const entries = Object.entries(record) as [Key, A][];
  return Object.fromEntries(entries.map(([key, value]) => [key, map(value, key)])) as Record<
    Key,
    B
  >;
}
