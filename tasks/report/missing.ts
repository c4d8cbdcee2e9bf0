/** Finds what the page lacks, and the commands that make it. */
import { estimators } from "../../core/scoring/estimators.ts";
import type { SampleResult } from "../shared/results.ts";
import { commandLine, listed } from "../shared/text.ts";
import type { Missing, ReportData } from "./report_data.ts";
import { MODELS } from "./words.ts";

const NAMES = { gpt: "GPT", diffusion: "diffusion model" };

/** Lists the commands for what is not there, in the order in which to type them. */
export function findMissing(data: Omit<ReportData, "missing">): Missing[] {
  const { race, runs, evaluations, quality } = data;
  const list: Missing[] = [];
  const add = (what: string, task: string, ...flags: string[]) =>
    list.push({ what, command: commandLine(task, flags) });

  const found = [...Object.values(race), ...Object.values(runs), ...evaluations, ...quality];
  if (found.length === 0) {
    add("everything, from the text to this page", "quickstart");
    return list;
  }
  for (const model of MODELS) {
    const weights = race[model]?.result.provenance.weights ??
      evaluations.find(({ row }) => row.model === model)?.row.weights;
    const chosen = ["--model", model, ...(weights ? ["--weights", weights] : [])];
    if (!runs[model]) add(`loss curve of the ${NAMES[model]}`, `train-${model}`);
    if (!race[model]) {
      const twin = race[model === "gpt" ? "diffusion" : "gpt"]?.result;
      const prompt = twin && isPrompt(twin) ? ["--prompt", twin.prompt] : [];
      add(`sample of the ${NAMES[model]}`, "sample", ...chosen, ...prompt);
    }
    for (const estimator of estimators[model]) {
      const exists = evaluations.some(({ row }) =>
        row.model === model && row.estimator === estimator && (!weights || row.weights === weights)
      );
      const only = model === "gpt" ? [] : ["--estimator", estimator];
      if (!exists) add(`${estimator} figure of the ${NAMES[model]}`, "eval", ...chosen, ...only);
    }
  }
  const unmeasured = MODELS.filter((model) => quality.every(({ row }) => row.source !== model));
  if (unmeasured.length > 0) {
    const names = listed(unmeasured.map((model) => `the ${NAMES[model]}`));
    const only = unmeasured.length === 1 ? ["--model", unmeasured[0]] : [];
    add(`sample quality of ${names}`, "quality", ...only);
  }
  const { gpt, diffusion } = race;
  if (gpt && diffusion && isPrompt(diffusion.result)) {
    const { prompt } = diffusion.result;
    const { weights } = gpt.result.provenance;
    const flags = ["--model", "gpt", "--weights", weights, "--prompt", prompt];
    if (gpt.result.prompt !== prompt) {
      add("sample of the GPT for the diffusion model's prompt", "sample", ...flags);
    }
  }
  return list;
}

/** Whether the text continues the prompt, instead of filling a template, as no GPT can. */
function isPrompt({ settings, prompt, samples }: SampleResult): boolean {
  // Earlier versions stored the template, with its gaps, as the prompt.
  return settings.template === undefined && samples[0].text.startsWith(prompt);
}
