/**
 * Tries what setup has put together and prints the result as JSON: whether onnxruntime computes at
 * all, which of NVIDIA's libraries are missing, and whether it computes on a GPU. Runs in its own
 * process, since libraries that do not fit this machine may end it.
 */
import { firstLine, UserError } from "../../engines/errors.ts";
import { type EngineName, enginePurposes } from "../../engines/names.ts";
import {
  loadSetUp,
  missingLibraries,
  openCudaLibraries,
  readOnnxCuda,
} from "../../engines/onnx/runtime.ts";
import { tryEngine } from "../../engines/start.ts";
import { printJson } from "../shared/run.ts";

/** The output of this script. */
export interface Check {
  /** Why it does not even compute on the CPU, or "". */
  failure: string;
  /** Names of libraries that are missing. */
  missing: string[];
  /** Advice on them, or "". */
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
  const failure = await whyNot("onnx");
  const reason = await whyNot("onnx:cuda");
  return {
    failure,
    missing: missing.map(({ name }) => name),
    advice: missing.length > 0 ? missingLibraries(missing).reason : "",
    available: reason === "",
    reason: reason || enginePurposes["onnx:cuda"],
  };
}

/** Says why an engine does not compute; "" if it does. */
async function whyNot(engine: EngineName): Promise<string> {
  try {
    await tryEngine(engine);
    return "";
  } catch (error) {
    return error instanceof UserError ? error.reason : firstLine(error);
  }
}

if (import.meta.main) printJson(await check());
