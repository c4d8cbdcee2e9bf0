/**
 * Sessions over onnxruntime, whichever build of it runs them: each program is recorded once and
 * lowered to ONNX.
 *
 * onnxruntime has no variables, so the session keeps the state and feeds it to each run, which
 * gives the new state. On the CPU that copies all of it twice a step, which costs little, and less
 * where several steps are one run, inside a loop that keeps the state (`runSteps`); with CUDA it
 * crosses the bus, so that the loop is needed there. With WebGPU the state may stay on the GPU from
 * run to run, and does.
 *
 * State that no program replaces, such as the weights in evaluation and sampling, becomes part of
 * the graphs: onnxruntime then packs it once for its matrix kernels (about 15 % less time for a
 * character of a full-size GPT).
 */
import type * as onnxruntime from "onnxruntime-node";
import { type HostTensors, sizeOf } from "../tensors.ts";
import {
  checkInputs,
  type Engine,
  type Inputs,
  type Outputs,
  type Program,
  type Session,
} from "../engine.ts";
import { firstLine, UserError } from "../errors.ts";
import { compile } from "../record/compile.ts";
import type { Graph } from "../record/graph.ts";
import { mapValues } from "@std/collections/map-values";
import {
  aroundLoop,
  inputName,
  newStateName,
  type OnnxDevice,
  onnxModel,
  onnxStepsModel,
  outputName,
  stateName,
  STEPS,
} from "./model.ts";

/** onnxruntime's JavaScript interface, which its builds for Node and for browsers share. */
export type OnnxruntimeApi = Pick<typeof onnxruntime, "InferenceSession" | "Tensor">;

type InferenceSession = onnxruntime.InferenceSession;
type Tensor = onnxruntime.Tensor;

/** The build of onnxruntime, and what to use of it. */
export interface OnnxSettings {
  /** The name of the engine. */
  name: string;
  /** The device that computes. */
  device: OnnxDevice;
  /** The precision of products. */
  precision: "f32" | "int8";
  /** Threads inside one operator on the CPU. */
  threads: number;
  /**
   * Whether it is onnxruntime-web, which can't write results into given memory, nor do two things
   * at once: a second call would spoil the first one's stack.
   */
  isWeb: boolean;
}

/**
 * An engine on a build of onnxruntime.
 *
 * @throws {UserError} If it does not start on that device.
 */
export async function engineOn(
  onnxruntime: OnnxruntimeApi,
  settings: OnnxSettings,
): Promise<Engine> {
  const runtime = new Runtime(onnxruntime, settings);
  await runtime.check();
  return {
    name: settings.name,
    precision: settings.precision,
    load: (state, programs) => OnnxSession.load(runtime, state, programs),
  };
}

type OrtTensors = Record<string, Tensor>;

/** onnxruntime with the settings for its sessions. */
class Runtime {
  readonly device: OnnxDevice;
  #last: Promise<unknown> = Promise.resolve();

  constructor(readonly onnxruntime: OnnxruntimeApi, readonly settings: OnnxSettings) {
    this.device = settings.device;
  }

  /** Makes a call, after those before it where they can't be made at once. */
  async call<T>(make: () => Promise<T>): Promise<T> {
    if (!this.settings.isWeb) return await make();
    const made = this.#last.then(make);
    this.#last = made.catch(() => {});
    return await made;
  }

  /** @param stay Outputs to leave on the device that computes them. */
  async createSession(model: Uint8Array, stay: string[] = []): Promise<InferenceSession> {
    const options: onnxruntime.InferenceSession.SessionOptions = {
      executionProviders: [this.device],
      intraOpNumThreads: this.settings.threads,
      interOpNumThreads: 1,
      graphOptimizationLevel: "all",
      logSeverityLevel: 3, // errors only
      ...stay.length > 0 && {
        preferredOutputLocation: Object.fromEntries(stay.map((name) => [name, "gpu-buffer"])),
      },
    };
    return await this.call(() => this.onnxruntime.InferenceSession.create(model, options));
  }

  /** Frees a session that may still be loading; whoever asked for it has the error if that failed. */
  release(made: InferenceSession | Promise<InferenceSession>): void {
    this.call(async () => await (await made).release()).catch(() => {});
  }

  tensor(data: Float32Array | Int32Array | BigInt64Array, shape: readonly number[]): Tensor {
    const { Tensor } = this.onnxruntime;
    if (data instanceof Float32Array) return new Tensor("float32", data, shape);
    return data instanceof Int32Array
      ? new Tensor("int32", data, shape)
      : new Tensor("int64", data, shape);
  }

