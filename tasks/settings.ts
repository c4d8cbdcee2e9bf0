/** The flag `--set NAME=VALUE`, for settings that have no flag of their own. */
import { type Config, type ModelKind, parseSettings } from "../core/config.ts";
import { UsageError } from "./cli.ts";

export const setFlag = {
  type: "string",
  multiple: true,
  placeholder: "NAME=VALUE",
  help: "any other setting, as the line `config:` of a training names it, such as dropout=0.1",
} as const;

/** @throws {UsageError} If one of `assignments` is no setting, or not of its kind. */
export function settingsOf(assignments: string[], kind: ModelKind): Partial<Config> {
  try {
    return parseSettings(assignments, kind);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}
