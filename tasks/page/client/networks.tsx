/** The networks, and what the reader does with their training. */
import { useEffect, useState } from "preact/hooks";
import { type ModelKind, presets } from "../../../core/config.ts";
import type { Shape, ToWorker } from "../messages.ts";
import { FileButton, NumberField, Problem, SelectField, Slider } from "./fields.tsx";
import { describeTraining } from "./commands.ts";
import type { PageState } from "./state.ts";

/** The presets that a browser trains in minutes. */
const OFFERED = {
  tiny: "tiny: words in a minute",
  quickstart: "quickstart: better text in 10 minutes",
} as const;
type Offered = keyof typeof OFFERED;

/** The limits of the sliders: what still learns within an hour. */
const LIMITS = {
  layers: { min: 1, max: 6, step: 1 },
  width: { min: 32, max: 256, step: 32 },
  context: { min: 16, max: 128, step: 16 },
  batch: { min: 4, max: 64, step: 4 },
} as const;
const STEP_LIMITS = { min: 100, max: 5000, step: 100 } as const;
const LABELS = {
  layers: "Layers",
  width: "Width",
  context: "Context, characters",
  batch: "Windows of a step",
} as const;
const knobs = Object.keys(LIMITS) as (keyof typeof LIMITS)[];

export const BOTH: ModelKind[] = ["gpt", "diffusion"];
export const NAMES: Record<ModelKind, string> = { gpt: "GPT", diffusion: "Diffusion" };
const CHOICES = {
  both: "both, in turn",
  fromGpt: "the GPT, then the diffusion model from its weights",
  gpt: "the GPT",
  diffusion: "the diffusion model",
} as const;
type Chosen = keyof typeof CHOICES;

/** Fewer steps than the preset's, since a browser is slower: both models in ten minutes. */
const FEWER_STEPS: Partial<Record<Offered, Partial<Shape["steps"]>>> = {
  quickstart: { diffusion: 1000 },
};

/** The shape of a preset. */
function shapeOf(preset: Offered): Shape {
  const { layers, width, context, batch, steps } = presets[preset];
  return { preset, layers, width, context, batch, steps: { ...steps, ...FEWER_STEPS[preset] } };
}

export interface NetworksProps {
  state: PageState;
  send(message: ToWorker): void;
}

export function NetworksSection({ state, send }: NetworksProps) {
  const [shape, setShape] = useState(() => shapeOf("tiny"));
  const [chosen, setChosen] = useState<Chosen>("both");
  const [seed, setSeed] = useState(1337);
  const { learners, isRunning, text, device } = state;
  useEffect(() => { // what a reload has taken up
    const [config] = BOTH.flatMap((kind) => learners[kind]?.config ?? []);
    if (!config) return;
    const { preset, layers, width, context, batch, seed } = config;
    const steps = { ...shape.steps };
    for (const kind of BOTH) steps[kind] = learners[kind]?.config.steps ?? steps[kind];
    setShape({ preset, layers, width, context, batch, steps });
    setSeed(seed);
  }, [device]);
  const kinds: ModelKind[] = chosen === "gpt" || chosen === "diffusion" ? [chosen] : BOTH;
  const hasLearned = BOTH.some((kind) => learners[kind]);
  const isDone = BOTH.every((kind) => learners[kind]?.isDone ?? true);
  const begin = (seed: number) => {
    if (kinds.some((kind) => learners[kind]) && !confirm(BEGIN_ANEW)) return;
    send({ type: "train", kinds, shape, seed, fromGpt: chosen === "fromGpt" });
  };
  const anotherSeed = () => {
    const [drawn] = crypto.getRandomValues(new Uint32Array(1));
    setSeed(drawn % 100_000);
    begin(drawn % 100_000);
  };
  return (
    <section id="networks" aria-labelledby="networks-title">
      <h2 id="networks-title">2. Two networks</h2>
      <p>
        A GPT, which learns to write the next character, and a masked diffusion model, which learns
        to uncover hidden ones. They share one network, and here they share the computer: where both
        learn, they take turns of a quarter of a second.
      </p>
      <div class="fields">
        <SelectField
          label="Size"
          value={shape.preset as Offered}
          options={Object.entries(OFFERED) as [Offered, string][]}
          onValue={(preset) => setShape(shapeOf(preset))}
        />
        <SelectField
          label="Who learns"
          value={chosen}
          options={Object.entries(CHOICES) as [Chosen, string][]}
          onValue={(value) => setChosen(value)}
        />
        <NumberField label="Seed" value={seed} min={0} max={99_999} onValue={setSeed} />
      </div>
      <details>
        <summary>Other sizes</summary>
        <div class="fields">
          {knobs.map((knob) => (
            <Slider
              label={LABELS[knob]}
              value={shape[knob]}
              {...LIMITS[knob]}
              onValue={(value) => setShape({ ...shape, [knob]: value })}
            />
          ))}
          {BOTH.map((kind) => (
            <Slider
              label={`Steps of ${CHOICES[kind]}`}
              value={shape.steps[kind]}
              {...STEP_LIMITS}
              onValue={(value) => setShape({ ...shape, steps: { ...shape.steps, [kind]: value } })}
            />
          ))}
        </div>
      </details>
      <div class="actions">
        <button
          type="button"
          id="train"
          class={isRunning ? undefined : "primary"}
          disabled={!text || !device}
          onClick={() => begin(seed)}
        >
          {hasLearned ? "Begin anew" : "Train"}
        </button>
        {isRunning
          ? <button type="button" id="pause" onClick={() => send({ type: "pause" })}>Pause</button>
          : hasLearned && !isDone && (
            <button
              type="button"
              id="continue"
              class="primary"
              onClick={() => send({ type: "continue" })}
            >
              Continue
            </button>
          )}
        {hasLearned && (
          <button type="button" disabled={!text} onClick={anotherSeed}>With another seed</button>
        )}
      </div>
      <Problem of={state.errors.learning} />
      <Weights state={state} send={send} />
      {hasLearned && (
        <details>
          <summary>The same on the command line</summary>
          {BOTH.map((kind) => learners[kind]).filter((learned) => !!learned).map((learned) => (
            <p>
              <code>{describeTraining(learned, text)}</code>
            </p>
          ))}
        </details>
      )}
    </section>
  );
}

const BEGIN_ANEW = "Begin anew? What was learned so far is forgotten.";

/** Saves and loads the files that the tasks use. */
function Weights({ state, send }: NetworksProps) {
  const { learners, loaded } = state;
  const load = async (file: File | undefined) => {
    if (!file) return;
    send({ type: "load", name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) });
  };
  return (
    <div class="actions" id="weights">
      {BOTH.filter((kind) => learners[kind] && learners[kind].validation.length > 0).map((kind) => (
        <button type="button" onClick={() => send({ type: "save", kind })}>
          Save the {NAMES[kind]}
        </button>
      ))}
      <FileButton label="Load weights…" accept=".safetensors" onFile={load} />
      {BOTH.map((kind) => loaded[kind]).filter((file) => !!file).map(({ name, shape }) => (
        <span class="fine">
          In use: {name} ({shape})
        </span>
      ))}
    </div>
  );
}
