/**
 * The try-it page: a form, a stage, and the script and the worker that run the model. Its policy
 * lets it load only the files next to it.
 */
import { defaultOptions, defaultSampler } from "../../../core/sampling/defaults.ts";
import {
  collectOptions,
  type ListedOption,
  samplerList,
} from "../../../core/sampling/samplers/mod.ts";
import type { Sampler } from "../../../core/language_model.ts";
import { htmlDocument } from "../document.tsx";
import { type Child, DataScript } from "../markup.tsx";
import { Scale, Sign, SURENESS } from "../signs.tsx";
import type { ModelFacts } from "./messages.ts";

/** The page's facts about its model, and its requirements. */
export interface PageFacts extends ModelFacts {
  /** The file that the weights come from. */
  weights: string;
  /** In one line: what kind of network it is, and how its weights are stored. */
  description: string;
}

/** The contents of `client/styles.css` and `tryit.css`, and of the bundle of `browser.ts`. */
export interface PageSources {
  style: string;
  script: string;
}

/** The whole page. */
export async function tryItPage(facts: PageFacts, sources: PageSources): Promise<string> {
  const { weights, description, ...model } = facts;
  const options = {
    title: "Try it: tiny-diffusion in TypeScript",
    style: sources.style,
    scripts: [sources.script],
    allow: ["worker-src 'self'"],
  };
  return await htmlDocument(
    options,
    <>
      <header>
        <h1>
          Try it <span>tiny-diffusion</span>
        </h1>
        <p class="fine">
          <a href="../">Back to the report</a>
        </p>
        <p class="lead">
          The diffusion model, in your browser: nothing that you type leaves this page. It starts
          from masks and fixes in each pass the characters that its sampler chooses, wherever they
          are.
        </p>
      </header>
      <main id="main">
        <Form {...facts} />
        <Result />
      </main>
      <footer>
        <p>
          {description}. Made from <code>{weights}</code>.
        </p>
      </footer>
      <DataScript id="facts" value={model} weights={weights} />
    </>,
  );
}

function Form(facts: PageFacts) {
  return (
    <form id="ask">
      <fieldset class="modes">
        <legend class="visually-hidden">What to do</legend>
        <label>
          <input type="radio" name="mode" id="mode-prompt" value="prompt" checked /> Continue a text
        </label>
        <label>
          <input type="radio" name="mode" id="mode-template" value="template" />{" "}
          Fill the gaps of a text
        </label>
      </fieldset>
      <div data-for="prompt">
        <Field label="The text to continue">
          <TextArea id="prompt" />
        </Field>
      </div>
      <div data-for="template" hidden>
        <Field label="The text: ____ for four hidden characters, {3..12} where the model is to choose how many">
          <TextArea id="template" />
        </Field>
      </div>
      <div class="actions">
        <div data-for="prompt">
          <Field label="Characters to write">
            <NumberInput id="length" value={200} min={1} max={10_000} />
          </Field>
        </div>
        <button type="submit" id="write" class="primary" disabled>Write</button>
        <button type="button" id="another" disabled>With a new seed</button>
        <button type="button" id="stop" hidden>Stop</button>
      </div>
      <p id="error" class="error" role="alert" hidden />
      <details id="settings">
        <summary>Settings</summary>
        <Settings {...facts} />
      </details>
    </form>
  );
}

function Settings({ vocabulary, context }: PageFacts) {
  const characters = vocabulary.length - 1; // without the mask
  const usual = (sampler: Sampler = defaultSampler) => {
    const { temperature, topK = characters } = defaultOptions("diffusion", context, { sampler });
    return { temperature, topK: Math.min(topK, characters) };
  };
  const { temperature, topK } = usual();
  return (
    <div class="fields">
      <Field label="Sampler">
        <select id="sampler">
          {samplerList.map((sampler) => (
            <option
              title={sampler.source}
              selected={sampler.name === defaultSampler.name}
              data-temperature={usual(sampler).temperature}
              data-top-k={usual(sampler).topK}
            >
              {sampler.name}
            </option>
          ))}
        </select>
      </Field>
      {[...collectOptions()].map(([key, shared]) => <OptionField name={key} {...shared} />)}
      <Field label="Temperature">
        <NumberInput
          id="temperature"
          setting="temperature"
          value={temperature}
          min={0}
          max={10}
          step="any"
        />
      </Field>
      <Field label="Draw among the likeliest">
        <NumberInput
          id="top-k"
          setting="topK"
          value={topK}
          min={1}
          max={characters}
        />
      </Field>
      <Field label="Seed">
        <NumberInput id="seed" value={1337} min={0} max={2 ** 32 - 1} />
      </Field>
      <Field label="Show">
        <select id="pace">
          <option value={0}>as it computes</option>
          <option value={10}>10 passes a second</option>
          <option value={3}>3 passes a second</option>
        </select>
      </Field>
    </div>
  );
}

function Result() {
  return (
    <section class="panel diffusion" aria-labelledby="result-title">
      <h2 id="result-title" class="visually-hidden">What it writes</h2>
      <p class="progress" id="progress">
        <noscript>The model needs JavaScript.</noscript>
      </p>
      <p class="visually-hidden" id="status" aria-live="polite" />
      <div
        class="text stage"
        id="stage"
        tabindex={0}
        role="region"
        aria-label="The text"
      />
      <ul class="legend signs">
        <Scale from="below 50 % sure" to="99 % and more" colours={SURENESS} />
        <Sign look="masked" text="█" meaning="masked" />
        <Sign look="masked remasked" text="█" meaning="masked again" />
        <Sign look="given" text="text" meaning="given" />
      </ul>
      <label class="passes">
        Pass <input type="range" id="pass" min={0} max={0} value={0} disabled />
      </label>
      <p class="fine" id="repeat" hidden>
        The same on the command line: <code id="command" />
      </p>
    </section>
  );
}

interface NumberProps {
  id: string;
  /** The name of the option that it sets. */
  setting?: string;
  value: number;
  min?: number;
  max?: number;
  /** The value must be larger than this; HTML has only `min`, so the script checks it. */
  above?: number;
  step?: "any";
}

function NumberInput({ setting, above, min = above, ...attributes }: NumberProps) {
  return (
    <input
      type="number"
      required
      min={min}
      {...attributes}
      data-setting={setting}
      data-above={above}
    />
  );
}

/**
 * The field of a sampler's option, for the samplers that have it. The prefix keeps its id apart from
 * those of the page.
 */
function OptionField({ name, option, samplers }: ListedOption & { name: string }) {
  return (
    <div data-for={samplers.join(" ")}>
      <Field label={option.help[0].toUpperCase() + option.help.slice(1)}>
        {"choices" in option
          ? (
            <select id={`option-${name}`} data-setting={name}>
              {option.choices.map((choice) => (
                <option selected={choice === option.default}>{choice}</option>
              ))}
            </select>
          )
          : (
            <NumberInput
              id={`option-${name}`}
              setting={name}
              value={option.default}
              min={option.min}
              above={option.above}
              max={option.max}
              step={option.type === "number" ? "any" : undefined}
            />
          )}
      </Field>
    </div>
  );
}

function Field({ label, children }: { label: string; children: Child }) {
  return (
    <label class="field">
      <span>{label}</span>
      {children}
    </label>
  );
}

/** The script fills it in: an HTML parser drops a line break at the beginning of its content. */
function TextArea({ id }: { id: string }) {
  return <textarea id={id} rows={3} spellcheck={false} />;
}
