/** Names and figures that several parts of the page use. */
import type { ModelKind } from "../../core/config.ts";
import { collectOptions } from "../../core/sampling/samplers/mod.ts";
import type { BaselineName } from "../../core/scoring/baselines.ts";
import { flagName } from "../shared/flags.ts";
import type { Provenance, SampleResult } from "../shared/results.ts";
import { describeShape } from "../shared/text.ts";

/** In the order in which the page shows them. */
export const MODELS = ["gpt", "diffusion"] as const;

export const MODEL_NAMES: Record<ModelKind, string> = { gpt: "GPT", diffusion: "Diffusion" };

/** Tells the two models from baselines and reference texts. */
export function isModel(name: string): name is ModelKind {
  return name === "gpt" || name === "diffusion";
}

/** `kneser-ney-6` as "Kneser-Ney, order 6". */
export function baselineTitle(name: BaselineName): string {
  const order = /^kneser-ney-(\d+)$/.exec(name)?.[1];
  return order ? `Kneser-Ney, order ${order}` : `${name[0].toUpperCase()}${name.slice(1)}`;
}

/** Share of real words, over those samples of one result that have words; null if none has. */
export function meanRealWords({ samples }: SampleResult): number | null {
  const shares = samples.map(({ realWords }) => realWords).filter((share) => share !== null);
  return shares.length === 0 ? null : shares.reduce((sum, share) => sum + share) / shares.length;
}

/** The shape of a network in words, such as "small: 4 layers, 4 heads, 128 wide, context 64". */
export function describeConfig(config: Provenance["config"]): string {
  return `${config.preset}: ${describeShape(config)}`;
}

/** Settings that every sampler has, or that say how a text is cut. The others are a sampler's own. */
const COMMON = ["temperature", "top-k", "top-p", "overlap", "window", "length"];

/** The samplers' options by the names of their flags. */
const samplerFlagOptions = new Map(
  [...collectOptions()].map(([key, { option }]) => [flagName(key), option]),
);

/** A sampler's setting in short; null for a choice that is the default and needs no mention. */
function describeSetting(name: string, value: number | string): string | null {
  const option = samplerFlagOptions.get(name);
  if (option && "choices" in option && value === option.default) return null;
  return option?.short?.replace("#", () => String(value)) ?? `${name} ${value}`;
}

/**
 * A sampler with the settings that are its own: "threshold 0.95", "confidence, 16 steps",
 * "autoregressive".
 */
export function describeSampler(
  sampler: string,
  settings: Record<string, number | string>,
): string {
  const own = Object.entries(settings).filter(([name]) => !COMMON.includes(name));
  return own.reduce((text, [name, value]) => {
    if (name === sampler) return `${text} ${value}`;
    const short = describeSetting(name, value);
    return short === null ? text : `${text}, ${short}`;
  }, sampler).replace(/\s+/g, " "); // a chart's label is one line, whatever a file says
}

/** The engine, its precision and its threads: "onnx, f32, 1 thread". */
export function describeEngine({ engine, precision, threads }: Provenance): string {
  return `${engine}, ${precision}, ${threads} ${threads === 1 ? "thread" : "threads"}`;
}

/** All settings in a line: "temperature 0.8, top-k 2". */
export function describeSettings(settings: Record<string, number | string>): string {
  return Object.entries(settings).map(([name, value]) => `${name} ${value}`).join(", ");
}

/**
 * The name of a weights file without folder and ending: "gpt-full" of
 * "weights/gpt-full.safetensors".
 */
export function stem(path: string): string {
  return path.replace(/\s+/g, " ").replace(/^.*[\\/]/, "").replace(/\.\w+$/, "");
}

/** An ISO date as "2026-01-31 12:34 UTC". */
export function day(date: string): string {
  return new Date(date).toISOString().slice(0, 16).replace("T", " ") + " UTC";
}

/** 1234567 as "1,234,567". */
export const count = (number: number) => number.toLocaleString("en-GB");

/** 1234567 as "1.23 million". */
export function readable(number: number): string {
  return number >= 1e6 ? `${(number / 1e6).toFixed(2)} million` : count(number);
}
