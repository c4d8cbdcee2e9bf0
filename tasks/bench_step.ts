/**
 * One contestant of `bench`, as a process of its own, so that each one's memory is its own: trains on made-up text, as many
 * steps as a line on stdin says, and answers with a line of JSON. `pytorch/step.py` speaks the same.
 */
import { TextLineStream } from "@std/streams/text-line-stream";
import type { Config } from "../core/config.ts";
import { productFlops } from "../core/engines/graph.ts";
import { type EngineName, startEngine } from "../core/engines/mod.ts";
import type { Precision } from "../core/engines/engine.ts";
import { record } from "../core/engines/recorder.ts";
import { models } from "../core/models.ts";
import { initialState, trainInputs, trainStep } from "../core/programs.ts";
import { seededRandom } from "../core/random.ts";
import { runTask } from "./cli.ts";

/** The first line that a contestant writes. */
export interface Ready {
  name: string;
  /** Of the products of one step. */
  flops?: number;
}

/** The answer to each line that it reads. */
export interface Measured {
  ms: number[];
  rssBytes: number;
}

/** The lines of a stream of UTF-8. */
export function linesOf(stream: ReadableStream<Uint8Array<ArrayBuffer>>): ReadableStream<string> {
  return stream.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
}

async function main(args: string[]): Promise<void> {
  const { engine: name, precision, threads, config } = JSON.parse(args[0]) as {
    engine: EngineName | "auto";
    precision: Precision;
    threads: number;
    config: Config;
  };
  const model = models[config.kind], random = seededRandom(config.seed);
  const state = initialState(config, random);
  const program = trainStep(model, config);
  const { engine } = await startEngine(name, { precision, threads });
  const session = await engine.load(state, { trainStep: program });
  const say = (line: Ready | Measured) => console.log(JSON.stringify(line));
  say({ name: engine.name, flops: productFlops(record("trainStep", program, state)) });

  let done = 0;
  for await (const line of linesOf(Deno.stdin.readable)) {
    const ms: number[] = [];
    for (let i = 0; i < Number(line); i++) {
      const windows = Array.from(
        { length: config.batch },
        () =>
          Int32Array.from(
            { length: config.context + 1 },
            () => 1 + random.integer(config.vocab - 1),
          ),
      );
      const start = performance.now();
      await session.run("trainStep", trainInputs(model, config, windows, ++done, random));
      ms.push(performance.now() - start);
    }
    say({ ms, rssBytes: Deno.memoryUsage().rss });
  }
}

if (import.meta.main) await runTask(main, Deno.args);
