/**
 * The race: two samples side by side, replayed on one clock. This file makes the markup and the
 * data that `client/race.js` replays; without scripts the finished texts are shown.
 */
import type { ModelKind } from "../../../core/config.ts";
import type { Sample } from "../../shared/results.ts";
import { ModelTag, type Part, Section } from "../markup.tsx";
import type { ReportData, SampleEntry } from "../report_data.ts";
import { LATENESS, Scale, Sign, SURENESS } from "../signs.tsx";
import { describeSampler, MODEL_NAMES, MODELS, stem } from "../words.ts";

/**
 * The changes of one step, flat: position, counted from that of the change before,
 * confidence in per cent, and for a character that is not the final one also that ("" where it was
 * masked again). So the usual change is two short numbers.
 */
export type PackedStep = (number | string)[];

/** A sample as the page's script replays it. */
export interface Replay {
  model: ModelKind;
  /** Its origin: sampler and settings, weights, seed. */
  label: string;
  prompt: string;
  text: string;
  steps: PackedStep[];
  /** The time that each step took, in tenths of a millisecond. */
  times: number[];
  /** The forward passes that each step took: none where it only masks again. */
  passes: number[];
  /** Where each block but the first begins. */
  borders: number[];
  /** Notes on comparing it with the other one. */
  marks: string[];
}

export interface Race {
  replays: Replay[];
  /** Indices of those that are shown at first. */
  first: { [Model in ModelKind]?: number };
  /** Samples that did not fit into the page. */
  leftOut: number;
}

/** Bytes that the data of the race may have, so that the page stays well below 1 MB. */
const MOST_BYTES = 480_000;

/** The samples that can be replayed: the pair of the start, then the newest, as many as fit. */
export function makeRace({ samples, race }: ReportData): Race {
  const pair = MODELS.flatMap((model) => race[model] ?? []);
  const entries = [...pair, ...samples.filter((entry) => !pair.includes(entry))];
  // one of each result before the second of any
  const candidates = [
    ...entries.map((entry) => [entry, entry.result.samples[0]] as const),
    ...entries.flatMap((entry) =>
      entry.result.samples.slice(1).map((sample) => [entry, sample] as const)
    ),
  ];
  const found: Race = { replays: [], first: {}, leftOut: 0 };
  let bytes = 0;
  for (const [entry, sample] of candidates) {
    const replay = pack(entry, sample);
    const size = JSON.stringify(replay).length;
    if (bytes + size > MOST_BYTES) {
      found.leftOut++;
      continue;
    }
    bytes += size;
    found.first[replay.model] ??= found.replays.length;
    found.replays.push(replay);
  }
  return found;
}

function pack({ result, stale, other }: SampleEntry, sample: Sample): Replay {
  const { model, prompt, sampler, settings, provenance } = result;
  const final = [...sample.text];
  let last = 0;
  const steps = sample.steps.map(({ changes }) =>
    changes.flatMap(([position, character, confidence]) => {
      const short: PackedStep = [position - last, Math.round(100 * confidence)];
      last = position;
      return character === final[position] ? short : [...short, character];
    })
  );
  const description = describeSampler(sampler, settings);
  return {
    model,
    label: `${description} · ${stem(provenance.weights)} · seed ${sample.seed}`,
    prompt,
    text: sample.text,
    steps,
    times: listDifferences(sample.steps.map(({ seconds }) => Math.round(1e4 * seconds))),
    passes: listDifferences(countPasses(sample)),
    borders: sample.blocks?.slice(1) ?? [],
    marks: [...stale, ...other],
  };
}

const listDifferences = (numbers: number[]) => numbers.map((n, i) => n - (numbers[i - 1] ?? 0));

/**
 * Counts the forward passes up to each step. Results of 1.0.0 don't say them: there, each step that
 * fixes a character took one, and the rest came before the first step.
 */
function countPasses({ steps, forwards: total }: Sample): number[] {
  const own = steps.map(({ changes }) => Number(changes.some(([, character]) => character !== "")));
  let passes = total - own.reduce((sum, n) => sum + n, 0);
  return steps.map(({ forwards }, i) => {
    passes += own[i];
    return forwards ?? passes;
  });
}

