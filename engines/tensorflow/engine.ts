/**
 * The fastest engine: each program is recorded once, and all of them are lowered to one SavedModel
 * that TensorFlow runs. The state lives in the session as variables, so only the batch and the
 * results cross the border.
 *
 * It uses the addon of `@tensorflow/tfjs-node-gpu` directly. The package's own JavaScript would add
 * nothing to `loadSavedModel` and `runSavedModel` but tensors of tfjs around what goes in and out,
 * one garbage-collected handle each.
 */
import { join } from "@std/path";
import * as tf from "@tensorflow/tfjs-core";
import { tmpdir } from "node:os";
import type { HostTensors } from "../tensors.ts";
import { chosenDevices } from "../devices.ts";
import {
  checkInputs,
  type Engine,
  type Inputs,
  type Outputs,
  type Precision,
  type Program,
  type Session,
} from "../engine.ts";
import { firstLine, UserError } from "../errors.ts";
import { mapValues } from "@std/collections/map-values";
import { compile } from "../record/compile.ts";
import { type Binding, loadBinding, slowBfloat16, whyNoGpu } from "./binding.ts";
import { type TensorflowModel, tensorflowModel } from "./model.ts";
import { dataTypes } from "./proto.ts";

export interface TensorflowOptions {
  /** @default {"f32"} */
  precision?: Exclude<Precision, "int8">;
  /**
   * Threads inside one operator, and operators at a time. One number per process. Default: one per
   * core.
   */
  threads?: number;
}

/**
 * Starts the engine.
 *
 * @throws {UserError} If the addon is not there or does not load, or can't use the GPU that
 * `CUDA_VISIBLE_DEVICES` names.
 */
export async function tensorflowEngine(
  { precision = "f32", threads }: TensorflowOptions = {},
): Promise<Engine> {
  const { binding, installation } = await loadBinding({ threads });
  const problem = whyNoGpu(binding, installation);
  // Who names a GPU wants it; who names none, or has none, gets the CPU.
  if (problem && !["", "-1"].includes(chosenDevices() ?? "")) throw problem;
  return {
    name: "tensorflow",
    precision,
    load: (state, programs) => TensorflowSession.load(binding, state, programs, precision),
  };
}

/**
 * Finds out whether this machine can run the engine in this precision, and if not why. Never
 * throws.
 *
 * bf16 also counts as unavailable where it would be slower than float32, though `tensorflowEngine`
 * would run it.
 */
export async function tensorflowStatus(
  precision: TensorflowOptions["precision"] = "f32",
): Promise<{ available: boolean; reason: string; version?: string; gpu?: boolean }> {
  try {
    const { binding, installation } = await loadBinding();
    const engine = await tensorflowEngine({ precision });
    await checkGradient(engine);
    const slow = precision === "bf16" ? await slowBfloat16(binding) : undefined;
    const device = binding.isUsingGpuDevice() ? "GPU" : "CPU";
    const instead = whyNoGpu(binding, installation)?.reason;
    return {
      available: slow === undefined,
      reason: slow ??
        `TensorFlow ${installation.version} on the ${device}${instead ? `, since ${instead}` : ""}`,
      version: installation.version,
      gpu: binding.isUsingGpuDevice(),
    };
  } catch (error) {
    const reason = error instanceof UserError ? error.reason : firstLine(error);
    return { available: false, reason };
  }
}

/**
 * Computes a product and a gradient whose entries are small whole numbers, so that any precision
 * gives them exactly.
 */
async function checkGradient(engine: Engine): Promise<void> {
  const w = { shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) };
  const session = await engine.load({ w }, {
    check: {
      inputs: { x: { shape: [2, 2], dtype: "float32" } },
      body({ w }, { x }) {
        const sum = (w: tf.Tensor) =>
          tf.sum(tf.square(tf.matMul(w as tf.Tensor2D, x as tf.Tensor2D)));
        return { outputs: { product: tf.matMul(w, x), gradient: tf.grad(sum)(w) } };
      },
    },
  });
  try {
    const { product, gradient } = await session.run("check", { x: Float32Array.of(0, 1, 1, 0) });
    if (`${product}` !== "2,1,4,3") throw new Error(`it computes a wrong product: ${product}`);
    if (`${gradient}` !== "2,4,6,8") throw new Error(`it computes a wrong gradient: ${gradient}`);
  } finally {
    session.dispose();
  }
}

