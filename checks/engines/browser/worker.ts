/**
 * Runs the suite of engines, and runs of training, in a browser's worker. `write_site.ts`
 * makes the folder that it is served from.
 */
import "./no_deno.ts";
import {
  type BrowserDevice,
  type BrowserEngine,
  createBrowserEngine,
} from "../../../engines/onnx/browser.ts";
import { kernelsCases } from "../../../engines/testing/kernels.ts";
import { sessionCases } from "../../../engines/testing/sessions.ts";
import { evaluationCases } from "../testing/evaluation.ts";
import { parityCases } from "../testing/parity.ts";
import { samplingCases } from "../testing/sampling.ts";
import { type RunRequest, type StartedRun, startRun } from "../testing/started_run.ts";
import { references, trainingCases } from "../testing/training.ts";
import { fromJson } from "./references.ts";

/** A request to the worker, `start` first; the answer has the same type. */
export type Request =
  | { type: "start"; device: BrowserDevice; threads?: number }
  | { type: "case"; name: string }
  | { type: "run"; run: RunRequest }
  | { type: "steps"; count: number };

const cases = [
  ...sessionCases,
  ...kernelsCases,
  ...parityCases,
  ...trainingCases,
  ...samplingCases,
  ...evaluationCases,
];
let engine: BrowserEngine;
let run: StartedRun | undefined;

async function answer(request: Request): Promise<unknown> {
  switch (request.type) {
    case "start": {
      const { device, threads } = request;
      engine = await createBrowserEngine({
        device,
        threads,
        folder: new URL(".", import.meta.url),
      });
      const json = await (await fetch("references.json")).json();
      for (const name of Object.keys(json)) {
        references[name] = Promise.resolve(fromJson(json[name]));
      }
      return { threads: engine.threads, names: cases.map(({ name }) => name) };
    }
    case "case":
      return await cases.find(({ name }) => name === request.name)!.run(engine);
    case "run":
      run?.dispose();
      run = await startRun(engine, request.run);
      return run.chars;
    case "steps":
      return await run!.makeSteps(request.count);
  }
}

const page = globalThis as unknown as {
  postMessage(message: { result?: unknown; error?: string }): void;
  onmessage: (event: MessageEvent<Request>) => void;
};
page.onmessage = async ({ data }) => {
  try {
    page.postMessage({ result: await answer(data) });
  } catch (error) {
    page.postMessage({ error: String((error as Error).stack ?? error) });
  }
};
