/** The flag `--set NAME=VALUE`, for settings without their own flag. */
import { type Config, expectSetting, makeConfig, type ModelKind } from "../../core/config.ts";
import { quoted } from "../../engines/errors.ts";
import { UsageError } from "./flags.ts";

export const setFlag = {
  type: "string",
  multiple: true,
  placeholder: "NAME=VALUE",
  help:
    "any other setting, by its name in the `config:` line that training prints, such as dropout=0.1",
} as const;

/** Settings that follow from the text, or have their own flag. */
const notSettable = [
  "vocab",
  "kind",
  "preset",
  "seed",
  "steps",
  "batch",
  "learningRate",
  "evalEvery",
];

/**
 * Reads settings of a run from texts such as `dropout=0.1`.
 *
 * @throws {UsageError} If there is no such setting, or the value is not of its kind.
 */
export function parseSettings(assignments: string[], kind: ModelKind): Partial<Config> {
  const settable = new Map(
    Object.entries(makeConfig(kind, "full", 66)).filter(([name]) => !notSettable.includes(name)),
  );
  return Object.fromEntries(assignments.map((assignment) => {
    const refuse = (expected: string) =>
      new UsageError(`Cannot set ${quoted(assignment)}: expected ${expected}`);
    const [, name, typed] = /^(.*?)=(.*)$/s.exec(assignment) ?? [];
    if (name === undefined) throw refuse("NAME=VALUE, such as dropout=0.1");
    const usual = settable.get(name);
    if (usual === undefined) {
      throw refuse(`NAME=VALUE with one of ${[...settable.keys()].join(", ")}`);
    }
    const text = typed.trim();
    if (typeof usual === "boolean") {
      if (text !== "true" && text !== "false") throw refuse(`${name} to be true or false`);
      return [name, text === "true"];
    }
    const value = typeof usual === "string" ? text : text === "" ? NaN : Number(text);
    const expected = expectSetting(name, value);
    if (expected !== undefined) throw refuse(`${name} to be ${expected}`);
    return [name, value];
  }));
}
