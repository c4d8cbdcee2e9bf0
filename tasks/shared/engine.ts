/** Starting the engine that the common flags name. */
import type { Engine } from "../../engines/engine.ts";
import { type EngineOptions, startEngine } from "../../engines/mod.ts";
import type { EngineName } from "../../engines/names.ts";
import { note } from "./run.ts";

/**
 * Starts the engine that the common flags name, and says which one it is and, for `auto`, why.
 *
 * @param tell Receives that line. Default: stderr.
 */
export async function startEngineFromFlags(
  { engine: name, precision, threads }: EngineOptions & { engine: EngineName | "auto" },
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
