/**
 * The page's worker: everything that computes, so that the page itself stays alive. It has the
 * engine (on the GPU where the browser gives one, else WebAssembly), the text, and both models.
 */
/// <reference lib="dom" />
import { decodeWeights, encodeWeights, type SavedModel } from "../../../core/checkpoint_format.ts";
import { checkModelConfig, checkTrainingConfig, type ModelKind } from "../../../core/config.ts";
import { type Corpus, encodeCorpus, makeCorpus, requireLength } from "../../../core/data/corpus.ts";
import { listCharacters, makeTokenizer, MASK_TOKEN } from "../../../core/data/tokenizer.ts";
import { models } from "../../../core/models.ts";
import { isTableOf, unpackNgrams } from "../../../core/ngrams/file.ts";
import { kneserNey, type NgramTable, smooth } from "../../../core/ngrams/kneser_ney.ts";
import { defaultWindow } from "../../../core/sampling/defaults.ts";
import { samplers } from "../../../core/sampling/samplers/mod.ts";
import type { DefinedSampler } from "../../../core/sampling/samplers/sampler.ts";
import { loadNetwork } from "../../../core/sampling/network.ts";
import { attentionShares } from "../../../core/programs.ts";
import { scoreBaseline } from "../../../core/scoring/baselines.ts";
import { scoreCharacters } from "../../../core/scoring/characters.ts";
import { cutIntoBlocks, spaceEvenly } from "../../../core/scoring/rows.ts";
import { loadScorer } from "../../../core/scoring/scorer.ts";
import type { Engine } from "../../../engines/engine.ts";
import { UserError } from "../../../engines/errors.ts";
import { createBrowserEngine } from "../../../engines/onnx/browser.ts";
import type { FromWorker, PageRequest, Part, Source, TextFacts, ToWorker } from "../messages.ts";
import { type Keeper, openKeeper } from "./keep.ts";
import { beginLearner, configOf, type Learner, restoreLearner } from "./learner.ts";
import { makeGate, makeTurns, takeTurns } from "./turns.ts";
import { beginWriting } from "./writing.ts";

const tell = (message: FromWorker) => postMessage(message);
const inTurn = makeTurns();
const gate = makeGate();
const learners = new Map<ModelKind, Learner>();
const loaded = new Map<ModelKind, SavedModel>();
const shipped = new Map<ModelKind, SavedModel>();
const ngramBits = new Map<number, Promise<void>>();

let engine: Engine;
let keeper: Keeper;
let corpus: Corpus | undefined;
let table: NgramTable | undefined;
/** The file of the table for the weights that come with the page, and the table once it is loaded. */
let shippedFile: string | undefined;
let shippedTable: NgramTable | undefined;
let stopping = new AbortController();

/** The part of the page that shows what became of a message. */
const parts: Record<ToWorker["type"], Part> = {
  open: "engine",
  text: "text",
  fetchText: "text",
  train: "learning",
  pause: "learning",
  continue: "learning",
  write: "writing",
  stop: "writing",
  look: "inside",
  attend: "inside",
  save: "learning",
  load: "learning",
};

addEventListener("message", async ({ data }: MessageEvent<ToWorker>) => {
  try {
    await hear(data);
  } catch (error) {
    fail(parts[data.type], error);
  }
});

function fail(part: Part, error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  tell({ type: "failed", part, message: message.trim().replace(/\s*\n\s*/g, " ") });
}

async function hear(message: ToWorker): Promise<void> {
  switch (message.type) {
    case "open":
      shippedFile = message.ngrams?.file;
      return await open(message.device);
    case "text":
      return await takeText(message.name, message.text);
    case "fetchText":
      return await takeText(message.name, new TextDecoder().decode(await download(message.file)));
    case "train":
      return await train(message);
    case "pause":
      gate.hold("pause");
      return tellRunning();
    case "continue":
      return resume();
    case "write":
      return await write(message.request);
    case "stop":
      return stopping.abort(new Error("stopped"));
    case "look":
      return await look(message.text, message.source);
    case "attend":
      return await attend(message.at);
    case "save":
      return save(message.kind);
    case "load":
      return load(message.name, message.bytes);
  }
}

// ---------------------------------------------------------------- engine

