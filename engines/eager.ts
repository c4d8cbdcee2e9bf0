/**
 * The slow reference: a program's body is called anew for every run, on one of tfjs's own backends.
 * Nothing is recorded, so what a program does here is what it says.
 */
import * as tf from "./tfjs.ts";
import type { HostTensors } from "./tensors.ts";
import {
  checkInputs,
  type Engine,
  type Inputs,
  type Outputs,
  type Program,
  type Session,
} from "./engine.ts";
import { UserError } from "./errors.ts";
import { mapValues } from "@std/collections/map-values";

/** Registers tfjs's own backends with it; `cpu` comes with it. */
export const backends: Record<"cpu" | "wasm" | "webgpu", () => Promise<unknown>> = {
  cpu: () => Promise.resolve(),
  wasm: () => import("@tensorflow/tfjs-backend-wasm"),
  webgpu: () => {
    quietWayland();
    return import("@tensorflow/tfjs-backend-webgpu");
  },
};

/**
 * Deno asks Wayland, too, for a GPU, which on a machine without a desktop complains on stderr that it
 * has no folder. Any will do, as there is nothing in it.
 */
function quietWayland(): void {
  try {
    if (!Deno.env.has("XDG_RUNTIME_DIR")) Deno.env.set("XDG_RUNTIME_DIR", "/");
  } catch {
    // without that permission, it complains
  }
}

/**
 * An engine that calls programs on a backend of tfjs.
 *
 * @param register Registers the backend with tfjs.
 * @throws {UserError} If the backend does not start on this machine.
 */
export async function eagerEngine(
  backend: string,
  register: () => Promise<unknown>,
): Promise<Engine> {
  // Silences tfjs's advice to install tfjs-node, and its checks of every result for NaN.
  tf.env().set("PROD", true);
  await register();
  const before = tf.getBackend();
  const started = await tf.setBackend(backend).catch(() => false);
  if (!started) {
    if (before) await tf.setBackend(before);
    const found = `tfjs's backend "${backend}" does not start on this machine`;
    throw new UserError({ action: `start eager:${backend}`, found });
  }
  return {
    name: `eager:${backend}`,
    precision: "f32",
    load: (state, programs) => Promise.resolve(new EagerSession(backend, state, programs)),
  };
}

class EagerSession implements Session {
  #state: Record<string, tf.Tensor>;

  constructor(
    readonly backend: string,
    state: HostTensors,
    readonly programs: Record<string, Program>,
  ) {
    tf.setBackend(backend);
    this.#state = mapValues(state, ({ data, shape }) => tf.tensor(data.slice(), shape));
  }

  async run(name: string, inputs: Inputs): Promise<Outputs> {
    const program = this.programs[name];
    checkInputs(name, program, inputs);
    tf.setBackend(this.backend);
    // What `tidy` returns outlives it, so the new state and the outputs do, and nothing else.
    const { outputs, newState } = tf.tidy(() => {
      const tensors = mapValues(
        program.inputs,
        // A copy, since tfjs keeps it, and may keep it in the new state.
        ({ shape, dtype }, key) => tf.tensor(inputs[key].slice(), shape, dtype),
      );
      const { outputs, newState = {} } = program.body(this.#state, tensors);
      // A result that is an input or a state entry itself would be disposed of twice.
      return {
        outputs: mapValues(outputs, (t) => tf.clone(t)),
        newState: mapValues(newState, (t) => tf.clone(t)),
      };
    });
    tf.dispose(Object.keys(newState).map((key) => this.#state[key]));
    Object.assign(this.#state, newState);
    const results: Outputs = {};
    for (const [key, tensor] of Object.entries(outputs)) {
      results[key] = Float32Array.from(await tensor.data());
    }
    tf.dispose(outputs);
    return results;
  }

  async readState(names = Object.keys(this.#state)) {
    const entries: HostTensors = {};
    for (const name of names) {
      const tensor = this.#state[name];
      const data = Float32Array.from(await tensor.data());
      entries[name] = { shape: [...tensor.shape], data };
    }
    return entries;
  }

  writeState(entries: HostTensors) {
    tf.setBackend(this.backend);
    for (const [name, { data, shape }] of Object.entries(entries)) {
      this.#state[name].dispose();
      this.#state[name] = tf.tensor(data.slice(), shape);
    }
    return Promise.resolve();
  }

  dispose() {
    tf.dispose(this.#state);
    this.#state = {};
  }
}
