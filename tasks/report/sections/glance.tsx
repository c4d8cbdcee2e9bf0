/** The few numbers that most readers come for. */
import type { ModelKind } from "../../../core/config.ts";
import { countWrittenCharacters } from "../../shared/results.ts";
import { percent } from "../../shared/text.ts";
import { type Child, Facts, Marks, ModelTag, Value } from "../markup.tsx";
import { type EvaluationEntry, isPlain, type ReportData } from "../report_data.ts";
import { meanRealWords, MODELS } from "../words.ts";
import { halfInterval, signOfBound } from "./bits.tsx";

export function Glance(data: ReportData) {
  const cards = MODELS.filter((model) => data.race[model] || headline(data, model));
  if (cards.length === 0) return null;
  return (
    <div class="cards" id="glance">{cards.map((model) => <Card model={model} {...data} />)}</div>
  );
}

function Card({ model, ...data }: ReportData & { model: ModelKind }) {
  const evaluation = headline(data, model);
  const sample = data.race[model];
  const facts: [Child, Child][] = [];
  if (evaluation) {
    const { row } = evaluation;
    const kind = row.estimator === "nelbo" ? "upper bound" : "exact";
    facts.push([
      `bits per character, ± ${halfInterval(row).toFixed(3)} (${kind}, context ${row.context})`,
      <>
        {signOfBound(row.estimator)}
        <Value of={row.bpc!} digits={3} />
      </>,
    ]);
  }
  if (sample) {
    const [first] = sample.result.samples;
    const realWords = meanRealWords(sample.result);
    if (realWords !== null) facts.push(["real words", percent(realWords)]);
    const perPass = countWrittenCharacters(first.steps) / Math.max(1, first.forwards);
    facts.push(["characters per forward pass", perPass.toFixed(2)]);
  }
  return (
    <div class={`card ${model}`}>
      <h3 class="visually-hidden">
        <ModelTag model={model} />
      </h3>
      <Facts of={facts} />
      <Marks of={[evaluation, sample].filter((marked) => marked !== undefined)} />
    </div>
  );
}

/**
 * The likelihood of a model that the page opens with: that of the weights in the race if there is
 * one, fresh before stale.
 */
function headline(data: ReportData, model: ModelKind): EvaluationEntry | undefined {
  const estimator = model === "gpt" ? "exact" : "nelbo";
  const candidates = data.evaluations.filter(({ row }) =>
    row.model === model && row.estimator === estimator && row.bpc !== null
  );
  return candidates.find(isPlain) ??
    candidates.find(({ other }) => other.length === 0) ??
    candidates.find(({ stale }) => stale.length === 0) ?? candidates[0];
}