async function open(wanted?: "wasm" | "webgpu"): Promise<void> {
  const folder = new URL(".", import.meta.url);
  const device = wanted ?? (await hasGpu() ? "webgpu" : "wasm");
  const started = await createBrowserEngine({ device, folder }).catch((error) => {
    if (wanted || device === "wasm") throw error;
    return createBrowserEngine({ device: "wasm", folder }); // a GPU that does not do
  });
  engine = takeTurns(started, inTurn);
  keeper = await openKeeper();
  const isRunning = await keeper.read<boolean>("running") ?? false;
  gate.hold("pause");
  const text = await keeper.read<{ name: string; text: string }>("text");
  if (text) {
    useText(text.name, text.text, await makeCorpus(text.text, text.name));
    for (const kind of ["gpt", "diffusion"] as const) {
      const learner = await restoreLearner(kind, around());
      if (learner) learners.set(kind, learner);
    }
  }
  tell({
    type: "opened",
    device: started.name === "onnx:webgpu" ? "webgpu" : "wasm",
    threads: started.threads,
    isRunning,
  });
  if (isRunning && learners.size > 0) resume();
}

/** Whether the browser has a GPU to give, and not a program that plays one. */
async function hasGpu(): Promise<boolean> {
  try {
    const adapter = await navigator.gpu?.requestAdapter();
    return adapter != null && !adapter.info.isFallbackAdapter;
  } catch {
    return false;
  }
}

// ---------------------------------------------------------------- text

/** Most characters of a text: far more than a browser learns from in an hour. */
const MOST_CHARACTERS = 5_000_000;

async function takeText(name: string, text: string): Promise<void> {
  if (text.length > MOST_CHARACTERS) {
    const [found, most] = [text.length, MOST_CHARACTERS].map((n) => n.toLocaleString("en-US"));
    throw new UserError({
      action: `take ${JSON.stringify(name)}`,
      found: `it has ${found} characters, expected at most ${most}`,
      advice: "give a part of it",
    });
  }
  const taken = await makeCorpus(text, name);
  requireLength(taken, 32);
  models.gpt.vocabulary(text); // refuses too many different characters
  await forgetLearners();
  useText(name, text, taken);
  await keeper.write("text", { name, text });
}

async function forgetLearners(): Promise<void> {
  for (const learner of learners.values()) await learner.stop();
  learners.clear();
  for (const kind of ["gpt", "diffusion"]) await keeper.remove(kind);
  await tellRunning();
}

function useText(name: string, text: string, made: Corpus): void {
  corpus = made;
  table = undefined;
  ngramBits.clear();
  const facts: TextFacts = {
    name,
    characters: made.characters,
    distinct: listCharacters(text).length,
    opening: [...text.slice(0, 1200)].slice(0, 600).join(""),
  };
  tell({ type: "text", facts });
}

function requireCorpus(): Corpus {
  if (corpus) return corpus;
  throw new UserError({
    action: "train",
    found: "there is no text yet",
    advice: "choose one above",
  });
}

const around = () => ({
  engine,
  corpus: requireCorpus(),
  countNgrams,
  waitForGpt,
  gate,
  keeper,
  tell: tellAndCompare,
});

/** Tells how a learner is doing; its first validation has something to be compared with. */
function tellAndCompare(message: FromWorker): void {
  tell(message);
  if (message.type !== "validation") return;
  const { context } = learners.get(message.kind)!.config;
  scoreNgrams(context).catch((error) => fail("text", error));
}

/** Counts the 6-grams of the training part, once. */
function countNgrams(): NgramTable {
  if (table) return table;
  const text = requireCorpus();
  const characters = listCharacters(text.text);
  const { train } = encodeCorpus(text, makeTokenizer("gpt", characters));
  return table = kneserNey(train, characters.length);
}

/** Scores the 6-grams of the training part on the blocks that validations use, once a context. */
function scoreNgrams(context: number): Promise<void> {
  const known = ngramBits.get(context) ?? inTurn(() => {
    const text = requireCorpus();
    const tokenizer = makeTokenizer("gpt", listCharacters(text.text));
    const { validation } = encodeCorpus(text, tokenizer);
    const all = cutIntoBlocks(validation, context);
    const blocks = spaceEvenly(all.length, 64).map((index) => all[index]);
    const bits = blocks.length < 2 ? NaN : scoreBaseline(countNgrams(), blocks).bpc!;
    if (!Number.isNaN(bits)) tell({ type: "ngram", context, bits });
    return Promise.resolve();
  });
  ngramBits.set(context, known);
  return known;
}

// ---------------------------------------------------------------- training

async function train(
  { kinds, shape, seed, fromGpt }: Extract<ToWorker, { type: "train" }>,
): Promise<void> {
  const surroundings = around();
  requireLength(surroundings.corpus, shape.context);
  for (const kind of kinds) {
    const config = configOf(kind, surroundings.corpus, shape, seed);
    checkModelConfig(config);
    checkTrainingConfig(config);
    await learners.get(kind)?.stop();
    loaded.delete(kind);
    const isFromGpt = fromGpt && kind === "diffusion";
    learners.set(kind, beginLearner(config, surroundings, isFromGpt));
  }
  resume();
}

