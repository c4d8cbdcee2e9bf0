/** What the process of a part is told. */
import type { PresetName } from "../../core/config.ts";
import type { Engine, Precision } from "../../engines/engine.ts";
import type { EngineName } from "../../engines/names.ts";
import { startEngine } from "../../engines/mod.ts";
import type { Finding, GpuCheckPart } from "../shared/results.ts";

/** An engine, and the precision of its matrix products. */
export interface Combination {
  engine: EngineName;
  precision: Precision;
}

export interface PartRequest {
  part: GpuCheckPart;
  /** The engines to look at: `speed` compares them, the other parts have one each. */
  combinations: Combination[];
  preset: PresetName;
  batch: number;
  threads: number;
  /** A Python that has PyTorch. */
  pytorch?: string;
  /** The seconds that the part may take. */
  limitSeconds: number;
  /** A folder to make for its files; it is removed with them. */
  folder: string;
}

/** A part gives what it finds as it finds it. What it throws ends it as failed. */
export type Part = (request: PartRequest) => AsyncGenerator<Finding>;

/** The device that an engine computes on. */
export type Device = "cpu" | "cuda" | "webgpu";

/** Finds out what an engine that runs here computes on. */
export async function deviceOf(name: string): Promise<Device> {
  if (name.endsWith(":cuda")) return "cuda";
  if (name.endsWith(":webgpu")) return "webgpu";
  if (!name.endsWith("tensorflow")) return "cpu";
  const { loadBinding } = await import("../../engines/tensorflow/binding.ts");
  return (await loadBinding()).binding.isUsingGpuDevice() ? "cuda" : "cpu";
}

/** Starts the engine of a part that has one. */
export async function startPart(
  { combinations: [{ engine: name, precision }], threads }: PartRequest,
): Promise<{ engine: Engine; device: Device }> {
  const { engine } = await startEngine(name, { precision, threads });
  return { engine, device: await deviceOf(name) };
}
