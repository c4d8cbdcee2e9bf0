/** A text that is being written, as it is after some of its steps. */
import type { ModelKind } from "../../../core/config.ts";
import { NAMES } from "./networks.tsx";
import type { StagedText } from "./state.ts";

const MASK = "█";
/** Confidences from which a character has the colour `c1`, `c2` …, as in the race of the report. */
const SURE = [0.5, 0.8, 0.95, 0.99];

export interface StageProps {
  kind: ModelKind;
  text: StagedText;
  steps: number;
  isWriting: boolean;
}

export function Stage({ kind, text, steps: shown, isWriting }: StageProps) {
  const { start, steps, forwardsBefore } = text;
  const done = Math.min(shown, steps.length);
  const { cells, hidden, masked } = drawCells(text, done);
  const { forwards, seconds } = steps[done - 1] ?? { forwards: forwardsBefore, seconds: 0 };
  return (
    <div class={`panel ${kind}`}>
      <h3>
        <span class={`model ${kind}`}>{NAMES[kind]}</span>
      </h3>
      <p class="progress" id={`progress-${kind}`}>
        {forwards} forward {forwards === 1 ? "pass" : "passes"} · {hidden - masked} of {hidden}{" "}
        characters · {seconds.toFixed(1)} s
      </p>
      <div
        class="text stage"
        id={`stage-${kind}`}
        tabindex={0}
        role="region"
        aria-label={`What the ${NAMES[kind]} writes`}
        aria-busy={isWriting}
      >
        {cells.map(({ text, look }) => <span class={look}>{text}</span>)}
      </div>
      {start.length === 0 && <p class="fine">Nothing to write.</p>}
    </div>
  );
}

/** The characters after so many steps, with their looks. */
function drawCells({ start, steps }: StagedText, done: number) {
  const now = start.map((character) => ({ character, sure: 1, was: character !== "" }));
  for (const { changes } of steps.slice(0, done)) {
    for (const [position, character, sure] of changes) {
      now[position] = { character, sure, was: true };
    }
  }
  const last = done < steps.length || done === 0 ? steps[done - 1] : undefined;
  const fresh = new Set(last?.changes.map(([position]) => position));
  const cells = now.map(({ character, sure, was }, i) => {
    const look = start[i] !== ""
      ? "given"
      : character === ""
      ? `masked${was ? " remasked" : ""}`
      : `c${SURE.filter((limit) => sure >= limit).length}${fresh.has(i) ? " new" : ""}`;
    return { text: character || MASK, look };
  });
  const hidden = start.filter((character) => character === "").length;
  const masked = now.filter(({ character }) => character === "").length;
  return { cells, hidden, masked };
}
