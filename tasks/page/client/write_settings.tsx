/** How to write: the sampler with its options, which are derived from its file, and the common ones. */
import { chooseDefaultSampler, defaultOptions } from "../../../core/sampling/defaults.ts";
import {
  collectOptions,
  samplerList,
  type SamplerName,
  samplers,
} from "../../../core/sampling/samplers/mod.ts";
import type { DefinedSampler } from "../../../core/sampling/samplers/sampler.ts";
import type { WriteSettings } from "../messages.ts";
import { NumberField, SelectField } from "./fields.tsx";

/** What the models are asked to write. */
export type Mode = "race" | "gpt" | "diffusion" | "gaps";

/** The sampler where none was chosen. */
export function usualSampler(mode: Mode, hasNgrams: boolean): SamplerName {
  return chooseDefaultSampler({ hasNgrams, fillsGaps: mode === "gaps" }).name;
}

/** Whether the sampler writes with a table of n-grams. */
export function usesNgrams({ sampler }: WriteSettings): boolean {
  return sampler !== undefined && (samplers[sampler] as DefinedSampler).usesNgrams === true;
}

/** A sampler at its defaults, with the temperature and the top-k that suit it; 0 stands for all. */
export function usualSettings(sampler: SamplerName): WriteSettings {
  const { temperature, topK = 0 } = defaultOptions("diffusion", 64, {
    sampler: samplers[sampler],
  });
  return { sampler, temperature, topK };
}

export interface WriteSettingProps {
  settings: WriteSettings;
  setSettings(settings: WriteSettings): void;
  mode: Mode;
}

/** The options of the chosen sampler, and the common ones. */
export function WriteSettingFields({ settings, setSettings, mode }: WriteSettingProps) {
  const set = (key: string) => (value: number | string) =>
    setSettings({ ...settings, [key]: value });
  const temperature = (
    <NumberField
      label="Temperature"
      value={settings.temperature as number}
      min={0}
      max={10}
      step="any"
      onValue={set("temperature")}
    />
  );
  if (mode === "gpt") return temperature;
  const options = [...collectOptions()].filter(([, { samplers }]) =>
    samplers.includes(settings.sampler!)
  );
  return (
    <>
      <SelectField
        label="Sampler"
        value={settings.sampler!}
        options={samplerList.map(({ name }) => [name, name])}
        onValue={(name) => setSettings(usualSettings(name))}
      />
      {options.map(([key, { option }]) =>
        "choices" in option
          ? (
            <SelectField
              label={capitalized(option.help)}
              value={String(settings[key] ?? option.default)}
              options={option.choices.map((choice) => [choice, choice])}
              onValue={set(key)}
            />
          )
          : (
            <NumberField
              label={capitalized(option.help)}
              value={Number(settings[key] ?? option.default)}
              min={option.min}
              above={option.above}
              max={option.max}
              step={option.type === "number" ? "any" : 1}
              onValue={set(key)}
            />
          )
      )}
      {temperature}
      <NumberField
        label="Draw among so many of the likeliest; 0 = all"
        value={settings.topK as number}
        min={0}
        max={1024}
        onValue={set("topK")}
      />
    </>
  );
}

const capitalized = (text: string) => text[0].toUpperCase() + text.slice(1);