/** The runs that are not over. */
const runs = new Map<Learner, Promise<void>>();

/** Lets all learners go on that are not done. */
function resume(): void {
  gate.release("pause");
  for (const learner of learners.values()) {
    if (runs.has(learner)) continue;
    const run = learner.run().catch((error) => fail("learning", error)).finally(() => {
      runs.delete(learner);
      tellRunning();
    });
    runs.set(learner, run);
  }
  tellRunning();
}

/** Waits until the GPT is done; undefined if it was stopped, or failed, before that. */
async function waitForGpt(): Promise<SavedModel | undefined> {
  const gpt = learners.get("gpt");
  await (gpt && runs.get(gpt));
  return gpt?.isDone() ? gpt.best() : undefined;
}

async function tellRunning(): Promise<void> {
  const isRunning = runs.size > 0 && !gate.isHeldBy("pause");
  tell({ type: "running", isRunning });
  await keeper.write("running", isRunning);
}

// ---------------------------------------------------------------- weights

async function modelOf(kind: ModelKind, source: Source): Promise<SavedModel> {
  if (source === "shipped") {
    const name = `${kind}.safetensors`;
    const model = shipped.get(kind) ?? decodeWeights(name, await download(`weights/${name}`));
    shipped.set(kind, model);
    return model;
  }
  const model = loaded.get(kind) ?? await learners.get(kind)?.current();
  if (model) return model;
  throw new UserError({
    action: `use the ${kind === "gpt" ? "GPT" : "diffusion model"}`,
    found: "it was not trained here yet",
    advice: "train it above, load weights, or use those that come with the page",
  });
}

function save(kind: ModelKind): void {
  const model = loaded.get(kind) ?? learners.get(kind)?.best();
  if (!model) {
    throw new UserError({
      action: "save the weights",
      found: "nothing was validated yet",
      advice: "wait for the first point of its curve",
    });
  }
  const name = `${kind}-page.safetensors`;
  tell({ type: "saved", name, bytes: encodeWeights(name, model, { dtype: "float16" }) });
}

function load(name: string, bytes: Uint8Array): void {
  const model = decodeWeights(name, bytes);
  const { kind, layers, width, context } = model.config;
  loaded.set(kind, model);
  tell({
    type: "loaded",
    kind,
    name,
    shape: `${layers} layers, ${width} wide, context ${context}`,
  });
}

