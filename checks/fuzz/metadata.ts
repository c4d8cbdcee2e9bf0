/**
 * The target `metadata`: what exports and training states say of themselves, and the checks against
 * the model's shapes.
 */
import { isDeepStrictEqual } from "node:util";
import {
  type LoadedModel,
  type LoadOptions,
  loadTraining,
  loadWeights,
  saveTraining,
  saveWeights,
  type TrainingState,
} from "../../core/checkpoint.ts";
import { encodeTraining, encodeWeights, splitState } from "../../core/checkpoint_format.ts";
import { makeConfig, type ModelKind } from "../../core/config.ts";
import { writePt } from "../../files/pt.ts";
import { writeSafetensors } from "../../files/safetensors.ts";
import { parameterShapes } from "../../core/model.ts";
import { initialState } from "../../core/training/step.ts";
import { restoreRandom, seededRandom } from "../../core/random.ts";
import { makeTokenizer } from "../../core/data/tokenizer.ts";
import type { HostTensors } from "../../engines/tensors.ts";
import { mutateBytes, mutateJson, textBytes } from "./mutate.ts";
import { isSame, mutateHeader, partsOf, withHeader } from "./safetensors.ts";
import { promise, roundTrip, type Target } from "./target.ts";

const characters = ["\n", "a", "é", "🌊"];

export const metadata: Target = {
  readers: ["core/checkpoint.ts", "core/config.ts", "core/data/tokenizer.ts", "core/random.ts"],

  starts() {
    const cases: Uint8Array[] = [];
    for (const kind of ["gpt", "diffusion"] as const) {
      const vocabulary = kind === "gpt" ? characters : ["_", ...characters];
      const { config, weights, moments } = tinyState(kind, vocabulary.length);
      const facts = {
        config,
        vocabulary,
        corpusSha256: "0".repeat(64),
        command: "deno task train",
      };
      const scores = { val_bpc: 2.5 };
      const prompt = "a\né";
      const model = { ...facts, weights, scores, prompt, step: 7, engine: "onnx" };
      cases.push(encodeWeights("start", model));
      cases.push(
        encodeTraining("start", {
          ...facts,
          weights,
          moments,
          bestScore: kind === "gpt" ? null : 2.5,
          random: { batches: seededRandom(1).state() },
          counters: { step: 7, chars: 12, seconds: 0.5 },
        }),
      );
      cases.push(writeSafetensors(weights)); // by someone else
      const compiled = Object.entries(weights).map(([name, w]) => [`_orig_mod.${name}`, w]);
      cases.push(writePt(Object.fromEntries(compiled)));
      const nested = Object.entries(weights).map((
        [name, w],
      ) => [`net.module._orig_mod.${name}`, w]);
      cases.push(writePt(Object.fromEntries(nested)));
    }
    cases.push(textBytes("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"));
    cases.push(textBytes("<!DOCTYPE html><html></html>"));
    return cases;
  },

  mutate(bytes, other, random) {
    const parts = partsOf(bytes);
    if (!parts) return mutateBytes(bytes, other, random);
    if (random.chance(0.3)) return mutateHeader(bytes, other, random);
    try {
      const header = JSON.parse(parts.header);
      const texts = header.__metadata__;
      const names = Object.keys(texts);
      const name = random.pick(names);
      texts[name] = mutateJson(texts[name], texts[random.pick(names)], random);
      return withHeader(JSON.stringify(header), parts.data);
    } catch {
      return mutateHeader(bytes, other, random);
    }
  },

  async check(bytes, folder) {
    const path = `${folder}/case.safetensors`;
    await Deno.writeFile(path, bytes);
    let model: LoadedModel;
    try {
      model = await loadWeights(path, chooseOptions(bytes));
    } catch (error) {
      if (!/the state of a training run/.test((error as Error).message)) throw error;
      const { expectKind } = chooseOptions(bytes);
      const state = await loadTraining(path, { expectKind });
      return await checkTraining(state, `${folder}/again.safetensors`);
    }
    checkShapes(model);
    if (model.prompt !== undefined) promise(typeof model.prompt === "string", "a prompt is text");
    const { sha256: _1, dtypes: _2, ...kept } = model;
    const back = await roundTrip("it", async () => {
      await saveWeights(`${folder}/again.safetensors`, model);
      return await loadWeights(`${folder}/again.safetensors`);
    });
    checkSame(kept, back);
    return `read a ${model.config.kind} with ${Object.keys(kept).sort()}`;
  },
};

/**
 * Chooses what a user says about the weights, which need not be true. It follows from their size, so
 * that a case is the same each time.
 */
function chooseOptions({ length }: Uint8Array): LoadOptions {
  const asked: LoadOptions = {
    characters: (likePython) =>
      likePython || length % 3 > 0 ? characters : ["\n", "\r", ...characters.slice(1)],
  };
  if (length % 5 === 0) asked.expectKind = length % 2 === 0 ? "gpt" : "diffusion";
  if (length % 7 === 0) asked.heads = 1 + length % 2;
  if (length % 11 === 0) asked.context = 4 + length % 2;
  if (length % 13 === 0) delete asked.characters;
  return asked;
}

async function checkTraining(state: TrainingState, path: string): Promise<string> {
  checkShapes(state);
  const { config, random, counters } = state;
  for (const [key, value] of Object.entries(config)) {
    const isNumber = typeof value !== "number" || Number.isFinite(value) && value >= 0;
    promise(isNumber, `${key} is a number`);
  }
  for (const key of ["batch", "steps", "evalEvery"] as const) {
    promise(Number.isSafeInteger(config[key]) && config[key] > 0, `${key} is a count`);
  }
  for (const draws of Object.values(random)) {
    promise(Number.isFinite(restoreRandom(draws).normal()), "the random state draws numbers");
  }
  for (const [key, value] of Object.entries(counters)) {
    promise(Number.isFinite(value) && value >= 0, `the counter ${key} is a number of 0 or more`);
  }
  const back = await roundTrip("it", async () => {
    await saveTraining(path, state);
    return await loadTraining(path);
  });
  const { weights, moments, vocabulary, bestScore } = state;
  checkSame({ weights, moments, config, vocabulary, random, counters, bestScore }, back);
  return `read a training of ${config.kind} with ${Object.keys(state).sort()}`;
}

function checkShapes({ config, vocabulary, weights }: LoadedModel | TrainingState): void {
  makeTokenizer(config.kind, vocabulary);
  const shapes = Object.entries(parameterShapes(config));
  promise(shapes.length === Object.keys(weights).length, "each parameter is there, and no other");
  for (const [name, shape] of shapes) {
    promise(String(weights[name].shape) === String(shape), `${name} has its shape`);
    promise(weights[name].data.every(Number.isFinite), `${name} is finite`);
  }
}

/** Tensors come back bit for bit; in JSON, names may be in another order, and -0 is 0. */
function checkSame<T extends object>(written: Partial<T>, back: T): void {
  const plain = (value: unknown) => JSON.parse(JSON.stringify(value ?? null));
  for (const [key, value] of Object.entries(written)) {
    const again = back[key as keyof T];
    const same = key === "weights" || key === "moments"
      ? isSame(value as HostTensors, again as HostTensors)
      : isDeepStrictEqual(plain(value), plain(again));
    promise(same, `${key} comes back as it was`);
  }
}

function tinyState(kind: ModelKind, vocab: number) {
  const tiny = { layers: 1, heads: 1, width: 2, context: 4 };
  const config = makeConfig(kind, kind === "gpt" ? "smoke" : "full-tuned", vocab, tiny);
  return { config, ...splitState(initialState(config, seededRandom(1)), config) };
}
