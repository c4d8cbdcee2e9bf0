/** Writing with what was learned: continue a text, fill gaps, or let both models race. */
import { useEffect, useState } from "preact/hooks";
import type { ModelKind } from "../../../core/config.ts";
import { samplers } from "../../../core/sampling/samplers/mod.ts";
import { Scale, Sign, SURENESS } from "../../report/signs.tsx";
import type { PageFacts } from "../facts.ts";
import type { PageRequest, Source, ToWorker } from "../messages.ts";
import { describeWriting } from "./commands.ts";
import { NumberField, Problem, SelectField, TextField } from "./fields.tsx";
import { BOTH } from "./networks.tsx";
import type { Act, PageState } from "./state.ts";
import { Stage } from "./stage.tsx";
import {
  type Mode,
  usesNgrams,
  usualSampler,
  usualSettings,
  WriteSettingFields,
} from "./write_settings.tsx";

const MODES: [Mode, string][] = [
  ["race", "Both write: the race"],
  ["gpt", "The GPT continues a text"],
  ["diffusion", "The diffusion model continues a text"],
  ["gaps", "The diffusion model fills gaps"],
];
const KINDS: Record<Mode, ModelKind[]> = {
  race: BOTH,
  gpt: ["gpt"],
  diffusion: ["diffusion"],
  gaps: ["diffusion"],
};

export interface WritingProps {
  state: PageState;
  facts: PageFacts;
  send(message: ToWorker): void;
  act(act: Act): void;
}

export function WritingSection({ state, facts, send, act }: WritingProps) {
  const [mode, setMode] = useState<Mode>("race");
  const [source, setSource] = useState<Source>("own");
  const [prompt, setPrompt] = useState("");
  const [template, setTemplate] = useState("");
  const [length, setLength] = useState(160);
  const [seed, setSeed] = useState(1337);
  // A text that is here has its table of n-grams.
  const table = source === "shipped" ? facts.ngrams : state.text;
  const usual = usualSampler(mode, table !== undefined);
  const [settings, setSettings] = useState(() => usualSettings(usual));
  const { isWriting } = state;
  const isKnown = (kind: ModelKind) => !!(state.learners[kind] ?? state.loaded[kind]);
  const canWrite = !isWriting && state.device !== undefined &&
    (source === "shipped" || KINDS[mode].every(isKnown));

  const write = (seed: number) => {
    const { sampler, topK, ...values } = settings;
    const own = samplers[sampler!].options;
    const applies = ([key]: [string, unknown]) => key in own || key === "temperature";
    const chosen = Object.entries(values).filter(applies);
    const request: PageRequest = {
      ...mode === "gaps" ? { template } : { prompt, length },
      kinds: KINDS[mode],
      source,
      seed,
      settings: { sampler, ...topK !== 0 && { topK }, ...Object.fromEntries(chosen) },
    };
    act({ type: "asked", part: "writing" });
    act({ type: "asks to write" });
    send({ type: "write", request });
  };
  const another = () => {
    const [drawn] = crypto.getRandomValues(new Uint32Array(1));
    setSeed(drawn);
    write(drawn);
  };
  useEffect(() => setSettings(usualSettings(usual)), [usual]);
  useEffect(() => {
    if (template === "" && state.text) setTemplate(makeTemplate(state.text.opening));
  }, [state.text]);

  return (
    <section id="writing" aria-labelledby="writing-title">
      <h2 id="writing-title">4. They write</h2>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          write(seed);
        }}
        onKeyDown={(event) => {
          if (event.key === "Escape" && isWriting) send({ type: "stop" });
          if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && canWrite) write(seed);
        }}
      >
        <fieldset class="modes">
          <legend class="visually-hidden">What to do</legend>
          {MODES.map(([name, label]) => (
            <label>
              <input
                type="radio"
                name="mode"
                value={name}
                checked={mode === name}
                onChange={() => setMode(name)}
              />{" "}
              {label}
            </label>
          ))}
        </fieldset>
        {facts.weights.length > 0 && (
          <SelectField
            label="With weights"
            value={source}
            options={[
              ["own", "trained or loaded on this page"],
              ["shipped", `that come with it: ${describeShipped(facts)}`],
            ]}
            onValue={(value) => setSource(value)}
          />
        )}
        {mode === "gaps"
          ? (
            <TextField
              id="template"
              label="The text: ____ for four hidden characters, {3..12} where the model is to choose how many"
              rows={3}
              value={template}
              onValue={setTemplate}
            />
          )
          : (
            <TextField
              id="prompt"
              label="The text to continue; it may be empty"
              rows={2}
              value={prompt}
              onValue={setPrompt}
            />
          )}
        <details>
          <summary>Settings</summary>
          <div class="fields">
            <WriteSettingFields settings={settings} setSettings={setSettings} mode={mode} />
            {mode !== "gaps" && (
              <NumberField
                label="Characters to write"
                value={length}
                min={1}
                max={2000}
                onValue={setLength}
              />
            )}
            <NumberField label="Seed" value={seed} min={0} max={2 ** 32 - 1} onValue={setSeed} />
          </div>
        </details>
        {mode !== "gpt" && usesNgrams(settings) && (
          <p class="fine" id="helped">
            The diffusion model writes with the sampler {settings.sampler}: a table of 6-grams of
            {" "}
            {source === "shipped" ? "the text of its weights" : "the text"}{" "}
            tells it which characters go together. That alone makes most words real; choose another
            sampler to see the model without it.
          </p>
        )}
        <div class="actions">
          <button type="submit" id="write" class="primary" disabled={!canWrite}>Write</button>
          <button type="button" disabled={!canWrite} onClick={another}>With a new seed</button>
          {isWriting && (
            <button type="button" id="stop" onClick={() => send({ type: "stop" })}>Stop</button>
          )}
          <span class="fine" role="status">{state.loading}</span>
        </div>
        <Problem of={state.errors.writing} />
      </form>
      <Stages state={state} />
    </section>
  );
}

