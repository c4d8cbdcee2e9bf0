/**
 * The default engine: each program is recorded once, lowered to ONNX and run by onnxruntime, which needs nothing but its npm
 * package. onnxruntime has no variables, so the session keeps the state and a spare buffer for each entry that some program
 * replaces; a run writes into the spare ones, then the two change places.
 *
 * State that no program replaces, such as the weights in evaluation and sampling, becomes part of the graphs: onnxruntime
 * then packs it once for its matrix kernels (about 15 % less time for a character of a full-size GPT).
 */
import * as ort from "onnxruntime-node";
import type { Engine, HostTensors, Program, Session } from "./engine.ts";
import { checkInputs } from "./engine.ts";
import { type Graph, sizeOf } from "./graph.ts";
import { inputName, newStateName, onnxModel, outputName, stateName } from "./onnx_model.ts";
import { record } from "./recorder.ts";
import { simplify } from "./simplify.ts";

export interface OnnxOptions {
  /** Threads inside one operator. Default: one per core. */
  threads?: number;
}

export function onnxEngine({ threads = navigator.hardwareConcurrency }: OnnxOptions = {}): Engine {
  return {
    name: "onnx",
    precision: "f32",
    load: (state, programs) => OnnxSession.load(state, programs, threads),
  };
}

interface Loaded {
  program: Program;
  graph: Graph;
  session: ort.InferenceSession;
  /** State entries that onnxruntime wants fed, as simplification may drop some. */
  reads: string[];
}

class OnnxSession implements Session {
  #programs: Record<string, Loaded>;
  #state: Record<string, ort.Tensor>;
  #spare: Record<string, ort.Tensor> = {};

  private constructor(programs: Record<string, Loaded>, state: HostTensors) {
    this.#programs = programs;
    const tensor = (name: string, data: Float32Array) =>
      new ort.Tensor("float32", data, state[name].shape);
    this.#state = Object.fromEntries(
      Object.entries(state).map(([name, { data }]) => [name, tensor(name, data.slice())]),
    );
    for (const { graph } of Object.values(programs)) {
      for (const name of Object.keys(graph.newState)) {
        this.#spare[name] ??= tensor(name, new Float32Array(sizeOf(state[name].shape)));
      }
    }
  }

  static async load(
    state: HostTensors,
    programs: Record<string, Program>,
    threads: number,
  ): Promise<OnnxSession> {
    const graphs = Object.entries(programs).map(([name, program]) =>
      [name, simplify(record(name, program, state))] as const
    );
    const replaced = new Set(graphs.flatMap(([, graph]) => Object.keys(graph.newState)));
    const fixed = Object.fromEntries(
      Object.entries(state).filter(([name]) => !replaced.has(name)),
    );
    const loaded: Record<string, Loaded> = {};
    for (const [name, graph] of graphs) {
      const session = await ort.InferenceSession.create(onnxModel(graph, fixed), {
        intraOpNumThreads: threads,
        interOpNumThreads: 1,
        graphOptimizationLevel: "all",
        logSeverityLevel: 3, // errors only
      });
      const reads = Object.keys(state).filter((key) => session.inputNames.includes(stateName(key)));
      loaded[name] = { program: programs[name], graph, session, reads };
    }
    return new OnnxSession(loaded, state);
  }

  async run(name: string, inputs: Record<string, Float32Array | Int32Array>) {
    const { program, graph, session, reads } = this.#programs[name];
    checkInputs(name, program, inputs);
    const feeds: Record<string, ort.Tensor> = {};
    for (const [key, { shape, dtype }] of Object.entries(program.inputs)) {
      if (!session.inputNames.includes(inputName(key))) continue;
      feeds[inputName(key)] = new ort.Tensor(dtype, inputs[key], shape);
    }
    for (const key of reads) feeds[stateName(key)] = this.#state[key];
    const fetches: Record<string, ort.Tensor | null> = {};
    for (const key of Object.keys(graph.outputs)) fetches[outputName(key)] = null;
    for (const key of Object.keys(graph.newState)) fetches[newStateName(key)] = this.#spare[key];

    const fetched = await session.run(feeds, fetches as ort.InferenceSession.OnnxValueMapType);

    for (const key of Object.keys(graph.newState)) {
      // onnxruntime-node fills the spare buffer, but hands out a copy of it too: freed at once, or many would wait for the
      // garbage collector.
      (fetched[newStateName(key)].data as Float32Array<ArrayBuffer>).buffer.transfer(0);
      [this.#state[key], this.#spare[key]] = [this.#spare[key], this.#state[key]];
    }
    return Object.fromEntries(
      Object.keys(graph.outputs).map((key) => [key, fetched[outputName(key)].data as Float32Array]),
    );
  }

  readState(names = Object.keys(this.#state)) {
    return Promise.resolve(Object.fromEntries(names.map((name) => {
      const tensor = this.#state[name];
      return [name, { shape: [...tensor.dims], data: (tensor.data as Float32Array).slice() }];
    })));
  }

  // deno-lint-ignore require-await -- so that what it throws is a rejection, as in other engines
  async writeState(entries: HostTensors) {
    for (const [name, { data }] of Object.entries(entries)) {
      if (!(name in this.#spare)) {
        throw new TypeError(
          `Cannot write "${name}": no program of this session changes it, so it is part of their graphs`,
        );
      }
      (this.#state[name].data as Float32Array).set(data);
    }
  }

  dispose() {
    for (const { session } of Object.values(this.#programs)) session.release();
    this.#programs = {};
    this.#state = this.#spare = {};
  }
}
