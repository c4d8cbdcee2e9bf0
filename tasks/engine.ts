/** The engine that the common flags name. */
import type { Engine } from "../core/engines/engine.ts";
import { type EngineName, type EngineOptions, startEngine } from "../core/engines/mod.ts";
import { note } from "./cli.ts";

/** Starts it, and says which it is and, for `auto`, why. */
export async function chosenEngine(
  { engine: name, precision, threads }: EngineOptions & { engine: string },
  tell: (line: string) => void = note,
): Promise<Engine> {
  const { engine, reason } = await startEngine(name as EngineName | "auto", { precision, threads });
  tell(`engine: ${engine.name}, ${engine.precision}${reason ? ` (${reason})` : ""}`);
  return engine;
}
