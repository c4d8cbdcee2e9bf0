/**
 * The flags of a task: one table drives parsing, checks, help and suggestions. Nothing is printed
 * here.
 */
import { closestString } from "@std/text/closest-string";
import { levenshteinDistance } from "@std/text/levenshtein-distance";
import { toKebabCase } from "@std/text/to-kebab-case";
import { parseArgs } from "node:util";
import { quoted, UserError } from "../../engines/errors.ts";
import { engineNames } from "../../engines/names.ts";
import { listed, quoteForShell } from "./text.ts";

interface FlagBasics {
  /** The description, without the default and the allowed values: help adds them. */
  help: string;
  /** The word that help shows for the value, such as `FILE`. */
  placeholder?: string;
  /** The default in words, where it is worked out only when the task runs. */
  defaultHelp?: string;
  /** May be given more than once; the value is then an array. */
  multiple?: boolean;
}

/** A number; `above` and `below` exclude the limit itself, `min` and `max` include it. */
interface NumberFlag extends FlagBasics {
  type: "integer" | "number";
  min?: number;
  max?: number;
  above?: number;
  below?: number;
  default?: number | readonly number[];
}

/** A number with a unit: a time such as `8m`, read as seconds, or a size such as `15M`, as bytes. */
interface UnitFlag extends FlagBasics {
  type: "duration" | "size";
  default?: string;
}

/** Text, or a path, which can't be empty. */
interface TextFlag extends FlagBasics {
  type: "string" | "path";
  default?: string | readonly string[];
}

/** Off unless given. */
interface BooleanFlag extends FlagBasics {
  type: "boolean";
  multiple?: false;
}

interface ChoiceFlag extends FlagBasics {
  choices: readonly string[];
  default?: string | readonly string[];
}

export type Flag = NumberFlag | UnitFlag | TextFlag | BooleanFlag | ChoiceFlag;

/**
 * Flags in order of use. The key `topK` is the flag `--top-k` and the property `topK` of the
 * values.
 */
export type FlagTable = Readonly<Record<string, Flag>>;

type Single<F> = F extends { choices: readonly (infer Choice)[] } ? Choice
  : F extends { type: "boolean" } ? boolean
  : F extends { type: "integer" | "number" | "duration" | "size" } ? number
  : string;

/** The values that `parseFlags` returns: `undefined` only for a flag that has no default. */
export type Values<T extends FlagTable> = {
  -readonly [Name in keyof T]: T[Name] extends { multiple: true } ? Single<T[Name]>[]
    : T[Name] extends { type: "boolean" } | { default: unknown } ? Single<T[Name]>
    : Single<T[Name]> | undefined;
};

export interface TaskDescription {
  /** As typed after `deno task`. */
  name: string;
  /** One sentence on what it does and where the result goes. */
  summary: string;
  /** The first line of the help after the name. @default {made from `positionals`} */
  usage?: string;
  /** Whole command lines, shown last. */
  examples: readonly string[];
  /** Names of the arguments without a flag, such as `["IN", "OUT"]`; all of them are required. */
  positionals?: readonly string[];
}

/** A command line that can't be used (exit code 2): one mistake a line, with advice in the last. */
export class UsageError extends UserError {
  override name = "UsageError";
  constructor(mistakes: string, options?: ErrorOptions) {
    super({ action: "use the command line", found: mistakes }, options);
    this.message = mistakes;
  }
}

export class HelpRequest extends Error {
  override name = "HelpRequest";
  constructor(readonly task: TaskDescription, readonly table: FlagTable) {
    super(`Help on "deno task ${task.name}"`);
  }
}

const engineChoices = ["auto", ...engineNames] as const;

/** The flag that every task has. */
export const outputFlags = {
  json: { type: "boolean", help: "print one JSON object on stdout" },
} as const;

/** The flag of every task that keeps what `report` shows. */
export const reportsFlag = {
  reports: { type: "path", default: "reports", help: "the folder of results, logs and parts" },
} as const;

/** Returns the seed `i` after one; after the largest that `--seed` takes comes 0. */
export const nextSeed = (seed: number, i: number) => (seed + i) >>> 0;

/** The flags of every task that runs a model; spread them after the task's own. */
export const commonFlags = {
  engine: { choices: engineChoices, default: "auto", help: "engine that runs the model" },
  precision: { choices: ["f32", "bf16"], default: "f32", help: "precision of matrix products" },
  seed: {
    type: "integer",
    min: 0,
    max: 2 ** 32 - 1,
    default: 1337,
    help: "seed of all random draws",
  },
  data: { type: "path", help: "text file", defaultHelp: "the one fetched last" },
  threads: {
    type: "integer",
    min: 1,
    max: 1024,
    help: "threads that the engine uses",
    defaultHelp: "chosen by the engine",
  },
  ...outputFlags,
} as const;

/**
 * The flags of a task that writes text. int8 takes less than half the time and changes a character
 * by some 0.001 bits (docs/sampling.md); no precision means int8 where the engine has it.
 */
