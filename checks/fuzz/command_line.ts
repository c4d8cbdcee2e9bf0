/** The target `arguments`: what is typed after a task's name, `--template` and `--set` with it. */
import { makeConfig } from "../../core/config.ts";
import { parseTemplate, type Piece } from "../../core/sampling/template.ts";
import { UserError } from "../../engines/errors.ts";
import {
  commonFlags,
  type Flag,
  flagName,
  HelpRequest,
  parseFlags,
  UsageError,
} from "../../tasks/shared/flags.ts";
import { samplerFlags, truncationFlags } from "../../tasks/shared/sampling_flags.ts";
import { parseSettings, setFlag } from "../../tasks/shared/settings.ts";
import { weightsFlags } from "../../tasks/shared/weights.ts";
import { mutateJson, oddString, textBytes } from "./mutate.ts";
import { findFaultInLine, kindOf, promise, roundTrip, type Target } from "./target.ts";

/** Flags of every kind, most of them real. */
const table = {
  model: { choices: ["gpt", "diffusion"], help: "which" },
  prompt: { type: "string", help: "text" },
  length: { type: "integer", min: 1, max: 1e6, default: 2000, help: "characters" },
  resume: { type: "boolean", help: "resume" },
  ratio: { type: "number", multiple: true, above: -1, below: 1, default: [0.5], help: "shares" },
  template: { type: "string", help: "text with gaps" },
  until: { type: "duration", help: "time" },
  split: { type: "size", help: "size" },
  gap: { type: "string", default: "_", help: "character" },
  ...truncationFlags,
  ...samplerFlags,
  ...weightsFlags,
  set: setFlag,
  ...commonFlags,
} as const;

const defaults = makeConfig("gpt", "full", 66);
const names = Object.keys(table).map(flagName);

/** Cases, which are JSON. */
const lines = [
  { args: [], positionals: [] },
  { args: ["--", "--model", "gpt", "--temperature=0.5", "--top-k", "3"], positionals: [] },
  { args: ["in.pt", "out.safetensors", "--seed", "7", "--json"], positionals: ["IN", "OUT"] },
  { args: ["--template", "To be, or ____ to {3..12}", "--gap", "_"], positionals: [] },
  { args: ["--set", "dropout=0.1", "--set=optimizer=muon", "--resume"], positionals: [] },
  { args: ["--ratio", "-0.5", "--ratio", ".25", "--", "-a", "b"], positionals: ["A", "B"] },
  { args: ["--set", "zeroProjections=true", "--set", "layers=3", "--help"], positionals: [] },
];

export const commandArguments: Target = {
  readers: [
    "tasks/shared/flags.ts",
    "tasks/shared/settings.ts",
    "core/sampling/template.ts",
    "core/config.ts",
    "engines/errors.ts",
  ],

  starts: () => lines.map((line) => textBytes(JSON.stringify(line))),

  mutate(bytes, other, random) {
    const [text, more] = [bytes, other].map((one) => new TextDecoder().decode(one));
    const numbers = ["0", "-0", "1", "-1", "2.5", "1e3", "1e400", ".5", "+7", "0x10", "1_000"];
    return textBytes(mutateJson(text, more, random, () => {
      const flag = `--${random.pick(names)}`;
      const number = random.pick(numbers);
      const value = random.pick([number, oddString(random), "true", "adamw", "cosine"]);
      return random.pick([
        flag,
        value,
        `${flag}=${value}`,
        `--set=${random.pick(Object.keys(defaults))}=${value}`,
        `--template=a{${number}..${random.pick(numbers)}}_${value}`,
        random.pick(["-", "--", "---", "-h", "-m", "--no-json", "--flag-json", "-=", "--="]),
        `--${value}`,
      ]);
    }));
  },

  async check(bytes) {
    const { args, positionals } = readCase(new TextDecoder().decode(bytes));
    const task = { name: "example", summary: "A task.", examples: [], positionals };
    let values: ReturnType<typeof parseFlags<typeof table>>;
    try {
      values = parseFlags(task, table, args);
    } catch (error) {
      if (error instanceof HelpRequest) return "help";
      promise(error instanceof UsageError, `a command line is read or refused: ${error}`);
      const mistakes = (error as Error).message.split("\n");
      for (const mistake of mistakes) checkMistake(mistake);
      return kindOf(mistakes[0]);
    }
    for (const [key, flag] of Object.entries(table)) {
      checkValue(key, flag, values[key as keyof typeof table]);
    }
    const again = await roundTrip("it", () => parseFlags(task, table, typeAgain(values)));
    promise(JSON.stringify(again) === JSON.stringify(values), "values come back as they were");
    const outcomes = [`read ${Math.min(3, args.length)}`];
    if (values.set.length > 0) outcomes.push(await checkSettings(values.set));
    if (values.template !== undefined) {
      outcomes.push(await checkTemplate(values.template, values.gap));
    }
    return outcomes.join(" ");
  },
};

