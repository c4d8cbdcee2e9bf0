/** The one error for what a user can mend: a file, a flag, a text, a machine that lacks something. */

/** What could not be done, why not, and what to do about it. */
export interface Problem {
  /** A verb and its object, such as `load "weights/gpt.safetensors"`. */
  action: string;
  /** What was found and, where that helps, what was expected. */
  found: string;
  /** What to do. */
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
  override name = "UserError";
  readonly action: string;
  readonly found: string;
  readonly advice?: string;

  constructor({ action, found, advice }: Problem, options?: ErrorOptions) {
    super(`Cannot ${action}: ${found}${advice === undefined ? "" : `; ${advice}`}`, options);
    this.action = action;
    this.found = found;
    this.advice = advice;
  }
}