  /** Finds out with the smallest model whether the device can be used at all. */
  async check(): Promise<void> {
    const x: Graph["inputs"][string] = {
      shape: [1],
      dtype: "float32",
      from: { kind: "input", name: "x" },
    };
    const model = onnxModel({ inputs: { x }, state: {}, outputs: { y: x }, newState: {} });
    try {
      await (await this.createSession(model)).release();
    } catch (error) {
      const found = `onnxruntime does not start on this device: ${complaintIn(error)}`;
      throw new UserError({ action: `use ${this.settings.name}`, found }, { cause: error });
    }
  }
}

/** Shortens onnxruntime's complaints, which name its source files and C++ types first. */
function complaintIn(error: unknown): string {
  const message = (error as Error).message.trim();
  return /CUDA failure \d+: .*?(?= ;)/.exec(message)?.[0] ??
    /Failed to get a WebGPU adapter: .*/.exec(message)?.[0] ?? firstLine(new Error(message));
}

interface Loaded {
  program: Program;
  graph: Graph;
  session: InferenceSession;
  /** The same program any number of times in one run; made when it is first needed. */
  loop?: Promise<InferenceSession>;
}

class OnnxSession implements Session {
  readonly runSteps?: Session["runSteps"];
  #programs: Record<string, Loaded>;
  #state: OrtTensors;
  /** The entries that some program replaces. */
  #replaced: Set<string>;
  /** The memory for the new value of each of those, where results are written into given memory. */
  #spare: OrtTensors;
  /** Reads entries that are on the device; made when it is first needed. */
  #reader?: Promise<InferenceSession>;