export const writingFlags = {
  ...commonFlags,
  precision: {
    choices: [...commonFlags.precision.choices, "int8"],
    help: commonFlags.precision.help,
    defaultHelp: "int8, or f32 on an engine that lacks it",
  },
} as const;

/**
 * Reads a command line by a table of flags. `--flag value` and `--flag=value` mean the same. A
 * leading `--` is dropped (`deno task` passes it on); after a later one everything is positional.
 *
 * @throws {UsageError} With all mistakes of the command line.
 * @throws {HelpRequest} If it contains `--help` or `-h`, whatever else it contains.
 */
export function parseFlags<const T extends FlagTable>(
  task: TaskDescription,
  table: T,
  args: string[],
): Values<T> & { positionals: string[] } {
  const byName = new Map(Object.entries(table).map(([key, flag]) => [flagName(key), flag]));
  const { texts, positionals, mistakes, hasUnknown, wantsHelp } = splitArguments(
    args[0] === "--" ? args.slice(1) : args,
    byName,
  );
  if (wantsHelp) throw new HelpRequest(task, table);

  const values: Record<string, unknown> = {};
  for (const [key, flag] of Object.entries(table)) {
    const name = flagName(key);
    values[key] = readFlag(name, flag, texts.get(name) ?? [], mistakes);
  }
  // What follows an unknown flag may be its value, so nothing can be said about positionals then.
  if (!hasUnknown) mistakes.push(...wrongPositionals(positionals, task.positionals ?? []));
  if (mistakes.length > 0) {
    const last = mistakes.pop()!;
    const advice = `un "deno task ${task.name} --help" to see all flags`;
    mistakes.push(last + (last.endsWith("?") ? ` R${advice}` : `; r${advice}`));
    throw new UsageError(mistakes.join("\n"));
  }
  return { ...values, positionals } as Values<T> & { positionals: string[] };
}

/** Sorts arguments into the texts given for each flag, positionals and mistakes. */
function splitArguments(args: string[], byName: Map<string, Flag>) {
  const texts = new Map<string, string[]>();
  const positionals: string[] = [];
  const mistakes = new Set<string>(); // `-abc` comes as three tokens and is one mistake
  let hasUnknown = false;
  let wantsHelp = false;
  const options = Object.fromEntries(
    [...byName].map(([name, flag]) => [
      name,
      { type: isBoolean(flag) ? "boolean" as const : "string" as const },
    ]),
  );
  // Not strict: unknown flags, too, come as tokens, and `--flag -5` has a value.
  const settings = { args, options, strict: false, allowPositionals: true, tokens: true } as const;
  for (const token of parseArgs(settings).tokens) {
    if (token.kind === "positional") positionals.push(token.value);
    if (token.kind !== "option") continue;
    const [given] = args[token.index].split("=");
    const flag = given.startsWith("--") ? byName.get(token.name) : undefined;
    if ([given, token.inlineValue ? undefined : token.value].some(isHelp)) {
      wantsHelp = true;
    } else if (!flag) {
      mistakes.add(describeUnknown(given, [...byName.keys()]));
      hasUnknown = true;
    } else if (isBoolean(flag) || token.inlineValue || isValue(flag, token.value)) {
      texts.set(token.name, [...(texts.get(token.name) ?? []), token.value ?? "true"]);
    } else {
      mistakes.add(describeMissing(given, flag, token.value));
    }
  }
  return { texts, positionals, mistakes: [...mistakes], hasUnknown, wantsHelp };
}

const isHelp = (arg: string | undefined) => arg === "--help" || arg === "-h";

/** Whether the argument after a flag is its value and not the next flag. */
function isValue(flag: Flag, next: string | undefined): next is string {
  if (next === undefined || next === "--") return false;
  if (isNumeric(flag) && /^-(\d|\.|inf|nan)/i.test(next)) return true;
  return !/^--?[a-z]/i.test(next);
}

function describeMissing(given: string, flag: Flag, next: string | undefined): string {
  const mistake = `Missing value of ${given}: expected ${expectation(flag)}`;
  if (next === undefined || next === "--" || isNumeric(flag)) return mistake;
  const shown = /^[^\p{C}\p{Zl}\p{Zp}]{1,80}$/u.test(next) ? quoteForShell(next) : "VALUE";
  return `${mistake}; a value that starts with a dash is written ${given}=${shown}`;
}

/** Nothing that is longer is near a name of ours, and comparing takes time. */
const longestName = 100;

function describeUnknown(given: string, names: string[]): string {
  const name = given.replace(/^-+/, "").slice(0, longestName);
  const mistake = `Unknown flag ${quoted(given)}`;
  if (given === `-${name}` && names.includes(name)) {
    return `${mistake}; flags have two dashes: "--${name}"`;
  }
  if (names.length === 0) return mistake;
  const longer = names.filter((candidate) => name !== "" && candidate.startsWith(name));
  const nearest = closestString(name, longer.length > 0 ? longer : names);
  const isNear = longer.length > 0 ||
    levenshteinDistance(name, nearest) <= Math.max(2, name.length / 3);
  return `${mistake}; ${isNear ? `did you mean "--${nearest}"?` : `the nearest is "--${nearest}"`}`;
}

