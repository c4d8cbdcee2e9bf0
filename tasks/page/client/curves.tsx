/** The curves of both models while they learn, next to a table of 6-grams. */
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { CurvePoint, Learned, WrittenSample } from "../messages.ts";
import { BOTH, NAMES } from "./networks.tsx";
import type { PageState } from "./state.ts";

const HEIGHT = 300;
const MARGIN = { left: 40, right: 12, top: 12, bottom: 34 };

type Axis = "chars" | "seconds";
const AXES: Record<Axis, string> = { chars: "characters seen", seconds: "seconds of training" };

export function CurvesSection({ state }: { state: PageState }) {
  const [axis, setAxis] = useState<Axis>("chars");
  const { learners, ngram } = state;
  const shown = BOTH.flatMap((kind) => learners[kind] ?? []);
  if (shown.length === 0) return null;
  const contexts = [...new Set(shown.map(({ config }) => config.context))];
  const baselines = contexts.flatMap((context) => ngram[context] ?? []);
  return (
    <section id="learning" aria-labelledby="learning-title">
      <h2 id="learning-title">3. How they learn</h2>
      <div class="cards">
        {shown.map((learned) => (
          <Figures learned={learned} charsPerSecond={state.charsPerSecond[learned.config.kind]} />
        ))}
      </div>
      <figure class="chart">
        <fieldset class="choices">
          <legend>Over</legend>
          <div>
            {(Object.keys(AXES) as Axis[]).map((name) => (
              <label>
                <input
                  type="radio"
                  name="axis"
                  checked={axis === name}
                  onChange={() => setAxis(name)}
                />
                <span>{name === "chars" ? "characters" : "time"}</span>
              </label>
            ))}
          </div>
        </fieldset>
        <Chart shown={shown} axis={axis} baselines={baselines} />
        <figcaption>
          Bits per character, lower is better. Thick: on text held back (the GPT's exactly, for the
          diffusion model an upper bound). Thin: the loss of training, which counts only masked
          characters in the diffusion model.
          {baselines.length > 0 &&
            ` Dashed: a table of 6-grams of the same text, ${baselines[0].toFixed(2)} bits.`}
        </figcaption>
        <CurveTable shown={shown} />
      </figure>
      <Samples shown={shown} />
    </section>
  );
}

function Figures(
  { learned, charsPerSecond }: { learned: Learned; charsPerSecond: number | undefined },
) {
  const { config, step, validation, isDone } = learned;
  const { kind, steps } = config;
  const last = validation.at(-1);
  return (
    <div class={`panel ${kind}`} id={`figures-${kind}`}>
      <h3>
        <span class={`model ${kind}`}>{NAMES[kind]}</span>
        <span class="fine">
          {isDone ? "done" : `step ${step} of ${steps}`}
          {!isDone && charsPerSecond !== undefined &&
            `, ${Math.round(charsPerSecond).toLocaleString("en-US")} characters/s`}
        </span>
      </h3>
      <progress max={steps} value={step} aria-label={`${NAMES[kind]}, steps`} />
      <p class="figure-line">
        {last ? `${kind === "gpt" ? "" : "≤ "}${last.bits.toFixed(2)}` : "…"}
        <span class="fine">bits per character on held-out text</span>
      </p>
    </div>
  );
}

interface ChartProps {
  shown: Learned[];
  axis: Axis;
  baselines: number[];
}