  private constructor(
    readonly runtime: Runtime,
    programs: Record<string, Loaded>,
    state: HostTensors,
    readonly fixed: HostTensors,
    replaced: Set<string>,
  ) {
    this.#programs = programs;
    this.#state = mapValues(state, ({ data, shape }) => runtime.tensor(data.slice(), shape));
    this.#replaced = replaced;
    const fills = !runtime.settings.isWeb && !this.#staysOnDevice;
    const spare = fills ? [...this.#replaced] : [];
    this.#spare = Object.fromEntries(spare.map((name) => {
      const { shape } = state[name];
      return [name, runtime.tensor(new Float32Array(sizeOf(shape)), shape)];
    }));
    if (!this.#staysOnDevice) this.runSteps = (name, inputs) => this.#runInLoop(name, inputs);
  }

  static async load(
    runtime: Runtime,
    state: HostTensors,
    programs: Record<string, Program>,
  ): Promise<OnnxSession> {
    const graphs = mapValues(programs, (program, name) => compile(name, program, state));
    const replaced = new Set(
      Object.values(graphs).flatMap(({ newState }) => Object.keys(newState)),
    );
    const fixed = Object.fromEntries(
      Object.entries(state).filter(([name]) => !replaced.has(name)),
    );
    const loaded: Record<string, Loaded> = {};
    for (const [name, graph] of Object.entries(graphs)) {
      const stay = runtime.device === "webgpu" ? Object.keys(graph.newState) : [];
      const model = onnxModel(graph, { fixed, ...runtime.settings });
      const session = await runtime.createSession(model, stay.map(newStateName));
      loaded[name] = { program: programs[name], graph, session };
    }
    return new OnnxSession(runtime, loaded, state, fixed, replaced);
  }

  async run(name: string, inputs: Inputs): Promise<Outputs> {
    const { program, graph, session } = this.#programs[name];
    checkInputs(name, program, inputs);
    const feeds = this.#stateFeeds();
    for (const [key, { shape }] of Object.entries(program.inputs)) {
      feeds[inputName(key)] = this.runtime.tensor(inputs[key], shape);
    }
    const fetched = await this.#call(session, graph, feeds);
    return mapValues(graph.outputs, (_, key) => fetched[outputName(key)].data as Float32Array);
  }

  async #runInLoop(name: string, inputs: Inputs[]): Promise<Outputs[]> {
    const loaded = this.#programs[name];
    const { program, graph } = loaded;
    const count = inputs.length;
    for (const each of inputs) checkInputs(name, program, each);
    const { runtime, fixed } = this;
    loaded.loop ??= runtime.createSession(onnxStepsModel(graph, { fixed, ...runtime.settings }));
    const feeds = this.#stateFeeds();
    for (const key of Object.keys(graph.newState)) {
      feeds[aroundLoop(stateName(key))] = this.#state[key];
    }
    feeds[STEPS] = runtime.tensor(BigInt64Array.of(BigInt(count)), []);
    for (const [key, { shape, dtype }] of Object.entries(program.inputs)) {
      const size = sizeOf(shape);
      const all = new (dtype === "int32" ? Int32Array : Float32Array)(count * size);
      inputs.forEach((each, i) => all.set(each[key], i * size));
      feeds[aroundLoop(inputName(key))] = runtime.tensor(all, [count, ...shape]);
    }
    const fetched = await this.#call(await loaded.loop, graph, feeds, aroundLoop);
    return inputs.map((_, i) =>
      mapValues(graph.outputs, ({ shape }, key) => {
        const all = fetched[aroundLoop(outputName(key))].data as Float32Array;
        const size = sizeOf(shape);
        return all.slice(i * size, (i + 1) * size);
      })
    );
  }

  /**
   * Runs a model and takes its new state.
   *
   * @param feeds May have more than the model wants, as simplification drops inputs.
   * @param named Makes a name of this model of an output's name.
   */
  async #call(
    session: InferenceSession,
    graph: Graph,
    feeds: OrtTensors,
    named: (name: string) => string = (name) => name,
  ): Promise<OrtTensors> {
    const wanted = Object.fromEntries(session.inputNames.map((name) => [name, feeds[name]]));
    const fetches: Record<string, Tensor | null> = {};
    for (const key of Object.keys(graph.outputs)) fetches[named(outputName(key))] = null;
    for (const key of Object.keys(graph.newState)) {
      fetches[named(newStateName(key))] = this.#spare[key] ?? null;
    }
    const fetched = await this.runtime.call(() =>
      session.run(wanted, fetches as onnxruntime.InferenceSession.OnnxValueMapType)
    );
    for (const key of Object.keys(graph.newState)) {
      const result = fetched[named(newStateName(key))];
      if (!this.#spare[key]) {
        this.#replace(key, result);
      } else {
        // onnxruntime-node fills the spare buffer, but hands out a copy of it too: freed at once,
        // or many would wait for the garbage collector.
        (result.data as Float32Array<ArrayBuffer>).buffer.transfer(0);
        [this.#state[key], this.#spare[key]] = [this.#spare[key], this.#state[key]];
      }
    }
    return fetched;
  }

  #stateFeeds(): OrtTensors {
    return Object.fromEntries(
      Object.entries(this.#state).map(([key, tensor]) => [stateName(key), tensor]),
    );
  }

  #replace(key: string, tensor: Tensor): void {
    if (isOnDevice(this.#state[key])) this.#state[key].dispose();
    this.#state[key] = tensor;
  }

  get #staysOnDevice(): boolean {
    return this.runtime.device === "webgpu";
  }

  async readState(names = Object.keys(this.#state)) {
    const onDevice = names.filter((name) => isOnDevice(this.#state[name]));
    const read = onDevice.length > 0 ? await this.#read(onDevice) : {};
    return Object.fromEntries(names.map((name) => {
      const { dims, data } = read[name] ?? this.#state[name];
      return [name, { shape: [...dims], data: (data as Float32Array).slice() }];
    }));
  }

  /**
   * Reads entries that are on the device, by a model that returns its state, as `Tensor.getData`
   * ends the process (in version 1.30).
   */
  async #read(names: string[]): Promise<OrtTensors> {
    const replaced = Object.fromEntries(
      Object.entries(this.#state).filter(([name]) => this.#replaced.has(name)),
    );
    this.#reader ??= this.runtime.createSession(onnxModel(identityGraph(replaced)));
    const feeds = this.#stateFeeds();
    const reader = await this.#reader;
    const wanted = Object.fromEntries(reader.inputNames.map((name) => [name, feeds[name]]));
    const fetched = await this.runtime.call(() => reader.run(wanted, names.map(outputName)));
    return Object.fromEntries(names.map((name) => [name, fetched[outputName(name)]]));
  }

  // deno-lint-ignore require-await -- so that what it throws is a rejection, as in other engines
  async writeState(entries: HostTensors) {
    for (const [name, { data }] of Object.entries(entries)) {
      if (!this.#replaced.has(name)) {
        throw new TypeError(
          `Cannot write "${name}": no program of this session changes it, so it is part of their graphs`,
        );
      }
      const tensor = this.#state[name];
      if (isOnDevice(tensor)) this.#replace(name, this.runtime.tensor(data.slice(), tensor.dims));
      else (tensor.data as Float32Array).set(data);
    }
  }

  dispose() {
    for (const tensor of Object.values(this.#state)) if (isOnDevice(tensor)) tensor.dispose();
    for (const { session, loop } of Object.values(this.#programs)) {
      this.runtime.release(session);
      if (loop) this.runtime.release(loop);
    }
    if (this.#reader) this.runtime.release(this.#reader);
    this.#programs = {};
    this.#state = this.#spare = {};
  }
}

function isOnDevice(tensor: Tensor): boolean {
  return tensor.location === "gpu-buffer";
}

/** The graph of a program whose outputs are its state. */
function identityGraph(tensors: OrtTensors): Graph {
  const state = mapValues(tensors, ({ dims }, name): Graph["state"][string] => ({
    shape: [...dims],
    dtype: "float32",
    from: { kind: "state", name },
  }));
  return { inputs: {}, state, outputs: state, newState: {} };
}
