/** `text` between quotes, escaped to one line and cut to a length that fits a message: names in files may be anything. */
export function quoted(text: string): string {
  const characters = [...text.slice(0, 200)];
  return JSON.stringify(characters.length > 80 ? characters.slice(0, 79).join("") + "…" : text);
}
