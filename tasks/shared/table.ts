/** Tables as plain text. */

/** Columns as wide as their widest cell, two spaces apart, the head first. */
export function alignedTable(head: string[], rows: string[][]): string {
  const widths = head.map((title, i) =>
    Math.max(...[title, ...rows.map((row) => row[i])].map(length))
  );
  const line = (row: string[]) =>
    row.map((cell, i) => cell + " ".repeat(widths[i] - length(cell))).join("  ").trimEnd();
  return [head, ...rows].map(line).join("\n");
}

/** Breaks a text into lines of at most 100 characters. */
export function wrapped(text: string): string {
  const lines = [""];
  for (const word of text.split(" ")) {
    if (length(lines.at(-1)!) + length(word) > 100) lines.push("");
    lines[lines.length - 1] += `${word} `;
  }
  return lines.map((line) => line.trimEnd()).join("\n");
}

const length = (text: string) => [...text].length;