function Chart({ shown, axis, baselines }: ChartProps) {
  const drawing = useRef<SVGSVGElement>(null);
  const [width, setWidth] = useState(720); // in pixels, so that its letters are as large as others
  useLayoutEffect(() => {
    const observer = new ResizeObserver(([entry]) => setWidth(entry.contentRect.width));
    observer.observe(drawing.current!);
    return () => observer.disconnect();
  }, []);
  const all = shown.flatMap(({ train, validation }) => [...train, ...validation]);
  const right = Math.max(1, ...all.map((point) => point[axis]));
  const bits = [...all.map((point) => point.bits), ...baselines];
  // Nothing learned yet: every character as likely as any other.
  const top = Math.ceil(Math.max(...shown.map(({ config }) => Math.log2(config.vocab)), ...bits));
  const bottom = Math.floor(Math.min(2, ...bits));
  const x = (value: number) => MARGIN.left + value / right * (width - MARGIN.left - MARGIN.right);
  const y = (value: number) =>
    MARGIN.top + (top - value) / (top - bottom) * (HEIGHT - MARGIN.top - MARGIN.bottom);
  const path = (points: CurvePoint[]) =>
    points.map((point, i) =>
      `${i === 0 ? "M" : "L"}${x(point[axis]).toFixed(1)} ${y(point.bits).toFixed(1)}`
    )
      .join("");
  return (
    <svg
      ref={drawing}
      class="plot curves"
      height={HEIGHT}
      viewBox={`0 0 ${width} ${HEIGHT}`}
      role="img"
      aria-label={`Bits per character over ${AXES[axis]}`}
    >
      {Array.from({ length: top - bottom + 1 }, (_, i) => bottom + i).map((value) => (
        <g>
          <line
            class="grid"
            x1={MARGIN.left}
            x2={width - MARGIN.right}
            y1={y(value)}
            y2={y(value)}
          />
          <text x={MARGIN.left - 8} y={y(value) + 4} text-anchor="end">{value}</text>
        </g>
      ))}
      {(width < 450 ? [0, 1] : [0, 0.5, 1]).map((share) => (
        <text
          x={x(share * right)}
          y={HEIGHT - 14}
          text-anchor={["start", "middle", "end"][2 * share]}
        >
          {shorten(share * right)}
          {share === 1 && ` ${AXES[axis]}`}
        </text>
      ))}
      {baselines.map((value) => (
        <g class="baseline">
          <line x1={MARGIN.left} x2={width - MARGIN.right} y1={y(value)} y2={y(value)} />
          <text x={width - MARGIN.right} y={y(value) - 6} text-anchor="end">6-grams</text>
        </g>
      ))}
      {shown.map(({ config: { kind }, train, validation, samples }) => (
        <g class={kind}>
          <path class="thin" d={path(train)} />
          <path class="thick" d={path(validation)} />
          {validation.map((point) => <circle cx={x(point[axis])} cy={y(point.bits)} r={2.5} />)}
          {samples.map((sample) => (
            <path
              class="sample"
              d={`M${x(sample[axis])} ${y(bitsAt(sample, validation))}m-5 0l5-5l5 5l-5 5z`}
            >
              <title>{`${NAMES[kind]}, step ${sample.step}: ${sample.text}`}</title>
            </path>
          ))}
        </g>
      ))}
    </svg>
  );
}

/** The height of a sample: that of the validation after the same steps, once there is one. */
function bitsAt({ step, bits }: CurvePoint, validation: CurvePoint[]): number {
  return validation.find((point) => point.step >= step)?.bits ?? bits;
}

function shorten(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)} M`;
  return value >= 1e4 ? `${Math.round(value / 1e3)} k` : String(Math.round(value));
}

function CurveTable({ shown }: { shown: Learned[] }) {
  return (
    <details>
      <summary>The validations as a table</summary>
      <div class="scroll" tabindex={0} role="region" aria-label="Validations">
        <table>
          <thead>
            <tr>
              {["Model", "Step", "Characters", "Seconds", "Bits"].map((title) => (
                <th scope="col">{title}</th>
              ))}
            </tr>
          </thead>
          <tbody>
            {shown.flatMap(({ config, validation }) =>
              validation.map(({ step, chars, seconds, bits }) => (
                <tr>
                  <td>{NAMES[config.kind]}</td>
                  <td class="number">{step}</td>
                  <td class="number">{chars.toLocaleString("en-US")}</td>
                  <td class="number">{seconds.toFixed(1)}</td>
                  <td class="number">{bits.toFixed(3)}</td>
                </tr>
              ))
            )}
          </tbody>
        </table>
      </div>
    </details>
  );
}

/** What each wrote last, and what before. */
function Samples({ shown }: { shown: Learned[] }) {
  const written = shown.filter(({ samples }) => samples.length > 0);
  if (written.length === 0) return null;
  return (
    <div class="cards" id="samples">
      {written.map(({ config: { kind }, samples }) => {
        const [last, ...others] = samples.toReversed();
        return (
          <div class={`panel ${kind}`}>
            <h3>
              <span class={`model ${kind}`}>{NAMES[kind]}</span> writes
            </h3>
            <SampleText sample={last} />
            {others.length > 0 && (
              <details>
                <summary>Before</summary>
                {others.slice(0, 20).map((sample) => <SampleText sample={sample} />)}
              </details>
            )}
          </div>
        );
      })}
    </div>
  );
}

function SampleText({ sample }: { sample: WrittenSample }) {
  const { step, text, realWords, tableRealWords } = sample;
  return (
    <>
      <p class="fine">
        step {step}
        {realWords !== null && `, ${percent(realWords)} of the words are in the text`}
        {tableRealWords !== undefined &&
          ` (written with the table of 6-grams, which alone has ${percent(tableRealWords)})`}
      </p>
      <div class="text">{text.trim()}</div>
    </>
  );
}

const percent = (share: number) => `${Math.round(100 * share)} %`;
