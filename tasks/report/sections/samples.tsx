/** The texts that the models wrote, and how. */
import type { Sample } from "../../shared/results.ts";
import { duration, percent } from "../../shared/text.ts";
import { Command, Facts, Folded, Marks, ModelTag, type Part, Section } from "../markup.tsx";
import type { ReportData, SampleEntry } from "../report_data.ts";
import {
  describeConfig,
  describeEngine,
  describeSampler,
  describeSettings,
  meanRealWords,
  MODEL_NAMES,
  MODELS,
  stem,
} from "../words.ts";

/** Characters of samples that the page prints in full; the race's own are first. */
const MOST_CHARACTERS = 150_000;

export function samples(data: ReportData): Part {
  const pair = MODELS.flatMap((model) => data.race[model] ?? []);
  const entries = [...pair, ...data.samples.filter((entry) => !pair.includes(entry))];
  if (entries.length === 0) return null;
  let left = MOST_CHARACTERS;
  const articles = entries.map((entry) => {
    const characters = entry.result.samples.reduce((sum, { text }) => sum + text.length, 0);
    const fits = characters <= left;
    if (fits) left -= characters;
    return <Article entry={entry} open={pair.includes(entry)} fits={fits} />;
  });
  return (
    <Section id="samples" title="What they wrote">
      <p>
        The texts of the race, and all others, in full. What was given is underlined; nothing is
        picked by hand: these are the newest results, whatever they say.
      </p>
      <Folded most={8}>{articles}</Folded>
    </Section>
  );
}

interface ArticleProps {
  entry: SampleEntry;
  open: boolean;
  fits: boolean;
}

function Article({ entry, open, fits }: ArticleProps) {
  const { model, sampler, settings, samples, realWordsHeldOut, provenance } = entry.result;
  const realWords = meanRealWords(entry.result);
  const heldOut = realWordsHeldOut === null ? "" : ` (held-out text: ${percent(realWordsHeldOut)})`;
  return (
    <details class="sample" open={open}>
      <summary>
        <ModelTag model={model} /> {describeSampler(sampler, settings)}
        <span class="fine">
          {` · ${samples.length} ${samples.length === 1 ? "text" : "texts"}`}
          {realWords !== null && ` · ${percent(realWords)} real words${heldOut}`}
        </span>
        <Marks of={[entry]} />
      </summary>
      <Facts
        class="facts"
        of={[
          ["Settings", describeSettings(settings)],
          ["Network", `${describeConfig(provenance.config)} (${stem(provenance.weights)})`],
          ["Engine", describeEngine(provenance)],
          ["Command", <Command text={provenance.command} />],
        ]}
      />
      {fits
        ? (
          <div class="texts" tabindex={0} role="region" aria-label={`${MODEL_NAMES[model]}, texts`}>
            {samples.map((sample) => <Text sample={sample} />)}
          </div>
        )
        : <p class="fine">Too long for this page: run the command to see the texts.</p>}
    </details>
  );
}

function Text({ sample }: { sample: Sample }) {
  const { seed, forwards, seconds } = sample;
  const label = `seed ${seed} · ${forwards.toLocaleString("en-GB")} passes · ${
    duration(1000 * seconds)
  }`;
  return (
    <div>
      <p class="fine">{label}</p>
      <div class="text">
        {splitRuns(sample).map(({ text, isGiven }) =>
          isGiven ? <span class="given">{text}</span> : text
        )}
      </div>
    </div>
  );
}

/** The text in runs of what was given and what was written. */
function splitRuns({ text, steps }: Sample) {
  const written = new Set(steps.flatMap(({ changes }) => changes.map(([position]) => position)));
  const runs: { text: string; isGiven: boolean }[] = [];
  [...text].forEach((character, position) => {
    const isGiven = !written.has(position);
    const last = runs.at(-1);
    if (last?.isGiven === isGiven) last.text += character;
    else runs.push({ text: character, isGiven });
  });
  return runs;
}
