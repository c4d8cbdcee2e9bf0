/** Starting the engine that the common flags name. */
import type { Engine, Precision } from "../../engines/engine.ts";
import { type EngineOptions, startEngine } from "../../engines/mod.ts";
import { type EngineName, hasPrecision } from "../../engines/names.ts";
import { note } from "./run.ts";

/**
 * Starts the engine that the flags name, and says which one it is and, for `auto`, why. Without a
 * precision (`writingFlags`) it is int8 where the engine has that.
 *
 * @param tell Receives that line. Default: stderr.
 */
export async function startEngineFromFlags(
  { engine: name, precision = fastestToWrite(name), threads }: EngineOptions & {
    engine: EngineName | "auto";
  },
  tell: (line: string) => void = note,
): Promise<Engine> {
  const cores = navigator.hardwareConcurrency;
  if (threads !== undefined && threads > cores) {
    tell(
      `warning: --threads ${threads} is more than there are cores here (${cores}), and slower`,
    );
  }
  const { engine, reason } = await startEngine(name, { precision, threads });
  tell(`engine: ${engine.name}, ${engine.precision}${reason ? ` (${reason})` : ""}`);
  return engine;
}

function fastestToWrite(name: EngineName | "auto"): Precision {
  return name === "auto" || hasPrecision(name, "int8") ? "int8" : "f32";
}
