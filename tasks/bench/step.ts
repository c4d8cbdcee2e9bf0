/**
 * One contestant of `bench`. It runs in its own process, so that its memory can be measured: for
 * each line on stdin, a number of steps, it trains on random text or multiplies two large matrices,
 * and answers with a line of JSON. `pytorch/step.py` speaks the same protocol.
 */
import { TextLineStream } from "@std/streams/text-line-stream";
import * as tf from "@tensorflow/tfjs-core";
import type { Config } from "../../core/config.ts";
import { type Precision, type Program, runSteps } from "../../engines/engine.ts";
import { productFlops } from "../../engines/record/graph.ts";
import { startEngine } from "../../engines/mod.ts";
import type { EngineName } from "../../engines/names.ts";
import { record } from "../../engines/record/recorder.ts";
import { models } from "../../core/models.ts";
import { drawStepInputs, drawWindows, initialState, trainStep } from "../../core/training/step.ts";
import { seededRandom } from "../../core/random.ts";
import type { HostTensors } from "../../engines/tensors.ts";
import { makeStepGroups } from "../../core/training/loop.ts";
import { runTask } from "../shared/run.ts";

/** The first line that a contestant writes. */
export interface Ready {
  name: string;
  /** The floating-point operations of one step's products. */
  flops?: number;
}

/** The answer to each line that it reads. */
export interface Measured {
  ms: number[];
  /** The part of it in which inputs were drawn and the engine was idle; not for PyTorch. */
  idleMs?: number;
  rssBytes: number;
}

/** Splits a stream of UTF-8 into lines. */
export function readLines(stream: ReadableStream<Uint8Array<ArrayBuffer>>): ReadableStream<string> {
  return stream.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
}

/** The work of a contestant. */
export interface Contest {
  /** The name that `--engine` takes. */
  engine: string;
  precision: Precision;
  threads: number;
  /** Train this, or multiply square matrices of this size. */
  work: Config | number;
}

async function main(args: string[]): Promise<void> {
  const { engine: name, precision, threads, work } = JSON.parse(args[0]) as Contest;
  const { state, program, inputs } = typeof work === "number"
    ? prepareProduct(work)
    : prepareTraining(work);
  const { engine } = await startEngine(name as EngineName, { precision, threads });
  const session = await engine.load(state, { step: program });
  const answer = (line: Ready | Measured) => console.log(JSON.stringify(line));
  answer({ name: engine.name, flops: productFlops(record("step", program, state)) });

  // As the trainer does it: in groups, where the engine can.
  const group = makeStepGroups(session.runSteps && typeof work !== "number" ? 1 : 0);
  for await (const line of readLines(Deno.stdin.readable)) {
    const ms: number[] = [];
    let idleMs = 0;
    while (ms.length < Number(line)) {
      const count = Math.min(group.size, Number(line) - ms.length);
      const start = performance.now();
      const drawn = Array.from({ length: count }, inputs);
      idleMs += performance.now() - start;
      await runSteps(session, "step", drawn);
      const each = (performance.now() - start) / count;
      group.noteDuration(each / 1000);
      ms.push(...new Array<number>(count).fill(each));
    }
    answer({ ms, idleMs, rssBytes: Deno.memoryUsage().rss });
  }
}

interface Work {
  state: HostTensors;
  program: Program;
  /** Makes the inputs of the next step. */
  inputs(): Record<string, Float32Array | Int32Array>;
}

/** Multiplies a square matrix by itself, so that hardly anything but the product is computed. */
function prepareProduct(size: number): Work {
  const data = new Float32Array(size * size).fill(1 / size);
  return {
    state: { w: { shape: [size, size], data } },
    program: {
      inputs: { scale: { shape: [], dtype: "float32" } }, // so that it can't be computed beforehand
      body: ({ w }, { scale }) => ({
        outputs: { sum: tf.sum(tf.matMul(tf.mul(w, scale) as tf.Tensor2D, w as tf.Tensor2D)) },
      }),
    },
    inputs: () => ({ scale: Float32Array.of(1) }),
  };
}

/** The length of the text that training reads. */
const CHARACTERS = 100_000;

/** Prepares training on windows of a text of random characters. */
function prepareTraining(config: Config): Work {
  const model = models[config.kind];
  const random = seededRandom(config.seed);
  const character = () => 1 + random.integer(config.vocab - 1);
  const tokens = Int32Array.from({ length: CHARACTERS + config.context }, character);
  let step = 0;
  return {
    state: initialState(config, random),
    program: trainStep(model, config),
    inputs() {
      const windows = drawWindows(tokens, config.batch, config.context, random);
      return drawStepInputs(model, config, windows, ++step, random);
    },
  };
}

if (import.meta.main) await runTask(main, Deno.args);
