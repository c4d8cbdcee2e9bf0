/** The messages between the page and its worker, which has the engine, the text and the models. */
import type { Config, ModelKind } from "../../core/config.ts";
import type { SamplerName } from "../../core/sampling/samplers/mod.ts";
import type { Step, WriteRequest } from "../../core/sampling/write.ts";
import type { PageFacts } from "./facts.ts";

export type Device = "webgpu" | "wasm";

/** Whose weights are used: those trained or loaded here, or those that come with the page. */
export type Source = "own" | "shipped";

/** What a network is like and how it learns, where it differs from its preset. */
export interface Shape extends Pick<Config, "preset" | "layers" | "width" | "context" | "batch"> {
  /** Steps of each model. */
  steps: Record<ModelKind, number>;
}

/** Options of writing: the sampler, its own options and the common ones, where given. */
export interface WriteSettings {
  sampler?: SamplerName;
  [option: string]: number | string | undefined;
}

/** A text that the page asks for; of both models at once, it is the race. */
export type PageRequest = WriteRequest & {
  kinds: ModelKind[];
  source: Source;
  seed: number;
  settings: WriteSettings;
};

export type ToWorker =
  /**
   * Starts the engine, and takes up what was kept. `device` asks for one; `ngrams` is the table that
   * comes with the page.
   */
  | { type: "open"; device?: Device; ngrams?: PageFacts["ngrams"] }
  /** Takes another text: what was trained on the old one is forgotten. */
  | { type: "text"; name: string; text: string }
  /** The same with a text that comes with the page. */
  | { type: "fetchText"; name: string; file: string }
  /** Begins anew; `fromGpt`: the diffusion model with the weights of the GPT, once that is done. */
  | { type: "train"; kinds: ModelKind[]; shape: Shape; seed: number; fromGpt: boolean }
  | { type: "pause" }
  | { type: "continue" }
  | { type: "write"; request: PageRequest }
  | { type: "stop" }
  | { type: "look"; text: string; source: Source }
  /** Asks what the models read to tell a character of the text that was looked into. */
  | { type: "attend"; at: number }
  | { type: "save"; kind: ModelKind }
  | { type: "load"; name: string; bytes: Uint8Array<ArrayBuffer> };

/** The text that is trained on. */
export interface TextFacts {
  name: string;
  characters: number;
  /** Different characters. */
  distinct: number;
  /** Its beginning. */
  opening: string;
}

/** A point of a curve; bits per character. */
export interface CurvePoint {
  step: number;
  /** Characters seen. */
  chars: number;
  /** Seconds that this model was trained for, without pauses and the other's turns. */
  seconds: number;
  bits: number;
}

/** A text that a model wrote while it learned. */
export interface WrittenSample extends CurvePoint {
  text: string;
  /** Share of its words that the training text has; null if it has no whole word. */
  realWords: number | null;
  /**
   * The same share of the text that the table of 6-grams writes alone, a control, where the sample
   * was written with it.
   */
  tableRealWords?: number;
}

/** All that the page shows of a model that learns. */
export interface Learned {
  config: Config;
  /** Whether it starts with the weights of the GPT that is trained here. */
  fromGpt?: boolean;
  /** Training losses, means of neighbouring steps. */
  train: CurvePoint[];
  validation: CurvePoint[];
  samples: WrittenSample[];
  /** The steps made. */
  step: number;
  seconds: number;
  isDone: boolean;
}

export type FromWorker =
  | { type: "opened"; device: Device; threads: number; isRunning: boolean }
  | { type: "text"; facts: TextFacts }
  /** The 6-gram's bits per character, on the blocks of that context that validations use. */
  | { type: "ngram"; context: number; bits: number }
  /** Begins anew, or was taken up. */
  | { type: "learner"; kind: ModelKind; learned: Learned }
  | { type: "train"; kind: ModelKind; point: CurvePoint; charsPerSecond: number }
  | { type: "validation"; kind: ModelKind; point: CurvePoint }
  | { type: "sample"; kind: ModelKind; sample: WrittenSample }
  | { type: "learned"; kind: ModelKind }
  | { type: "running"; isRunning: boolean }
  | { type: "loading"; what: string; bytes: number; total: number }
  | { type: "started"; kind: ModelKind; request: PageRequest; start: string[]; forwards: number }
  | ({ type: "step"; kind: ModelKind } & Step)
  | { type: "finished"; stopped: boolean }
  | { type: "looking"; kind: ModelKind; done: number; total: number }
  | { type: "looked"; kind: ModelKind; text: string; bits: (number | null)[] }
  /** What a model reads for the character `at`: by layer, the share of each from `start` on. */
  | { type: "attended"; kind: ModelKind; at: number; start: number; shares: number[][] }
  | { type: "saved"; name: string; bytes: Uint8Array<ArrayBuffer> }
  | { type: "loaded"; kind: ModelKind; name: string; shape: string }
  /** One line for the reader, and the part of the page that it belongs to. */
  | { type: "failed"; part: Part; message: string };

/** The parts of the page. */
export type Part = "engine" | "text" | "learning" | "writing" | "inside";
