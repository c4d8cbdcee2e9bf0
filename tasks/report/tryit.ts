/**
 * "Try it": a page in which the reader's browser runs the diffusion model. It has a folder to
 * itself and is not part of `index.html`: model and onnxruntime together are 40 to 60 MB, which
 * would delay a page that has to open at once; and browsers run threads, workers and large models
 * only for pages from a server, such as `deno task serve`. docs/lab-log.md has the measurements.
 *
 * Heavy modules are imported when they are needed: a report without a model loads neither tfjs nor
 * a bundler.
 */
import { join } from "@std/path";
import type { LoadedModel } from "../../core/checkpoint.ts";
import { lockFile } from "../../core/files/lock.ts";
import { makeFolder, writeFileAtomically } from "../../core/files/write.ts";
import { DenoError } from "../shared/process.ts";
import type { ChosenWeights } from "../shared/weights.ts";

/**
 * The precision in which the model's weights are stored; docs/lab-log.md has the measurements.
 */
const PRECISION = "float16";

/** A folder with the page, and what is in it. */
export interface TryIt {
  /** The path of the page. */
  path: string;
  /** The weights that its model was made from. */
  weights: string;
  weightsSha256: string;
  precision: typeof PRECISION;
  /** The size of the model's file. */
  modelBytes: number;
  /** The size of all files together. */
  bytes: number;
}

export interface TryItOptions {
  /** @default {the diffusion model's own} */
  weights?: string;
  /** Told what can't be made, and what takes its time. */
  note?: (line: string) => void;
  signal?: AbortSignal;
  /** Added to the environment of the processes that bundle and fetch. */
  env?: Record<string, string>;
  /** The time to wait for another process that writes the folder. @default {10_000} */
  patienceMs?: number;
}

/** The description of the folder, written last: a folder that lacks it is incomplete. */
interface Contents extends TryIt {
  onnxruntime: string;
  /** Raised when the same weights would give another model file. */
  exporter: number;
}
const EXPORTER = 3;
const CONTENTS = "contents.json";

/** Reads what `writeTryIt` has written into a folder; undefined if it has not, or not to its end. */
export async function readTryIt(folder: string): Promise<Contents | undefined> {
  try {
    const contents = JSON.parse(await Deno.readTextFile(join(folder, CONTENTS)));
    if (typeof contents.weightsSha256 !== "string") return undefined;
    return { ...contents, path: join(folder, "index.html") };
  } catch {
    return undefined;
  }
}

/**
 * Writes the page with the model into a folder. A model and an onnxruntime that are there already
 * and still right stay.
 *
 * @returns undefined where it can't be made: without weights of a diffusion model that can be read,
 * or where npm is not reached; `note` says why.
 * @throws {Error} If the folder can't be written, or another process writes it.
 */
export async function writeTryIt(
  folder: string,
  options: TryItOptions = {},
): Promise<TryIt | undefined> {
  const { note = () => {}, signal } = options;
  const { findDefaultWeights } = await import("../shared/weights.ts");
  const weights = options.weights ?? await findDefaultWeights("diffusion");
  if (weights === undefined) {
    note('No page to try the model: there are no weights of it; run "deno task train-diffusion"');
    return undefined;
  }
  const { loadWeights } = await import("../../core/checkpoint.ts");
  let model: LoadedModel;
  try {
    model = await loadWeights(weights, { expectKind: "diffusion" });
  } catch (error) {
    note(`No page to try the model: ${(error as Error).message}`);
    return undefined;
  }
  try {
    return await write(folder, { ...model, path: weights }, options);
  } catch (error) {
    signal?.throwIfAborted();
    if (!(error instanceof DenoError)) throw error;
    note(`No page to try the model: ${error.found}; check the network and try again`);
    return undefined;
  }
}

