/** What the page and its worker tell each other. */
import type { Change } from "../../shared/results.ts";
import type { Request } from "./writing.ts";

/**
 * What the page knows of its model. It is in the page as JSON, so that nothing else need be fetched
 * for it.
 */
export interface ModelFacts {
  /** The characters in token order; entry 0 is the mask. */
  vocabulary: string[];
  context: number;
  /** Where generation starts unless told otherwise. */
  prompt: string;
  /** An example of a text with gaps, of characters that the model knows. */
  template: string;
  /** Bytes of the model's file, to show how much of it has come. */
  modelBytes: number;
}

/** `device` asks for one of the two; without it, the GPU where there is one. */
export type ToWorker =
  | { type: "load"; facts: ModelFacts; device?: Device }
  | { type: "write"; request: Request }
  | { type: "stop" };

export type Device = "webgpu" | "wasm";

export type FromWorker =
  | { type: "loading"; bytes: number; total: number }
  | { type: "ready"; device: string; seconds: number }
  /** A pass that helps to choose the lengths of gaps. */
  | { type: "choosing"; forwards: number; seconds: number }
  | { type: "cancelled" }
  /** After `forwards` passes that chose the lengths of gaps. */
  | { type: "started"; start: string[]; forwards: number }
  | { type: "step"; changes: Change[]; forwards: number; seconds: number }
  | { type: "finished"; stopped: boolean; text: string; forwards: number; seconds: number }
  /** One line for the reader. `fatal`: the model can't be used. */
  | { type: "failed"; message: string; fatal: boolean };
