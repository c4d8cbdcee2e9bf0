/** What the page shows, and how each message of the worker changes it. */
import type { ModelKind } from "../../../core/config.ts";
import type { Step } from "../../../core/sampling/write.ts";
import { megabytes } from "../../shared/text.ts";
import type { Device, FromWorker, Learned, PageRequest, Part, TextFacts } from "../messages.ts";

/** A text that is being written, or was. */
export interface StagedText {
  request: PageRequest;
  /** The characters before the first step, "" where one is hidden. */
  start: string[];
  /** Forward passes before the first step. */
  forwardsBefore: number;
  steps: Step[];
}

/** A text of one's own with the bits of each character under one model. */
export interface LookedText {
  text: string;
  bits: (number | null)[];
}

/** What a model reads for the character `at`: by layer, the share of each from `start` on. */
export interface Attended {
  at: number;
  start: number;
  shares: number[][];
}

type OfBoth<Value> = { [Kind in ModelKind]?: Value };

export interface PageState {
  device?: Device;
  threads: number;
  text?: TextFacts;
  /** Bits per character of the 6-gram, by context. */
  ngram: Record<number, number>;
  learners: OfBoth<Learned>;
  charsPerSecond: OfBoth<number>;
  /** Files of weights that are used in place of what was trained here. */
  loaded: OfBoth<{ name: string; shape: string }>;
  isRunning: boolean;
  /** How much of a file has come. */
  loading?: string;
  staged: OfBoth<StagedText>;
  isWriting: boolean;
  end?: "finished" | "stopped";
  looked: OfBoth<LookedText>;
  looking?: string;
  /** What the models read for the character that was chosen. */
  attended: OfBoth<Attended>;
  errors: { [part in Part]?: string };
}

export const initialState: PageState = {
  threads: 1,
  ngram: {},
  learners: {},
  charsPerSecond: {},
  loaded: {},
  isRunning: false,
  staged: {},
  isWriting: false,
  looked: {},
  attended: {},
  errors: {},
};

/** What the reader does that changes the page at once, before the worker answers. */
export type Act =
  | { type: "asked"; part: Part }
  | { type: "asks to write" }
  | { type: "asks to look" };

/** The state after a message or an act. */
export function update(state: PageState, message: FromWorker | Act): PageState {
  const learner = (kind: ModelKind, change: (learned: Learned) => Partial<Learned>) => {
    const learned = state.learners[kind];
    if (!learned) return state;
    const changed = { ...learned, ...change(learned) };
    return { ...state, learners: { ...state.learners, [kind]: changed } };
  };
  switch (message.type) {
    case "asked":
      return { ...state, errors: { ...state.errors, [message.part]: undefined } };
    case "asks to write":
      return { ...state, isWriting: true, end: undefined };
    case "asks to look":
      return { ...state, looking: "reading", looked: {}, attended: {} };
    case "opened":
      return { ...state, device: message.device, threads: message.threads, loading: undefined };
    case "text":
      return {
        ...state,
        text: message.facts,
        ngram: {},
        learners: {},
        charsPerSecond: {},
        loading: undefined,
      };
    case "ngram":
      return { ...state, ngram: { ...state.ngram, [message.context]: message.bits } };
    case "learner": {
      const { kind, learned } = message;
      return {
        ...state,
        learners: { ...state.learners, [kind]: learned },
        loaded: { ...state.loaded, [kind]: undefined },
      };
    }
    case "train": {
      const { kind, point } = message;
      return {
        ...learner(kind, ({ train }) => ({
          train: [...train, point],
          step: point.step,
          seconds: point.seconds,
        })),
        charsPerSecond: { ...state.charsPerSecond, [kind]: message.charsPerSecond },
      };
    }
    case "validation":
      return learner(message.kind, ({ validation }) => ({
        validation: [...validation, message.point],
      }));
    case "sample":
      return learner(message.kind, ({ samples }) => ({ samples: [...samples, message.sample] }));
    case "learned":
      return learner(message.kind, () => ({ isDone: true }));
    case "running":
      return { ...state, isRunning: message.isRunning };
    case "loading":
      return { ...state, loading: describeLoading(message) };
    case "started": {
      const { kind, request, start, forwards: forwardsBefore } = message;
      const others = request.kinds.length > 1 ? state.staged : {};
      const staged = { request, start, forwardsBefore, steps: [] };
      return { ...state, staged: { ...others, [kind]: staged }, loading: undefined };
    }
    case "step": {
      const { kind, type: _, ...step } = message;
      const staged = state.staged[kind]!;
      const longer = { ...staged, steps: [...staged.steps, step] };
      return { ...state, staged: { ...state.staged, [kind]: longer } };
    }
    case "finished":
      return { ...state, isWriting: false, end: message.stopped ? "stopped" : "finished" };
    case "looking":
      return { ...state, looking: `${message.done} of ${message.total} rows`, loading: undefined };
    case "looked": {
      const { kind, text, bits } = message;
      return { ...state, looked: { ...state.looked, [kind]: { text, bits } }, looking: undefined };
    }
    case "attended": {
      const { kind, at, start, shares } = message;
      return { ...state, attended: { ...state.attended, [kind]: { at, start, shares } } };
    }
    case "loaded": {
      const { kind, name, shape } = message;
      return { ...state, loaded: { ...state.loaded, [kind]: { name, shape } } };
    }
    case "failed":
      return {
        ...state,
        errors: { ...state.errors, [message.part]: message.message },
        loading: undefined,
        ...message.part === "inside" && { looking: undefined },
      };
    case "saved":
      return state;
  }
}

function describeLoading({ what, bytes, total }: Extract<FromWorker, { type: "loading" }>): string {
  return `loading ${what}: ${megabytes(bytes)}${total ? ` of ${megabytes(total)}` : ""} MB`;
}
