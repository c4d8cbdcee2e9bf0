/** `eval --text`: a text of one's own, each character with the bits that it costs each model. */
import type { ModelKind } from "../../core/config.ts";
import { decodeText } from "../../core/data/corpus.ts";
import { makeTokenizer } from "../../core/data/tokenizer.ts";
import { readBytes } from "../../files/read.ts";
import { models } from "../../core/models.ts";
import { scoreCharacters, sight } from "../../core/scoring/characters.ts";
import { loadScorer } from "../../core/scoring/scorer.ts";
import type { Engine } from "../../engines/engine.ts";
import { UserError } from "../../engines/errors.ts";
import { bitLevelNames, findBitLevel } from "../shared/bit_levels.ts";
import { startProgress } from "../shared/progress.ts";
import { interruption, note } from "../shared/run.ts";
import { withoutControls } from "../shared/text.ts";
import { type ChosenWeights, encodeFor } from "../shared/weights.ts";

/** Most characters of the text: a diffusion model takes a row of the network for each. */
const MOST_CHARACTERS = 10_000;

/** The bits of each character under one model. */
export interface CharacterBits {
  model: ModelKind;
  weights: string;
  /** What the model saw of the text around each character. */
  sees: string;
  /** Mean over the characters. Only a GPT's is a likelihood in bits per character. */
  mean_bits: number;
  /** Of each character; null where the model sees nothing to go by. */
  bits: (number | null)[];
}

/** Reads the text of `--text`: a file, or "-" for stdin. */
export async function readOwnText(path: string): Promise<string> {
  const isStdin = path === "-";
  if (isStdin && Deno.stdin.isTerminal()) note("type the text, then Ctrl-D:");
  const bytes = isStdin
    ? new Uint8Array(await new Response(Deno.stdin.readable).arrayBuffer())
    : await readBytes(path);
  const text = decodeText(bytes, isStdin ? "stdin" : JSON.stringify(path));
  const count = [...text].length;
  if (count > MOST_CHARACTERS) {
    throw new UserError({
      action: "score the text",
      found: `it has ${count.toLocaleString("en-US")} characters, expected at most ` +
        MOST_CHARACTERS.toLocaleString("en-US"),
      advice: "give a part of it",
    });
  }
  return text;
}

/** Scores the characters of a text with one model. */
export async function scoreOwnText(
  engine: Engine,
  saved: ChosenWeights,
  text: string,
): Promise<CharacterBits> {
  const { config, weights, vocabulary, path } = saved;
  const { kind, context } = config;
  const { encode } = makeTokenizer(kind, vocabulary);
  const tokens = await encodeFor(saved, () => encode(text, "the text"));
  const time = Math.min(context, tokens.length);
  using scorer = await loadScorer(engine, models[kind], config, weights, { time });
  using progress = startProgress({ unit: `${kind}, row` });
  const bits = await scoreCharacters(scorer, kind, tokens, {
    signal: interruption(),
    onProgress: (done) => progress.update({ done }),
  });
  const scored = bits.filter((value) => !Number.isNaN(value));
  return {
    model: kind,
    weights: path,
    sees: sight[kind],
    mean_bits: scored.reduce((sum, value) => sum + value, 0) / scored.length,
    bits: Array.from(bits, (value) => Number.isNaN(value) ? null : value),
  };
}

/** Black on a background of the terminal's 256 colours: the redder, the more bits. */
const BACKGROUNDS = [255, 230, 222, 216, 210, 203];

const paint = (level: number, text: string) => `\x1b[30;48;5;${BACKGROUNDS[level]}m${text}\x1b[0m`;

/** Shows the text once for each model, its characters coloured by their bits. */
export function paintBits(text: string, scored: CharacterBits[]): string {
  const key = bitLevelNames.map((name, level) => paint(level, ` ${name} `)).join("");
  const parts = scored.map((result) => {
    const painted = [...text].map((character, i) => {
      const shown = character === "\n" ? "⏎" : withoutControls(character);
      const bits = result.bits[i];
      const cell = bits === null ? shown : paint(findBitLevel(bits), shown);
      return cell + (character === "\n" ? "\n" : "");
    });
    return `${headline(result)}\n\n${painted.join("").trimEnd()}`;
  });
  return [`bits of a character: ${key}`, ...parts].join("\n\n");
}

const COLUMNS = 12;

/** Shows the bits as numbers below the characters, for terminals and files without colours. */
export function listBits(text: string, scored: CharacterBits[]): string {
  const characters = [...text];
  const cell = (value: string) => value.padStart(6);
  const label = (name: string) => name.padEnd(10);
  const groups: string[] = [];
  for (let start = 0; start < characters.length; start += COLUMNS) {
    const row = <Item>(name: string, items: Item[], show: (item: Item) => string) =>
      label(name) + items.slice(start, start + COLUMNS).map((item) => cell(show(item))).join("");
    groups.push(
      [
        row("", characters, nameCharacter),
        ...scored.map(({ model, bits }) => row(model, bits, (value) => value?.toFixed(2) ?? "-")),
      ].join("\n"),
    );
  }
  return [...scored.map(headline), ...groups].join("\n\n");
}

function nameCharacter(character: string): string {
  const names: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", " ": "space" };
  return names[character] ?? withoutControls(character);
}

function headline({ model, weights, sees, mean_bits }: CharacterBits): string {
  const caveat = model === "gpt"
    ? ""
    : "; not a likelihood: each character is hidden by itself, so the bits don't add up";
  return `${model} (${weights}), which sees ${sees}: ${
    mean_bits.toFixed(2)
  } bits per character${caveat}`;
}