async function write(
  folder: string,
  model: ChosenWeights,
  { note = () => {}, patienceMs = 10_000, ...options }: TryItOptions,
): Promise<TryIt | undefined> {
  const { bundle, fetchOnnxruntime, onnxruntimeNames, onnxruntimeWeb } = await import(
    "./tryit/bundle.ts"
  );
  const [script, worker] = await Promise.all([
    bundle("browser.ts", options),
    bundle("worker.ts", options),
  ]);
  await makeFolder(folder);
  // `report` and `serve` at once must not leave the model of one with the page of the other.
  using _lock = await lockFile(join(folder, CONTENTS), { patienceMs });
  const before = await readTryIt(folder);
  await writeText(join(folder, CONTENTS), "{}\n"); // until the end, the folder is not whole

  const isThere = (await readSizes(folder, onnxruntimeNames)).every((size) => size > 0);
  if (!isThere || before?.onnxruntime !== onnxruntimeWeb) {
    note(`Getting ${onnxruntimeWeb} from npm or Deno's cache (33 MB to fetch the first time)`);
    for (const name of onnxruntimeNames) {
      await writeFileAtomically(join(folder, name), await fetchOnnxruntime(name, options));
    }
  }
  const [size] = await readSizes(folder, ["model.onnx"]);
  const isSame = before?.weightsSha256 === model.sha256 && before.modelBytes === size &&
    before.precision === PRECISION && before.exporter === EXPORTER;
  if (!isSame) {
    const { exportModel } = await import("./tryit/export_model.ts");
    await writeFileAtomically(join(folder, "model.onnx"), exportModel(model));
  }
  const [modelBytes] = await readSizes(folder, ["model.onnx"]);
  await writeText(join(folder, "worker.js"), worker);
  await writeText(join(folder, "index.html"), await makePage(model, modelBytes, script));

  const names = [...onnxruntimeNames, "model.onnx", "worker.js", "index.html"];
  const bytes = (await readSizes(folder, names)).reduce((sum, size) => sum + size, 0);
  const contents: Omit<Contents, "path"> = {
    weights: model.path,
    weightsSha256: model.sha256,
    precision: PRECISION,
    modelBytes,
    bytes,
    onnxruntime: onnxruntimeWeb,
    exporter: EXPORTER,
  };
  await writeText(join(folder, CONTENTS), JSON.stringify(contents, null, 2) + "\n");
  return await readTryIt(folder);
}

async function makePage(
  { config, vocabulary, prompt = "", weights, path }: ChosenWeights,
  modelBytes: number,
  script: string,
): Promise<string> {
  const { tryItPage } = await import("./tryit/page.tsx");
  const { defaultWindow } = await import("../../core/sampling/defaults.ts");
  const { layers, width, context } = config;
  const parameters = Object.values(weights).reduce((sum, { data }) => sum + data.length, 0);
  const styles = await Promise.all(
    ["client/styles.css", "tryit/tryit.css"].map((name) =>
      Deno.readTextFile(new URL(name, import.meta.url))
    ),
  );
  const facts = {
    vocabulary,
    context: defaultWindow(context),
    prompt,
    modelBytes,
    weights: path,
    template: makeTemplate(vocabulary, defaultWindow(context), prompt),
    description: `${layers} layers, ${width} wide, context ${context}: ` +
      `${parameters.toLocaleString("en-US")} parameters, stored as ${PRECISION} ` +
      `(${megabytes(modelBytes)} MB), computed in float32`,
  };
  return await tryItPage(facts, { style: styles.join(""), script });
}

const writeText = (path: string, text: string) =>
  writeFileAtomically(path, new TextEncoder().encode(text));

/** Makes gaps in a line of Hamlet, or in the prompt if the model does not know Hamlet's characters. */
function makeTemplate(vocabulary: string[], context: number, prompt: string): string {
  const free = `{3..${Math.min(12, context >> 1)}}`;
  const hamlet = `To be, or ____ to be, that is the ${free}.`;
  const isKnown = [...hamlet.replace(free, "")].every((character) =>
    character === "_" || vocabulary.includes(character)
  );
  return isKnown ? hamlet : `${prompt}____${prompt}`;
}

/** Sizes of files; 0 for one that is not there. */
function readSizes(folder: string, names: string[]): Promise<number[]> {
  return Promise.all(
    names.map((name) => Deno.stat(join(folder, name)).then(({ size }) => size, () => 0)),
  );
}

export const megabytes = (bytes: number) => (bytes / 1e6).toFixed(1);
