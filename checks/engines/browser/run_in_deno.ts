/**
 * A run of training in Deno, to compare a browser's with: for each number on stdin, makes that many
 * steps and writes their losses and their time as a line of JSON. The first line tells the
 * characters of a step.
 *
 *     deno run -A checks/engines/browser/run_in_deno.ts KIND PRESET TEXT THREADS [FOLDER]
 *
 * FOLDER is the address of onnxruntime-web's files, to run those instead of native onnx.
 */
import { TextLineStream } from "@std/streams/text-line-stream";
import { createBrowserEngine } from "../../../engines/onnx/browser.ts";
import { onnxEngine } from "../../../engines/onnx/engine.ts";
import { type RunRequest, startRun } from "../testing/started_run.ts";

const [kind, preset, path, count, folder] = Deno.args;
const threads = Number(count);
const engine = folder
  ? await createBrowserEngine({ device: "wasm", threads, folder })
  : await onnxEngine({ threads });
const text = await Deno.readTextFile(path);
const run = await startRun(engine, { kind, preset, text } as RunRequest);
console.log(JSON.stringify(run.chars));
const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream())
  .pipeThrough(new TextLineStream());
for await (const line of lines) console.log(JSON.stringify(await run.makeSteps(Number(line))));
Deno.exit(0); // onnxruntime-web keeps its threads
