/**
 * What an engine is: something that runs pure tfjs functions over named tensors that it keeps.
 *
 * The model, the losses and the optimiser are written once, as functions from tensors to tensors.
 * An engine decides how such a function runs: called on a tfjs backend (`eager.ts`), or recorded
 * once and run as one graph (`onnx.ts`). No engine knows what a model is, and no model knows which
 * engine runs it.
 */
import { type HostTensors, sizeOf, type Tensors, type TensorSpec } from "./tensors.ts";

/**
 * A pure tfjs function that can be recorded: it reads no values, and what randomness it needs comes
 * in as a tensor.
 */
export interface Program {
  /** What each run is given, by name. */
  inputs: Record<string, TensorSpec>;
  /**
   * Gets the state and the inputs, and returns the outputs (float32) and, where it changes some of
   * the state, the new tensors under the names of the old ones.
   */
  body(state: Tensors, inputs: Tensors): { outputs: Tensors; newState?: Tensors };
}

/**
 * State and programs loaded together: programs share the state (a train step and an evaluation read
 * the same weights).
 */
export interface Session {
  /**
   * Runs one program once. The caller must not change `inputs` before the result is there, and owns
   * the result.
   *
   * @throws {TypeError} If an input is missing, unknown, or not of the declared shape and type.
   */
  run(
    program: string,
    inputs: Record<string, Float32Array | Int32Array>,
  ): Promise<Record<string, Float32Array>>;
  /**
   * Runs one program once for each of `inputs`, one after the other, with the same results as
   * `run`. Only engines that can leave the state where it is in between have this; `runSteps` works
   * with all.
   *
   * @throws {TypeError} As `run`, before anything has run.
   */
  runSteps?(
    program: string,
    inputs: Record<string, Float32Array | Int32Array>[],
  ): Promise<Record<string, Float32Array>[]>;
  /** A copy of the present state, or of those entries that `names` lists. */
  readState(names?: string[]): Promise<HostTensors>;
  /** Replaces entries of the state that some program changes; the rest stays as it is. */
  writeState(entries: HostTensors): Promise<void>;
  /** Frees what the session holds. It can't be used afterwards. */
  dispose(): void;
}

/** How matrix products are computed; all else is float32. */
export type Precision = "f32" | "bf16";

/** Something that runs programs. */
export interface Engine {
  /** The name that `--engine` takes, such as `onnx` or `eager:cpu`. */
  name: string;
  /** How matrix products are computed; all else is float32. */
  precision: Precision;
  /**
   * Puts state and programs where they run. The caller keeps `state`.
   *
   * @throws {TypeError} If a program uses an operation that the engine does not have.
   */
  load(state: HostTensors, programs: Record<string, Program>): Promise<Session>;
}

/**
 * Runs one program once for each of `inputs`, one after the other, all in one go where the engine
 * can.
 */
export async function runSteps(
  session: Pick<Session, "run" | "runSteps">,
  program: string,
  inputs: Record<string, Float32Array | Int32Array>[],
): Promise<Record<string, Float32Array>[]> {
  if (session.runSteps && inputs.length > 1) return await session.runSteps(program, inputs);
  const results: Record<string, Float32Array>[] = [];
  for (const input of inputs) results.push(await session.run(program, input));
  return results;
}

/**
 * Refuses inputs that the program did not declare, or of another size or type.
 *
 * @throws {TypeError} Naming the program, the input, what was found and what was expected.
 */
export function checkInputs(
  name: string,
  program: Program,
  inputs: Record<string, Float32Array | Int32Array>,
): void {
  for (const key of Object.keys(inputs)) {
    if (!(key in program.inputs)) {
      throw new TypeError(`Cannot run "${name}": it has no input "${key}"`);
    }
  }
  for (const [key, { shape, dtype }] of Object.entries(program.inputs)) {
    const data = inputs[key];
    const size = sizeOf(shape);
    const found = data === undefined
      ? "nothing"
      : `${data instanceof Int32Array ? "int32" : "float32"} [${data.length}]`;
    if (found !== `${dtype} [${size}]`) {
      throw new TypeError(
        `Cannot run "${name}": "${key}" is ${found}, expected ${dtype} [${size}]`,
      );
    }
  }
}
