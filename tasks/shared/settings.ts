/** The flag `--set NAME=VALUE`, for settings that have no flag of their own. */
import {
  choices,
  type Config,
  makeConfig,
  type ModelKind,
  numberExpected,
} from "../../core/config.ts";
import { quoted } from "../../engines/errors.ts";
import { UsageError } from "./cli.ts";

export const setFlag = {
  type: "string",
  multiple: true,
  placeholder: "NAME=VALUE",
  help: "any other setting, as the line `config:` of a training names it, such as dropout=0.1",
} as const;

/** What follows from the text, or has a flag of its own. */
const withoutSet = [
  "vocab",
  "kind",
  "preset",
  "seed",
  "steps",
  "batch",
  "learningRate",
  "evalEvery",
] as const;

/**
 * Reads settings of a run from texts such as `dropout=0.1`.
 *
 * @throws {UsageError} If there is no such setting, or the value is not of its kind.
 */
export function settingsOf(assignments: string[], kind: ModelKind): Partial<Config> {
  const settings: Partial<Config> = makeConfig(kind, "full", 66);
  for (const name of withoutSet) delete settings[name];
  return Object.fromEntries(assignments.map((assignment) => {
    const [name, ...rest] = assignment.split("="), text = rest.join("=").trim();
    const refuse = (expected: string) =>
      new UsageError(`Cannot set ${quoted(assignment)}: expected ${expected}`);
    if (!assignment.includes("=")) throw refuse("NAME=VALUE, such as dropout=0.1");
    if (!Object.hasOwn(settings, name)) {
      throw refuse(`NAME=VALUE with one of ${Object.keys(settings).join(", ")}`);
    }
    const key = name as keyof typeof settings, allowed = choices[key];
    if (allowed) {
      if (!allowed.includes(text)) throw refuse(`${name} to be ${allowed.join(" or ")}`);
      return [name, text];
    }
    if (typeof settings[key] === "boolean") {
      if (text !== "true" && text !== "false") throw refuse(`${name} to be true or false`);
      return [name, text === "true"];
    }
    const value = Number(text);
    const expected = text === "" ? "a number, 0 or more" : numberExpected(name, value);
    if (expected !== undefined) throw refuse(`${name} to be ${expected}`);
    return [name, value];
  }));
}
