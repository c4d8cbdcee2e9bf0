/** The engine that the common flags name. */
import type { Engine } from "../../engines/engine.ts";
import { type EngineOptions, startEngine } from "../../engines/mod.ts";
import type { EngineName } from "../../engines/names.ts";
import { note } from "./cli.ts";

/** Starts it, and says which it is and, for `auto`, why. */
export async function chosenEngine(
  { engine: name, precision, threads }: EngineOptions & { engine: EngineName | "auto" },
  tell: (line: string) => void = note,
): Promise<Engine> {
  const { engine, reason } = await startEngine(name, { precision, threads });
  tell(`engine: ${engine.name}, ${engine.precision}${reason ? ` (${reason})` : ""}`);
  return engine;
}