/** Fetches a file of this folder, and tells how much of it has come. */
async function download(path: string): Promise<Uint8Array<ArrayBuffer>> {
  const response = await fetch(new URL(path, import.meta.url));
  if (!response.ok || !response.body) {
    throw new UserError({
      action: `load ${JSON.stringify(path)}`,
      found: `the server answers ${response.status}`,
      advice: 'write the page again with "deno task page"',
    });
  }
  const total = Number(response.headers.get("content-length") ?? 0);
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let bytes = 0;
  const reader = response.body.getReader(); // Safari's streams can't be iterated
  for (;;) {
    const { value } = await reader.read();
    if (!value) break;
    chunks.push(value);
    bytes += value.length;
    tell({ type: "loading", what: path, bytes, total });
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

// ---------------------------------------------------------------- writing

/** Writes with one model, or with both a pass each in turn; training waits. */
async function write(request: PageRequest): Promise<void> {
  stopping = new AbortController();
  const { signal } = stopping;
  const { kinds, source } = request;
  gate.hold("writing");
  const networks: (Awaited<ReturnType<typeof loadNetwork>>)[] = [];
  let stopped = false;
  try {
    const writings = [];
    for (const kind of kinds) {
      const model = await modelOf(kind, source);
      const { config, vocabulary, weights } = model;
      const window = defaultWindow(config.context);
      const network = await loadNetwork(engine, models[kind], config, weights, { window });
      networks.push(network);
      const writing = await beginWriting(network, vocabulary, request, {
        signal,
        ngrams: await findNgrams(request, model),
      });
      const { characters: start, forwards } = writing;
      tell({ type: "started", kind, request, start, forwards });
      writings.push({ kind, steps: writing[Symbol.asyncIterator]() });
    }
    const left = new Set(writings);
    while (left.size > 0) {
      for (const writing of left) {
        const { value: step, done } = await writing.steps.next();
        if (done) left.delete(writing);
        else tell({ type: "step", kind: writing.kind, ...step });
      }
    }
  } catch (error) {
    if (!signal.aborted) throw error;
    stopped = true;
  } finally {
    for (const network of networks) network[Symbol.dispose]();
    gate.release("writing");
    tell({ type: "finished", stopped });
  }
}

/**
 * Finds the table of 6-grams for the sampler that needs one: the stored one of the weights that come
 * with the page, or else that of the text here, if the model has just its characters.
 */
async function findNgrams(
  { settings, source }: PageRequest,
  { config: { kind }, vocabulary, corpusSha256 }: SavedModel,
): Promise<NgramTable | undefined> {
  const { sampler } = settings;
  const isOfUse = kind === "diffusion" && sampler !== undefined &&
    (samplers[sampler] as DefinedSampler).usesNgrams;
  if (!isOfUse) return undefined;
  const characters = vocabulary.slice(1);
  if (source === "shipped" && shippedFile !== undefined) {
    return shippedTable ??= await loadNgrams(shippedFile, characters, corpusSha256);
  }
  if (!corpus) return undefined;
  const isSame = characters.join("") === listCharacters(corpus.text).join("");
  return isSame ? countNgrams() : undefined;
}

/** Loads a stored table, which has to be that of a model. */
async function loadNgrams(
  file: string,
  characters: readonly string[],
  corpusSha256: string | undefined,
): Promise<NgramTable> {
  const stored = await unpackNgrams(await download(file), file);
  if (isTableOf(stored, corpusSha256, characters)) return smooth(stored.counts);
  throw new UserError({
    action: `use ${JSON.stringify(file)}`,
    found: "its n-grams are those of another text than that of the weights",
    advice: 'write the page again with "deno task page"',
  });
}

// ---------------------------------------------------------------- look inside

/** Most characters of a text that is looked into: a row of the network for each. */
const MOST_LOOKED = 2000;

async function look(text: string, source: Source): Promise<void> {
  const count = [...text].length;
  if (count < 2 || count > MOST_LOOKED) {
    throw new UserError({
      action: "look into the text",
      found: `it has ${count} characters, expected 2 to ${MOST_LOOKED}`,
    });
  }
  gate.hold("looking");
  for (const { session } of looked.splice(0)) session.dispose();
  try {
    let found = 0;
    for (const kind of ["gpt", "diffusion"] as const) {
      const hasOwn = loaded.has(kind) || learners.has(kind);
      if (source === "own" && !hasOwn) continue;
      found++;
      const model = await modelOf(kind, source);
      const { config, vocabulary, weights } = model;
      const tokens = makeTokenizer(kind, vocabulary).encode(text, "the text");
      const time = Math.min(config.context, tokens.length);
      using scorer = await loadScorer(engine, models[kind], config, weights, { rows: 8, time });
      const bits = await scoreCharacters(scorer, kind, tokens, {
        onProgress: (done, total) => tell({ type: "looking", kind, done, total }),
      });
      looked.push({ kind, tokens, time, session: await loadAttention(kind, model, time) });
      const shown = Array.from(bits, (value) => Number.isNaN(value) ? null : value);
      tell({ type: "looked", kind, text, bits: shown });
    }
    if (found === 0) await modelOf("gpt", source); // says what to do
  } finally {
    gate.release("looking");
  }
}

/** The texts that were looked into last, as each model reads them. */
const looked: {
  kind: ModelKind;
  tokens: Int32Array;
  time: number;
  session: Awaited<ReturnType<typeof loadAttention>>;
}[] = [];

function loadAttention(kind: ModelKind, { config, weights }: SavedModel, time: number) {
  return engine.load(weights, { attention: attentionShares(models[kind], config, time) });
}

/**
 * Tells what each model reads to tell a character: a GPT at the position before it, a diffusion
 * model at its own, with the character hidden.
 */
async function attend(at: number): Promise<void> {
  for (const { kind, tokens, time, session } of looked) {
    const asking = kind === "gpt" ? at - 1 : at;
    if (asking < 0) continue;
    const start = Math.max(0, Math.min(at - (time >> 1), tokens.length - time));
    const window = tokens.slice(start, start + time);
    if (kind === "diffusion") window[at - start] = MASK_TOKEN;
    const { shares } = await session.run("attention", { tokens: window });
    const layers = shares.length / time ** 2;
    const rows = Array.from({ length: layers }, (_, layer) => {
      const row = (layer * time + asking - start) * time;
      return Array.from(shares.subarray(row, row + time));
    });
    tell({ type: "attended", kind, at, start, shares: rows });
  }
}