/** TensorFlow loads models from folders only, and needs the folder no more once one is loaded. */
async function loadFromFolder(binding: Binding, model: Uint8Array): Promise<number> {
  const folder = await orRefuse(
    Deno.makeTempDir({ prefix: "tiny-diffusion-" }),
    `make a folder in ${JSON.stringify(tmpdir())}`,
  );
  try {
    const path = join(folder, "saved_model.pb");
    await orRefuse(Deno.writeFile(path, model), `write ${JSON.stringify(path)}`);
    return binding.loadSavedModel(folder, "serve");
  } finally {
    await Deno.remove(folder, { recursive: true }).catch(() => {}); // the system removes it one day
  }
}

/** Waits for work in the system's temporary folder. */
async function orRefuse<T>(work: Promise<T>, action: string): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    throw new UserError({
      action,
      found: cause instanceof Deno.errors.PermissionDenied ? "no permission" : firstLine(cause),
      advice: "change the permissions, or set TMPDIR to another folder",
    }, { cause });
  }
}

class TensorflowSession implements Session {
  private constructor(
    readonly binding: Binding,
    readonly id: number,
    readonly programs: Record<string, Program>,
    readonly model: TensorflowModel,
    readonly shapes: Record<string, number[]>,
  ) {}

  static async load(
    binding: Binding,
    state: HostTensors,
    programs: Record<string, Program>,
    precision: Precision,
  ): Promise<TensorflowSession> {
    const graphs = mapValues(programs, (program, name) => compile(name, program, state));
    const model = tensorflowModel(state, graphs, precision);
    const id = await loadFromFolder(binding, model.bytes);
    const shapes = mapValues(state, ({ shape }) => [...shape]);
    const session = new TensorflowSession(binding, id, programs, model, shapes);
    await session.writeState(state);
    return session;
  }

  run(name: string, inputs: Inputs): Promise<Outputs> {
    const program = this.programs[name];
    const { feeds, fetches, done } = this.model.programs[name];
    checkInputs(name, program, inputs);
    const feed = Object.entries(program.inputs).map(([key, { shape }]) => ({
      name: feeds[key],
      shape,
      data: inputs[key],
    }));
    const results = this.#call(feed, [...Object.values(fetches), ...(done ? [done] : [])]);
    return Promise.resolve(
      Object.fromEntries(
        Object.keys(fetches).map((key, i) => [key, results[i] as Float32Array]),
      ),
    );
  }

  readState(names = Object.keys(this.shapes)) {
    const results = this.#call([], names.map((name) => this.model.state[name].read));
    return Promise.resolve(
      Object.fromEntries(names.map((name, i) => [
        name,
        { shape: [...this.shapes[name]], data: results[i] as Float32Array },
      ])),
    );
  }

  writeState(entries: HostTensors) {
    const names = Object.keys(entries);
    const feed = names.map((name) => ({
      name: this.model.state[name].value,
      shape: this.shapes[name],
      data: entries[name].data,
    }));
    this.#call(feed, names.map((name) => this.model.state[name].written));
    return Promise.resolve();
  }

  dispose() {
    this.binding.deleteSavedModel(this.id);
  }

  /** Runs the session once; every tensor that this makes in TensorFlow is deleted again. */
  #call(
    feed: { name: string; shape: number[]; data: Float32Array | Int32Array }[],
    fetches: string[],
  ) {
    const { binding } = this;
    if (fetches.length === 0) return []; // TensorFlow refuses to run for nothing
    const inputs: number[] = [];
    try {
      for (const { shape, data } of feed) {
        const dtype = data instanceof Int32Array ? dataTypes.int32 : dataTypes.float32;
        inputs.push(binding.createTensor(shape, dtype, data));
      }
      const names = feed.map(({ name }) => name).join();
      const outputs = binding.runSavedModel(this.id, inputs, names, fetches.join());
      try {
        // The addon may hand out TensorFlow's own memory, which ends with the session: a copy is
        // ours.
        return outputs.map(({ id }) => binding.tensorDataSync(id).slice());
      } finally {
        for (const { id } of outputs) binding.deleteTensor(id);
      }
    } finally {
      for (const id of inputs) binding.deleteTensor(id);
    }
  }
}
