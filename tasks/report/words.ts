/** Names and figures that several parts of the page use. */
import type { ModelKind } from "../../core/config.ts";
import type { Provenance, SampleResult } from "../../core/results.ts";

/** In the order in which the page shows them. */
export const MODELS = ["diffusion", "gpt"] as const;

export const MODEL_NAMES: Record<ModelKind, string> = { gpt: "GPT", diffusion: "Diffusion" };

/** Share of real words, over those samples of one result that have words; null if none has. */
export function meanRealWords({ samples }: SampleResult): number | null {
  const shares = samples.map(({ realWords }) => realWords).filter((share) => share !== null);
  return shares.length === 0 ? null : shares.reduce((sum, share) => sum + share) / shares.length;
}

/** The shape of a network in words, such as "small: 4 layers, 4 heads, 128 wide, context 64". */
export function describeConfig(config: Provenance["config"]): string {
  const { preset, layers, heads, width, context } = config;
  return `${preset}: ${layers} layers, ${heads} heads, ${width} wide, context ${context}`;
}

/** `12.345` as "12.3 s", `200` as "3 min 20 s". */
export function duration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(2)} s`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

/** An ISO date as "2026-01-31 12:34 UTC". */
export function day(date: string): string {
  return new Date(date).toISOString().slice(0, 16).replace("T", " ") + " UTC";
}
