/**
 * `text` between quotes, escaped to one line and cut to a length that fits a message: names in
 * files may be anything. What a terminal obeys or hides (control characters, changes of direction)
 * is escaped, too.
 */
export function quoted(text: string): string {
  const characters = [...text.slice(0, 200)];
  const shown = characters.length > 80 ? characters.slice(0, 79).join("") + "…" : text;
  const escaped = JSON.stringify(shown).replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`,
  );
  // Escapes make it up to six times as long.
  return escaped.length > 200 ? quoted([...shown].slice(0, 20).join("") + "…") : escaped;
}