function describeShipped({ weights }: PageFacts): string {
  const megabytes = weights.reduce((sum, { bytes }) => sum + bytes, 0) / 1e6;
  return `10.7 million parameters each, ${megabytes.toFixed(0)} MB to load for both`;
}

/** Makes gaps in the second line of a text. */
function makeTemplate(opening: string): string {
  const line = opening.split("\n").find((line) => line.length > 24) ?? opening.slice(0, 40);
  const characters = [...line.slice(0, 60)];
  return characters.map((character, i) =>
    i % 16 >= 8 && i % 16 < 13 && /\p{L}/u.test(character) ? "_" : character
  ).join("");
}

/** One stage for each text, moved by one slider. */
function Stages({ state }: { state: PageState }) {
  const [at, setAt] = useState<number>();
  const { staged, isWriting, end } = state;
  const texts = BOTH.flatMap((kind) => {
    const text = staged[kind];
    return text ? [{ kind, text }] : [];
  });
  useEffect(() => {
    if (isWriting) setAt(undefined);
  }, [isWriting]);
  if (texts.length === 0) return null;
  const most = Math.max(...texts.map(({ text }) => text.steps.length));
  const shown = Math.min(at ?? most, most);
  return (
    <>
      <div class="cards">
        {texts.map(({ kind, text }) => (
          <Stage kind={kind} text={text} steps={shown} isWriting={isWriting} />
        ))}
      </div>
      <ul class="legend signs">
        <Scale from="below 50 % sure" to="99 % and more" colours={SURENESS} />
        <Sign look="masked" text="█" meaning="masked" />
        <Sign look="masked remasked" text="█" meaning="masked again" />
        <Sign look="given" text="text" meaning="given" />
      </ul>
      <label class="passes">
        Step{" "}
        <input
          type="range"
          id="pass"
          min={0}
          max={most}
          value={shown}
          disabled={isWriting}
          aria-valuetext={`step ${shown} of ${most}`}
          onInput={(event) => setAt(event.currentTarget.valueAsNumber)}
        />
      </label>
      <p class="visually-hidden" role="status" id="writing-status">{end}</p>
      {!isWriting && (
        <details>
          <summary>The same on the command line</summary>
          {texts.map(({ kind, text }) => (
            <p>
              <code id={`command-${kind}`}>{describeWriting(text.request, kind, state.text)}</code>
            </p>
          ))}
        </details>
      )}
    </>
  );
}
