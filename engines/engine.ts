/**
 * The interface of an engine, which runs pure tfjs functions over named tensors that it keeps.
 *
 * A model, its losses and its optimizer are written once, as functions from tensors to tensors. An
 * engine decides how such a function runs: called on a tfjs backend (`eager.ts`), or recorded once
 * and run as one graph (`onnx/`, `tensorflow/`). No engine knows what a model is, and no model
 * knows which engine runs it.
 */
import { type HostTensors, sizeOf, type Tensors, type TensorSpec } from "./tensors.ts";

/**
 * A pure tfjs function that can be recorded: it reads no values, and randomness that it needs comes
 * in as a tensor.
 */
export interface Program {
  /** The inputs of a run, by name. */
  inputs: Record<string, TensorSpec>;
  /**
   * Gets the state and the inputs, and returns the outputs (float32) and, where it changes some of
   * the state, the new tensors under the names of the old ones.
   */
  body(state: Tensors, inputs: Tensors): { outputs: Tensors; newState?: Tensors };
}

/** The entries of each input of a program, by name. */
export type Inputs = Record<string, Float32Array | Int32Array>;

/** The entries of each output of a program, by name. */
export type Outputs = Record<string, Float32Array>;

/**
 * State and programs loaded together: programs share the state (a train step and an evaluation read
 * the same weights). `P` is the type of the programs, so that the compiler knows their names.
 */
export interface Session<P = Record<string, Program>> {
  /**
   * Runs one program once. The caller must not change `inputs` before the result is there, and owns
   * the result.
   *
   * @throws {TypeError} If an input is missing, unknown, or not of the declared shape and type.
   */
  run(program: keyof P & string, inputs: Inputs): Promise<Outputs>;
  /**
   * Runs one program once for each of `inputs`, one after the other, with the same results as
   * `run`. Only engines that can leave the state where it is in between have this; the function
   * `runSteps` works with all of them.
   *
   * @throws {TypeError} As `run`, before anything has run.
   */
  runSteps?(program: keyof P & string, inputs: Inputs[]): Promise<Outputs[]>;
  /** Copies the present state, or those entries that `names` lists. */
  readState(names?: string[]): Promise<HostTensors>;
  /** Replaces entries of the state that some program changes; the rest stays as it is. */
  writeState(entries: HostTensors): Promise<void>;
  /** Frees what the session holds. It can't be used afterwards. */
  dispose(): void;
}

/**
 * The precision of matrix products; everything else is float32. `int8` is for inference: weights
 * that no program changes are whole numbers from -63 to 63 with a scale for each row.
 */
export type Precision = "f32" | "bf16" | "int8";

/** Something that runs programs. */
export interface Engine {
  /** The name that `--engine` takes, such as `onnx` or `eager:cpu`. */
  name: string;
  /** The precision of matrix products; everything else is float32. */
  precision: Precision;
  /**
   * Puts state and programs where they run. The caller keeps `state`.
   *
   * @throws {TypeError} If a program uses an operation that the engine does not have.
   */
  load<P extends Record<string, Program>>(state: HostTensors, programs: P): Promise<Session<P>>;
}

/**
 * Runs one program once for each of `inputs`, one after the other, all in one go where the engine
 * can.
 */
export async function runSteps<Name extends string>(
  session: Pick<Session<Record<Name, Program>>, "run" | "runSteps">,
  program: Name,
  inputs: Inputs[],
): Promise<Outputs[]> {
  if (session.runSteps && inputs.length > 1) return await session.runSteps(program, inputs);
  const results: Outputs[] = [];
  for (const input of inputs) results.push(await session.run(program, input));
  return results;
}

/**
 * Refuses inputs that the program did not declare, or of another size or type.
 *
 * @throws {TypeError} Naming the program, the input, what was found and what was expected.
 */
export function checkInputs(name: string, program: Program, inputs: Inputs): void {
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
