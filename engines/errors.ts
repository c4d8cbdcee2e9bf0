/**
 * The one error for what a user can mend (a file, a flag, a text, a machine that lacks something),
 * and how text from outside is quoted in it.
 */

/** The parts of an error message. */
export interface Problem {
  /** A verb and its object, such as `load "weights/gpt.safetensors"`. */
  action: string;
  /** The problem found and, where that helps, what was expected. */
  found: string;
  /** Advice: what the user can do. */
  advice?: string;
}

/**
 * An error that is shown to the user as one line without a stack trace:
 * `Cannot <action>: <found>; <advice>`.
 *
 * Any other error is a bug in this project or in the calling code. Nothing should ever parse
 * `message`: its parts are properties, and `{ ...error, action }` says the same of another action.
 */
export class UserError extends Error implements Problem {
  /** The class by name, as in all errors. */
  override name = "UserError";
  readonly action: string;
  readonly found: string;
  readonly advice?: string;

  /** Puts the parts together into one line. */
  constructor({ action, found, advice }: Problem, options?: ErrorOptions) {
    super(`Cannot ${action}: ${reasonOf(found, advice)}`, options);
    this.action = action;
    this.found = found;
    this.advice = advice;
  }

  /** The message without its action: `<found>; <advice>`. */
  get reason(): string {
    return reasonOf(this.found, this.advice);
  }
}

function reasonOf(found: string, advice: string | undefined): string {
  return advice === undefined ? found : `${found}; ${advice}`;
}

/** The first line of what any error says. */
export function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0];
}

/**
 * Puts `text` between quotes, escaped to one line and cut to a length that fits a message: names in
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