export function raceSection(race: Race): Part {
  const models = MODELS.filter((model) => race.first[model] !== undefined);
  if (models.length === 0) return null;
  return (
    <Section id="race" title="Watch them write">
      <Controls />
      <p class="visually-hidden" id="race-status" aria-live="polite" />
      <div class={`panels lanes of-${models.length}`}>
        {models.map((model) => <Lane model={model} race={race} />)}
      </div>
      <ul class="legend signs" id="race-legend" hidden>
        <Scale
          id="scale-step"
          from="fixed early"
          to="late in its block"
          colours={LATENESS}
          hidden
        />
        <Scale
          id="scale-confidence"
          from="below 50 % sure"
          to="99 % and more"
          colours={SURENESS}
          hidden
        />
        <Sign look="masked" text="█" meaning="masked" />
        <Sign look="masked remasked" text="█" meaning="masked again" />
        <Sign look="given" text="prompt" meaning="given" />
        <Sign look="edge" text="&nbsp;" meaning="a block begins" />
      </ul>
      <p class="warning" id="race-warning" hidden />
      <details class="fine">
        <summary>How to read and control it</summary>
        <p>
          Space plays and pauses, the arrow keys step, Home and End jump. Point at a character to
          see in which pass it was fixed and how sure the model was. Lines break as in the finished
          text, so that nothing moves.
        </p>
        <p>
          How sure: the probability that the model gave to the characters it drew from, usually the
          two likeliest. A GPT that draws from all of them is not coloured, since theirs add up to
          100 %.
        </p>
        <p>
          A forward pass does not cost the same for both: a GPT keeps what it has computed of
          earlier characters, the diffusion model looks at its whole window again. The clock in
          seconds replays the time that each pass took where the sample was made; times from
          different machines, engines or busy hours can't be compared.
        </p>
        {race.leftOut > 0 && (
          <p>{race.leftOut} more samples are left out, to keep the page small.</p>
        )}
      </details>
    </Section>
  );
}

interface Button {
  id: string;
  label: string;
  class?: string;
  /** Drawn, since few fonts have such characters. */
  icons: { path: string; class?: string }[];
}

const BUTTONS: Button[] = [
  { id: "to-start", label: "To the start", icons: [{ path: "M3 3h2v10H3zM13 3v10L6 8z" }] },
  { id: "step-back", label: "One step back", icons: [{ path: "M11 3v10L4 8z" }] },
  {
    id: "play",
    label: "Play",
    class: "primary",
    icons: [
      { path: "M4 2v12l9-6z", class: "when-paused" },
      { path: "M3 3h4v10H3zM9 3h4v10H9z", class: "when-playing" },
    ],
  },
  { id: "step-forward", label: "One step forward", icons: [{ path: "M5 3v10l7-5z" }] },
  { id: "to-end", label: "To the end", icons: [{ path: "M11 3h2v10h-2zM3 3v10l7-5z" }] },
];

function Controls() {
  return (
    <div class="controls" id="controls" role="group" aria-label="Replay" hidden>
      <div class="buttons">
        {BUTTONS.map(({ label, icons, ...button }) => (
          <button type="button" {...button} aria-label={label} title={label}>
            {icons.map(({ path, class: name = "" }) => (
              <svg viewBox="0 0 16 16" class={`icon ${name}`} aria-hidden="true">
                <path d={path} />
              </svg>
            ))}
          </button>
        ))}
      </div>
      <input type="range" id="scrubber" aria-label="Position" min={0} value={0} />
      <Choice
        id="pace"
        label="Clock"
        options={[["passes", "forward passes"], ["time", "seconds"]]}
      />
      <Choice
        id="speed"
        label="Speed"
        options={[["0.25", "¼×"], ["1", "1×"], ["4", "4×"], ["16", "16×"]]}
        selected="1"
      />
      <Choice
        id="tint"
        label="Colour"
        options={[["step", "when fixed"], ["confidence", "how sure"], ["none", "none"]]}
      />
    </div>
  );
}

interface ChoiceProps {
  id: string;
  label: string;
  /** Values and texts. */
  options: [string, string][];
  /** @default {the first} */
  selected?: string;
}

function Choice({ id, label, options, selected = options[0][0] }: ChoiceProps) {
  return (
    <label>
      <span>{label}</span>
      <select id={id}>
        {options.map(([value, text]) => (
          <option value={value} selected={value === selected}>{text}</option>
        ))}
      </select>
    </label>
  );
}

function Lane({ model, race: { replays, first } }: { model: ModelKind; race: Race }) {
  const id = `stage-${model}`;
  const shown = replays[first[model]!];
  return (
    <div class={`panel ${model}`}>
      <div class="lane-head">
        <h3 id={`${id}-title`}>
          <ModelTag model={model} />
        </h3>
        <select id={`${id}-choice`} aria-label={`Sample of the ${MODEL_NAMES[model]}`} hidden>
          <Samples of={replays.filter((replay) => replay.model === model)} replays={replays} />
        </select>
      </div>
      <p class="progress" id={`${id}-progress`}>{shown.label}</p>
      <div
        class="text stage"
        id={id}
        data-model={model}
        tabindex={0}
        role="region"
        aria-labelledby={`${id}-title`}
      >
        {shown.text}
      </div>
      <p class="probe" id={`${id}-probe`} hidden />
    </div>
  );
}

/** The samples of a model to choose from, the first selected; grouped by prompt if there are several. */
function Samples({ of, replays }: { of: Replay[]; replays: Replay[] }) {
  const groups = [...Map.groupBy(of, ({ prompt }) => prompt)].map(([prompt, group]) => ({
    label: `after ${JSON.stringify(prompt.slice(0, 40))}`,
    options: group.map((replay) => (
      <option value={replays.indexOf(replay)} selected={replay === of[0]}>{replay.label}</option>
    )),
  }));
  if (groups.length === 1) return <>{groups[0].options}</>;
  return <>{groups.map(({ label, options }) => <optgroup label={label}>{options}</optgroup>)}</>;
}
