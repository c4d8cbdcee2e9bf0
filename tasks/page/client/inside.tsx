/** A look inside: how many bits each character of a text of one's own costs both models. */
import { useState } from "preact/hooks";
import type { ModelKind } from "../../../core/config.ts";
import { sight } from "../../../core/scoring/characters.ts";
import { bitLevelNames, findBitLevel } from "../../shared/bit_levels.ts";
import type { PageFacts } from "../facts.ts";
import type { Source, ToWorker } from "../messages.ts";
import { Field, Problem, SelectField } from "./fields.tsx";
import { BOTH, NAMES } from "./networks.tsx";
import type { Act, Attended, LookedText, PageState } from "./state.ts";

export interface InsideProps {
  state: PageState;
  facts: PageFacts;
  send(message: ToWorker): void;
  act(act: Act): void;
}

export function InsideSection({ state, facts, send, act }: InsideProps) {
  const [source, setSource] = useState<Source>("own");
  const [text, setText] = useState("To be, or not to be, that is the question.");
  const [at, setAt] = useState(0);
  const [layer, setLayer] = useState(-1);
  const { looked, looking, learners, loaded, attended } = state;
  const layers = Math.max(0, ...BOTH.map((kind) => attended[kind]?.shares.length ?? 0));
  const shown = BOTH.filter((kind) => looked[kind]);
  const isReady = source === "shipped" || BOTH.some((kind) => learners[kind] ?? loaded[kind]);
  const look = () => {
    act({ type: "asked", part: "inside" });
    act({ type: "asks to look" });
    send({ type: "look", text, source });
  };
  return (
    <section id="inside" aria-labelledby="inside-title">
      <h2 id="inside-title">5. A look inside</h2>
      <p>
        What surprises them? Each character of a text is coloured by the bits that it costs. The GPT
        sees {sight.gpt}; the diffusion model sees{" "}
        {sight.diffusion}, so its figures are lower and no likelihood.
      </p>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          look();
        }}
      >
        {facts.weights.length > 0 && (
          <SelectField
            label="With weights"
            value={source}
            options={[["own", "trained or loaded on this page"], ["shipped", "that come with it"]]}
            onValue={(value) => setSource(value)}
          />
        )}
        <Field label="A text, up to 2,000 characters">
          <textarea
            id="look-text"
            rows={3}
            maxlength={2000}
            value={text}
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </Field>
        <div class="actions">
          <button type="submit" id="look" disabled={!state.device || !isReady || !!looking}>
            Look inside
          </button>
          <span class="fine" role="status">{looking}</span>
        </div>
        <Problem of={state.errors.inside} />
      </form>
      {shown.length > 0 && (
        <>
          <ul class="legend bit-key">
            {bitLevelNames.map((name, level) => (
              <li>
                <span class={`b${level}`} aria-hidden="true">a</span> {name}
              </li>
            ))}
            <li>bits</li>
          </ul>
          <p class="fine">
            Point at a character for its figures. Click it, or choose it with the arrow keys, to see
            what each model reads to tell it: the taller the bar, the more attention.
          </p>
          <p class="probe" aria-live="polite" id="probe">{describeAt(looked, at)}</p>
          {layers > 0 && (
            <SelectField
              label="Attention of"
              value={String(layer)}
              options={[
                ["-1", "all layers, the mean"],
                ...Array.from({ length: layers }, (_, i) => [`${i}`, `layer ${i + 1}`] as const),
              ]}
              onValue={(value) => setLayer(Number(value))}
            />
          )}
          <div class="cards">
            {shown.map((kind) => (
              <Coloured
                kind={kind}
                looked={looked[kind]!}
                attended={state.attended[kind]}
                layer={layer}
                at={at}
                setAt={setAt}
                choose={(at) => {
                  setAt(at);
                  send({ type: "attend", at });
                }}
              />
            ))}
          </div>
        </>
      )}
    </section>
  );
}

interface ColouredProps {
  kind: ModelKind;
  looked: LookedText;
  attended: Attended | undefined;
  /** The layer whose attention is shown; -1 for the mean of all. */
  layer: number;
  at: number;
  setAt(at: number): void;
  choose(at: number): void;
}

/** The text; the pointer or the arrow keys choose a character. */
function Coloured(
  { kind, looked: { text, bits }, attended, layer, at, setAt, choose }: ColouredProps,
) {
  const shares = attended && averageLayers(attended, layer);
  const most = Math.max(1e-9, ...shares ?? []);
  const characters = [...text];
  const scored = bits.filter((value) => value !== null);
  const mean = scored.reduce((sum, value) => sum + value, 0) / scored.length;
  return (
    <div class={`panel ${kind}`}>
      <h3>
        <span class={`model ${kind}`}>{NAMES[kind]}</span>
        <span class="fine">{mean.toFixed(2)} bits per character</span>
      </h3>
      <div
        class="text coloured"
        id={`coloured-${kind}`}
        tabindex={0}
        role="group"
        aria-label={`The text, coloured by the bits of the ${NAMES[kind]}; arrow keys read it`}
        onKeyDown={(event) => {
          const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
          if (move === undefined) return;
          event.preventDefault();
          choose(Math.max(0, Math.min(characters.length - 1, at + move)));
        }}
        onClick={(event) => {
          const position = (event.target as HTMLElement).dataset.at;
          if (position !== undefined) choose(Number(position));
        }}
        onPointerMove={(event) => {
          const position = (event.target as HTMLElement).dataset.at;
          if (position !== undefined) setAt(Number(position));
        }}
      >
        {characters.map((character, i) => {
          const value = bits[i];
          const level = value === null ? "none" : `b${findBitLevel(value)}`;
          return (
            <span
              data-at={i}
              class={`${level}${i === at ? " at" : ""} ${
                shares ? barOf(shares[i - attended.start] ?? 0, most) : ""
              }`}
            >
              {character === "\n" ? "⏎\n" : character}
            </span>
          );
        })}
      </div>
    </div>
  );
}

/** Steps of the height of a bar; a style sheet has them, as the policy allows no styles inline. */
const BARS = 8;

function barOf(share: number, most: number): string {
  return `bar bar-${Math.ceil(BARS * share / most)}`; // what is read at all has a line
}

/** The shares of one layer, or their mean over all. */
function averageLayers({ shares }: Attended, layer: number): number[] {
  if (layer >= 0) return shares[Math.min(layer, shares.length - 1)];
  return shares[0].map((_, i) => shares.reduce((sum, row) => sum + row[i], 0) / shares.length);
}

function describeAt(looked: PageState["looked"], at: number): string {
  const { text } = looked.gpt ?? looked.diffusion!;
  const character = [...text][at];
  const name = character === "\n" ? "line end" : character === " " ? "space" : `“${character}”`;
  const figures = BOTH.flatMap((kind) => {
    const bits = looked[kind]?.bits[at];
    if (bits === undefined) return [];
    return bits === null
      ? [`${NAMES[kind]}: nothing to its left`]
      : [`${NAMES[kind]} ${bits.toFixed(2)} bits (${percent(2 ** -bits)})`];
  });
  return `Character ${at + 1}, ${name}: ${figures.join(" · ")}`;
}

const percent = (share: number) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