/** Reads a case; names of positionals are a task's own, so not any text. */
function readCase(text: string): { args: string[]; positionals: string[] } {
  try {
    const { args, positionals } = JSON.parse(text);
    const own = ["IN", "OUT", "A", "B"].filter((name) => positionals.includes(name));
    return { args: args.map((arg: unknown) => `${arg}`), positionals: own };
  } catch {
    return { args: [text], positionals: [] };
  }
}

function checkMistake(mistake: string): void {
  const isOurs = /^(Unknown flag|Cannot use|Missing|Unexpected argument) ?.+/.test(mistake);
  const fault = isOurs ? findFaultInLine(mistake) : "it is none of ours";
  promise(
    fault === undefined,
    `a mistake is reported in a line: ${fault}: ${mistake.slice(0, 200)}`,
  );
}

function checkValue(key: string, flag: Flag, value: unknown): void {
  const values = flag.multiple || value === undefined ? value ?? [] : [value];
  const fits = Array.isArray(values) && values.every((item) => isOfKind(flag, item));
  const isMissing = value === undefined && "default" in flag && flag.default !== undefined;
  promise(fits && !isMissing, `--${key} ${JSON.stringify(value)} is what the table says`);
}

function isOfKind(flag: Flag, value: unknown): boolean {
  if ("choices" in flag) return flag.choices.includes(value as string);
  if (flag.type === "integer" || flag.type === "number") {
    const { min = -Infinity, max = Infinity, above = -Infinity, below = Infinity } = flag;
    const isKind = flag.type === "integer" ? Number.isSafeInteger(value) : Number.isFinite(value);
    const number = value as number;
    return isKind && number >= min && number <= max && number > above && number < below;
  }
  if (flag.type === "duration" || flag.type === "size") {
    return Number.isSafeInteger(value) && Number(value) >= 1;
  }
  return typeof value === (flag.type === "boolean" ? "boolean" : "string") &&
    (flag.type !== "path" || value !== "");
}

/** A command line that means these values. */
function typeAgain(values: Record<string, unknown> & { positionals: string[] }): string[] {
  const flags = Object.entries(table).flatMap(([key]) =>
    [values[key]].flat().filter((value) => value !== undefined)
      .map((value) => `--${flagName(key)}=${withUnit(table[key as keyof typeof table], value)}`)
  );
  return [...flags, "--", ...values.positionals];
}

/** A value of a flag as it is typed. */
function withUnit(flag: Flag, value: unknown): unknown {
  if (!("type" in flag)) return value;
  if (flag.type === "duration") return `${(Number(value) / 3600).toFixed(9)}h`;
  return flag.type === "size" ? `${(Number(value) / 1e9).toFixed(9)}G` : value;
}

async function checkSettings(assignments: string[]): Promise<string> {
  const settings = await readBack(
    assignments,
    (texts) => parseSettings(texts, "gpt"),
    (settings) => Object.entries(settings).map(([name, value]) => `${name}=${value}`),
  );
  if (typeof settings === "string") return settings;
  for (const [name, value] of Object.entries(settings)) {
    const usual = Object.hasOwn(defaults, name) && defaults[name as keyof typeof defaults];
    promise(typeof value === typeof usual, `the setting ${name} is of its kind`);
  }
  return `set ${Object.keys(settings).sort()}`;
}

async function checkTemplate(template: string, gap: string): Promise<string> {
  const writePiece = (piece: Piece) =>
    "given" in piece ? piece.given : `{${piece.min}..${piece.max}}`;
  const pieces = await readBack(
    template,
    (text) => parseTemplate(text, gap),
    (pieces) => pieces.map(writePiece).join(""),
  );
  if (typeof pieces === "string") return pieces;
  for (const piece of pieces) {
    const fits = "given" in piece ? piece.given !== "" : piece.min <= piece.max && piece.max > 0;
    promise(fits, "each piece has text or a length");
  }
  return `template of ${Math.min(5, pieces.length)} pieces`;
}

/** Reads what a flag holds, writes it and reads it again; or returns the kind of the refusal. */
async function readBack<Text, Value extends object>(
  text: Text,
  read: (text: Text) => Value,
  write: (value: Value) => Text,
): Promise<Value | string> {
  let value: Value;
  try {
    value = read(text);
  } catch (error) {
    const { message } = error as Error;
    // These become mistakes of the command line, where the advice is to look at the help.
    const fault = error instanceof UserError ? findFaultInLine(message) : "it is none of ours";
    promise(fault === undefined, `${fault}: ${message.slice(0, 200)}`);
    return kindOf(message);
  }
  const written = write(value);
  const again = await roundTrip("it", () => write(read(written)));
  promise(String(again) === String(written), "it comes back as it was");
  return value;
}
