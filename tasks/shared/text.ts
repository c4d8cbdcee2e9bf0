/** Text for people: lists, times and shares in words, columns, and words quoted for a shell. */

/** `a, b and c`. */
export function listed(words: readonly string[], conjunction: "and" | "or" = "and"): string {
  if (words.length < 2) return words.join("");
  return `${words.slice(0, -1).join(", ")} ${conjunction} ${words.at(-1)}`;
}

/** A number and what it counts: `1 layer`, `2 layers`. */
export function quantity(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`;
}

/** Describes a network, such as "4 layers, 4 heads, 128 wide, context 64". */
export function describeShape(
  { layers, heads, width, context }: {
    layers: number;
    heads: number;
    width: number;
    context: number;
  },
): string {
  const parts = [quantity(layers, "layer"), quantity(heads, "head"), `${width} wide`];
  return [...parts, `context ${context}`].join(", ");
}

/** Milliseconds for people: `0.4 s`, `12 s`, `3 min 05 s`, `2 h 07 min`. */
export function duration(milliseconds: number): string {
  if (milliseconds < 9_950) return `${(milliseconds / 1000).toFixed(1)} s`;
  const seconds = Math.round(milliseconds / 1000);
  const minutes = Math.floor(seconds / 60);
  const padded = (value: number) => String(value).padStart(2, "0");
  if (minutes < 1) return `${seconds} s`;
  if (minutes < 60) return `${minutes} min ${padded(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${padded(minutes % 60)} min`;
}

/** A size in megabytes: `14.8`. */
export const megabytes = (bytes: number) => (bytes / 1e6).toFixed(1);

/** A share in percent: `12.3 %`. */
export const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

/** Breaks a text into lines of at most 100 characters. Lines after `first` are indented as far. */
export function wrap(text: string, first = ""): string {
  const lines = [first];
  for (const word of text.split(" ")) {
    if (length(lines.at(-1)!) + length(word) > 100) lines.push(" ".repeat(first.length));
    lines[lines.length - 1] += `${word} `;
  }
  return lines.map((line) => line.trimEnd()).join("\n");
}

/** Columns as wide as their widest cell, two spaces apart, with the head first. */
export function alignedTable(head: string[], rows: string[][]): string {
  const widths = head.map((title, i) =>
    Math.max(...[title, ...rows.map((row) => row[i])].map(length))
  );
  const line = (row: string[]) =>
    row.map((cell, i) => cell + " ".repeat(widths[i] - length(cell))).join("  ").trimEnd();
  return [head, ...rows].map(line).join("\n");
}

const length = (text: string) => [...text].length;

/** Replaces control characters other than line ends and tabs, which a terminal obeys, by "�". */
export function withoutControls(text: string): string {
  return text.replace(/[^\P{Cc}\n\r\t]/gu, "\ufffd");
}

/**
 * A command of this project to type again, such as `deno task sample --prompt 'O Romeo'`: quoted
 * for a POSIX shell, on Windows for PowerShell.
 */
export function commandLine(task: string, args: string[]): string {
  const shown = args[0] === "--" ? args.slice(1) : args;
  return ["deno", "task", task, ...shown].map((word) => quoteForShell(word)).join(" ");
}

/**
 * Quotes a word so that a shell passes it on unchanged. PowerShell doubles a quote within quotes,
 * and makes lists of commas.
 */
export function quoteForShell(word: string, os: string = Deno.build.os): string {
  if (os === "windows") {
    return /^[\w+=:./\\-]+$/.test(word) ? word : `'${word.replaceAll("'", "''")}'`;
  }
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
