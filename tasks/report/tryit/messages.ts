/** The messages between the page and its worker. */
import type { SamplerName } from "../../../core/sampling/samplers/mod.ts";
import type { Step, WriteRequest } from "../../../core/sampling/write.ts";

/** Options of writing: the sampler, its own options and the common ones, where given. */
export interface Settings {
  sampler?: SamplerName;
  [option: string]: number | string | undefined;
}

/** A text that the page asks for. */
export type PageRequest = WriteRequest & { seed: number; settings?: Settings };

/**
 * The page's facts about its model. It is in the page as JSON, so that nothing else need be fetched
 * for it.
 */
export interface ModelFacts {
  /** The characters in token order; entry 0 is the mask. */
  vocabulary: string[];
  /** Characters that the network reads at once: the default window of the tasks. */
  context: number;
  /** The default of each option. */
  prompt: string;
  /** An example of a text with gaps, of characters that the model knows. */
  template: string;
  /** Bytes of the model's file, to show how much of it has come. */
  modelBytes: number;
}

/** `device` asks for one of the two. Default: the GPU where there is one. */
export type ToWorker =
  | { type: "load"; facts: ModelFacts; device?: Device }
  | { type: "write"; request: PageRequest }
  | { type: "stop" };

export type Device = "webgpu" | "wasm";

export type FromWorker =
  | { type: "loading"; bytes: number; total: number }
  | { type: "ready"; device: string; seconds: number }
  /** A pass that helps to choose the lengths of gaps. */
  | { type: "choosing"; forwards: number; seconds: number }
  | { type: "cancelled" }
  /** The text of `request` begins, after `forwards` passes that chose the lengths of gaps. */
  | { type: "started"; request: PageRequest; start: string[]; forwards: number }
  | ({ type: "step" } & Step)
  | { type: "finished"; stopped: boolean }
  /** One line for the reader. `fatal`: the model can't be used. */
  | { type: "failed"; message: string; fatal: boolean };