function wrongPositionals(given: string[], wanted: readonly string[]): string[] {
  const expected = wanted.length === 0 ? "flags only" : `only ${listed(wanted)}`;
  const mistakes = wanted.filter((_, i) => given[i] === "")
    .map((name) => `Cannot use ${name} "": expected something that is not empty`);
  for (const text of given.slice(wanted.length)) {
    mistakes.push(`Unexpected argument ${quoted(text)}: expected ${expected}`);
  }
  const missing = wanted.slice(given.length);
  if (missing.length > 0) mistakes.push(`Missing ${listed(missing)}`);
  return mistakes;
}

/** Reads the value of one flag, or adds a mistake. */
function readFlag(name: string, flag: Flag, texts: string[], mistakes: string[]): unknown {
  if (texts.length > 1 && !flag.multiple) {
    mistakes.push(`Cannot use --${name} ${texts.length} times: it takes one value`);
    return;
  }
  if (texts.length === 0) {
    if (isBoolean(flag)) return false;
    return Array.isArray(flag.default)
      ? [...flag.default]
      : flag.default ?? (flag.multiple ? [] : undefined);
  }
  const values = texts.map((text) => readValue(name, flag, text, mistakes));
  return flag.multiple ? values : values[0];
}

function readValue(name: string, flag: Flag, text: string, mistakes: string[]): unknown {
  const refuse = (hint = "") => {
    const found = quoted(text);
    mistakes.push(`Cannot use --${name} ${found}: expected ${expectation(flag)}${hint}`);
  };
  if ("choices" in flag) {
    if (flag.choices.includes(text)) return text;
    const start = text.slice(0, longestName);
    const nearest = closestString(start, flag.choices);
    return refuse(levenshteinDistance(start, nearest) <= 2 ? `; did you mean "${nearest}"?` : "");
  }
  switch (flag.type) {
    case "boolean":
      return text === "true" || text === "false" ? text === "true" : refuse();
    case "string":
      return text;
    case "path":
      return text !== "" ? text : refuse();
    case "duration":
    case "size":
      return readUnits(text, units[flag.type]) ?? refuse();
    default: {
      // Number() alone would take "", " 1" and "0x10". 1e3 is fine, for an integer too.
      const isDecimal = /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i.test(text);
      const value = isDecimal ? Number(text) : NaN;
      const { min = -Infinity, max = Infinity, above = -Infinity, below = Infinity } = flag;
      const isKind = flag.type === "integer" ? Number.isSafeInteger(value) : Number.isFinite(value);
      return isKind && value >= min && value <= max && value > above && value < below
        ? value
        : refuse();
    }
  }
}

/** The units of a time in seconds, and of a size in bytes. */
const units = { duration: { s: 1, m: 60, h: 3600 }, size: { K: 1e3, M: 1e6, G: 1e9 } };

/** Reads a number with one of `units`; undefined if it is none, or less than 1. */
function readUnits(text: string, units: Record<string, number>): number | undefined {
  const [, number, unit] = /^(\d{1,6}(?:\.\d{1,9})?)([a-zA-Z])$/.exec(text) ?? [];
  if (unit === undefined || !Object.hasOwn(units, unit)) return undefined;
  const value = Math.round(Number(number) * units[unit]);
  return value >= 1 ? value : undefined;
}

/** The values that a flag takes, in words. */
function expectation(flag: Flag): string {
  if ("choices" in flag) return expectedChoices(flag);
  switch (flag.type) {
    case "boolean":
      return "true, false or no value";
    case "string":
      return "a text";
    case "path":
      return "a path";
    case "duration":
      return "a time such as 90s, 8m or 1.5h";
    case "size":
      return "a size such as 500K, 15M or 2G";
    default: {
      const limits = describeLimits(flag);
      const kind = flag.type === "integer" ? "a whole number" : "a number";
      return limits.length === 0 ? kind : `${kind}, ${limits.join(" and ")}`;
    }
  }
}

/** The limits of a number, such as "at least 1" and "at most 8". */
export function describeLimits({ min, above, max, below }: NumberFlag): string[] {
  return [["at least", min], ["above", above], ["at most", max], ["below", below]]
    .filter(([, limit]) => limit !== undefined)
    .map((words) => words.join(" "));
}

export const expectedChoices = (flag: ChoiceFlag) => listed(flag.choices, "or");

export const isBoolean = (flag: Flag) => "type" in flag && flag.type === "boolean";

export const isNumeric = (flag: Flag): flag is NumberFlag =>
  "type" in flag && (flag.type === "integer" || flag.type === "number");

/** The name of a flag as typed, without its dashes: `topK` is `top-k`. */
export const flagName = toKebabCase;
