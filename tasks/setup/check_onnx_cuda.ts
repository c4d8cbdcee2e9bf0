/**
 * Tries what setup has put together and prints the result as JSON: whether onnxruntime computes at
 * all, which of NVIDIA's libraries are missing, and whether it computes on a GPU. Runs in a process
 * of its own, since libraries that do not fit this machine may end it.
 */
import { engineStatuses } from "../../engines/mod.ts";
import {
  loadSetUp,
  openCudaLibraries,
  readOnnxCuda,
  whatIsMissing,
} from "../../engines/onnx/runtime.ts";
import { printJson } from "../shared/run.ts";

/** What this script prints. */
export interface Check {
  /** Why it does not even compute on the CPU, or "". */
  failure: string;
  /** Names of libraries that are missing. */
  missing: string[];
  /** What to do about them, or "". */
  advice: string;
  /** Whether it computes on a GPU. */
  available: boolean;
  /** Why not, or what the engine is good for. */
  reason: string;
}

async function check(): Promise<Check> {
  const installation = await readOnnxCuda();
  const missing = openCudaLibraries(installation.packages);
  loadSetUp(installation);
  const [cpu, gpu] = await engineStatuses(["onnx", "onnx:cuda"]);
  return {
    failure: cpu.available ? "" : cpu.reason,
    missing: missing.map(({ name }) => name),
    advice: missing.length > 0 ? whatIsMissing(missing) : "",
    available: gpu.available,
    reason: gpu.reason.replace(/^Cannot start the engine "onnx:cuda": /, ""),
  };
}

if (import.meta.main) printJson(await check());
