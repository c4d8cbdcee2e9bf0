/**
 * For tests of the page: a small model, the page of it, and what Deno makes of the same file with
 * onnxruntime-node.
 *
 *     deno run -A tasks/testing/tryit_reference.ts FOLDER
 *
 * writes into FOLDER what `deno task serve` serves, and prints the texts that the page has to give.
 */
import { InferenceSession, Tensor } from "onnxruntime-node";
import { type LoadedModel, loadWeights } from "../../core/checkpoint.ts";
import { makeTokenizer } from "../../core/data/tokenizer.ts";
import { printJson } from "../shared/run.ts";
import { writeWeights } from "./task_process.ts";
import { writeTryIt } from "../report/tryit.ts";
import type { PageRequest } from "../report/tryit/messages.ts";
import { makeNetwork, type RunOnce, writeRequest } from "../report/tryit/writing.ts";

/** A request, and what became of it. */
export interface Reference {
  request: PageRequest;
  /** The text before the first pass and after each; hidden characters are "█". */
  texts: string[];
  /**
   * For each pass, how far the two largest logits were apart where it fixed something, by position.
   */
  gaps: Record<number, number>[];
}

export interface References {
  references: Reference[];
  vocabulary: string[];
  context: number;
  /** Some window and its logits, [context, vocab]. */
  window: number[];
  logits: number[];
}

/**
 * Every sampler, with prompts and with templates. None starts from masks alone: then all positions
 * are the same to the network, and rounding decides which one it is surest of.
 */
export const requests: PageRequest[] = [
  {
    seed: 1,
    prompt: "First Citizen:\n",
    length: 60,
    settings: { sampler: "threshold", threshold: 0.8 },
  },
  { seed: 2, prompt: "The", length: 90, settings: { sampler: "confidence", denoisingSteps: 12 } },
  { seed: 3, prompt: "Who", length: 40, settings: { sampler: "entropy", entropyBound: 2 } },
  { seed: 4, prompt: "Who", length: 40, settings: { sampler: "ancestral", temperature: 1 } },
  { seed: 5, prompt: "Who", length: 40, settings: { sampler: "remask", remaskCap: 0.3, topK: 9 } },
  { seed: 6, prompt: "Speak", length: 40, settings: { temperature: 0 } },
  { seed: 7, template: "To be, or ____ to be, that is the ________." },
  { seed: 8, template: "The moon {2..5} up, {3..9} lord." },
];

/** Runs an exported file in Deno, on one thread. */
export async function runInDeno(path: string, context: number): Promise<RunOnce> {
  const session = await InferenceSession.create(path, {
    intraOpNumThreads: 1,
    graphOptimizationLevel: "all",
    logSeverityLevel: 3,
  });
  return async (tokens) => {
    const feeds = { "in/tokens": new Tensor("int32", tokens, [1, context]) };
    return (await session.run(feeds))["out/logits"].data as Float32Array;
  };
}

/** Writes the text of a request, and notes what the page has to show after each pass. */
export async function makeReference(
  run: RunOnce,
  { config, vocabulary }: Pick<LoadedModel, "config" | "vocabulary">,
  request: PageRequest,
): Promise<Reference> {
  const network = makeNetwork(run, config);
  let window = 0;
  let seen: Float32Array[] = [];
  const logits = network.logits.bind(network);
  network.logits = async (tokens) => {
    // generate() passes on a view of the whole text
    window = (tokens as Int32Array).byteOffset / Int32Array.BYTES_PER_ELEMENT;
    return seen = await logits(tokens);
  };
  const tokenizer = makeTokenizer("diffusion", vocabulary);
  const writing = await writeRequest(network, tokenizer, request);
  const shown = () => writing.characters.map((character) => character || "█").join("");
  const texts = [shown()];
  const gaps: Reference["gaps"] = [];
  for await (const { changes } of writing) {
    texts.push(shown());
    const positions = changes.map(([position]) => position);
    gaps.push(Object.fromEntries(positions.map((i) => [i, topTwoGap(seen[i - window])])));
  }
  return { request, texts, gaps };
}

/** The mask, entry 0, aside. */
function topTwoGap(logits: Float32Array): number {
  const [first, second] = logits.slice(1).sort((a, b) => b - a);
  return first - second;
}

if (import.meta.main) {
  const [folder] = Deno.args;
  await writeWeights(folder, {
    // Fresh weights are too small for a network to be sure of anything, or to hear its neighbours.
    change(weights) {
      for (const [name, { data }] of Object.entries(weights)) {
        const factor = name === "lm_head.weight" ? 30 : 10;
        data.forEach((x, i) => data[i] = factor * x);
      }
    },
  });
  const weights = "weights/diffusion-smoke.safetensors";
  Deno.chdir(folder);
  const tryIt = await writeTryIt("reports/try-it", { weights, note: console.error });
  if (!tryIt) Deno.exit(1);
  const model = await loadWeights(weights);
  const { context } = model.config;
  const run = await runInDeno("reports/try-it/model.onnx", context);
  const references: Reference[] = [];
  for (const request of requests) references.push(await makeReference(run, model, request));
  const window = Array.from({ length: context }, (_, i) => i % 3 === 0 ? 0 : 1 + i);
  const logits = [...await run(Int32Array.from(window))];
  const { vocabulary } = model;
  printJson({ references, vocabulary, context, window, logits } satisfies References);
}
