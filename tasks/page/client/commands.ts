/** The commands of Deno that do the same as the page. */
import { makeConfig } from "../../../core/config.ts";
import { samplers } from "../../../core/sampling/samplers/mod.ts";
import type { DefinedSampler } from "../../../core/sampling/samplers/sampler.ts";
import type { Learned, PageRequest, TextFacts } from "../messages.ts";

/** The command that trains such a model. */
export function describeTraining(
  { config, fromGpt }: Pick<Learned, "config" | "fromGpt">,
  text: TextFacts | undefined,
): string {
  const usual = makeConfig(config.kind, config.preset, config.vocab);
  const flags = { preset: config.preset, seed: config.seed };
  const own = (["batch", "steps"] as const).filter((name) => config[name] !== usual[name]);
  const set = (["layers", "heads", "width", "context"] as const)
    .filter((name) => config[name] !== usual[name]);
  return [
    `deno task train-${config.kind}`,
    ...Object.entries(flags).map(([name, value]) => `--${name} ${value}`),
    ...own.map((name) => `--${name} ${config[name]}`),
    ...set.map((name) => `--set ${name}=${config[name]}`),
    ...fromGpt ? [`--from weights/gpt-${config.preset}.safetensors`] : [],
    `--data ${quoted(dataPath(text))}`,
  ].join(" ");
}

const dataPath = (text: TextFacts | undefined) => {
  const name = text?.name ?? "text";
  return /\.\w+$/.test(name) ? name : `${name}.txt`;
};

/** The command that writes the same text. */
export function describeWriting(
  request: PageRequest,
  kind: "gpt" | "diffusion",
  text: TextFacts | undefined,
): string {
  const { sampler, ...settings } = request.settings;
  const isOwn = request.source === "own";
  const ofDiffusion = kind === "diffusion" ? { sampler, ...settings } : {
    temperature: settings.temperature,
    drafts: 0, // which would take other random numbers
  };
  const usesText = isOwn && kind === "diffusion" &&
    (samplers[sampler!] as DefinedSampler).usesNgrams;
  const flags = Object.entries({
    ...kind === "gpt" && { model: kind },
    ...isOwn && { weights: `${kind}-page.safetensors` },
    ..."template" in request
      ? { template: request.template }
      : { prompt: request.prompt, length: request.length },
    ...ofDiffusion,
    seed: request.seed,
    precision: "f32", // that of the page
    ...usesText && { data: dataPath(text) },
  });
  const dashed = (key: string) => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return ["deno task sample"].concat(
    flags.map(([key, value]) => `--${dashed(key)}=${quoted(String(value))}`),
  ).join(" ");
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
