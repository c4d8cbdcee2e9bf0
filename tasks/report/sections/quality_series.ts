/** Groups measurements of sample quality into what can be compared, and into series to draw. */
import type { ModelKind } from "../../../core/config.ts";
import { isWritten, yardstick } from "../gather.ts";
import { isPlain, type QualityEntry } from "../report_data.ts";
import { describeSampler, MODEL_NAMES, MODELS, stem } from "../words.ts";

/** One way to write: a model, its weights, its sampler; the temperature is free. */
export interface Series {
  name: string;
  model: ModelKind;
  index: number;
  entries: QualityEntry[];
}

/** Everything measured by one yardstick. */
export interface Measured {
  series: Series[];
  references: QualityEntry[];
  /** All texts of models. */
  entries: QualityEntry[];
}

/**
 * The yardstick by which most was measured that is fresh and of the weights of the race. Other
 * measurements are only listed.
 */
export function pickMeasurements(all: QualityEntry[]): Measured | undefined {
  const worth = (group: QualityEntry[]) =>
    group.filter(isWritten).reduce((sum, entry) => sum + (isPlain(entry) ? 1000 : 1), 0);
  const [main = []] = [...Map.groupBy(all, yardstick).values()].sort((a, b) => worth(b) - worth(a));
  const entries = main.filter(isWritten);
  if (entries.length === 0) return undefined;
  const series = [...Map.groupBy(entries, (entry) => seriesName(entry, entries))]
    .map(([name, entries]) => ({
      name,
      model: entries[0].result.model,
      entries: entries.toSorted((a, b) => (a.row.temperature ?? 0) - (b.row.temperature ?? 0)),
    }))
    .sort((a, b) => MODELS.indexOf(a.model) - MODELS.indexOf(b.model))
    .map((series, index) => ({ ...series, index }));
  return { series, references: main.filter((entry) => !isWritten(entry)), entries };
}

/** Model, sampler and what else differs among the texts of models. */
function seriesName({ row, result }: QualityEntry, all: QualityEntry[]): string {
  const { settings } = row;
  // a GPT at temperature 0 is one end of the same series
  const sampler = row.sampler === "greedy" ? "autoregressive" : row.sampler ?? "";
  const own = all.filter((entry) => entry.result.model === result.model);
  const differs = (name: string, entries = own) =>
    name in settings && new Set(entries.flatMap(({ row }) => row.settings[name] ?? [])).size > 1;
  const sameWindow = own.filter(({ row }) => row.settings.window === settings.window);
  const varied = ["top-k", "top-p", "window"].filter((name) => differs(name));
  // it follows from the window unless it was chosen
  if (differs("overlap", sameWindow)) varied.push("overlap");
  const hasTwins = MODELS.some((model) => {
    const weights = all.filter(({ result }) => result.model === model)
      .map(({ result }) => result.provenance.weightsSha256);
    return new Set(weights).size > 1;
  });
  return [
    MODEL_NAMES[result.model],
    describeSampler(sampler, settings),
    ...varied.map((name) => `${name} ${settings[name]}`),
    ...(hasTwins ? [stem(result.provenance.weights)] : []),
  ].join(", ");
}

/** The temperature at which most texts were measured, the nearest to 0.8 among equals. */
export function pickTemperature({ entries }: Pick<Measured, "entries">): number {
  const groups = Map.groupBy(entries, ({ row }) => row.temperature ?? 0);
  const [[temperature]] = [...groups].sort(([a, ofA], [b, ofB]) =>
    ofB.length - ofA.length || Math.abs(a - 0.8) - Math.abs(b - 0.8)
  );
  return temperature;
}
